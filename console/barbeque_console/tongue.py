"""The languages of the console: which one a request is answered in, and its words.

English stands in the sources. Catalogues (`locale/LANGUAGE/*.po`, one for each part of the
console) translate it; whatever is not in them stays English.
"""

import ast
import re
from collections.abc import Iterator
from contextvars import ContextVar
from functools import cache
from pathlib import Path

LANGUAGES = {"en": "English", "ja": "日本語"}
"""What people may choose, each in its own words."""

LOCALE = Path(__file__).parent / "locale"

_spoken: ContextVar[str] = ContextVar("barbeque_console_language", default="en")
_ENTRY = re.compile(r'^(msgid|msgid_plural|msgstr|msgstr\[0\]) (".*")$')


def speak(language: str) -> None:
    """Answer this request in that language."""
    _spoken.set(language)


def spoken() -> str:
    """Return the language that this request is answered in."""
    return _spoken.get()


def mark(sentence: str) -> str:
    """Mark a sentence that is translated later, where it is shown."""
    return sentence


def gettext(sentence: str) -> str:
    """Return the sentence in the language of this request."""
    return read_catalogue(spoken()).get(sentence, sentence)


def ngettext(one: str, many: str, number: int) -> str:
    """Return the sentence for this many; the catalogue knows it by its singular."""
    translated = read_catalogue(spoken()).get(one)
    if translated is not None:
        return translated
    return one if number == 1 else many


def choose(asked: str | None, accepted: str) -> str:
    """Return the language that was chosen, else the first one that the browser asks for."""
    if asked in LANGUAGES:
        return str(asked)
    for part in accepted.split(","):
        language = part.partition(";")[0].strip()[:2].lower()
        if language in LANGUAGES:
            return language
    return "en"


@cache
def read_catalogue(language: str) -> dict[str, str]:
    """Return the translations of all parts by what stands in the sources."""
    found: dict[str, str] = {}
    for path in sorted((LOCALE / language).glob("*.po")):
        found.update(_read(path.read_text(encoding="utf-8")))
    found.pop("", None)
    return found


def _read(text: str) -> Iterator[tuple[str, str]]:
    """Read a catalogue in gettext's form, as far as a language without plurals needs it."""
    fields: dict[str, str] = {}
    last = ""
    for line in [*text.splitlines(), ""]:
        begun = _ENTRY.match(line)
        if begun:
            last = begun[1]
            fields[last] = ast.literal_eval(begun[2])
        elif line.startswith('"') and last:
            fields[last] += ast.literal_eval(line)
        elif not line.strip() and fields:
            translated = fields.get("msgstr", fields.get("msgstr[0]", ""))
            if translated:
                yield fields["msgid"], translated
            fields, last = {}, ""

"""Which executions a list shows: conditions as people type them, as links say them, as a filter.

`app:media state:failed since:24h` is `?app=media&state=failed&since=24h`: the same names and values
as the API's filter and the options of `barbeque status`. Values with spaces stand in quotes.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from typing import Any
from urllib.parse import parse_qsl, urlencode

from barbeque_console.tongue import gettext
from barbeque_py.comparisons import Comparison, compare_duration, compare_whole
from barbeque_py.durations import parse_duration
from barbeque_py.executions import State
from barbeque_py.store.filters import SHORTEST_PREFIX, Filter

NAMES = (
    *("state", "app", "job", "queue", "user", "tag", "since", "until", "id", "status"),
    *("exit", "attempt", "duration", "text"),
)
"""Of conditions, in the order in which they are shown."""

STATUSES = ("pending", "running", "retried", "success", "failed", "error", "cancelled")
"""Barbeque's words for the states."""

_MOST_TAGS = 5
_LONGEST = 255
_WORD = re.compile(r'([\w-]+):("[^"]*"|\S*)|("[^"]*"|\S+)')
_PREFIX = re.compile(r"[0-9a-f-]{8,36}")


class Misread(ValueError):
    """What was typed can't be read; `place` is where, `text` what stands there."""

    def __init__(self, sentence: str, place: int = 0, text: str = "") -> None:
        super().__init__(sentence)
        self.place = place
        self.text = text


@dataclass(frozen=True, slots=True)
class Conditions:
    """All of them hold for what is shown."""

    pairs: tuple[tuple[str, str], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.pairs)

    def get(self, name: str) -> str | None:
        """Return the value of the first condition of this name."""
        return next((value for own, value in self.pairs if own == name), None)

    @property
    def query(self) -> str:
        """What stands behind the question mark of a link."""
        return urlencode(self.pairs)

    @property
    def typed(self) -> str:
        """What a person would type."""
        return " ".join(f"{name}:{_quoted(value)}" for name, value in self.pairs)

    def without(self, pair: tuple[str, str]) -> str:
        """Return the query of a link to the list without this one."""
        return urlencode([each for each in self.pairs if each != pair])

    def fixed(self, now: datetime) -> dict[str, Any]:
        """Return them as the API's filter, in which no time depends on the present."""
        facts: dict[str, Any] = {}
        for name, value in self.pairs:
            if name == "tag":
                facts.setdefault("tag", []).append(value)
            elif name in ("since", "until"):
                facts[name] = _instant(value, now).isoformat()
            else:
                facts[name] = value
        return facts

    def filter(self, now: datetime, *, app: str | None = None) -> Filter:
        """Return what the store looks for; `app` is the only app that may be seen.

        Raises `Misread`.
        """
        facts: dict[str, Any] = {"app": app}
        tags = []
        for name, value in self.pairs:
            if name == "tag":
                tags.append(_tag(value))
            else:
                facts[_FIELDS.get(name, name)] = _READERS.get(name, _text)(value, now)
        if app is not None and facts["app"] != app:
            raise Misread(gettext("You may see the app “%s” alone.") % app, 0, str(facts["app"]))
        if tags and not facts["app"]:
            raise Misread(gettext("Name the app, too: tags are an app's own."), 0, "tag")
        return Filter(**facts, tags=tuple(tags[:_MOST_TAGS]))


def from_query(pairs: Iterable[tuple[str, str]]) -> Conditions:
    """Return the conditions that a link names; what is empty or unknown is left out."""
    known = [(name, value[:_LONGEST]) for name, value in pairs if name in NAMES and value]
    return Conditions(tuple(sorted(dict.fromkeys(known), key=lambda each: NAMES.index(each[0]))))


def from_text(text: str) -> Conditions:
    """Return what was typed. Raises `Misread`."""
    pairs = []
    for found in _WORD.finditer(text):
        name, value, bare = found[1], found[2], found[3]
        if bare is not None:
            if not _PREFIX.fullmatch(bare.lower()):
                raise Misread(
                    gettext("Write a condition as name:value, with one of these names: %s.")
                    % ", ".join(NAMES),
                    found.start(),
                    bare,
                )
            pairs.append(("id", bare.lower()))
            continue
        if name not in NAMES:
            near = get_close_matches(name, NAMES, 1)
            meant = gettext("Did you mean “%s”?") % near[0] if near else ", ".join(NAMES)
            sentence = gettext("There is no condition called “%s”.") % name
            raise Misread(f"{sentence} {meant}", found.start(), found[0])
        bare_value = value.strip('"')
        if bare_value:
            pairs.append((name, bare_value))
    return from_query(pairs)


def from_form(form: Mapping[str, str]) -> Conditions:
    """Return the conditions that a form carries as a link would, in its field `conditions`."""
    return from_query(parse_qsl(form.get("conditions", "")))


def from_filter(facts: Mapping[str, Any]) -> Conditions:
    """Return the conditions of the API's filter, as `fixed` writes it."""
    pairs = [(name, str(value)) for name, value in facts.items() if isinstance(value, str | int)]
    return from_query([*pairs, *(("tag", str(each)) for each in facts.get("tag") or ())])


def _quoted(value: str) -> str:
    return f'"{value}"' if re.search(r"\s", value) else value


def _text(value: str, now: datetime) -> str:
    del now
    return value


def _state(value: str, now: datetime) -> State:
    del now
    if value not in [*State]:
        raise Misread(gettext("A state is one of %s.") % ", ".join(State), 0, value)
    return State(value)


def _status(value: str, now: datetime) -> str:
    del now
    if value not in STATUSES:
        raise Misread(gettext("A status is one of %s.") % ", ".join(STATUSES), 0, value)
    return value


def _prefix(value: str, now: datetime) -> str:
    del now
    if not _PREFIX.fullmatch(value):
        sentence = gettext("An id begins with at least %s characters of 0-9, a-f and -.")
        raise Misread(sentence % SHORTEST_PREFIX, 0, value)
    return value


def _instant(value: str, now: datetime) -> datetime:
    try:
        return now - parse_duration(value)
    except (ValueError, OverflowError):
        pass
    try:
        instant = datetime.fromisoformat(value)
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        sentence = gettext("A time is how long ago (24h, 7d), or an instant with its offset.")
        raise Misread(sentence, 0, value)
    return instant


def _whole(value: str, now: datetime) -> Comparison:
    del now
    try:
        return compare_whole(value)
    except ValueError:
        sentence = gettext("Write a whole number, with <, <=, > or >= before it or without.")
        raise Misread(sentence, 0, value) from None


def _length(value: str, now: datetime) -> Comparison:
    del now
    try:
        return compare_duration(value)
    except (ValueError, OverflowError):
        sentence = gettext("Write how long, with <, <=, > or >= before it: >60s, <=5m.")
        raise Misread(sentence, 0, value) from None


def _tag(value: str) -> tuple[str, str]:
    name, sign, text = value.partition("=")
    if not name or not sign:
        raise Misread(gettext("Write a tag as tag:name=value."), 0, value)
    return name, text


_FIELDS = {"user": "user_id", "id": "prefix", "exit": "exit_code", "attempt": "attempts"}
_READERS = {
    "state": _state,
    "status": _status,
    "since": _instant,
    "until": _instant,
    "id": _prefix,
    "exit": _whole,
    "attempt": _whole,
    "duration": _length,
}

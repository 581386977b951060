"""What stands out in a log: lines that speak of an error, and groups with a name.

Groups are written in the ways that people know from elsewhere: `::group::name` and `::endgroup::`,
GitLab's `section_start:time:name` and `section_end:time:name`, Buildkite's `--- name` and
`+++ name`, each of which ends the one before.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field

from barbeque_py.log_text import bare

MOST_ERRORS = 10_000
MOST_GROUPS = 1_000
"""So many are listed at most."""
ERROR_WORDS = (b"error", b"exception", b"fatal", b"panic", b"traceback", b"critical")

_LOOKED_AT = 64 * 1024 * 1024
"""Bytes that are read for marks which nobody has stored."""
_NAME = 200
_LONGEST = 500
"""Bytes of the line that tells of an error that are kept with its attempt."""
_TRACE = b"Traceback (most recent call last)"
_TRACED = 50
"""How many lines of a text may be of a trace before the first that tells something."""
_HINTS = (b"group", b"section_", b" --- ", b" +++ ", b" ~~~ ")
_MARKER = re.compile(
    rb"^(?P<at>\S+) \S+ (?:\x1b\[[0-9;]*[Km])*(?:"
    rb"(?:::|##\[)group(?:::|\])(?P<group>[^\n]*)"
    rb"|(?P<endgroup>(?:::|##\[)endgroup(?:::|\]))"
    rb"|section_start:\d+:(?P<section>[^\s\[]+)(?P<options>\[[^\]\n]*\])?(?P<title>[^\n]*)"
    rb"|section_end:\d+:(?P<endsection>[^\s\[]+)"
    rb"|(?:---|\+\+\+|~~~) (?P<header>[^\n]+))",
    re.MULTILINE,
)
_DIFFERENCE = re.compile(rb"(?:[ab]/|/dev/null)")
"""What a `---` is of a patch, and no group."""


@dataclass(slots=True)
class Group:
    """Some lines with a name: from `line`, the one that names it, to before `end`."""

    line: int
    name: str
    at: str
    end: int | None = None
    end_at: str | None = None
    folded: bool = False
    """Whether the job asked for it to be folded up."""


@dataclass(frozen=True, slots=True)
class Marks:
    """Where errors and groups are; line numbers count from 0."""

    errors: list[int]
    error_lines: int
    """How many there are, those included that are not listed."""
    groups: list[Group]
    whole: bool = True
    """Whether all of the log was looked at."""

    def write(self) -> bytes:
        """Return the marks as they are stored."""
        return json.dumps(asdict(self), separators=(",", ":")).encode()

    @classmethod
    def read(cls, stored: bytes) -> "Marks":
        """Return marks that were written; raises `ValueError` or `TypeError` for others."""
        facts = json.loads(stored)
        groups = [Group(**each) for each in facts.pop("groups")]
        return cls(**facts, groups=groups)


@dataclass(slots=True)
class Marking:
    """Finds marks while a log comes, text after text; by line it would cost as much as gzip."""

    errors: list[int] = field(default_factory=list)
    error_lines: int = 0
    error: str | None = None
    """The first line that tells what is wrong: the head of a trace and its calls don't."""
    groups: list[Group] = field(default_factory=list)
    _telling: bool = False
    _open: list[tuple[Group, bytes]] = field(default_factory=list)
    """Open groups, the outermost first, each with what ends it."""

    def add(self, first: int, text: bytes) -> None:
        """Look at stored lines from number `first` on."""
        ends = _error_ends(text)
        self.error_lines += len(ends)
        self._list_errors(first, text, ends)
        if not self._telling:
            self._look_for_error(text, ends[:_TRACED])
        if any(hint in text for hint in _HINTS):
            self._add_groups(first, text)

    def marks(self, *, whole: bool = True) -> Marks:
        """Return what was found so far."""
        return Marks(self.errors, self.error_lines, self.groups, whole)

    def _look_for_error(self, text: bytes, ends: Iterable[int]) -> None:
        for end in ends:
            said = bare(text[text.rfind(b"\n", 0, end) + 1 : end]).split(b" ", 2)[-1]
            self._telling = not said.startswith((b" ", b"\t", _TRACE))
            if self._telling or self.error is None:
                self.error = said[:_LONGEST].decode(errors="replace").strip()
            if self._telling:
                return

    def _list_errors(self, first: int, text: bytes, ends: Iterable[int]) -> None:
        number, counted = first, 0
        for end in ends:
            if len(self.errors) >= MOST_ERRORS:
                return
            number += text.count(b"\n", counted, end)
            counted = end
            self.errors.append(number)

    def _add_groups(self, first: int, text: bytes) -> None:
        number, counted = first, 0
        for found in _MARKER.finditer(text):
            number += text.count(b"\n", counted, found.start())
            counted = found.start()
            self._take(number, found)

    def _take(self, number: int, found: re.Match[bytes]) -> None:
        at = found["at"].decode("ascii", "replace")
        if found["header"] is not None:
            if not _DIFFERENCE.match(found["header"]):
                self._end(b"header", number, at)
                self._begin(Group(number, _name(found["header"]), at), b"header")
        elif found["section"] is not None:
            name = _name(found["title"]) or _name(found["section"])
            folded = b"collapsed=true" in (found["options"] or b"")
            self._begin(Group(number, name, at, folded=folded), b"section " + found["section"])
        elif found["group"] is not None:
            self._begin(Group(number, _name(found["group"]), at), b"group")
        elif found["endgroup"] is not None:
            self._end(b"group", number + 1, at)
        else:
            self._end(b"section " + found["endsection"], number + 1, at)

    def _begin(self, group: Group, ended_by: bytes) -> None:
        if len(self.groups) < MOST_GROUPS:
            self.groups.append(group)
            self._open.append((group, ended_by))

    def _end(self, ended_by: bytes, end: int, at: str) -> None:
        """End the innermost such group, and all within it."""
        places = [place for place, (_, each) in enumerate(self._open) if each == ended_by]
        for group, _ in self._open[places[-1] :] if places else ():
            group.end, group.end_at = end, at
        del self._open[places[-1] if places else len(self._open) :]


def find_marks(texts: Iterable[tuple[int, bytes]]) -> Marks:
    """Return the marks of these stored lines, each text with the number of its first line."""
    marking, seen = Marking(), 0
    for first, text in texts:
        marking.add(first, text)
        seen += len(text)
        if seen > _LOOKED_AT:
            return marking.marks(whole=False)
    return marking.marks()


def _error_ends(text: bytes) -> list[int]:
    """Return the ends of the lines with a word of trouble; times and streams have none of them."""
    lower = text.lower()
    ends = set()
    for word in ERROR_WORDS:
        found = lower.find(word)
        while found >= 0:
            end = lower.find(b"\n", found)
            ends.add(end if end >= 0 else len(lower))
            if end < 0:
                break
            found = lower.find(word, end)
    return sorted(ends)


def _name(text: bytes) -> str:
    return bare(text).replace(b"\r", b"").strip().decode(errors="replace")[:_NAME]

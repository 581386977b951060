"""A log as it is found in its store: sealed in one member, sealed in several, or still live."""

import gzip
import json
import zlib
from bisect import bisect_right
from dataclasses import dataclass
from typing import Protocol

from barbeque_py.errors import LogStoreUnavailable, NoSuchLog
from barbeque_py.log_marks import Marks
from barbeque_py.logs import (
    ENTRY,
    FACTS,
    INDEX,
    LOG,
    MARKS,
    MEMBER_BYTES,
    live_firsts,
    live_key,
)
from barbeque_py.logstore import LogStore

_SCANNED = 20
"""How many members one call reads at most."""
_BLOCK = 4096
"""How many entries of the index are read at once."""
_MEMBER_ROOM = MEMBER_BYTES + 64 * 1024
"""No compressed member is longer."""


@dataclass(frozen=True, slots=True)
class Block:
    """Whole stored lines as one text, each ended by a newline."""

    first: int
    text: bytes

    def since(self, first: int) -> "Block":
        """Return what there is of it from line `first` on."""
        if first <= self.first:
            return self
        text = b"\n".join(self.text.split(b"\n")[first - self.first :])
        return Block(first, text)


class FoundLog(Protocol):
    """A log as found in the store: the only thing that differs is where its lines are."""

    @property
    def total(self) -> int | None:
        """How many lines it has, once it is sealed."""
        ...

    def end(self) -> int:
        """Return how many lines there are now."""
        ...

    def stretch(self, first: int, count: int | None) -> list[bytes]:
        """Return stored lines from `first` on: `count`, or more, or what one call may read."""
        ...

    def block(self, first: int) -> Block:
        """Return what one call may read from line `first` on, beginning there or before."""
        ...

    def starts(self) -> list[int]:
        """Return the first lines of its parts, in order."""
        ...

    def marks(self) -> Marks | None:
        """Return the marks as they were stored, None where they were not."""
        ...


@dataclass(frozen=True, slots=True)
class _ShortLog:
    """A sealed log of one member, all of it."""

    lines: list[bytes]

    @property
    def total(self) -> int:
        return len(self.lines)

    def end(self) -> int:
        return len(self.lines)

    def stretch(self, first: int, count: int | None) -> list[bytes]:
        return self.lines[first:] if count is None else self.lines[first : first + count]

    def block(self, first: int) -> Block:
        return Block(first, b"".join(line + b"\n" for line in self.lines[first:]))

    def starts(self) -> list[int]:
        return [0] if self.lines else []

    def marks(self) -> None:
        return None


class _LongLog:
    """A sealed log of several members, of which the index tells the needed ones."""

    def __init__(self, store: LogStore, prefix: str, total: int, members: int) -> None:
        self._store = store
        self._prefix = prefix
        self._members = members
        self._known: dict[tuple[int, int], list[tuple[int, int]]] = {}
        self.total = total

    def end(self) -> int:
        return self.total

    def stretch(self, first: int, count: int | None) -> list[bytes]:
        last = self.total if count is None else first + count
        start, data = self._data(first, last)
        return _stored_lines(self._prefix + LOG, data)[first - start :]

    def block(self, first: int) -> Block:
        start, data = self._data(first, self.total)
        return Block(start, _text(self._prefix + LOG, data))

    def starts(self) -> list[int]:
        found: list[int] = []
        for block in range(0, self._members, _BLOCK):
            found += (first for _, first in self._read_entries(block, _BLOCK))
        return found[: self._members]

    def marks(self) -> Marks | None:
        key = self._prefix + MARKS
        try:
            return Marks.read(self._store.read(key))
        except NoSuchLog:
            return None  # sealed before there were marks
        except (ValueError, TypeError) as error:
            raise LogStoreUnavailable(f"{key} is damaged: {error}") from error

    def _data(self, first: int, last: int) -> tuple[int, bytes]:
        """Return the members with these lines, and the number of their first line."""
        if first >= self.total:
            return first, b""
        entries = self._entries(first)
        needed = 1
        while needed < len(entries) - 1 and entries[needed][1] < last:
            needed += 1
        start, base = entries[0]
        return base, self._store.read(self._prefix + LOG, start, entries[needed][0] - start)

    def _entries(self, first: int) -> list[tuple[int, int]]:
        """Return the entry of the member with line `first`, and those behind it that may serve."""
        blocks = range(-(-(self._members + 1) // _BLOCK))
        block = bisect_right(blocks, first, lo=1, key=self._block_first) - 1
        entries = self._read_entries(block * _BLOCK, _BLOCK + _SCANNED)
        member = bisect_right(entries, first, key=lambda entry: entry[1]) - 1
        return entries[member : member + _SCANNED + 1]

    def _block_first(self, block: int) -> int:
        return self._read_entries(block * _BLOCK, 1)[0][1]

    def _read_entries(self, first: int, count: int) -> list[tuple[int, int]]:
        found = self._known.get((first, count))
        if found is None:
            key = self._prefix + INDEX
            data = self._store.read(key, first * ENTRY.size, count * ENTRY.size)
            found = self._known[first, count] = list(ENTRY.iter_unpack(data))
        return found


@dataclass(frozen=True, slots=True)
class _LiveLog:
    """A log that is still being written, or sealed: the segments that there are."""

    store: LogStore
    prefix: str
    firsts: list[int]
    total: None = None

    def end(self) -> int:
        return self.firsts[-1] + len(self._segment(self.firsts[-1])) if self.firsts else 0

    def stretch(self, first: int, count: int | None) -> list[bytes]:
        lines: list[bytes] = []
        size = 0
        for _ in range(_SCANNED):
            place = bisect_right(self.firsts, first + len(lines)) - 1
            if place < 0 or size > _SCANNED * MEMBER_BYTES or len(lines) >= (count or 1 << 62):
                break
            begin = self.firsts[place]
            more = self._segment(begin)[first + len(lines) - begin :]
            if not more:
                break
            lines += more
            size += sum(map(len, more))
        return lines

    def block(self, first: int) -> Block:
        return Block(first, b"".join(line + b"\n" for line in self.stretch(first, None)))

    def starts(self) -> list[int]:
        return self.firsts

    def marks(self) -> None:
        return None

    def _segment(self, first: int) -> list[bytes]:
        key = live_key(self.prefix, first)
        return _stored_lines(key, self.store.read(key))


def find_log(store: LogStore, prefix: str) -> FoundLog:
    """Return the log as it stands now.

    Raises `LogStoreUnavailable`; `NoSuchLog` where it was sealed while we looked.
    """
    names = store.names(prefix)
    if prefix + FACTS in names:
        facts = json.loads(store.read(prefix + FACTS))
        return _LongLog(store, prefix, facts["lines"], facts["members"])
    short = _short_log(store, prefix) if prefix + LOG in names else None
    return short or _LiveLog(store, prefix, live_firsts(prefix, names))


def _short_log(store: LogStore, prefix: str) -> _ShortLog | None:
    """Return the log if it is one member; one of several without facts is still being sealed."""
    data = store.read(prefix + LOG, 0, _MEMBER_ROOM)
    member = zlib.decompressobj(wbits=31)
    try:
        text = member.decompress(data)
    except zlib.error as error:
        raise LogStoreUnavailable(f"{prefix}{LOG} is damaged: {error}") from error
    if not member.eof or member.unused_data:
        return None
    return _ShortLog(text.split(b"\n")[:-1])


def _stored_lines(key: str, data: bytes) -> list[bytes]:
    return _text(key, data).split(b"\n")[:-1]


def _text(key: str, data: bytes) -> bytes:
    try:
        return gzip.decompress(data)
    except (zlib.error, gzip.BadGzipFile, EOFError) as error:
        raise LogStoreUnavailable(f"{key} is damaged: {error}") from error

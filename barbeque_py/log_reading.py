"""Reading a log from its store: any range of it, all of it, and the line of an instant."""

import gzip
import json
import zlib
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Protocol, TypeVar

from barbeque_py.errors import LogStoreUnavailable, NoSuchLog
from barbeque_py.log_marks import Marks, find_marks
from barbeque_py.logs import (
    ENTRY,
    FACTS,
    INDEX,
    LOG,
    MARKS,
    MEMBER_BYTES,
    Page,
    live_firsts,
    live_key,
    read_line,
    split_line,
    stream_of,
    written,
)
from barbeque_py.logstore import LogStore

_SCANNED = 20
"""How many members one call reads at most."""
_BLOCK = 4096
"""How many entries of the index are read at once."""
_MEMBER_ROOM = MEMBER_BYTES + 64 * 1024
"""No compressed member is longer."""
_OPENINGS = 3
_INSTANT = 26
"""Characters of a stored time up to its microseconds, which every one has."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Stretch:
    """Stored lines that follow on one another; `total` is known once the log is sealed."""

    first: int
    lines: list[bytes]
    total: int | None


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


class Log:
    """One attempt's log in a store, found as it stands when it is first read.

    A log that was sealed since, or sealed anew, is found again. All reading may raise
    `LogStoreUnavailable`. What is sealed is kept in mind, so a `Log` serves many readings.
    """

    def __init__(self, store: LogStore, prefix: str) -> None:
        self._store = store
        self._prefix = prefix
        self._sealed: _Found | None = None

    def stretch(self, first: int, count: int) -> Stretch:
        """Return up to `count` lines from `first` on; a negative one counts from the end."""

        def read(found: _Found) -> Stretch:
            start = _start(found, first)
            return Stretch(start, found.stretch(start, count)[:count], found.total)

        return self._read(read, Stretch(max(first, 0), [], None))

    def page(self, first: int, count: int, stream: str | None) -> Page:
        """Return what `read_lines` does."""
        return self._read(
            lambda found: _page(found, first, count, stream),
            Page([], max(first, 0), sealed=False, total=None),
        )

    def chunks(self, stream: str | None) -> Iterator[bytes]:
        """Yield what `raw_chunks` does."""
        first, openings = 0, 0
        found: _Found | None = None
        while True:
            try:
                found = found or self._find()
                lines = found.stretch(first, None)
            except NoSuchLog as error:  # sealed, or sealed anew, since we looked
                self._sealed = found = None
                openings += 1
                if openings == _OPENINGS:
                    words = f"{self._prefix}{LOG} went while it was read"
                    raise LogStoreUnavailable(words) from error
                continue
            if not lines:
                return
            first += len(lines)
            yield b"".join(written(lines, stream))

    def blocks(self, first: int = 0) -> Iterator[Block]:
        """Yield the stored lines from `first` on, a few MiB at a time, to what is there now."""
        while (block := self._block(first)).text:
            yield block
            first = block.first + block.text.count(b"\n")

    def end(self) -> int:
        """Return how many lines there are now."""
        return self._read(lambda found: found.end(), 0)

    def marks(self) -> Marks:
        """Return where errors and groups are; of a log without a list of them its begin is read."""
        stored = self._read(lambda found: found.marks(), None)
        return stored or find_marks((each.first, each.text) for each in self.blocks())

    def line_at(self, instant: datetime) -> int:
        """Return the number of the first line written at that instant or after it."""
        wanted = instant.isoformat(timespec="microseconds")[:_INSTANT].encode()
        return self._read(lambda found: _line_at(found, wanted), 0)

    def times(self) -> tuple[str, str] | None:
        """Return the times of its first and its last line, None while there is none."""
        first, last = self.stretch(0, 1).lines, self.stretch(-1, 1).lines
        if not first or not last:
            return None
        return _time(first[0]).decode(), _time(last[0]).decode()

    def _block(self, first: int) -> Block:
        return self._read(lambda found: found.block(first), Block(first, b"")).since(first)

    def _read(self, use: Callable[["_Found"], T], nothing: T) -> T:
        for _ in range(_OPENINGS):
            remembered = self._sealed is not None
            try:
                return use(self._find())
            except NoSuchLog:  # sealed, or sealed anew, since we looked
                self._sealed = None
            except LogStoreUnavailable:  # an index of before fits no log that was sealed anew
                if not remembered:
                    raise
                self._sealed = None
        return nothing

    def _find(self) -> "_Found":
        found = self._sealed or _find(self._store, self._prefix)
        self._sealed = found if found.total is not None else None
        return found


def read_lines(
    store: LogStore, prefix: str, *, first: int, count: int, stream: str | None = None
) -> Page:
    """Return up to `count` lines from number `first` on; a negative one counts from the end.

    Numbers count the lines of all streams. With a stream only its lines are returned. A call reads
    at most 20 members, so a page may be short, even empty: go on at its `next`. The log of an
    attempt that has written nothing yet is an empty page. Raises `LogStoreUnavailable`.
    """
    if count < 1:
        raise ValueError("a page has at least one line")
    return Log(store, prefix).page(first, count, stream)


def raw_chunks(store: LogStore, prefix: str, *, stream: str | None = None) -> Iterator[bytes]:
    """Yield what the job wrote, to one stream or to all in order of arrival, a few MiB at a time.

    Ends with what is there now. Raises `LogStoreUnavailable`.
    """
    return Log(store, prefix).chunks(stream)


class _Found(Protocol):
    """A log as found in the store: the only thing that differs is where its lines are."""

    @property
    def total(self) -> int | None: ...

    def end(self) -> int: ...

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


def _find(store: LogStore, prefix: str) -> _Found:
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


def _start(found: _Found, first: int) -> int:
    start = first if first >= 0 else max(0, found.end() + first)
    return start if found.total is None else min(start, found.total)


def _page(found: _Found, first: int, count: int, stream: str | None) -> Page:
    start = _start(found, first)
    stored = found.stretch(start, count if stream is None else None)
    wanted = (
        (number, line)
        for number, line in enumerate(stored, start)
        if stream is None or stream_of(line) == stream
    )
    lines = [read_line(number, line) for number, line in islice(wanted, count)]
    following = lines[-1].number + 1 if len(lines) == count else start + len(stored)
    return Page(lines, following, found.total is not None, found.total)


def _line_at(found: _Found, wanted: bytes) -> int:
    """Find the line by the times of the parts' first lines, then by those within the part."""
    starts = found.starts()
    part = bisect_left(starts, wanted, key=lambda start: _time(found.stretch(start, 1)[0])) - 1
    if part < 0:
        return 0
    begin = starts[part]
    block = found.block(begin)
    lines = block.text.split(b"\n")[:-1]
    return block.first + bisect_left(lines, wanted, lo=begin - block.first, key=_time)


def _time(stored: bytes) -> bytes:
    return split_line(stored)[0][:_INSTANT]

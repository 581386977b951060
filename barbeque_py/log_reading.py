"""Reading a log from its store: any range of it, all of it, and the line of an instant."""

from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import TypeVar

from barbeque_py.errors import LogStoreUnavailable, NoSuchLog
from barbeque_py.found_logs import Block, FoundLog, find_log
from barbeque_py.log_marks import Marks, find_marks
from barbeque_py.logs import LOG, Page, read_line, split_line, stream_of, written
from barbeque_py.logstore import LogStore

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


class Log:
    """One attempt's log in a store, found as it stands when it is first read.

    A log that was sealed since, or sealed anew, is found again. All reading may raise
    `LogStoreUnavailable`. What is sealed is kept in mind, so a `Log` serves many readings.
    """

    def __init__(self, store: LogStore, prefix: str) -> None:
        self._store = store
        self._prefix = prefix
        self._sealed: FoundLog | None = None

    def stretch(self, first: int, count: int) -> Stretch:
        """Return up to `count` lines from `first` on; a negative one counts from the end."""

        def read(found: FoundLog) -> Stretch:
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
        found: FoundLog | None = None
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

    def _read(self, use: Callable[[FoundLog], T], nothing: T) -> T:
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

    def _find(self) -> FoundLog:
        found = self._sealed or find_log(self._store, self._prefix)
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


def _start(found: FoundLog, first: int) -> int:
    start = first if first >= 0 else max(0, found.end() + first)
    return start if found.total is None else min(start, found.total)


def _page(found: FoundLog, first: int, count: int, stream: str | None) -> Page:
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


def _line_at(found: FoundLog, wanted: bytes) -> int:
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

"""A log as it will be sealed: members in a spool, cut by the lines alone, and what is counted."""

import errno
import tempfile
import zlib
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path

from barbeque_py.errors import LogStoreUnavailable
from barbeque_py.log_marks import Marking, Marks
from barbeque_py.logs import ENTRY, MEMBER_BYTES, MEMBER_LINES, LogFacts, split_line

_LEVEL = 1
"""Of gzip: 6 % larger than 3, at nearly twice its speed; the worker pays for every cycle."""
_IN_MEMORY = 2 * 1024 * 1024
_READ = 256 * 1024


class Archive:
    """A log as it will be sealed: its finished members in the spool, its newest lines in memory."""

    def __init__(self, spool_folder: Path | None, max_bytes: int) -> None:
        self._folder = str(spool_folder or tempfile.gettempdir())
        self._spool = tempfile.SpooledTemporaryFile(  # noqa: SIM115 - lives as long as the archive
            max_size=_IN_MEMORY, dir=self._folder
        )
        self._limit = self._room = max_bytes
        self._pending: list[bytes] = []
        self._pending_size = 0
        self._count = _Count()
        self._dropped = 0
        self._last_dropped = b""
        self._rest: list[bytes] = []
        self._noticed = False
        self.offsets = array("Q")
        self.firsts = array("Q")
        self.size = 0
        self.lines = 0
        """How many lines there are, those in memory included."""

    def add(self, lines: list[bytes]) -> None:
        """Take in lines; members are cut off as they fill."""
        position = 0
        while position < len(lines):
            if self._dropped:
                self._drop(lines[position:])
                return
            free = MEMBER_LINES - len(self._pending)
            position += self._take(lines[position : position + free])
            self._cut_full()

    def finish(self, rest: Iterable[bytes] = ()) -> None:
        """Take in the last lines and cut the last member; an empty log has one, without lines.

        What failed may be called again, without these lines; nothing is lost, nothing is twice.
        """
        self._rest += rest
        self._take_rest()
        if self._dropped and not self._noticed:
            notice = self._notice()
            self._room, self._noticed = len(notice) + 1, True
            self._rest.append(notice)
            self._take_rest()
        if self._pending or not self.offsets:
            self._cut()

    def facts(self) -> LogFacts:
        """Return what is known of the finished members."""
        count = self._count
        return LogFacts(
            lines=self.lines,
            bytes=count.bytes,
            first_at=count.first_at,
            last_at=count.last_at,
            error_lines=count.marking.error_lines,
            truncated=self._dropped > 0,
            members=len(self.offsets),
            error=count.marking.error,
        )

    def marks(self) -> Marks:
        """Return where errors and groups are in the finished members."""
        return self._count.marking.marks()

    def chunks(self, start: int, end: int) -> Iterator[bytes]:
        """Yield that range of the finished members."""
        while start < end:
            with self._spooling():
                self._spool.seek(start)
                chunk = self._spool.read(min(_READ, end - start))
                if not chunk:
                    raise OSError(errno.EIO, "the spool has lost its end")
            start += len(chunk)
            yield chunk

    def unfinished(self) -> bytes:
        """Return the lines in memory as a member of their own, nothing when there are none."""
        return _compress(_text(self._pending)) if self._pending else b""

    def first_unfinished(self) -> int:
        """Return the number of the first line in memory."""
        return self.lines - len(self._pending)

    def index(self) -> Iterator[bytes]:
        """Yield the entries of all members, then that of the end."""
        for offset, first in zip(self.offsets, self.firsts, strict=True):
            yield ENTRY.pack(offset, first)
        yield ENTRY.pack(self.size, self.lines)

    def close(self) -> None:
        """Forget the members."""
        self._spool.close()

    def _take_rest(self) -> None:
        while self._rest:
            self._cut_full()
            if self._dropped and not self._noticed:
                self._drop(self._rest)
                self._rest = []
            else:
                del self._rest[: self._take(self._rest[:1])]

    def _take(self, lines: list[bytes]) -> int:
        """Keep as many of the lines as fit in this member; return how many are dealt with."""
        size = sum(map(len, lines)) + len(lines)
        space = min(MEMBER_BYTES - self._pending_size, self._room)
        if size > space:
            sizes = list(accumulate(len(line) + 1 for line in lines))
            fitting = bisect_right(sizes, space)
            if not fitting:
                return self._take_unfit(lines[0])
            lines, size = lines[:fitting], sizes[fitting - 1]
        self._keep(lines, size)
        return len(lines)

    def _take_unfit(self, line: bytes) -> int:
        """Drop the line, or make room for it, or keep what no member has room for."""
        if len(line) + 1 > self._room:
            self._drop([line])
            return 1
        if self._pending:
            self._cut()
            return 0
        self._keep([line], len(line) + 1)
        return 1

    def _keep(self, lines: list[bytes], size: int) -> None:
        self._pending += lines
        self._pending_size += size
        self._room -= size
        self.lines += len(lines)

    def _drop(self, lines: list[bytes]) -> None:
        self._dropped += len(lines)
        self._last_dropped = lines[-1]

    def _notice(self) -> bytes:
        at, _, _ = split_line(self._last_dropped)
        text = f"[barbeque] the log met its limit of {self._limit:,} bytes here"
        return b"%s - %s; lines not kept: %d" % (at, text.encode(), self._dropped)

    def _cut_full(self) -> None:
        if len(self._pending) == MEMBER_LINES:
            self._cut()

    def _cut(self) -> None:
        text = _text(self._pending)
        member = _compress(text)
        with self._spooling():
            self._spool.seek(self.size)
            self._spool.write(member)
        self.offsets.append(self.size)
        self.firsts.append(self.first_unfinished())
        self.size += len(member)
        self._count.add(self._pending, text, self.first_unfinished())
        self._pending, self._pending_size = [], 0

    @contextmanager
    def _spooling(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise LogStoreUnavailable(
                f"can't spool a log in {self._folder}: {error.strerror}; free space there"
            ) from error


class _Count:
    """What is counted of the lines, a member at a time: by line would cost as much as gzip."""

    def __init__(self) -> None:
        self.bytes = 0
        self.marking = Marking()
        self.first_at: str | None = None
        self.last_at: str | None = None

    def add(self, lines: list[bytes], text: bytes, first: int) -> None:
        """Count the lines from number `first` on, of which `text` is made."""
        if not lines:
            return
        heads = sum([line.index(b" ", line.index(b" ") + 1) + 1 for line in lines])
        self.bytes += len(text) - heads - _open_lines(lines, text)
        self.marking.add(first, text)
        self.first_at = self.first_at or split_line(lines[0])[0].decode()
        self.last_at = split_line(lines[-1])[0].decode()


def _text(lines: list[bytes]) -> bytes:
    return b"\n".join([*lines, b""])


def _compress(text: bytes) -> bytes:
    """Return a gzip member without a time in it: the same text gives the same bytes."""
    return zlib.compress(text, _LEVEL, wbits=31)


def _open_lines(lines: list[bytes], text: bytes) -> int:
    """Count the lines that have no newline."""
    if b"+ " not in text:
        return 0
    return sum(split_line(line)[1].endswith(b"+") for line in lines)

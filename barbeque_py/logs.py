"""The log of one attempt: its lines, its file, and any range of it.

A stored line is `TIME STREAM TEXT` in bytes, without the newline: TIME is RFC 3339 in UTC with a
fraction (`2026-11-21T20:00:00.123456789Z`, 6 or 9 digits), STREAM is `out`, `err`, or `-` where the
source does not tell, and TEXT is what the job wrote, raw. A `+` behind the stream (`out+`) says
that the job wrote no newline here: the text goes on in that stream's next line, or the log ended.

Under its prefix an attempt has these objects:

`log.gz`    the stored lines, each ended by a newline, as gzip members one after the other
`index`     only beside several members: two uint64 in little endian for each member, its offset in
            `log.gz` and the number of its first line, then one entry for the end: size and lines
`log.json`  only beside several members, written last: the `LogFacts`
`live/N.gz` while there is no sealed log: segments, each the lines from number N on (12 digits)

Lines count from 0. Line N is in the segment with the greatest first line up to N; segments may
overlap, with the same lines. A log is sealed when `log.json` is there, or `log.gz` of one member.
"""

import gzip
import json
import re
import struct
import zlib
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from typing import Protocol
from urllib.parse import quote

from barbeque_py.errors import LogStoreUnavailable, NoSuchLog
from barbeque_py.ids import may_repeat
from barbeque_py.logstore import LogStore

MEMBER_LINES = 1_000
MEMBER_BYTES = 256 * 1024
"""A member holds at most so many lines, and bytes before compression."""
LOG, INDEX, FACTS, LIVE = "log.gz", "index", "log.json", "live/"
ENTRY = struct.Struct("<QQ")
"""An entry of the index: offset, first line."""

_SCANNED = 20
"""How many members one call reads at most."""
_BLOCK = 4096
"""How many entries of the index are read at once."""
_MEMBER_ROOM = MEMBER_BYTES + 64 * 1024
"""No compressed member is longer."""
_OPENINGS = 3
_SEGMENT = re.compile(r"live/(\d{12})\.gz\Z")
_PLAIN = re.compile(r"message\.json")
_DIGESTED = re.compile(r"message-[a-f\d]{32}\.json", re.ASCII)


class LogSource(Protocol):
    """A log where it is being written: what an executor keeps until the log is sealed."""

    def batches(self, *, follow: bool) -> Iterator[list[bytes]]:
        """Yield the stored lines from the first one on, in order of arrival.

        The order is the same each time it is read. When following, an empty batch comes at least
        once a second while nothing is written, and the iterator ends once the attempt has ended
        and all is read; else it ends with what is there now. Memory stays bounded: a line longer
        than 64 KiB comes in pieces marked `+`. Raises `ExecutorUnavailable`; `NoSuchLog` when the
        attempt is gone.
        """
        ...


@dataclass(frozen=True, slots=True)
class LogFacts:
    """What is known of a sealed log without reading it; `bytes` counts what the job wrote."""

    lines: int
    bytes: int
    first_at: str | None
    last_at: str | None
    error_lines: int
    """Lines that speak of an error, exception, panic or the like."""
    truncated: bool
    """Whether the log met its limit, and its last line says how many lines are missing."""
    members: int


@dataclass(frozen=True, slots=True)
class Line:
    """One line as people read it; `newline` is false where the job wrote none."""

    number: int
    at: str
    stream: str
    text: str
    newline: bool


@dataclass(frozen=True, slots=True)
class Page:
    """Some lines of a log, and the number to ask for next; `total` is known once it is sealed."""

    lines: list[Line]
    next: int
    sealed: bool
    total: int | None


def attempt_prefix(app: str, job: str, message_id: str, number: int) -> str:
    """Return the folder of an attempt's log, with its slash."""
    return f"{_part(app)}/{_part(job)}/{_part(message_id)}/{number}/"


def message_key(app: str, job: str, message_id: str, message: str = "") -> str:
    """Return the key of a message that is too large for its row.

    Where another message may come under the same id the key names its content, too: whichever is
    recorded first, no other is ever written over it.
    """
    digest = f"-{sha256(message.encode()).hexdigest()[:32]}" if may_repeat(message_id) else ""
    return f"{_message_folder(app, job, message_id)}message{digest}.json"


def is_message_key(key: str, app: str, job: str, message_id: str) -> bool:
    """Tell whether a message of this id would be kept there."""
    folder = _message_folder(app, job, message_id)
    form = _DIGESTED if may_repeat(message_id) else _PLAIN
    return key.startswith(folder) and form.fullmatch(key, len(folder)) is not None


def _message_folder(app: str, job: str, message_id: str) -> str:
    return f"{_part(app)}/{_part(job)}/{_part(message_id)}/"


def live_key(prefix: str, first: int) -> str:
    """Return the key of the live segment that begins with line `first`."""
    return f"{prefix}{LIVE}{first:012}.gz"


def live_firsts(prefix: str, names: list[str]) -> list[int]:
    """Return the first lines of the live segments among these keys, in order."""
    found = (_SEGMENT.fullmatch(name, len(prefix)) for name in names if name.startswith(prefix))
    return sorted(int(match[1]) for match in found if match)


def split_line(stored: bytes) -> tuple[bytes, bytes, bytes]:
    """Return a stored line's time, stream (with its `+`) and text."""
    at, _, rest = stored.partition(b" ")
    stream, _, text = rest.partition(b" ")
    return at, stream, text


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
    for _ in range(_OPENINGS):
        try:
            return _page(_open_log(store, prefix), first, count, stream)
        except NoSuchLog:  # sealed, or sealed anew, since we looked
            continue
    return Page([], max(first, 0), sealed=False, total=None)


def raw_chunks(store: LogStore, prefix: str, *, stream: str | None = None) -> Iterator[bytes]:
    """Yield what the job wrote, to one stream or to all in order of arrival, a few MiB at a time.

    Ends with what is there now. Raises `LogStoreUnavailable`.
    """
    first, openings = 0, 0
    log: _Log | None = None
    while True:
        try:
            log = log or _open_log(store, prefix)
            lines = log.stretch(first, None)
        except NoSuchLog as error:  # sealed, or sealed anew, since we looked
            log, openings = None, openings + 1
            if openings == _OPENINGS:
                raise LogStoreUnavailable(f"{prefix}{LOG} went while it was read") from error
            continue
        if not lines:
            return
        first += len(lines)
        yield b"".join(written(lines, stream))


class _Log(Protocol):
    """A log as found in the store: the only thing that differs is where its lines are."""

    @property
    def total(self) -> int | None: ...

    def end(self) -> int: ...

    def stretch(self, first: int, count: int | None) -> list[bytes]:
        """Return stored lines from `first` on: `count`, or more, or what one call may read."""
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


@dataclass(frozen=True, slots=True)
class _LongLog:
    """A sealed log of several members, of which the index tells the needed ones."""

    store: LogStore
    prefix: str
    total: int
    members: int

    def end(self) -> int:
        return self.total

    def stretch(self, first: int, count: int | None) -> list[bytes]:
        if first >= self.total:
            return []
        entries = self._entries(first)
        last = self.total if count is None else first + count
        needed = 1
        while needed < len(entries) - 1 and entries[needed][1] < last:
            needed += 1
        start, base = entries[0]
        key = self.prefix + LOG
        data = self.store.read(key, start, entries[needed][0] - start)
        return _stored_lines(key, data)[first - base :]

    def _entries(self, first: int) -> list[tuple[int, int]]:
        """Return the entry of the member with line `first`, and those behind it that may serve."""
        blocks = range(-(-(self.members + 1) // _BLOCK))
        block = bisect_right(blocks, first, lo=1, key=self._block_first) - 1
        entries = self._read_entries(block * _BLOCK, _BLOCK + _SCANNED)
        member = bisect_right(entries, first, key=lambda entry: entry[1]) - 1
        return entries[member : member + _SCANNED + 1]

    def _block_first(self, block: int) -> int:
        return self._read_entries(block * _BLOCK, 1)[0][1]

    def _read_entries(self, first: int, count: int) -> list[tuple[int, int]]:
        data = self.store.read(self.prefix + INDEX, first * ENTRY.size, count * ENTRY.size)
        return list(ENTRY.iter_unpack(data))


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

    def _segment(self, first: int) -> list[bytes]:
        key = live_key(self.prefix, first)
        return _stored_lines(key, self.store.read(key))


def _open_log(store: LogStore, prefix: str) -> _Log:
    names = store.names(prefix)
    if prefix + FACTS in names:
        facts = LogFacts(**json.loads(store.read(prefix + FACTS)))
        return _LongLog(store, prefix, facts.lines, facts.members)
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
    try:
        return gzip.decompress(data).split(b"\n")[:-1]
    except (zlib.error, gzip.BadGzipFile, EOFError) as error:
        raise LogStoreUnavailable(f"{key} is damaged: {error}") from error


def _page(log: _Log, first: int, count: int, stream: str | None) -> Page:
    start = first if first >= 0 else max(0, log.end() + first)
    if log.total is not None:
        start = min(start, log.total)
    stored = log.stretch(start, count if stream is None else None)
    wanted = (
        (number, line)
        for number, line in enumerate(stored, start)
        if stream is None or _stream(line) == stream
    )
    lines = [_line(number, line) for number, line in islice(wanted, count)]
    following = lines[-1].number + 1 if len(lines) == count else start + len(stored)
    return Page(lines, following, log.total is not None, log.total)


def _line(number: int, stored: bytes) -> Line:
    at, stream, text = split_line(stored)
    readable = text.decode(errors="replace")
    newline = not stream.endswith(b"+")
    return Line(number, at.decode(), stream.rstrip(b"+").decode(), readable, newline)


def _stream(stored: bytes) -> str:
    return split_line(stored)[1].rstrip(b"+").decode()


def written(lines: list[bytes], stream: str | None) -> Iterator[bytes]:
    """Yield what the job wrote in these stored lines, to one stream or to all."""
    for stored in lines:
        _, token, text = split_line(stored)
        if stream is None or token.rstrip(b"+").decode() == stream:
            yield text
            if not token.endswith(b"+"):
                yield b"\n"


def _part(name: str) -> str:
    """Return the name as one part of a key, which `.`, `..` and nothing can't be."""
    if not name:
        raise ValueError("a part of a key can't be empty")
    return name.replace(".", "%2E") if set(name) == {"."} else quote(name, safe=":")

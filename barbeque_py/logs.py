"""The log of one attempt: its lines, its file, and any range of it.

A stored line is `TIME STREAM TEXT` in bytes, without the newline: TIME is RFC 3339 in UTC with a
fraction (`2026-11-21T20:00:00.123456789Z`, 6 or 9 digits), STREAM is `out`, `err`, or `-` where the
source does not tell, and TEXT is what the job wrote, raw. A `+` behind the stream (`out+`) says
that the job wrote no newline here: the text goes on in that stream's next line, or the log ended.

Under its prefix an attempt has these objects:

`log.gz`    the stored lines, each ended by a newline, as gzip members one after the other
`index`     only beside several members: two uint64 in little endian for each member, its offset in
            `log.gz` and the number of its first line, then one entry for the end: size and lines
`marks.json` only beside several members: where its errors and groups are (`log_marks.Marks`)
`log.json`  only beside several members, written last: the `LogFacts`
`live/N.gz` while there is no sealed log: segments, each the lines from number N on (12 digits)

Lines count from 0. Line N is in the segment with the greatest first line up to N; segments may
overlap, with the same lines. A log is sealed when `log.json` is there, or `log.gz` of one member.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Protocol
from urllib.parse import quote

from barbeque_py.ids import may_repeat

MEMBER_LINES = 1_000
MEMBER_BYTES = 256 * 1024
"""A member holds at most so many lines, and bytes before compression."""
LOG, INDEX, MARKS, FACTS, LIVE = "log.gz", "index", "marks.json", "log.json", "live/"
ENTRY = struct.Struct("<QQ")
"""An entry of the index: offset, first line."""

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
    error: str | None = None
    """The first line that tells of an error; not in `log.json`, as the attempt's row has it."""


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


def written(lines: list[bytes], stream: str | None) -> Iterator[bytes]:
    """Yield what the job wrote in these stored lines, to one stream or to all."""
    for stored in lines:
        _, token, text = split_line(stored)
        if stream is None or token.rstrip(b"+").decode() == stream:
            yield text
            if not token.endswith(b"+"):
                yield b"\n"


def read_line(number: int, stored: bytes) -> Line:
    """Return the stored line as people read it; what is not UTF-8 is replaced."""
    at, stream, text = split_line(stored)
    readable = text.decode(errors="replace")
    newline = not stream.endswith(b"+")
    return Line(number, at.decode(), stream.rstrip(b"+").decode(), readable, newline)


def stream_of(stored: bytes) -> str:
    """Return the stored line's stream, without its `+`."""
    return split_line(stored)[1].rstrip(b"+").decode()


def _part(name: str) -> str:
    """Return the name as one part of a key, which `.`, `..` and nothing can't be."""
    if not name:
        raise ValueError("a part of a key can't be empty")
    return name.replace(".", "%2E") if set(name) == {"."} else quote(name, safe=":")

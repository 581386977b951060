"""Long logs, written straight in the form in which they are stored."""

import json
import zlib
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

from barbeque_py.ids import AttemptId
from barbeque_py.log_marks import Marking
from barbeque_py.logs import ENTRY, FACTS, INDEX, LOG, MARKS, MEMBER_LINES, LogFacts
from barbeque_py.outcomes import Fate, Reason
from barbeque_py.settle import settle
from barbeque_py.store import attempts
from tests.console.rigs import Place

_BEGAN = datetime(2026, 11, 21, 20, 0, tzinfo=UTC)
_TEXT = b"frame=%d fps=25 q=28.0 size=%dkB time=00:12:01.44 bitrate=1200.1kbits/s speed=1.1x\n"


def write_long_log(place: Place, lines: int, odd: dict[int, bytes]) -> str:
    """Keep a log of so many lines, ten a second, for an attempt that has ended; return its path.

    `odd` are the texts of lines that are unlike the others.
    """
    message_id = place.enqueue(job="Encode")
    attempt = place.start()
    place.store.write(lambda tx: settle(tx, attempt, Fate(Reason.EXITED, 0)))
    _store(place, attempt, lines, odd)
    return f"/job_executions/{message_id}/log"


def _store(place: Place, attempt: AttemptId, lines: int, odd: dict[int, bytes]) -> None:
    prefix, marking, index = place.prefix(attempt), Marking(), bytearray()
    written = offset = 0

    def members() -> Iterator[bytes]:
        nonlocal written, offset
        for first in range(0, lines, MEMBER_LINES):
            text = _member(first, min(MEMBER_LINES, lines - first), odd)
            marking.add(first, text)
            written += len(text)
            member = zlib.compress(text, 1, wbits=31)
            index.extend(ENTRY.pack(offset, first))
            offset += len(member)
            yield member

    place.logs.put(prefix + LOG, members())
    place.logs.put(prefix + INDEX, [bytes(index + ENTRY.pack(offset, lines))])
    marks = marking.marks()
    place.logs.put(prefix + MARKS, [marks.write()])
    count = -(-lines // MEMBER_LINES)
    facts = LogFacts(lines, written, None, None, marks.error_lines, truncated=False, members=count)
    place.logs.put(prefix + FACTS, [json.dumps(asdict(facts)).encode()])
    values = {"log_lines": lines, "log_bytes": written, "log_error_lines": marks.error_lines}
    place.store.write(lambda tx: attempts.record_seal(tx, attempt, values))


def _member(first: int, count: int, odd: dict[int, bytes]) -> bytes:
    made = []
    for tenth in range(first - first % 10, first + count, 10):
        second = (_BEGAN + timedelta(seconds=tenth // 10)).strftime("%FT%T").encode()
        for number in range(max(first, tenth), min(tenth + 10, first + count)):
            text = _TEXT % (number, 3 * number)
            if number in odd:
                text = odd[number] + b"\n"
            made.append(b"%b.%06dZ out %b" % (second, number % 10 * 100_000, text))
    return b"".join(made)

"""Add up how jobs fared, and sort what failed, from what each end has left to be counted."""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

from barbeque_py.errors import BarbequeError
from barbeque_py.executions import State
from barbeque_py.fingerprints import LONGEST, fingerprint_of, pattern_of
from barbeque_py.log_reading import read_lines
from barbeque_py.logs import attempt_prefix
from barbeque_py.logstore import LogStore
from barbeque_py.outcomes import Reason
from barbeque_py.store import Tx, endings, failures, rollups
from barbeque_py.store.endings import Ending
from barbeque_py.store.failures import Failed, Unsorted
from barbeque_py.store.rollups import ALL, Key, Span, Sums, start_of

ENDINGS = 1_000
"""Ends that one transaction counts."""
FAILURES = 100
"""Failures that one transaction sorts."""

_READERS = 8
_LAST_LINES = 5
_UNIT = 1024
_FAILED = (State.RETRYING, State.FAILED)


def count(tx: Tx, most: int = ENDINGS) -> int:
    """Count up to `most` ends that are not counted yet, the oldest; return how many.

    For whoever has the duty, in the transaction that has asked for it: the ends go away with it.
    """
    found = endings.oldest(tx, most)
    if found:
        rollups.add(tx, added_up(found))
        failures.leave_unsorted(
            tx,
            [
                each.attempt
                for each in found
                if each.attempt is not None and each.state in _FAILED and not each.past
            ],
        )
        endings.forget(tx, found)
    return len(found)


def added_up(found: Iterable[Ending]) -> dict[Key, Sums]:
    """Return what these ends add to each hour and day, of their job, its app, and of all."""
    hours: dict[tuple[str, str, datetime], Sums] = {}
    for each in found:
        own = (each.app, each.job, start_of(Span.HOUR, each.ended_at))
        if own not in hours:
            hours[own] = Sums()
        _add(hours[own], each)
    sums: dict[Key, Sums] = {}
    for (app, job, hour), added in hours.items():
        for span in Span:
            for scope in ((app, job), (app, ALL), (ALL, ALL)):
                key = Key(span, *scope, start_of(span, hour))
                sums.setdefault(key, Sums()).add(added)
    return sums


def _add(sums: Sums, ending: Ending) -> None:
    name = _COUNTED[ending.state]
    if ending.state is State.FAILED and ending.reason == Reason.NEVER_STARTED:
        name = "not_started"
    setattr(sums, name, getattr(sums, name) + 1)
    if ending.due_at is not None and ending.claimed_at is not None:
        sums.waits.see(ending.claimed_at - ending.due_at)
    if ending.started_at is not None and ending.finished_at is not None:
        span = max(ending.finished_at - ending.started_at, _NOTHING)
        sums.runs.see(span)
        sums.cpu_seconds += (ending.cpu or 0) / _UNIT * span.total_seconds()
        sums.memory_seconds += (ending.memory or 0) / _UNIT * span.total_seconds()


_NOTHING = timedelta(0)
_COUNTED = {
    State.SUCCEEDED: "succeeded",
    State.FAILED: "failed",
    State.CANCELLED: "cancelled",
    State.RETRYING: "retried",
    State.QUEUED: "interrupted",
}


def look_at(logs: LogStore, found: Sequence[Unsorted]) -> list[Failed]:
    """Find out to which group each of these failures belongs; reads logs where it must."""
    with ThreadPoolExecutor(_READERS, thread_name_prefix="failures") as readers:
        lines = list(readers.map(lambda each: _line_of(logs, each), found))
    return [
        Failed(each, fingerprint_of(each.reason, each.exit_code, pattern_of(line)), line[:LONGEST])
        for each, line in zip(found, lines, strict=True)
    ]


def _line_of(logs: LogStore, failed: Unsorted) -> str:
    """Return the line that tells of the failure: its first error, else the last that it wrote."""
    if failed.reason == Reason.NEVER_STARTED:
        return (failed.detail or "").partition("\n")[0]
    if failed.log_error or failed.reason != Reason.EXITED or not failed.log_lines:
        return failed.log_error or ""
    prefix = attempt_prefix(failed.app, failed.job, failed.message_id, failed.number)
    try:
        page = read_lines(logs, prefix, first=-_LAST_LINES, count=_LAST_LINES)
    except BarbequeError:  # what can't be read now is told apart by its exit code alone
        return ""
    written = [each.text.strip() for each in page.lines]
    return next((each for each in reversed(written) if each), "")

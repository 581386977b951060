"""Spans of what a worker does for a job that somebody traces."""

from datetime import datetime, timedelta

from barbeque_py import clock, tracing
from barbeque_py.errors import OutsideError
from barbeque_py.executor import Launch
from barbeque_py.ids import AttemptId, message_id_of
from barbeque_py.store import Store, Tx, attempts
from barbeque_py.store import executions as rows
from barbeque_py.store.attempts import Attempt
from barbeque_py.store.notices import Kept


def launched(launch: Launch, seconds: float) -> None:
    """Record that the attempt was started, which took so long from its claim on."""
    if tracing.on():
        ended = clock.now()
        began = ended - timedelta(seconds=seconds)
        above = launch.environment.get("TRACEPARENT")
        facts = {"attempt_id": launch.attempt, "place": launch.place}
        name = f"launch {launch.app}/{launch.job}"
        tracing.record(name, above, (began, ended), facts, kind="client")


def sealed(store: Store, attempt: AttemptId, began: datetime) -> None:
    """Record the attempt, which is over, and below it the sealing of its log."""
    if not tracing.on():
        return
    try:
        above, found = store.read(lambda tx: (_above(tx, attempt), attempts.get(tx, attempt)))
    except OutsideError:
        return  # a trace is worth no second try
    if above is None or found is None or found.finished_at is None:
        return
    own = tracing.of_attempt(above, attempt)
    _record(found, found.finished_at, above, own)
    tracing.record("seal the log", own, (began, clock.now()), {"attempt_id": attempt})


def told(store: Store, kept: Kept, began: datetime, *, failed: bool) -> None:
    """Record that a notice was sent, or could not be."""
    if not tracing.on() or kept.execution is None:
        return
    number = kept.execution
    try:
        execution = store.read(lambda tx: rows.by_id(tx, number))
    except OutsideError:
        return
    above = None if execution is None else execution.options.get("traceparent")
    facts = {"notice_id": kept.notice_id, "event": kept.event}
    name = f"notify by {kept.channel}"
    tracing.record(name, above, (began, clock.now()), facts, kind="client", failed=failed)


def _record(found: Attempt, finished_at: datetime, above: str, own: str) -> None:
    facts = {
        "attempt_id": found.id,
        "place": found.place,
        "reason": found.reason,
        "exit_code": found.exit_code,
    }
    span = found.claimed_at, finished_at
    failed = (found.reason, found.exit_code) != ("exited", 0)
    tracing.record(f"attempt {found.number}", above, span, facts, own=own, failed=failed)


def _above(tx: Tx, attempt: AttemptId) -> str | None:
    execution = rows.by_message_id(tx, message_id_of(attempt))
    return None if execution is None else execution.options.get("traceparent")

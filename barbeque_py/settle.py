"""Record how an attempt ended, and what follows."""

import random
from dataclasses import replace
from datetime import timedelta
from typing import Any

from barbeque_py.apps import JobDefinition
from barbeque_py.executions import Stage, State
from barbeque_py.ids import AttemptId
from barbeque_py.outcomes import Fate, Reason, Round, Settlement, decide
from barbeque_py.store import Tx, apps, attempts, limits, outbox
from barbeque_py.store import executions as rows
from barbeque_py.store.attempts import Attempt
from barbeque_py.store.executions import Execution

SEAL = "seal"
HEAD_START = timedelta(seconds=15)
"""How long only the owner may seal the log: it holds what was shipped while the job ran."""

_chance = random.SystemRandom()


def settle(
    tx: Tx,
    attempt_id: AttemptId,
    fate: Fate,
    *,
    handle: str = "",
    log_wait: timedelta = timedelta(0),
) -> Settlement | None:
    """Settle the attempt once: the loser of a race changes nothing and gets None.

    Ends the attempt, moves its execution, frees its slots and wakes what they held back, and
    leaves the sealing of its log to the relay after `log_wait`, all in this one transaction.
    `handle` is kept where none was known: an end may be the first that is told of an attempt.
    """
    attempt = attempts.get(tx, attempt_id)
    if attempt is None:
        return None
    fate = _as_asked(fate, attempt)
    execution = rows.by_id(tx, attempt.execution, lock=True)
    if execution is None:
        return None
    settlement = _decide(tx, execution, fate)
    end = _end_of(tx, attempt, fate, counted=settlement.counted)
    end["handle"] = attempt.handle or handle[:200] or None
    if not attempts.end(tx, attempt_id, end):
        return None
    _move(tx, execution, fate, settlement)
    limits.give_back(tx, attempt.scopes)
    outbox.put(
        tx,
        SEAL,
        subject=attempt_id,
        lane=f"log/{attempt_id}",
        place=attempt.place,
        owner=attempt.owner,
        head_start=HEAD_START if attempt.owner else timedelta(0),
        wait=log_wait,
    )
    return settlement


def _as_asked(fate: Fate, attempt: Attempt) -> Fate:
    """Name the end after our own request where the attempt ended because of it."""
    asked_at = attempt.stop_requested_at
    if asked_at is None or fate.reason in (Reason.NEVER_STARTED, Reason.OUT_OF_MEMORY):
        return fate
    if fate.finished_at is not None and fate.finished_at < asked_at:
        return fate
    if attempt.stop_reason == Reason.TIMED_OUT:
        return replace(fate, reason=Reason.TIMED_OUT, detail="")
    succeeded = fate.reason is Reason.EXITED and fate.exit_code == 0
    return fate if succeeded else replace(fate, reason=Reason.CANCELLED, detail="")


def _end_of(tx: Tx, attempt: Attempt, fate: Fate, *, counted: bool) -> dict[str, Any]:
    return {
        "reason": fate.reason,
        "exit_code": fate.exit_code,
        "detail": fate.detail[:4000] or None,
        "started_at": attempt.started_at or fate.started_at,
        "finished_at": fate.finished_at or tx.now,
        "counted": counted,
    }


def _decide(tx: Tx, execution: Execution, fate: Fate) -> Settlement:
    job = apps.get_job(tx, execution.app, execution.job)
    if job is None:
        job = JobDefinition(execution.app, execution.job, command=())
    return decide(
        fate,
        Round(execution.round, execution.counted, execution.uncounted),
        job.retry,
        cancel_requested=execution.cancel_requested_at is not None,
        at_most_once=job.at_most_once,
        chance=_chance,
    )


def _move(tx: Tx, execution: Execution, fate: Fate, settlement: Settlement) -> None:
    change: dict[str, Any] = {
        "stage": Stage.DONE,
        "counted": execution.counted + settlement.counted,
        "counted_before": execution.counted_before + settlement.counted,
        "uncounted": execution.uncounted + (not settlement.counted),
        "could_not_start": settlement.could_not_start,
        "reason": fate.reason,
    }
    if settlement.state in (State.QUEUED, State.RETRYING):
        change["stage"] = Stage.SCHEDULED
        change["due_at"] = tx.now + (settlement.wait or timedelta(0))
    else:
        change["finished_at"] = fate.finished_at or tx.now
    if not rows.move_from(tx, execution.id, [State.RUNNING], settlement.state, set_=change):
        raise AssertionError(f"attempt of {execution.message_id} ended in {execution.state}")

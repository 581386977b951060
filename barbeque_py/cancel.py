"""Stop an execution on request, wherever it stands."""

from enum import StrEnum
from typing import Any

from barbeque_py.executions import ENDED, Stage, State
from barbeque_py.outcomes import Reason
from barbeque_py.store import Tx, attempts, endings, limits, outbox, stops
from barbeque_py.store import executions as rows
from barbeque_py.store.attempts import Attempt
from barbeque_py.store.executions import Execution
from barbeque_py.tell import errands_of_cancel

ANY_APP = ""
"""The canceller of a tombstone that any app's message may fill."""


class Cancelled(StrEnum):
    """What a cancel did."""

    AT_ONCE = "cancelled"
    REQUESTED = "cancel requested"
    KILL = "kill requested"
    UNSEEN = "cancelled before a worker saw it"
    TOO_LATE = "already ended"


def cancel(tx: Tx, message_id: str, *, app: str = ANY_APP, force: bool = False) -> Cancelled:
    """Cancel the execution: at once while it waits, by stopping its attempt while it runs.

    With `force` an attempt that runs is killed without its grace, if it can be.

    An execution that no worker has seen yet gets a tombstone, which its message fills on arrival
    and stays cancelled; a message of another app than `app` is not affected.
    """
    execution = rows.by_message_id(tx, message_id, lock=True)
    if execution is None:
        rows.add_missing(tx, [_tombstone(tx, message_id, app)])
        # Its message may have been taken in since we looked: then the row is no tombstone.
        execution = rows.by_message_id(tx, message_id, lock=True)
    assert execution is not None
    if execution.state in ENDED:
        return Cancelled.UNSEEN if execution.tombstone else Cancelled.TOO_LATE
    if execution.state is State.RUNNING:
        rows.request_cancel(tx, execution.id)
        stops.request_cancel(tx, execution.id)
        return _withdraw_grace(tx, execution) if force else Cancelled.REQUESTED
    _end_waiting(tx, execution)
    return Cancelled.AT_ONCE


def can_be_killed(attempt: Attempt) -> bool:
    """Tell whether it can end before its grace is over: on ECS it can't, ECS itself kills it."""
    return not attempt.place.startswith("arn:")


def _withdraw_grace(tx: Tx, execution: Execution) -> Cancelled:
    if not can_be_killed(attempts.of_execution(tx, execution.id)[-1]):
        return Cancelled.REQUESTED
    stops.withdraw_grace(tx, execution.id, Reason.CANCELLED)
    return Cancelled.KILL


def _end_waiting(tx: Tx, execution: Execution) -> None:
    rows.move(
        tx,
        execution.id,
        State.CANCELLED,
        set_={
            "stage": Stage.DONE,
            "held_by": None,
            "reason": Reason.CANCELLED,
            "finished_at": tx.now,
        },
    )
    stops.call_off(tx, execution.id, Reason.CANCELLED)
    outbox.put(tx, errands_of_cancel(tx, execution))
    endings.add(tx, [endings.of_cancel(tx, execution)])
    if execution.stage is Stage.READY:
        # It may have been woken into a free slot that another one, still held, can use now.
        scopes = [f"app:{execution.app}", f"job:{execution.app}/{execution.job}"]
        key = execution.options.get("concurrency_key")
        scopes += [f"key:{execution.app}/{key}"] if key else []
        limits.lock(tx, scopes)
        limits.wake(tx, scopes)


def _tombstone(tx: Tx, message_id: str, app: str) -> dict[str, Any]:
    return rows.new_row(
        message_id=message_id,
        app=app,
        job="",
        queue="",
        message=None,
        message_key=None,
        options={},
        priority=0,
        due_at=tx.now,
        sent_at=tx.now,
        recorded_at=tx.now,
    ) | {
        "state": State.CANCELLED,
        "stage": Stage.DONE,
        "reason": Reason.CANCELLED,
        "finished_at": tx.now,
        "tombstone": True,
    }

"""Give an attempt back that has no room to run: its execution waits, and takes it up again."""

from barbeque_py.executions import Stage, State
from barbeque_py.ids import AttemptId
from barbeque_py.store import Tx, attempts, endings, limits, pauses, stops
from barbeque_py.store import executions as rows


def put_back(tx: Tx, attempt_id: AttemptId, *, owner: str, reason: str) -> bool:
    """Put the owner's attempt back after a definite "not now", and pause what has no room.

    Costs nothing: the attempt keeps its row and number, its slots are free, and its execution is
    ready again. False when the attempt is not the owner's to start any more.
    """
    attempt = attempts.get(tx, attempt_id)
    if attempt is None:
        return False
    execution = rows.by_id(tx, attempt.execution, lock=True)
    if execution is None or not attempts.set_waiting(tx, attempt_id, owner, reason):
        return False
    limits.lock(tx, attempt.scopes)
    for scope in attempt.scopes:
        if scope.startswith(pauses.ROOM):
            pauses.pause(tx, scope, reason)
    again = State.RETRYING if execution.counted else State.QUEUED
    if execution.cancel_requested_at is not None:
        stops.call_off(tx, execution.id, "cancelled")
        end = {"stage": Stage.DONE, "reason": "cancelled", "finished_at": tx.now}
        rows.move_from(tx, execution.id, [State.RUNNING], State.CANCELLED, set_=end)
        endings.add(tx, [endings.of_cancel(tx, execution)])
    else:
        rows.move_from(tx, execution.id, [State.RUNNING], again, set_={"stage": Stage.READY})
    limits.give_back(tx, attempt.scopes)
    return True

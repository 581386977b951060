"""Attempts that are to end: what is due of them now, and what was asked for."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import bindparam, case, func, select, update

from barbeque_py.executions import AttemptState
from barbeque_py.ids import AttemptId
from barbeque_py.store.attempts import LIVE, NOBODY, Attempt, read
from barbeque_py.store.database import Tx
from barbeque_py.store.tables.columns import Instant
from barbeque_py.store.tables.runs import attempts


def due_to_act(tx: Tx, places: Sequence[str], owner: str) -> list[Attempt]:
    """Return running attempts, the owner's and nobody's, of which something is due now.

    They are past their deadline, a cancel was asked for, or their grace is over.
    """
    asked = {"places": list(places), "now": tx.now, "owners": [owner, NOBODY]}
    return [read(row) for row in tx.execute(_DUE_TO_ACT, asked)]


_DUE_TO_ACT = (
    select(attempts)
    .where(
        attempts.c.place.in_(bindparam("places", expanding=True)),
        attempts.c.state == AttemptState.RUNNING,
        attempts.c.act_at <= bindparam("now"),
        attempts.c.owner.in_(bindparam("owners", expanding=True)),
    )
    .limit(100)
)


def extend(tx: Tx, attempt: AttemptId, until: datetime) -> None:
    """Give the running attempt time until then, unless it is being stopped."""
    tx.execute(
        update(attempts)
        .where(
            attempts.c.id == attempt,
            attempts.c.state == AttemptState.RUNNING,
            attempts.c.stop_requested_at.is_(None),
            attempts.c.cancel_requested_at.is_(None),
        )
        .values(deadline_at=until, act_at=until)
    )


def request_stop(tx: Tx, attempt: AttemptId, reason: str, *, grace: timedelta) -> bool:
    """Record why the attempt is being stopped, once; it is looked at again after the grace."""
    recorded = tx.execute(
        update(attempts)
        .where(
            attempts.c.id == attempt,
            attempts.c.state.in_(LIVE),
            attempts.c.stop_requested_at.is_(None),
        )
        .values(stop_reason=reason, stop_requested_at=tx.now, act_at=tx.now + grace)
    )
    return recorded.rowcount == 1


def act_later(tx: Tx, attempt: Attempt, wait: timedelta) -> bool:
    """Take the due action upon us and look again after `wait`; False when another was first."""
    taken = tx.execute(
        update(attempts)
        .where(
            attempts.c.id == attempt.id,
            attempts.c.state == AttemptState.RUNNING,
            attempts.c.act_at == attempt.act_at,
        )
        .values(act_at=tx.now + wait)
    )
    return taken.rowcount == 1


def request_cancel(tx: Tx, execution: int) -> None:
    """Tell the execution's live attempt that it is to end; one that is told already has its grace.

    One that is being stopped for another reason keeps the rest of its grace, too.
    """
    unstopped = attempts.c.stop_requested_at.is_(None)
    now = bindparam("now", tx.now, type_=Instant())
    tx.execute(
        update(attempts)
        .where(
            attempts.c.execution == execution,
            attempts.c.state.in_(LIVE),
            attempts.c.cancel_requested_at.is_(None),
        )
        .values(cancel_requested_at=now, act_at=case((unstopped, now), else_=attempts.c.act_at))
    )


def withdraw_grace(tx: Tx, execution: int, reason: str) -> None:
    """Let the execution's live attempt be killed with the next look at it, whatever its grace."""
    now = bindparam("now", tx.now, type_=Instant())
    tx.execute(
        update(attempts)
        .where(attempts.c.execution == execution, attempts.c.state.in_(LIVE))
        .values(
            stop_reason=func.coalesce(attempts.c.stop_reason, reason),
            stop_requested_at=func.coalesce(attempts.c.stop_requested_at, now),
            act_at=tx.now,
        )
    )


def call_off(tx: Tx, execution: int, reason: str) -> None:
    """End the execution's attempt that waits for capacity: nothing of it runs."""
    tx.execute(
        update(attempts)
        .where(attempts.c.execution == execution, attempts.c.state == AttemptState.WAITING)
        .values(state=AttemptState.ENDED, reason=reason, finished_at=tx.now, request=None)
    )

"""What has ended and is not counted yet: written with the end, taken away with the count.

So each end is counted once, whoever counts and whenever it is killed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import and_, bindparam, delete, select

from barbeque_py import metrics
from barbeque_py.executions import ENDED, State
from barbeque_py.ids import AttemptId
from barbeque_py.store.bulk import insert_each
from barbeque_py.store.database import Tx
from barbeque_py.store.executions import Execution
from barbeque_py.store.prepared import Prepared
from barbeque_py.store.tables.history import endings
from barbeque_py.store.tables.runs import attempts


@dataclass(frozen=True, slots=True)
class Ending:
    """One end of an attempt, or of an execution that never had one, and what came of it."""

    id: int
    execution: int
    app: str
    job: str
    state: State
    """What the execution became."""
    due_at: datetime | None
    ended_at: datetime
    past: bool
    """Whether it was found by a migration: nobody looks for what it failed of."""
    attempt: AttemptId | None
    claimed_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    reason: str | None
    cpu: int | None
    memory: int | None


def row(  # noqa: PLR0913 - what must be known of an end
    execution: int,
    number: int,
    app: str,
    job: str,
    state: State,
    *,
    due_at: datetime | None,
    ended_at: datetime,
) -> dict[str, Any]:
    """Return the row of the end of an execution's attempt; number 0 is that of none."""
    return {
        "execution": execution,
        "number": number,
        "app": app,
        "job": job,
        "state": state,
        "due_at": due_at,
        "ended_at": ended_at,
    }


def of_cancel(tx: Tx, execution: Execution) -> dict[str, Any]:
    """Return the row of the end of an execution that is cancelled now, while nothing of it runs."""
    own = (execution.id, 0, execution.app, execution.job)
    return row(*own, State.CANCELLED, due_at=None, ended_at=tx.now)


def add(tx: Tx, rows: Sequence[dict[str, Any]]) -> None:
    """Leave these ends to be counted, in the transaction that makes them true."""
    insert_each(tx, endings, rows)
    tx.afterwards(partial(_count, [(each["app"], each["state"]) for each in rows]))


def _count(ended: Sequence[tuple[str, State]]) -> None:
    """Count the ends among what this process has done."""
    for app, state in ended:
        if state in ENDED:
            metrics.finished.labels(app, state).inc()
        else:
            reason = "failed" if state is State.RETRYING else "interrupted"
            metrics.retries.labels(app, reason).inc()


def any_left(tx: Tx) -> bool:
    """Tell whether there is something to count."""
    return tx.execute(_ANY).first() is not None


_ANY = select(endings.c.id).limit(1)


def oldest(tx: Tx, most: int) -> list[Ending]:
    """Return up to `most` ends that are not counted yet, in the order in which they came."""
    return [_ending(*row) for row in tx.rows(_OLDEST, most=most)]


def _ending(number: int, execution: int, app: str, job: str, state: str, *rest: Any) -> Ending:
    return Ending(number, execution, app, job, State(state), *rest)


_OF_ATTEMPT = 7
_OWN = [endings.c[name] for name in Ending.__slots__[:-_OF_ATTEMPT]]
_TRY = [attempts.c[name] for name in Ending.__slots__[-_OF_ATTEMPT + 1 :]]
_OLDEST = Prepared(
    select(*_OWN, attempts.c.id, *_TRY)
    .select_from(endings)
    .outerjoin(
        attempts,
        and_(attempts.c.execution == endings.c.execution, attempts.c.number == endings.c.number),
    )
    .order_by(endings.c.id)
    .limit(bindparam("most"))
)


def forget(tx: Tx, counted: Sequence[Ending]) -> int:
    """Take away what is counted; return how many there were."""
    return tx.change(_FORGET, numbers=[each.id for each in counted])


_FORGET = Prepared(delete(endings).where(endings.c.id.in_(bindparam("numbers", expanding=True))))

"""The ready executions of a queue, in the order in which they may start."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Integer, bindparam, select

from barbeque_py.executions import Stage
from barbeque_py.store.database import Tx
from barbeque_py.store.prepared import Prepared
from barbeque_py.store.tables.runs import executions


def waiting_groups(
    tx: Tx, queue: str, *, leave_out: Iterable[str] = (), most: int = 500
) -> list[tuple[int, str]]:
    """Return (rank, app) of what is ready on the queue, the most urgent first.

    Walks the claim index from group to group, so its cost grows with the number of apps and not
    with the number of executions.
    """
    groups: list[tuple[int, str]] = []
    skipped = set(leave_out)
    rank, app = -1000, ""
    for _ in range(most):
        found = _next_group(tx, queue, rank, app)
        if found is None:
            break
        rank, app = found
        if app not in skipped:
            groups.append(found)
    return groups


def _next_group(tx: Tx, queue: str, rank: int, app: str) -> tuple[int, str] | None:
    found = tx.rows(_NEXT_APP, lane=queue, rank=rank, last=app) if app else []
    found = found or tx.rows(_NEXT_RANK, lane=queue, rank=rank)
    return (found[0][0], found[0][1]) if found else None


_FIRST_GROUP = (
    select(executions.c.priority_rank, executions.c.app)
    .where(executions.c.queue == bindparam("lane"), executions.c.stage == Stage.READY)
    .order_by(executions.c.priority_rank, executions.c.app)
    .limit(1)
)
_NEXT_APP = Prepared(
    _FIRST_GROUP.where(
        executions.c.priority_rank == bindparam("rank"), executions.c.app > bindparam("last")
    )
)
_NEXT_RANK = Prepared(_FIRST_GROUP.where(executions.c.priority_rank > bindparam("rank")))


@dataclass(frozen=True, slots=True)
class Ready:
    """What must be known of a ready execution to claim an attempt at it, and to start that."""

    id: int
    message_id: str
    app: str
    job: str
    queue: str
    options: Mapping[str, Any]
    round: int
    counted_before: int
    attempts: int
    image_from: int
    sent_at: datetime
    message: str | None = None
    message_key: str | None = None


def lock_ready(tx: Tx, queue: str, group: tuple[int, str], count: int) -> list[Ready]:
    """Lock and return the oldest ready executions of the group that nobody else has locked."""
    rank, app = group
    found = tx.rows(_LOCK_READY, lane=queue, rank=rank, owner=app, most=count)
    return [
        Ready(number, message_id, app, job, queue, json.loads(options), *rest)
        for number, message_id, job, options, *rest in found
    ]


_LOCK_READY = Prepared(
    select(*[executions.c[name] for name in Ready.__slots__ if name not in ("app", "queue")])
    .where(
        executions.c.queue == bindparam("lane"),
        executions.c.stage == Stage.READY,
        executions.c.priority_rank == bindparam("rank"),
        executions.c.app == bindparam("owner"),
    )
    .order_by(executions.c.id)
    .limit(bindparam("most", type_=Integer))
    .with_for_update(skip_locked=True)
)


def count_startable(tx: Tx, queue: str, most: int) -> int:
    """Count the queue's ready executions, up to `most`."""
    some = (
        select(executions.c.id)
        .where(executions.c.queue == queue, executions.c.stage == Stage.READY)
        .limit(most)
    )
    return len(tx.execute(some).all())

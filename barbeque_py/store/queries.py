"""Read-only questions, for the API and the console; none of them locks anything."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, func, select

from barbeque_py.executions import Stage, State
from barbeque_py.store import limits, ready
from barbeque_py.store.database import Tx
from barbeque_py.store.tables.definitions import job_definitions, queues
from barbeque_py.store.tables.posts import dead_messages, messages
from barbeque_py.store.tables.runs import executions

_GROUPS = 20
"""Priorities and apps whose first execution is looked at for the oldest of a queue."""

_DEAD = 1_000

WAITING = (Stage.SCHEDULED, Stage.READY, Stage.HELD)


@dataclass(frozen=True, slots=True)
class QueueState:
    """A queue and what is on it."""

    name: str
    concurrency: int | None
    paused_at: datetime | None
    waiting: int
    """Executions that will be started: due, due later, or held by a limit."""
    running: int
    messages: int | None
    """Messages that no worker has taken in yet, delayed ones included; None where it is asked what
    is one app's, as that is not known before."""
    pause_reason: str | None = None
    paused_until: datetime | None = None
    oldest_at: datetime | None = None
    """Since when the oldest execution that may start now is due."""
    dead: int = 0
    """Those of the newest thousand dead messages that came by this queue."""


def job_names(tx: Tx) -> list[tuple[str, str]]:
    """Return the (app, job) of every definition."""
    query = select(job_definitions.c.app, job_definitions.c.name)
    return [(row.app, row.name) for row in tx.execute(query)]


def queue_states(tx: Tx, *, app: str | None = None) -> list[QueueState]:
    """Return every queue and what is on it, by name; of this app's executions only."""
    most = {limit.scope: limit.max for limit in limits.read_all(tx, "queue:")}
    counted = select(messages.c.queue, func.count().label("found")).group_by(messages.c.queue)
    travelling = {row.queue: row.found for row in tx.execute(counted)}
    dead = _count_dead(tx, app)
    found = []
    for row in tx.execute(select(queues).order_by(queues.c.name)).all():
        stages = _count_open(tx, row.name, app)
        found.append(
            QueueState(
                name=row.name,
                concurrency=most.get(f"queue:{row.name}"),
                paused_at=row.paused_at,
                waiting=sum(stages.get(stage, 0) for stage in WAITING),
                running=stages.get(Stage.ACTIVE, 0),
                messages=travelling.get(row.name, 0) if app is None else None,
                pause_reason=row.pause_reason,
                paused_until=row.paused_until,
                oldest_at=oldest_on(tx, row.name, app),
                dead=dead[row.name],
            )
        )
    return found


def _count_dead(tx: Tx, app: str | None) -> Counter[str]:
    newest = select(dead_messages.c.queue).order_by(dead_messages.c.id.desc()).limit(_DEAD)
    if app is not None:
        newest = newest.where(dead_messages.c.app == app)
    return Counter(row.queue for row in tx.execute(newest))


def oldest_on(tx: Tx, queue: str, own: str | None = None) -> datetime | None:
    """Return since when the oldest of each app's first ready execution is due."""
    columns = executions.c
    found = []
    for rank, app in ready.waiting_groups(tx, queue, most=_GROUPS):
        if own not in (None, app):
            continue
        group = (
            columns.queue == queue,
            columns.stage == Stage.READY,
            columns.priority_rank == rank,
            columns.app == app,
        )
        first = select(columns.due_at).where(*group).order_by(columns.id).limit(1)
        found.append(tx.execute(first).scalar_one_or_none())
    return min((each for each in found if each is not None), default=None)


def _count_open(tx: Tx, queue: str, app: str | None) -> dict[str, int]:
    """Count the queue's executions that have not ended, by stage, along the claim index."""
    query = (
        select(executions.c.stage, func.count().label("found"))
        .where(executions.c.queue == queue, executions.c.stage.in_([*WAITING, Stage.ACTIVE]))
        .group_by(executions.c.stage)
    )
    if app is not None:
        query = query.where(executions.c.app == app)
    return {row.stage: row.found for row in tx.execute(query)}


# What the console's first page asks.

MOST_COUNTED = 10_000
"""Counts for people end here: one more means more than that."""


@dataclass(frozen=True, slots=True)
class Counts:
    """How much there is of what people look for first, each up to `MOST_COUNTED` and one."""

    queued: int
    running: int
    retrying: int
    failed_lately: int
    dead: int


def count_headlines(tx: Tx, *, lately: timedelta) -> Counts:
    """Count what is open, what failed within `lately`, and the dead messages."""
    failed = select(executions.c.id).where(
        executions.c.finished_at > tx.now - lately, executions.c.state == State.FAILED
    )
    return Counts(
        queued=_count_capped(tx, _in_state(State.QUEUED)),
        running=_count_capped(tx, _in_state(State.RUNNING)),
        retrying=_count_capped(tx, _in_state(State.RETRYING)),
        failed_lately=_count_capped(tx, failed),
        dead=_count_capped(tx, select(dead_messages.c.id)),
    )


def any_execution(tx: Tx) -> bool:
    """Tell whether anything was ever enqueued."""
    return tx.execute(select(executions.c.id).limit(1)).first() is not None


def oldest_ready(tx: Tx) -> datetime | None:
    """Return since when the oldest execution that may start now is due."""
    ready = select(func.min(executions.c.due_at)).where(executions.c.stage == Stage.READY)
    return tx.execute(ready).scalar_one_or_none()


def _in_state(state: State) -> Select[Any]:
    return select(executions.c.id).where(executions.c.state == state)


def _count_capped(tx: Tx, query: Select[Any]) -> int:
    some = query.limit(MOST_COUNTED + 1).subquery()
    return int(tx.execute(select(func.count()).select_from(some)).scalar_one())

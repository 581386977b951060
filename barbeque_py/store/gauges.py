"""How much there is of what an operator watches: cheap questions, for each scrape of `/metrics`.

Counts go along an index and end at `MOST`, so that the worst backlog costs no more than that.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, select

from barbeque_py.executions import Stage
from barbeque_py.notices import NoticeState
from barbeque_py.store import pauses, quotas, workers
from barbeque_py.store.database import Tx
from barbeque_py.store.queries import WAITING, oldest_on
from barbeque_py.store.tables.definitions import queues
from barbeque_py.store.tables.posts import dead_messages, messages, notices, outbox
from barbeque_py.store.tables.runs import executions

MOST = 100_000
"""Where counts end."""


@dataclass(frozen=True, slots=True)
class Lane:
    """One queue as it is now."""

    waiting: Mapping[Stage, int]
    """Executions that will be started, by their stage."""
    running: int
    age: float
    """Seconds for which the oldest execution that may start has been due."""
    messages: int
    """Messages in the database's own queue that no worker has taken in."""
    paused: bool


@dataclass(frozen=True, slots=True)
class Gauges:
    """Everything of one moment."""

    lanes: Mapping[str, Lane]
    outbox_waiting: int
    """Errands that are due and not done."""
    outbox_age: float
    """Seconds for which the oldest of them has been due."""
    notices_waiting: int
    notices_age: float
    """Seconds since the oldest notice that waits was made, however often it was tried."""
    dead: int
    workers: int
    """Workers that were seen within a minute."""
    shortages: int
    """Sizes of containers for which a place has no room now."""
    throttled: float
    """Seconds until every quota of AWS's calls has a token again."""


def read(tx: Tx) -> Gauges:
    """Look at everything."""
    names = tx.execute(select(queues.c.name, queues.c.paused_at)).all()
    due = select(outbox.c.due_at).where(outbox.c.done_at.is_(None), outbox.c.due_at <= tx.now)
    waiting = select(notices.c.made_at).where(notices.c.state == NoticeState.WAITING)
    throttled_until = quotas.throttled_until(tx)
    return Gauges(
        lanes={row.name: _lane(tx, row.name, paused=row.paused_at is not None) for row in names},
        outbox_waiting=_count(tx, due),
        outbox_age=_age(tx, tx.execute(due.order_by(outbox.c.due_at).limit(1)).scalar()),
        notices_waiting=_count(tx, waiting),
        notices_age=_age(tx, tx.execute(waiting.order_by(notices.c.id).limit(1)).scalar()),
        dead=_count(tx, select(dead_messages.c.id)),
        workers=len(workers.alive(tx)),
        shortages=len(pauses.current(tx)),
        throttled=max(0.0, (throttled_until - tx.now).total_seconds()) if throttled_until else 0.0,
    )


def _lane(tx: Tx, queue: str, *, paused: bool) -> Lane:
    columns = executions.c
    stages = {
        stage: _count(tx, select(columns.id).where(columns.queue == queue, columns.stage == stage))
        for stage in (*WAITING, Stage.ACTIVE)
    }
    running = stages.pop(Stage.ACTIVE)
    travelling = _count(tx, select(messages.c.id).where(messages.c.queue == queue))
    return Lane(stages, running, _age(tx, oldest_on(tx, queue)), travelling, paused)


def _age(tx: Tx, since: datetime | None) -> float:
    return 0.0 if since is None else max(0.0, (tx.now - since).total_seconds())


def _count(tx: Tx, query: Select[Any]) -> int:
    some = query.limit(MOST).subquery()
    return int(tx.execute(select(func.count()).select_from(some)).scalar_one())

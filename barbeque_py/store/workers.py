"""Who is at work: the workers' heartbeats, and the duties that only one has at a time."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, bindparam, delete, func, insert, select, update
from sqlalchemy.dialects import mysql, sqlite

from barbeque_py.store.database import Tx
from barbeque_py.store.prepared import Prepared
from barbeque_py.store.tables.fleet import duties, workers

ALIVE = timedelta(seconds=60)
"""A worker that was not seen for this long is taken for dead in reports (never for starts)."""


@dataclass(frozen=True, slots=True)
class Worker:
    """One worker process and when it last said that it is alive."""

    id: str
    place: str
    started_at: datetime
    seen_at: datetime
    queues: tuple[str, ...] = ()
    """The only ones it takes from; empty for all of them."""
    version: str | None = None
    drained_at: datetime | None = None
    """Since when it takes nothing new; what it has, it finishes."""

    @property
    def name(self) -> str:
        """What people call it: the end of its id."""
        return self.id.rpartition("/")[2]

    @property
    def host(self) -> str:
        """The host, as far as its id tells it."""
        return self.id.partition("/")[0].rsplit(".", 2)[0]

    def alive(self, now: datetime) -> bool:
        """Tell whether it was seen lately."""
        return self.seen_at > now - ALIVE

    def serves(self, queue: str) -> bool:
        """Tell whether it takes from that queue."""
        return not self.queues or queue in self.queues


def see(
    tx: Tx, worker: str, place: str, queues: Sequence[str] = (), *, version: str | None = None
) -> None:
    """Record that this worker is alive, and the only queues it takes from, if it is told so."""
    facts = {
        "seen_at": tx.now,
        "place": place,
        "queues": json.dumps(list(queues)),
        "version": version,
    }
    seen = tx.execute(update(workers).where(workers.c.id == worker).values(facts))
    if seen.rowcount == 0:
        tx.execute(insert(workers).values(id=worker, started_at=tx.now, **facts))


def leave(tx: Tx, worker: str) -> None:
    """Forget a worker that has stopped."""
    tx.execute(delete(workers).where(workers.c.id == worker))


def alive(tx: Tx) -> list[Worker]:
    """Return the workers that were seen lately."""
    query = select(workers).where(workers.c.seen_at > tx.now - ALIVE).order_by(workers.c.id)
    return [_read(row) for row in tx.execute(query)]


def last_seen(tx: Tx) -> datetime | None:
    """Return when a worker said last that it is alive, None where all have left or none came."""
    found: datetime | None = tx.execute(select(func.max(workers.c.seen_at))).scalar_one()
    return found


def everyone(tx: Tx) -> list[Worker]:
    """Return every worker that has not left, those that are silent too."""
    return [_read(row) for row in tx.execute(select(workers).order_by(workers.c.id))]


def named(tx: Tx, name: str) -> Worker | None:
    """Return the worker that people call so, or whose id this is."""
    found = [each for each in everyone(tx) if name in (each.id, each.name)]
    return found[0] if len(found) == 1 else None


def set_drained(tx: Tx, worker: str, *, drained: bool) -> None:
    """Let the worker take nothing new from now on, or let it take again."""
    one = update(workers).where(workers.c.id == worker)
    if drained:
        tx.execute(one.where(workers.c.drained_at.is_(None)).values(drained_at=tx.now))
    else:
        tx.execute(one.values(drained_at=None))


def is_drained(tx: Tx, worker: str) -> bool:
    """Tell whether somebody wants the worker to take nothing new."""
    return bool(tx.rows(_DRAINED, worker=worker))


_DRAINED = Prepared(
    select(workers.c.id).where(
        workers.c.id == bindparam("worker"), workers.c.drained_at.is_not(None)
    )
)


def _read(row: Row[Any]) -> Worker:
    facts = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it
    facts["queues"] = tuple(json.loads(facts["queues"] or "[]"))
    return Worker(**facts)


def forget_silent(tx: Tx, age: timedelta) -> None:
    """Forget workers that were not seen for that long."""
    tx.execute(delete(workers).where(workers.c.seen_at < tx.now - age))


def take_duty(tx: Tx, name: str, owner: str, *, every: timedelta, lease: timedelta) -> bool:
    """Take the duty if it is due and nobody else has it; say whether it is ours now."""
    locked = select(duties).where(duties.c.name == name).with_for_update()
    row = tx.execute(locked).one_or_none()
    if row is None:
        _add_duty(tx, {"name": name, "owner": owner, "lease_until": tx.now + lease})
        return bool(tx.execute(locked).one().owner == owner)  # another may have been first
    done_lately = row.done_at is not None and row.done_at > tx.now - every
    if done_lately or (row.owner != owner and row.lease_until > tx.now):
        return False
    tx.execute(
        update(duties).where(duties.c.name == name).values(owner=owner, lease_until=tx.now + lease)
    )
    return True


def _add_duty(tx: Tx, row: dict[str, object]) -> None:
    if tx.sqlite:
        tx.execute(sqlite.insert(duties).values(row).on_conflict_do_nothing())
    else:
        tx.execute(mysql.insert(duties).values(row).on_duplicate_key_update(name=duties.c.name))


def finish_duty(tx: Tx, name: str, owner: str) -> None:
    """Record that the duty was done."""
    tx.execute(
        update(duties)
        .where(duties.c.name == name, duties.c.owner == owner)
        .values(done_at=tx.now, lease_until=tx.now)
    )


def places(found: Iterable[Worker]) -> set[str]:
    """Return the places these workers speak to."""
    return {worker.place for worker in found}

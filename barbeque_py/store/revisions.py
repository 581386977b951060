"""Revisions as rows: which image an app runs, who released it, and what its name meant."""

from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, and_, case, func, insert, select, update

from barbeque_py.apps import Revision
from barbeque_py.executions import AttemptState, State
from barbeque_py.outcomes import Reason
from barbeque_py.store.database import Tx
from barbeque_py.store.tables.definitions import apps, revisions
from barbeque_py.store.tables.runs import attempts, executions
from barbeque_py.verdicts import Outcomes

_COLUMNS = [revisions.c[each.name] for each in fields(Revision)]


def add(  # noqa: PLR0913 - a row has what a row has
    tx: Tx,
    app: str,
    image: str,
    *,
    pinned: str | None,
    made_by: str,
    note: str | None = None,
    rollback_of: int | None = None,
) -> Revision | None:
    """Make this image the app's newest revision, which is current; None without such an app."""
    changed = tx.execute(
        update(apps).where(apps.c.name == app).values(image=image, changed_at=tx.now)
    )  # which also locks the app: its numbers are given one after the other
    if changed.rowcount == 0:
        return None
    newest = tx.execute(select(func.max(revisions.c.number)).where(revisions.c.app == app))
    facts: dict[str, Any] = {
        "app": app,
        "number": (newest.scalar_one() or 0) + 1,
        "image": image,
        "pinned": pinned,
        "pinned_at": None if pinned is None else tx.now,
        "rollback_of": rollback_of,
        "made_by": made_by[:200],
        "made_at": tx.now,
        "note": note,
    }
    added = tx.execute(insert(revisions).values(facts)).inserted_primary_key
    assert added is not None, "a row that was inserted has a number"
    tx.execute(update(apps).where(apps.c.name == app).values(revision=added.id))
    return Revision(id=added.id, **facts)


def pin(tx: Tx, revision: int, pinned: str) -> str | None:
    """Pin the revision unless it is; return what it is pinned to, None when there is no such."""
    tx.execute(
        update(revisions)
        .where(revisions.c.id == revision, revisions.c.pinned.is_(None))
        .values(pinned=pinned, pinned_at=tx.now)
    )
    query = select(revisions.c.pinned).where(revisions.c.id == revision)
    return tx.execute(query).scalar_one_or_none()


def current(tx: Tx, app: str, *, lock: bool = False) -> Revision | None:
    """Return the revision that the app's jobs run; locked, it stays that till the commit."""
    query = select(*_COLUMNS).join(apps, apps.c.revision == revisions.c.id)
    query = query.where(apps.c.name == app)
    return _one(tx.execute(query.with_for_update() if lock else query).one_or_none())


def get(tx: Tx, app: str, number: int) -> Revision | None:
    """Return the app's revision with this number."""
    query = select(*_COLUMNS).where(revisions.c.app == app, revisions.c.number == number)
    return _one(tx.execute(query).one_or_none())


def history(tx: Tx, app: str, *, before: int | None = None, most: int = 50) -> list[Revision]:
    """Return the app's revisions, the newest first, from below the number `before`."""
    query = select(*_COLUMNS).where(revisions.c.app == app).order_by(revisions.c.number.desc())
    if before is not None:
        query = query.where(revisions.c.number < before)
    return [_read(row) for row in tx.execute(query.limit(most))]


def lately(tx: Tx, since: datetime, *, app: str | None = None, most: int = 50) -> list[Revision]:
    """Return revisions made since then, of this app or of all, the newest first."""
    query = select(*_COLUMNS).order_by(revisions.c.id.desc()).limit(most)
    if app is not None:
        query = query.where(revisions.c.app == app)
    return [each for row in tx.execute(query) if (each := _read(row)).made_at >= since]


def outcomes(tx: Tx, revision: int, *, most: int, newest: bool) -> Outcomes:
    """Say how up to `most` executions fared on the revision: the oldest, or the newest of them."""
    rows = tx.execute(_fates(revision, most=most, newest=newest)).all()
    good = sum(row.succeeded for row in rows)
    return Outcomes(len(rows), good, sum(row.ended for row in rows) - good)


@dataclass(frozen=True, slots=True)
class Failed:
    """An execution of which an attempt on the revision failed, and none has succeeded on it."""

    message_id: str
    job: str
    state: State
    sent_at: datetime


def failed_first(tx: Tx, revision: int, *, among: int, most: int) -> list[Failed]:
    """Return those of the revision's first executions that failed on it, the first one first."""
    fates = _fates(revision, most=among, newest=False).subquery()
    query = (
        select(*[executions.c[each.name] for each in fields(Failed)])
        .join(fates, fates.c.execution == executions.c.id)
        .where(fates.c.ended == 1, fates.c.succeeded == 0)
        .order_by(executions.c.id)
        .limit(most)
    )
    found = [Failed(**row._mapping) for row in tx.execute(query)]  # noqa: SLF001 - public name
    return [replace(each, state=State(each.state)) for each in found]


def _fates(revision: int, *, most: int, newest: bool) -> Select[Any]:
    succeeded = and_(attempts.c.reason == Reason.EXITED, attempts.c.exit_code == 0)
    return (
        select(
            attempts.c.execution,
            func.max(case((succeeded, 1), else_=0)).label("succeeded"),
            func.max(case((attempts.c.counted.is_(True), 1), else_=0)).label("ended"),
        )
        .where(attempts.c.revision == revision)
        .group_by(attempts.c.execution)
        .order_by(attempts.c.execution.desc() if newest else attempts.c.execution)
        .limit(most)
    )


def all_current(tx: Tx) -> dict[str, Revision]:
    """Return the revision that each app's jobs run, by the app; those that have one."""
    query = select(*_COLUMNS).join(apps, apps.c.revision == revisions.c.id)
    return {each.app: each for each in map(_read, tx.execute(query))}


def running(tx: Tx) -> dict[tuple[str, int], int]:
    """Count the containers that are started or starting, by app and number of the revision."""
    query = (
        select(revisions.c.app, revisions.c.number, func.count().label("found"))
        .join(attempts, attempts.c.revision == revisions.c.id)
        .where(attempts.c.state.in_([AttemptState.STARTING, AttemptState.RUNNING]))
        .group_by(revisions.c.app, revisions.c.number)
    )
    return {(row.app, row.number): row.found for row in tx.execute(query)}


def _one(row: Row[Any] | None) -> Revision | None:
    return None if row is None else _read(row)


def _read(row: Row[Any]) -> Revision:
    return Revision(**row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it

"""Schedules as rows: what the apply file says of each, and how far each has come."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, func, insert, select, update

from barbeque_py.clock import rfc3339
from barbeque_py.schedules import CatchUp, Clockwork, Overlap, Schedule, times_after
from barbeque_py.store.database import Tx
from barbeque_py.store.tables.definitions import schedules

LOOK_AGAIN = timedelta(seconds=1)
"""After what time it is looked again whether the run before has ended."""


@dataclass(frozen=True, slots=True)
class Scheduled:
    """A schedule, and how far it has come."""

    id: int
    schedule: Schedule
    suspended_at: datetime | None
    suspended_until: datetime | None
    """When it goes on by itself; None is when it is resumed."""
    suspend_reason: str | None
    until: datetime
    """Every time up to this one is decided about."""
    waiting: datetime | None
    """The time whose run waits for the end of the one before."""
    firing: tuple[datetime, ...]
    """The times whose runs are decided and, as far as is known, not sent."""
    last_message_id: str | None
    """The newest run."""
    last_at: datetime | None
    """The time for which it ran."""
    last_fired_at: datetime | None
    """When that was decided."""
    changed_at: datetime


def put(tx: Tx, schedule: Schedule) -> None:
    """Make the schedule, or change it; other times begin now, and suspended stays suspended."""
    values: dict[str, Any] = {"spec": _spec(schedule), "changed_at": tx.now}
    found = get(tx, schedule.app, schedule.job, schedule.name, lock=True)
    if found is None:
        values |= {"app": schedule.app, "job": schedule.job, "name": schedule.name}
        values |= {"until": tx.now, "act_at": _next(schedule, tx.now)}
        tx.execute(insert(schedules).values(values))
        return
    if (schedule.cron, schedule.timezone) != (found.schedule.cron, found.schedule.timezone):
        values |= {"until": tx.now, "act_at": _act_at(found, schedule, tx.now)}
    if schedule.overlap is not Overlap.WAIT:
        values["waiting"] = None
    tx.execute(update(schedules).where(_is(found)).values(values))


def remove(tx: Tx, schedule: Schedule) -> None:
    """Forget the schedule; what it has started stays."""
    tx.execute(delete(schedules).where(_named(schedule.app, schedule.job, schedule.name)))


def get(tx: Tx, app: str, job: str, name: str, *, lock: bool = False) -> Scheduled | None:
    """Return the schedule of this name."""
    query = select(schedules).where(_named(app, job, name))
    row = tx.execute(query.with_for_update() if lock else query).one_or_none()
    return None if row is None else _row(row)


def everything(tx: Tx, app: str | None = None) -> list[Scheduled]:
    """Return all schedules, or the app's, by app, job and name."""
    query = select(schedules).order_by(schedules.c.app, schedules.c.job, schedules.c.name)
    if app is not None:
        query = query.where(schedules.c.app == app)
    return [_row(row) for row in tx.execute(query)]


def of_job(tx: Tx, app: str, job: str, *, lock: bool = False) -> list[Scheduled]:
    """Return the job's schedules, by name; locked, they stay as they are till the commit."""
    query = select(schedules).where(schedules.c.app == app, schedules.c.job == job)
    query = query.order_by(schedules.c.name)
    return [_row(row) for row in tx.execute(query.with_for_update() if lock else query)]


def suspend(tx: Tx, found: Scheduled, reason: str, until: datetime | None) -> None:
    """Let no time fire from now on; what is decided already is sent.

    A locked one that rests already rests since then; a new reason takes the place of the old one.
    """
    values = {
        "suspended_at": found.suspended_at or tx.now,
        "suspended_until": until,
        "suspend_reason": reason or found.suspend_reason,
        "waiting": None,
        "act_at": tx.now if found.firing else until,
    }
    tx.execute(update(schedules).where(_is(found)).values(values))


def resume(tx: Tx, found: Scheduled, since: datetime) -> None:
    """Let times of a locked one fire that come after `since`, if it rests."""
    values = {
        "suspended_at": None,
        "suspended_until": None,
        "suspend_reason": None,
        "until": since,
        "act_at": tx.now if found.firing else _next(found.schedule, since),
    }
    rests = schedules.c.suspended_at.is_not(None)
    tx.execute(update(schedules).where(_is(found), rests).values(values))


def next_act(tx: Tx) -> datetime | None:
    """Return when there is something to do for a schedule next; None is never."""
    found: datetime | None = tx.execute(select(func.min(schedules.c.act_at))).scalar_one()
    return found


def lock_due(tx: Tx, most: int) -> list[Scheduled]:
    """Lock the schedules for which there is something to do, the longest due first."""
    query = (
        select(schedules)
        .where(schedules.c.act_at <= tx.now)
        .order_by(schedules.c.act_at, schedules.c.id)
        .limit(most)
        .with_for_update()
    )
    return [_row(row) for row in tx.execute(query)]


def decided(
    tx: Tx, found: Scheduled, clockwork: Clockwork, fire: Sequence[datetime], newest: str | None
) -> None:
    """Record what was decided about a locked schedule: which times fire, under which id the last.

    They are sent after the commit, by whoever gets to it, until `sent` says so.
    """
    values: dict[str, Any] = {"until": clockwork.until, "waiting": clockwork.waiting}
    if fire:
        values |= {
            "firing": json.dumps([rfc3339(each) for each in fire]),
            "last_message_id": newest,
            "last_at": fire[-1],
            "last_fired_at": tx.now,
            "act_at": tx.now,
        }
    else:
        values["act_at"] = _next_act(found.schedule, clockwork, tx.now)
    tx.execute(update(schedules).where(_is(found)).values(values))


def sent(tx: Tx, numbers: Iterable[int]) -> None:
    """Record that the decided runs of these schedules are sent."""
    query = select(schedules).where(schedules.c.id.in_(sorted(numbers))).with_for_update()
    for found in [_row(row) for row in tx.execute(query)]:
        clockwork = Clockwork(found.until, found.waiting)
        act_at = _next_act(found.schedule, clockwork, tx.now)
        rests = found.suspended_at is not None
        values = {"firing": None, "act_at": found.suspended_until if rests else act_at}
        tx.execute(update(schedules).where(_is(found)).values(values))


def _next_act(schedule: Schedule, clockwork: Clockwork, now: datetime) -> datetime | None:
    coming = _next(schedule, clockwork.until)
    if clockwork.waiting is None:
        return coming
    again = now + LOOK_AGAIN
    return again if coming is None else min(coming, again)


def _act_at(found: Scheduled, schedule: Schedule, now: datetime) -> datetime | None:
    if found.firing:
        return now
    return found.suspended_until if found.suspended_at is not None else _next(schedule, now)


def _next(schedule: Schedule, after: datetime) -> datetime | None:
    return next(times_after(schedule, after), None)


def _named(app: str, job: str, name: str) -> ColumnElement[bool]:
    return and_(schedules.c.app == app, schedules.c.job == job, schedules.c.name == name)


def _is(found: Scheduled) -> ColumnElement[bool]:
    return schedules.c.id == found.id


def _spec(schedule: Schedule) -> str:
    spec = asdict(schedule)
    for name in ("app", "job", "name"):
        del spec[name]
    return json.dumps(spec)


def _row(row: Any) -> Scheduled:
    facts = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it
    spec = json.loads(facts.pop("spec"))
    spec["overlap"], spec["catch_up"] = Overlap(spec["overlap"]), CatchUp(spec["catch_up"])
    names = {name: facts.pop(name) for name in ("app", "job", "name")}
    firing = tuple(datetime.fromisoformat(each) for each in json.loads(facts["firing"] or "[]"))
    del facts["act_at"]
    return Scheduled(**facts | {"schedule": Schedule(**names, **spec), "firing": firing})

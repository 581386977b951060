"""Failures by what is the same about them: how often, whom they hit, and who looks after them."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, and_, delete, func, or_, select, update
from sqlalchemy.dialects import mysql, sqlite

from barbeque_py.ids import AttemptId
from barbeque_py.store.database import Tx
from barbeque_py.store.pages import Page
from barbeque_py.store.rollups import Span, start_of
from barbeque_py.store.tables.history import (
    failure_hours,
    failure_members,
    failure_users,
    failures,
    unsorted_failures,
)
from barbeque_py.store.tables.runs import attempts, executions

UNSEALED = timedelta(minutes=10)
"""How long the log of a failure is waited for."""
_AGAIN = timedelta(seconds=5)


class Standing(StrEnum):
    """What people have made of a group."""

    NEW = "new"
    ACKNOWLEDGED = "ack"
    """Somebody knows of it."""
    RESOLVED = "resolved"
    """Somebody says that it is over."""
    REGRESSED = "regressed"
    """It has come again since."""


@dataclass(frozen=True, slots=True)
class Unsorted:
    """A failed attempt that is in no group yet, and what tells its group."""

    attempt: AttemptId
    execution: int
    number: int
    message_id: str
    app: str
    job: str
    user_id: str | None
    finished_at: datetime
    reason: str | None
    exit_code: int | None
    detail: str | None
    log_lines: int | None
    log_error: str | None


@dataclass(frozen=True, slots=True)
class Failed:
    """A failed attempt and the group it belongs to."""

    found: Unsorted
    fingerprint: str
    line: str


@dataclass(frozen=True, slots=True)
class Group:
    """All failures of one job that are the same."""

    id: int
    app: str
    job: str
    fingerprint: str
    reason: str | None
    exit_code: int | None
    line: str
    """What the first of them said."""
    times: int
    """How many attempts failed so."""
    users: int
    """How many of the users that requests name were hit."""
    first_at: datetime
    last_at: datetime
    sample: AttemptId
    """The last attempt that failed so."""
    state: Standing
    owner: str | None
    changed_at: datetime


def leave_unsorted(tx: Tx, ids: Collection[AttemptId]) -> None:
    """Leave these failed attempts to be sorted, once their logs are sealed."""
    rows = [
        {"attempt": each, "look_at": tx.now, "give_up_at": tx.now + UNSEALED}
        for each in sorted(ids)
    ]
    _insert_new(tx, unsorted_failures, rows)


def unsorted_left(tx: Tx) -> bool:
    """Tell whether there is something to sort now."""
    due = select(unsorted_failures.c.attempt).where(unsorted_failures.c.look_at <= tx.now)
    return tx.execute(due.limit(1)).first() is not None


def put_off_unsealed(tx: Tx, most: int) -> list[Unsorted]:
    """Return up to `most` failures that can be sorted, and look later at those that can't yet.

    Those whose execution is gone are forgotten.
    """
    columns = unsorted_failures.c
    query = select(columns.attempt, columns.give_up_at).where(columns.look_at <= tx.now)
    due = {
        row.attempt: row.give_up_at
        for row in tx.execute(query.order_by(columns.look_at).limit(most))
    }
    known = {row.attempt: row for row in tx.execute(_FACTS.where(attempts.c.id.in_(list(due))))}
    gone = [each for each in due if each not in known]
    early = [
        each for each, row in known.items() if not row.sealed and row.called and due[each] > tx.now
    ]
    if gone:
        tx.execute(delete(unsorted_failures).where(columns.attempt.in_(gone)))
    if early:
        later = update(unsorted_failures).where(columns.attempt.in_(early))
        tx.execute(later.values(look_at=tx.now + _AGAIN))
    return [_unsorted(row) for each, row in known.items() if each not in early]


_FACTS = select(
    attempts.c.id.label("attempt"),
    attempts.c.execution,
    attempts.c.number,
    executions.c.message_id,
    executions.c.app,
    executions.c.job,
    executions.c.user_id,
    func.coalesce(attempts.c.finished_at, attempts.c.claimed_at).label("finished_at"),
    attempts.c.reason,
    attempts.c.exit_code,
    attempts.c.detail,
    attempts.c.log_lines,
    attempts.c.log_error,
    attempts.c.log_sealed_at.is_not(None).label("sealed"),
    attempts.c.first_called_at.is_not(None).label("called"),
).join(executions, executions.c.id == attempts.c.execution)


def _unsorted(row: Row[Any]) -> Unsorted:
    return Unsorted(**{name: getattr(row, name) for name in Unsorted.__slots__})


def sort(tx: Tx, failed: Sequence[Failed]) -> int:
    """Put these failures into their groups, each once; return how many were not yet.

    Only whoever has the duty may, in the transaction that has asked for it.
    """
    waiting = select(unsorted_failures.c.attempt).where(
        unsorted_failures.c.attempt.in_([each.found.attempt for each in failed])
    )
    left = {row.attempt for row in tx.execute(waiting.with_for_update())} if failed else set()
    new = sorted(
        (each for each in failed if each.found.attempt in left),
        key=lambda each: each.found.finished_at,
    )
    for fingerprint in dict.fromkeys(
        (each.found.app, each.found.job, each.fingerprint) for each in new
    ):
        same = [
            each
            for each in new
            if (each.found.app, each.found.job, each.fingerprint) == fingerprint
        ]
        _count(tx, _group_of(tx, same[0]), same)
    if new:
        done = [each.found.attempt for each in new]
        tx.execute(delete(unsorted_failures).where(unsorted_failures.c.attempt.in_(done)))
    return len(new)


def _group_of(tx: Tx, failed: Failed) -> int:
    found = failed.found
    _insert_new(
        tx,
        failures,
        [
            {
                "app": found.app,
                "job": found.job,
                "fingerprint": failed.fingerprint,
                "reason": found.reason,
                "exit_code": found.exit_code,
                "line": failed.line,
                "times": 0,
                "users": 0,
                "first_at": found.finished_at,
                "last_at": found.finished_at,
                "sample": found.attempt,
                "state": Standing.NEW,
                "changed_at": tx.now,
            }
        ],
    )
    own = select(failures.c.id).where(
        failures.c.app == found.app,
        failures.c.job == found.job,
        failures.c.fingerprint == failed.fingerprint,
    )
    return int(tx.execute(own).scalar_one())


def _count(tx: Tx, group: int, same: Sequence[Failed]) -> None:
    last = same[-1].found
    members = sorted({each.found.execution for each in same})
    users = sorted({each.found.user_id for each in same if each.found.user_id is not None})
    _insert_new(tx, failure_members, [{"failure": group, "execution": each} for each in members])
    known = select(failure_users.c.user_id).where(
        failure_users.c.failure == group, failure_users.c.user_id.in_(users)
    )
    before = {row.user_id for row in tx.execute(known)} if users else set()
    _insert_new(tx, failure_users, [{"failure": group, "user_id": each} for each in users])
    hours = Counter(start_of(Span.HOUR, each.found.finished_at) for each in same)
    for at, times in sorted(hours.items()):
        _count_hour(tx, group, at, times)
    again = and_(failures.c.state == Standing.RESOLVED, failures.c.changed_at < last.finished_at)
    of_group = update(failures).where(failures.c.id == group)
    tx.execute(of_group.where(again).values(state=Standing.REGRESSED, changed_at=tx.now))
    tx.execute(
        of_group.values(
            times=failures.c.times + len(same),
            users=failures.c.users + len(set(users) - before),
        )
    )
    newest = of_group.where(failures.c.last_at <= last.finished_at)
    tx.execute(newest.values(last_at=last.finished_at, sample=last.attempt))
    first = same[0].found.finished_at
    tx.execute(of_group.where(failures.c.first_at > first).values(first_at=first))


def _count_hour(tx: Tx, group: int, at: datetime, times: int) -> None:
    hour = and_(failure_hours.c.failure == group, failure_hours.c.at == at)
    counted = update(failure_hours).where(hour).values(times=failure_hours.c.times + times)
    if tx.execute(counted).rowcount == 0:
        _insert_new(tx, failure_hours, [{"failure": group, "at": at, "times": times}])


def _insert_new(tx: Tx, table: Any, rows: Sequence[dict[str, Any]]) -> None:
    """Insert the rows whose key is not there yet."""
    if not rows:
        return
    if tx.sqlite:
        tx.execute(sqlite.insert(table).on_conflict_do_nothing(), list(rows))
    else:
        same = {name: table.c[name] for name in list(rows[0])[:1]}
        tx.execute(mysql.insert(table).on_duplicate_key_update(same), list(rows))


def newest(
    tx: Tx,
    *,
    app: str | None = None,
    job: str | None = None,
    state: Standing | None = None,
    before: tuple[datetime, int] | None = None,
    most: int = 50,
) -> Page[Group]:
    """Return groups, those that came last first, from behind that time and number on."""
    query: Select[Any] = select(failures)
    if app is not None:
        query = query.where(failures.c.app == app)
    if job is not None:
        query = query.where(failures.c.job == job)
    if state is not None:
        query = query.where(failures.c.state == state)
    if before is not None:
        query = query.where(_behind(*before))
    query = query.order_by(failures.c.last_at.desc(), failures.c.id.desc()).limit(most + 1)
    found = [_read(row) for row in tx.execute(query)]
    return Page(found[:most], found[most - 1].id if len(found) > most else None)


def _behind(at: datetime, number: int) -> ColumnElement[bool]:
    return and_(failures.c.last_at <= at, or_(failures.c.last_at < at, failures.c.id < number))


def get(tx: Tx, number: int, *, lock: bool = False) -> Group | None:
    """Return the group with this number."""
    query = select(failures).where(failures.c.id == number)
    row = tx.execute(query.with_for_update() if lock else query).one_or_none()
    return None if row is None else _read(row)


def of_execution(tx: Tx, execution: int) -> list[Group]:
    """Return the groups that attempts of this execution are in, those that came last first."""
    query = (
        select(failures)
        .join(failure_members, failure_members.c.failure == failures.c.id)
        .where(failure_members.c.execution == execution)
    )
    return sorted(map(_read, tx.execute(query)), key=lambda each: each.last_at, reverse=True)


def hours_of(tx: Tx, groups: Collection[int], since: datetime) -> dict[int, dict[datetime, int]]:
    """Return how often each of these groups came in each hour since then."""
    found: dict[int, dict[datetime, int]] = {each: {} for each in groups}
    query = select(failure_hours).where(
        failure_hours.c.failure.in_(list(groups)), failure_hours.c.at >= since
    )
    for row in tx.execute(query) if groups else ():
        found[row.failure][row.at] = row.times
    return found


def judge(tx: Tx, number: int, state: Standing, owner: str | None) -> None:
    """Record what a person makes of the group, and whose it is."""
    changed = update(failures).where(failures.c.id == number)
    tx.execute(changed.values(state=state, owner=owner, changed_at=tx.now))


def forget_members(tx: Tx, numbers: Iterable[int]) -> None:
    """Forget that these executions were in any group."""
    tx.execute(delete(failure_members).where(failure_members.c.execution.in_(list(numbers))))


def forget(tx: Tx, before: datetime, most: int) -> int:
    """Delete up to `most` groups that came last before that, with all that is theirs."""
    query = select(failures.c.id).where(failures.c.last_at < before).limit(most)
    old = [row.id for row in tx.execute(query)]
    if old:
        for table in (failure_members, failure_users, failure_hours):
            tx.execute(delete(table).where(table.c.failure.in_(old)))
        tx.execute(delete(failures).where(failures.c.id.in_(old)))
    return len(old)


def _read(row: Row[Any]) -> Group:
    facts = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it
    return Group(**facts | {"state": Standing(facts["state"])})

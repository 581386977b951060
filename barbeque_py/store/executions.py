"""Executions as rows: each change is one guarded statement that only the rightful mover wins."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, and_, bindparam, func, insert, select, update

from barbeque_py.executions import MOVES, Stage, State
from barbeque_py.store.bulk import insert_each
from barbeque_py.store.database import Tx
from barbeque_py.store.prepared import Prepared
from barbeque_py.store.tables.columns import Instant
from barbeque_py.store.tables.runs import executions, retries

Columns = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Execution:
    """One requested run, as its row says it."""

    id: int
    message_id: str
    app: str
    job: str
    queue: str
    message: str | None
    message_key: str | None
    options: Mapping[str, Any]
    priority_rank: int
    state: State
    stage: Stage
    due_at: datetime
    held_by: str | None
    round: int
    counted: int
    counted_before: int
    uncounted: int
    attempts: int
    image_from: int
    """The first attempt that has a say in which image the others run."""
    could_not_start: bool
    reason: str | None
    cancel_requested_at: datetime | None
    tombstone: bool
    note: str | None
    sent_at: datetime
    recorded_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    user_id: str | None


def read(row: Row[Any]) -> Execution:
    """Return the row as an execution."""
    facts = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it
    facts["options"] = json.loads(facts["options"])
    facts["state"] = State(facts["state"])
    facts["stage"] = Stage(facts["stage"])
    return Execution(**facts)


def new_row(  # noqa: PLR0913 - a row has what a row has
    *,
    message_id: str,
    app: str,
    job: str,
    queue: str,
    message: str | None,
    message_key: str | None,
    options: Mapping[str, Any],
    priority: int,
    due_at: datetime,
    sent_at: datetime,
    recorded_at: datetime,
) -> dict[str, Any]:
    """Return the row of an execution that nobody has worked on yet, to be inserted."""
    return {
        "message_id": message_id,
        "app": app,
        "job": job,
        "queue": queue,
        "message": message,
        "message_key": message_key,
        "options": json.dumps(options),
        "priority_rank": -priority,
        "state": State.QUEUED,
        "stage": Stage.SCHEDULED if due_at > recorded_at else Stage.READY,
        "due_at": due_at,
        "held_by": None,
        "round": 1,
        "counted": 0,
        "counted_before": 0,
        "uncounted": 0,
        "attempts": 0,
        "could_not_start": False,
        "reason": None,
        "cancel_requested_at": None,
        "tombstone": False,
        "note": None,
        "sent_at": sent_at,
        "recorded_at": recorded_at,
        "started_at": None,
        "finished_at": None,
        "user_id": options.get("user_id"),
    }


def add_missing(tx: Tx, rows: Sequence[dict[str, Any]]) -> None:
    """Insert the rows whose message id is new and leave the others as they are.

    The rows are sorted by message id, so that two workers with the same batch wait for each other
    instead of meeting in a deadlock. Any error but the duplicate id is raised.
    """
    ordered = sorted(rows, key=lambda row: str(row["message_id"]))
    insert_each(tx, executions, ordered, once_per="message_id")


def by_message_id(tx: Tx, message_id: str, *, lock: bool = False) -> Execution | None:
    """Return the execution with this public id, or that of which it is a retry's id."""
    found = _one(tx, _LOCK_BY_MESSAGE_ID if lock else _BY_MESSAGE_ID, message_id)
    if found is not None:
        return found
    retried = select(retries.c.execution).where(retries.c.message_id == message_id)
    number = tx.execute(retried).scalar_one_or_none()
    return None if number is None else by_id(tx, number, lock=lock)


def by_id(tx: Tx, number: int, *, lock: bool = False) -> Execution | None:
    """Return the execution with this row id."""
    return _one(tx, _LOCK_BY_ID if lock else _BY_ID, number)


def _one(tx: Tx, query: Select[Any], key: object) -> Execution | None:
    row = tx.execute(query, {"key": key}).one_or_none()
    return None if row is None else read(row)


# Made once: SQLAlchemy takes longer to build and to recognise a statement than to run it.
_BY_ID = select(executions).where(executions.c.id == bindparam("key"))
_LOCK_BY_ID = _BY_ID.with_for_update()
_BY_MESSAGE_ID = select(executions).where(executions.c.message_id == bindparam("key"))
_LOCK_BY_MESSAGE_ID = _BY_MESSAGE_ID.with_for_update()


def many_by_message_id(tx: Tx, message_ids: Iterable[str]) -> dict[str, Execution]:
    """Return those of the executions that exist, by their public id."""
    query = select(executions).where(executions.c.message_id.in_(list(message_ids)))
    return {row.message_id: read(row) for row in tx.execute(query)}


def move(tx: Tx, number: int, to: State, *, set_: Columns) -> bool:
    """Move the execution if its state allows; say whether this call moved it."""
    origins = [state for state, nexts in MOVES.items() if to in nexts]
    return _move(tx, number, origins, {"state": to, **set_})


def move_from(tx: Tx, number: int, origins: Iterable[State], to: State, *, set_: Columns) -> bool:
    """Move the execution if it stands in one of `origins` and the machine allows the move."""
    allowed = [state for state in origins if to in MOVES[state]]
    return _move(tx, number, allowed, {"state": to, **set_})


def _move(tx: Tx, number: int, origins: list[State], values: Columns) -> bool:
    moved = tx.execute(_MOVE, {"number": number, "origins": origins, **values})
    return moved.rowcount == 1


_MOVE = update(executions).where(
    executions.c.id == bindparam("number"),
    executions.c.state.in_(bindparam("origins", expanding=True)),
)


def activate(tx: Tx, numbers: Iterable[int], *, new_attempts: int) -> int:
    """Move locked ready executions to running, each with so many attempts more; return how many."""
    ids = list(numbers)
    if not ids:
        return 0
    return tx.change(_ACTIVATE, ids=ids, more=new_attempts, now=tx.now)


_ACTIVATE = Prepared(
    update(executions)
    .where(
        executions.c.id.in_(bindparam("ids", expanding=True)),
        executions.c.state.in_([State.QUEUED, State.RETRYING]),
    )
    .values(
        state=State.RUNNING,
        stage=Stage.ACTIVE,
        attempts=executions.c.attempts + bindparam("more"),
        started_at=func.coalesce(executions.c.started_at, bindparam("now", type_=Instant())),
    )
)


def fill_tombstone(tx: Tx, message_id: str, row: Columns) -> bool:
    """Give a tombstone the content of the message it was waiting for."""
    filled = tx.execute(
        update(executions)
        .where(executions.c.message_id == message_id, executions.c.tombstone.is_(True))
        .values({**row, "tombstone": False})
    )
    return filled.rowcount == 1


def note(tx: Tx, number: int, text: str) -> None:
    """Leave a sentence on the execution for people to read."""
    tx.execute(update(executions).where(executions.c.id == number).values(note=text))


def request_cancel(tx: Tx, number: int) -> bool:
    """Ask for a running execution's end, once; it keeps its state until its fate is known."""
    asked = tx.execute(
        update(executions)
        .where(
            executions.c.id == number,
            executions.c.state == State.RUNNING,
            executions.c.cancel_requested_at.is_(None),
        )
        .values(cancel_requested_at=tx.now)
    )
    return asked.rowcount == 1


def hold(tx: Tx, number: int, scope: str) -> None:
    """Set a ready execution aside until the limit has room; the limit's row must be locked."""
    tx.execute(
        update(executions)
        .where(executions.c.id == number, executions.c.stage == Stage.READY)
        .values(stage=Stage.HELD, held_by=scope)
    )


def wake_held(tx: Tx, scope: str, count: int) -> int:
    """Make the first `count` executions held by the limit ready again; return how many."""
    if count <= 0:
        return 0
    query = (
        select(executions.c.id)
        .where(executions.c.held_by == scope)
        .order_by(executions.c.priority_rank, executions.c.id)
        .limit(count)
        .with_for_update()
    )
    numbers = [row.id for row in tx.execute(query)]
    if not numbers:
        return 0
    woken = tx.execute(
        update(executions)
        .where(executions.c.id.in_(numbers), executions.c.held_by == scope)
        .values(stage=Stage.READY, held_by=None)
    )
    return woken.rowcount


def scopes_that_hold(tx: Tx) -> list[str]:
    """Return the limits that hold executions back."""
    query = select(executions.c.held_by).where(executions.c.held_by.is_not(None)).distinct()
    return [row.held_by for row in tx.execute(query)]


def those_that_hold(tx: Tx, scopes: Iterable[str]) -> list[str]:
    """Return which of these limits hold executions back."""
    return [scope for (scope,) in tx.rows(_THOSE_THAT_HOLD, scopes=sorted(set(scopes)))]


_THOSE_THAT_HOLD = Prepared(
    select(executions.c.held_by)
    .where(executions.c.held_by.in_(bindparam("scopes", expanding=True)))
    .distinct()
)


def ripen(tx: Tx, count: int) -> int:
    """Make up to `count` scheduled executions whose time has come ready; return how many."""
    due = and_(executions.c.stage == Stage.SCHEDULED, executions.c.due_at <= tx.now)
    query = (
        select(executions.c.id)
        .where(due)
        .order_by(executions.c.due_at)
        .limit(count)
        .with_for_update(skip_locked=True)
    )
    numbers = [row.id for row in tx.execute(query)]
    if not numbers:
        return 0
    ripened = tx.execute(
        update(executions).where(executions.c.id.in_(numbers), due).values(stage=Stage.READY)
    )
    return ripened.rowcount


def next_due(tx: Tx) -> datetime | None:
    """Return when the next scheduled execution is due."""
    found = tx.rows(_NEXT_DUE)
    return found[0][0] if found else None


_NEXT_DUE = Prepared(
    select(executions.c.due_at)
    .where(executions.c.stage == Stage.SCHEDULED)
    .order_by(executions.c.due_at)
    .limit(1)
)


def is_retry_id(tx: Tx, message_id: str) -> bool:
    """Tell whether a retry by API has this id."""
    known = select(retries.c.execution).where(retries.c.message_id == message_id)
    return tx.execute(known).one_or_none() is not None


def add_retry_id(tx: Tx, message_id: str, number: int) -> None:
    """Remember that a retry by API has this id."""
    tx.execute(insert(retries).values(message_id=message_id, execution=number))

"""Attempts as rows: claimed, seen running, waiting for capacity, and what their logs hold."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import Row, bindparam, case, select, update

from barbeque_py.executions import AttemptState
from barbeque_py.ids import AttemptId
from barbeque_py.images import is_pinned
from barbeque_py.outcomes import Reason
from barbeque_py.store.bulk import insert_each
from barbeque_py.store.database import Tx
from barbeque_py.store.tables.columns import Instant
from barbeque_py.store.tables.runs import attempts

LIVE = (AttemptState.STARTING, AttemptState.RUNNING)

NOBODY = ""
"""The owner of a running attempt that no worker attends to: every worker may act on it."""

NEVER = datetime(9999, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One launched try at an execution, as its row says it."""

    id: AttemptId
    execution: int
    number: int
    round: int
    state: AttemptState
    place: str
    owner: str
    epoch: int
    lease_until: datetime
    request: str | None
    scopes: tuple[str, ...]
    image: str
    revision: int | None
    """The row of the app's revision that it runs; None before there were any."""
    handle: str | None
    launch_number: int
    first_called_at: datetime | None
    log_at: str | None
    version: int | None
    checked_at: datetime | None
    claimed_at: datetime
    started_at: datetime | None
    deadline_at: datetime | None
    act_at: datetime | None
    cancel_requested_at: datetime | None
    stop_reason: str | None
    stop_requested_at: datetime | None
    finished_at: datetime | None
    reason: str | None
    exit_code: int | None
    detail: str | None
    counted: bool | None
    log_sealed_at: datetime | None
    log_lines: int | None
    log_bytes: int | None
    log_error_lines: int | None
    log_truncated: bool | None
    log_error: str | None
    """The first line of its log that tells of an error."""
    cpu: int | None
    memory: int | None
    command: tuple[str, ...] | None
    """What it ran in the container; None where that was not kept yet."""


def read(row: Row[Any]) -> Attempt:
    """Return the row as an attempt."""
    facts = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it
    facts["scopes"] = read_scopes(facts["scopes"])
    facts["state"] = AttemptState(facts["state"])
    if facts["command"] is not None:
        facts["command"] = tuple(json.loads(facts["command"]))
    return Attempt(**facts)


def new_row(**facts: Any) -> dict[str, Any]:
    """Return the row of an attempt that was just claimed, to be inserted."""
    return {"launch_number": 1, **facts, "scopes": write_scopes(tuple(facts["scopes"]))}


@lru_cache(maxsize=1024)
def write_scopes(scopes: tuple[str, ...]) -> str:
    """Return the scopes as a row has them; those of a job's attempts are nearly always the same."""
    return json.dumps(scopes)


@lru_cache(maxsize=1024)
def read_scopes(text: str) -> tuple[str, ...]:
    """Read what `write_scopes` wrote."""
    return tuple(json.loads(text))


def add(tx: Tx, rows: Sequence[dict[str, Any]]) -> None:
    """Record newly claimed attempts, of which the same facts are known."""
    insert_each(tx, attempts, rows)


def get(tx: Tx, attempt: AttemptId) -> Attempt | None:
    """Return the attempt with this id."""
    row = tx.execute(_BY_ID, {"key": attempt}).one_or_none()
    return None if row is None else read(row)


_BY_ID = select(attempts).where(attempts.c.id == bindparam("key"))  # made once: building is slow


def known(tx: Tx, ids: Sequence[AttemptId]) -> dict[AttemptId, Attempt]:
    """Return those of the attempts that have a row."""
    found = tx.execute(_KNOWN, {"ids": list(ids)})
    return {AttemptId(row.id): read(row) for row in found}


_KNOWN = select(attempts).where(attempts.c.id.in_(bindparam("ids", expanding=True)))


def of_execution(tx: Tx, execution: int) -> list[Attempt]:
    """Return the execution's attempts, the first one first."""
    query = select(attempts).where(attempts.c.execution == execution).order_by(attempts.c.number)
    return [read(row) for row in tx.execute(query)]


def images_of(tx: Tx, since: Mapping[int, int]) -> dict[int, tuple[str, int | None]]:
    """Return the image, and the revision, that each execution's further attempts run.

    That is the first one which an attempt was launched on and which can't change its meaning.
    `since` are the executions, each with the first attempt that has a say in it.
    """
    found: dict[int, tuple[str, int | None]] = {}
    for row in tx.execute(_IMAGES_OF, {"numbers": list(since)}) if since else ():
        says = row.number >= since[row.execution] and row.reason != Reason.NEVER_STARTED
        if says and is_pinned(row.image):
            found.setdefault(row.execution, (row.image, row.revision))
    return found


_IMAGES_OF = (
    select(
        attempts.c.execution,
        attempts.c.number,
        attempts.c.image,
        attempts.c.revision,
        attempts.c.reason,
    )
    .where(attempts.c.execution.in_(bindparam("numbers", expanding=True)))
    .order_by(attempts.c.execution, attempts.c.number)
)


def live_at(tx: Tx, places: Sequence[str]) -> list[Attempt]:
    """Return the attempts at these places that have not ended."""
    query = select(attempts).where(attempts.c.place.in_(list(places)), attempts.c.state.in_(LIVE))
    return [read(row) for row in tx.execute(query)]


def mark_running(  # noqa: PLR0913 - what is known of a start
    tx: Tx,
    attempt: AttemptId,
    *,
    handle: str,
    started_at: datetime | None,
    deadline_at: datetime,
    version: int | None = None,
    attended: bool = True,
) -> bool:
    """Record that the attempt was seen running; False when it was known or is over.

    One that nobody attends to has no owner and no lease from here on.
    """
    values = {
        "state": AttemptState.RUNNING,
        "handle": handle[:200],
        "started_at": started_at,
        "deadline_at": deadline_at,
        "deadline": deadline_at,
        "version": version,
        "checked_at": None if attended else tx.now,
        "now": tx.now,
    }
    if not attended:
        values |= {"owner": NOBODY, "lease_until": NEVER}
    return tx.execute(_MARK_RUNNING, {"key": attempt, **values}).rowcount == 1


_CHANGE = update(attempts).where(attempts.c.id == bindparam("key"))
_CHANGE_STARTING = _CHANGE.where(attempts.c.state == AttemptState.STARTING)
_ACT_AT = case(
    (attempts.c.cancel_requested_at.is_not(None), bindparam("now", type_=Instant())),
    else_=bindparam("deadline", type_=Instant()),
)
_MARK_RUNNING = _CHANGE_STARTING.values(act_at=_ACT_AT)


def set_waiting(tx: Tx, attempt: AttemptId, owner: str, detail: str) -> bool:
    """Give the attempt's claim back after a definite "not now"; its next launch has a new number.

    False when it is not the owner's to start any more.
    """
    waiting = tx.execute(
        update(attempts)
        .where(
            attempts.c.id == attempt,
            attempts.c.state == AttemptState.STARTING,
            attempts.c.owner == owner,
        )
        .values(
            state=AttemptState.WAITING,
            launch_number=attempts.c.launch_number + 1,
            first_called_at=None,
            detail=detail[:4000],
        )
    )
    return waiting.rowcount == 1


def waiting_among(tx: Tx, ids: Sequence[AttemptId]) -> dict[AttemptId, Attempt]:
    """Return those of the attempts that wait for capacity."""
    if not ids:
        return {}
    query = select(attempts).where(
        attempts.c.id.in_(list(ids)), attempts.c.state == AttemptState.WAITING
    )
    return {AttemptId(row.id): read(row) for row in tx.execute(query)}


def take_up(tx: Tx, attempt: AttemptId, values: Mapping[str, Any]) -> bool:
    """Claim an attempt that waited for capacity."""
    taken = tx.execute(
        update(attempts)
        .where(attempts.c.id == attempt, attempts.c.state == AttemptState.WAITING)
        .values(
            {
                **values,
                "state": AttemptState.STARTING,
                "epoch": attempts.c.epoch + 1,
                "detail": None,
            }
        )
    )
    return taken.rowcount == 1


def record_seal(tx: Tx, attempt: AttemptId, facts: Mapping[str, Any]) -> None:
    """Record that the attempt's log is sealed, and what it holds."""
    tx.execute(_CHANGE, {"key": attempt, "log_sealed_at": tx.now, **facts})


def live_scopes(tx: Tx) -> list[tuple[str, ...]]:
    """Return the scopes of every live attempt, for the recount."""
    query = select(attempts.c.scopes).where(attempts.c.state.in_(LIVE))
    return [read_scopes(row.scopes) for row in tx.execute(query)]

"""Many attempts at once: what must be known of them, and what is recorded of all in one go.

Each reads and writes only what its caller needs: columns cost more than rows.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, or_, select

from barbeque_py.executions import MOVES, AttemptState, State
from barbeque_py.ids import AttemptId
from barbeque_py.store.attempts import LIVE, NEVER, NOBODY, mark_running, read_scopes
from barbeque_py.store.bulk import change_each
from barbeque_py.store.database import Tx
from barbeque_py.store.prepared import Prepared
from barbeque_py.store.tables.columns import Instant
from barbeque_py.store.tables.runs import attempts, executions

Columns = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Recorded:
    """What must be known of an execution when its message comes again."""

    id: int
    message_id: str
    app: str
    job: str
    message: str | None
    message_key: str | None
    tombstone: bool
    note: str | None


def recorded(tx: Tx, message_ids: Iterable[str]) -> dict[str, Recorded]:
    """Return what is recorded under these public ids."""
    return _recorded(tx.rows(_RECORDED, keys=list(message_ids)))


def recorded_before(tx: Tx, message_ids: Iterable[str]) -> dict[str, Recorded]:
    """Return what of these public ids was not recorded by this transaction itself.

    What is recorded carries its transaction's instant. Another that has the same one by chance is
    missed, unless it left a tombstone.
    """
    return _recorded(tx.rows(_RECORDED_BEFORE, keys=list(message_ids), now=tx.now))


def _recorded(rows: Iterable[Any]) -> dict[str, Recorded]:
    found = [Recorded(*row) for row in rows]
    return {each.message_id: each for each in found}


_RECORDINGS = select(*[executions.c[name] for name in Recorded.__slots__]).where(
    executions.c.message_id.in_(bindparam("keys", expanding=True))
)
_RECORDED = Prepared(_RECORDINGS)
_RECORDED_BEFORE = Prepared(
    _RECORDINGS.where(
        or_(executions.c.recorded_at != bindparam("now"), executions.c.tombstone.is_(True))
    )
)


@dataclass(frozen=True, slots=True)
class Course:
    """What must be known of a running execution to decide what follows its attempt."""

    id: int
    message_id: str
    app: str
    job: str
    state: str
    round: int
    counted: int
    counted_before: int
    uncounted: int
    due_at: datetime
    cancel_requested_at: datetime | None
    options: str

    @property
    def names_people(self) -> bool:
        """Whether the request may name whom to tell: cheaper than reading its options."""
        return '"user_id"' in self.options or '"notify"' in self.options


def lock_courses(tx: Tx, message_ids: Iterable[str]) -> dict[int, Course]:
    """Lock the executions with these public ids, and return how far each has come."""
    found = [Course(*row) for row in tx.rows(_LOCK_COURSES, keys=sorted(set(message_ids)))]
    return {each.id: each for each in found}


_LOCK_COURSES = Prepared(
    select(*[executions.c[name] for name in Course.__slots__])
    .where(executions.c.message_id.in_(bindparam("keys", expanding=True)))
    .order_by(executions.c.message_id)
    .with_for_update()
)


@dataclass(frozen=True, slots=True)
class Ending:
    """What must be known of a live attempt to settle it."""

    id: AttemptId
    execution: int
    place: str
    owner: str
    scopes: tuple[str, ...]
    handle: str | None
    started_at: datetime | None
    stop_reason: str | None
    stop_requested_at: datetime | None


def lock_live(tx: Tx, ids: Iterable[AttemptId]) -> dict[AttemptId, Ending]:
    """Lock those of the attempts that have not ended, and return what their end must know."""
    found = [_ending(*row) for row in tx.rows(_LOCK_LIVE, ids=sorted(ids))]
    return {each.id: each for each in found}


def _ending(key: str, execution: int, place: str, owner: str, scopes: str, *rest: Any) -> Ending:
    return Ending(AttemptId(key), execution, place, owner, read_scopes(scopes), *rest)


_LOCK_LIVE = Prepared(
    select(*[attempts.c[name] for name in Ending.__slots__])
    .where(attempts.c.id.in_(bindparam("ids", expanding=True)), attempts.c.state.in_(LIVE))
    .order_by(attempts.c.id)
    .with_for_update()
)


@dataclass(frozen=True, slots=True)
class Origin:
    """Which execution an attempt is a try at."""

    id: AttemptId
    number: int
    message_id: str
    app: str
    job: str


def origins(tx: Tx, ids: Sequence[AttemptId]) -> dict[AttemptId, Origin]:
    """Return whose tries those of the attempts are that have a row."""
    found = [Origin(*row) for row in tx.rows(_ORIGINS, ids=list(ids))]
    return {each.id: each for each in found}


_ORIGINS = Prepared(
    select(
        attempts.c.id,
        attempts.c.number,
        executions.c.message_id,
        executions.c.app,
        executions.c.job,
    ).where(
        attempts.c.id.in_(bindparam("ids", expanding=True)),
        executions.c.id == attempts.c.execution,
    )
)


def running_longer(
    tx: Tx, spans: Mapping[tuple[str, str], timedelta], most: int = 500
) -> list[AttemptId]:
    """Return running attempts of these jobs, by (app, name), that run for longer than their span.

    The longest first, and at most `most` of them.
    """
    if not spans:
        return []
    asked = {
        "before": tx.now - min(spans.values()),
        "owners": sorted({app for app, _ in spans}),
        "keys": sorted({job for _, job in spans}),
        "most": most,
    }
    return [
        AttemptId(row.id)
        for row in tx.execute(_RUNNING_LONGER, asked)
        if (span := spans.get((row.app, row.job))) and row.started_at < tx.now - span
    ]


_RUNNING_LONGER = (
    select(attempts.c.id, attempts.c.started_at, executions.c.app, executions.c.job)
    .where(
        attempts.c.state == AttemptState.RUNNING,
        attempts.c.started_at < bindparam("before", type_=Instant()),
        executions.c.id == attempts.c.execution,
        executions.c.app.in_(bindparam("owners", expanding=True)),
        executions.c.job.in_(bindparam("keys", expanding=True)),
    )
    .order_by(attempts.c.started_at)
    .limit(bindparam("most"))
)


@dataclass(frozen=True, slots=True)
class Poised:
    """What must be known of a claimed attempt, and of its execution, to start it."""

    id: AttemptId
    state: str
    owner: str
    first_called_at: datetime | None
    cancel_requested_at: datetime | None
    message: str | None
    message_key: str | None


def poised(tx: Tx, ids: Sequence[AttemptId]) -> dict[AttemptId, Poised]:
    """Return what must be known to start those of the attempts that have a row."""
    found = [Poised(*row) for row in tx.rows(_POISED, ids=list(ids))]
    return {each.id: each for each in found}


_POISED = Prepared(
    select(
        attempts.c.id,
        attempts.c.state,
        attempts.c.owner,
        attempts.c.first_called_at,
        executions.c.cancel_requested_at,
        executions.c.message,
        executions.c.message_key,
    ).where(
        attempts.c.id.in_(bindparam("ids", expanding=True)),
        executions.c.id == attempts.c.execution,
    )
)


def not_as_claimed(tx: Tx, ids: Sequence[AttemptId], owner: str) -> set[AttemptId]:
    """Return those of the attempts that the owner may not simply start: look at each by itself."""
    return {AttemptId(each) for (each,) in tx.rows(_NOT_AS_CLAIMED, ids=list(ids), owner=owner)}


_NOT_AS_CLAIMED = Prepared(
    select(attempts.c.id).where(
        attempts.c.id.in_(bindparam("ids", expanding=True)),
        executions.c.id == attempts.c.execution,
        or_(
            attempts.c.state != AttemptState.STARTING,
            attempts.c.owner != bindparam("owner"),
            executions.c.cancel_requested_at.is_not(None),
        ),
    )
)


@dataclass(frozen=True, slots=True)
class Start:
    """What was seen of an attempt that was started, as `mark_running` is told it."""

    attempt: AttemptId
    handle: str
    started_at: datetime | None
    deadline_at: datetime
    version: int | None
    attended: bool


def mark_each_running(tx: Tx, starts: Sequence[Start]) -> list[bool]:
    """Record of each what `mark_running` records of one."""
    if len({each.attempt for each in starts}) < len(starts) or len(starts) == 1:
        return [
            mark_running(tx, **{name: getattr(each, name) for name in Start.__slots__})
            for each in starts
        ]
    asked = sorted(each.attempt for each in starts)
    found = dict(tx.rows(_LOCK_STARTING, ids=asked))
    new = [each for each in starts if each.attempt in found]
    for attended in (True, False):
        changes = {
            each.attempt: _as_running(tx, each, cancelled=found[each.attempt] is not None)
            for each in new
            if each.attended is attended
        }
        change_each(tx, attempts, changes)
    return [each.attempt in found for each in starts]


def _as_running(tx: Tx, start: Start, *, cancelled: bool) -> dict[str, Any]:
    values = {
        "state": AttemptState.RUNNING,
        "handle": start.handle[:200],
        "started_at": start.started_at,
        "deadline_at": start.deadline_at,
        "act_at": tx.now if cancelled else start.deadline_at,
        "version": start.version,
        "checked_at": None if start.attended else tx.now,
    }
    return values if start.attended else values | {"owner": NOBODY, "lease_until": NEVER}


_LOCK_STARTING = Prepared(
    select(attempts.c.id, attempts.c.cancel_requested_at)
    .where(
        attempts.c.id.in_(bindparam("ids", expanding=True)),
        attempts.c.state == AttemptState.STARTING,
    )
    .order_by(attempts.c.id)
    .with_for_update()
)


@dataclass(frozen=True, slots=True)
class Begun:
    """When the command of an attempt that nobody attends to began, and who says so."""

    attempt: AttemptId
    started_at: datetime
    deadline_at: datetime
    version: int


def note_starts(tx: Tx, begun: Sequence[Begun]) -> int:
    """Record when running attempts' commands began, unless something newer is known of them."""
    asked = sorted({each.attempt for each in begun})
    known = [_Known(*row) for row in tx.rows(_LOCK_RUNNING, ids=asked)] if asked else []
    found = {each.id: each for each in known}
    changes = {
        each.attempt: {
            "started_at": each.started_at,
            "deadline_at": each.deadline_at,
            "version": each.version,
            "act_at": _act_at(found[each.attempt], each.deadline_at),
        }
        for each in sorted(begun, key=lambda each: each.version)
        if each.attempt in found and (found[each.attempt].version or 0) < each.version
    }
    return change_each(tx, attempts, changes)


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of a running attempt when its command's start is told."""

    id: AttemptId
    version: int | None
    act_at: datetime
    cancel_requested_at: datetime | None
    stop_requested_at: datetime | None


def _act_at(known: _Known, deadline_at: datetime) -> datetime:
    asked = known.cancel_requested_at is not None or known.stop_requested_at is not None
    return known.act_at if asked else deadline_at


_LOCK_RUNNING = Prepared(
    select(*[attempts.c[name] for name in _Known.__slots__])
    .where(
        attempts.c.id.in_(bindparam("ids", expanding=True)),
        attempts.c.state == AttemptState.RUNNING,
    )
    .order_by(attempts.c.id)
    .with_for_update()
)


def move_each_running(tx: Tx, changes: Mapping[int, Columns]) -> None:
    """Move these executions, which are locked and run, each to a state of its own."""
    assert all(each["state"] in MOVES[State.RUNNING] for each in changes.values())
    change_each(tx, executions, changes)


def end_each(tx: Tx, ends: Mapping[AttemptId, Mapping[str, Any]]) -> None:
    """End these attempts, which are locked and live. Their launch requests are erased with it."""
    over = {"state": AttemptState.ENDED, "request": None}
    ended = change_each(tx, attempts, {each: {**over, **end} for each, end in ends.items()})
    assert ended == len(ends), "they are locked, so nobody else can have ended one"


def record_seals(tx: Tx, seals: Mapping[AttemptId, Mapping[str, Any]]) -> None:
    """Record that the attempts' logs are sealed, and what they hold."""
    sealed = {"log_sealed_at": tx.now}
    change_each(tx, attempts, {each: {**sealed, **facts} for each, facts in seals.items()})

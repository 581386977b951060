"""Which executions a list is asked for, and how that is said to the database."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, and_, exists, false, func, or_

from barbeque_py.comparisons import Comparison
from barbeque_py.executions import State
from barbeque_py.store import narrowing
from barbeque_py.store.tables.history import failure_members
from barbeque_py.store.tables.runs import executions, tags

SHORTEST_PREFIX = 8
"""Characters of an id: those of one minute begin alike."""

Clause = ColumnElement[bool]

COME = executions.c.tombstone.is_(False)
"""Its message has come: it is no tombstone."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which executions are asked for; None is any."""

    app: str | None = None
    job: str | None = None
    queue: str | None = None
    state: State | None = None
    among: tuple[State, ...] = ()
    """In one of these states; empty for any."""
    status: str | None = None
    """Barbeque's word: pending, running, retried, success, failed, error or cancelled."""
    user_id: str | None = None
    tags: tuple[tuple[str, str], ...] = ()
    """Names and values, all of which it has; only beside an app, as tags are an app's own."""
    since: datetime | None = None
    """Taken in at that instant or later."""
    until: datetime | None = None
    """Taken in before that instant."""
    prefix: str | None = None
    """How its id begins; at least `SHORTEST_PREFIX` characters."""
    failure: int | None = None
    """An attempt of it failed as this group of failures says."""
    exit_code: Comparison | None = None
    """The exit code of its last attempt, once that has one."""
    attempts: Comparison | None = None
    """How many attempts it has had."""
    duration: Comparison | None = None
    """Seconds that its last attempt ran, or has run so far."""
    text: str | None = None
    """Stands in its message, in our note on it or in how its last attempt ended."""


def meant(wanted: Filter) -> list[tuple[State, Clause | None]] | None:
    """Return the states that a status or a choice of states means, with what is tested beside."""
    if wanted.status is None:
        return [(state, None) for state in wanted.among] or None
    among = wanted.among or tuple(State)
    return [each for each in STATUSES[wanted.status] if each[0] in among]


def id_range(prefix: str) -> tuple[Clause, Clause]:
    """Say so as a range: SQLite's LIKE walks the whole table, for the sake of capital letters."""
    return executions.c.message_id >= prefix, executions.c.message_id < f"{prefix}g"


def all_of(wanted: Filter, now: datetime) -> list[Clause]:
    """Say all of it but the prefix, so that SQLite sees no index to walk along instead."""
    asked = _asked(wanted).items()
    found: list[Clause] = [
        func.coalesce(executions.c[name], None) == value for name, value in asked
    ]
    found += [*times(wanted), COME, *narrowing.tests(wanted, now)]
    found += [has_tag(wanted, tag) for tag in wanted.tags]
    if wanted.failure is not None:
        found.append(_is_member(wanted.failure))
    states = meant(wanted)
    if states is not None:
        found.append(or_(false(), *(_stands(state, test) for state, test in states)))
    return found


def fields(wanted: Filter) -> dict[str, Clause]:
    """Return by name what the columns that lead into an index must be."""
    return {name: executions.c[name] == value for name, value in _asked(wanted).items()}


def _asked(wanted: Filter) -> dict[str, str]:
    names = ("app", "job", "queue", "state", "user_id")
    asked = {name: getattr(wanted, name) for name in names}
    return {name: value for name, value in asked.items() if value is not None}


def times(wanted: Filter) -> list[Clause]:
    """Return when it must have been taken in."""
    at = executions.c.recorded_at
    found = [] if wanted.since is None else [at >= wanted.since]
    return found if wanted.until is None else [*found, at < wanted.until]


def has_tag(wanted: Filter, tag: tuple[str, str]) -> Clause:
    """Look the tag up for one execution."""
    own = tags.alias()
    return exists().where(
        own.c.app == wanted.app,
        own.c.name == tag[0],
        own.c.value == tag[1],
        own.c.execution == executions.c.id,
    )


def _is_member(failure: int) -> Clause:
    own = failure_members.alias()
    return exists().where(own.c.failure == failure, own.c.execution == executions.c.id)


def is_tag(tag: tuple[str, str]) -> tuple[Clause, Clause]:
    """Return what leads to the tag among the tags."""
    return tags.c.name == tag[0], tags.c.value == tag[1]


def _stands(state: State, test: Clause | None) -> Clause:
    stands: Clause = func.coalesce(executions.c.state, None) == state
    return stands if test is None else and_(stands, test)


_TRIED = executions.c.counted_before > 0
_FIRST_TRY = executions.c.counted_before == 0
_FIRST_ROUND = executions.c.round == 1
_UNSTARTED = executions.c.could_not_start
STATUSES: dict[str, tuple[tuple[State, Clause | None], ...]] = {
    "pending": ((State.QUEUED, _FIRST_TRY),),
    "running": ((State.RUNNING, and_(_FIRST_TRY, _FIRST_ROUND)),),
    "retried": (
        (State.RETRYING, None),
        (State.QUEUED, _TRIED),
        (State.RUNNING, or_(_TRIED, executions.c.round > 1)),
    ),
    "success": ((State.SUCCEEDED, None),),
    "failed": ((State.FAILED, _UNSTARTED.is_(False)),),
    "error": ((State.FAILED, _UNSTARTED.is_(True)),),
    "cancelled": ((State.CANCELLED, None),),
}
"""Barbeque's words, as the states they mean; `barbeque_status` says the same of one row."""

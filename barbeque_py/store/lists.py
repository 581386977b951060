"""Lists of executions: narrowed every way, page by page, each page at a bounded price.

A list stands in the order of row ids, the newest first. It is walked along one index, chosen by
what is asked for; all else is tested on the way, on so many rows a page and no more. So a page may
be short, even empty, where few fit: there are no more only when it has no `next`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

from sqlalchemy import Column, ColumnElement, Row, Select, and_, exists, false, func, or_, select

from barbeque_py.comparisons import Comparison
from barbeque_py.errors import RequestError
from barbeque_py.executions import Stage, State
from barbeque_py.store import narrowing
from barbeque_py.store.database import Tx
from barbeque_py.store.tables.history import failure_members
from barbeque_py.store.tables.runs import executions, tags

MOST = 200
"""Rows on one page."""

WINDOW = 10_000
"""Rows that one page looks at."""

_READ = 5
"""Of a window, the part that one page looks at where each row's message is read."""

SHORTEST_PREFIX = 8
"""Characters of an id: those of one minute begin alike."""

_SKEW = timedelta(minutes=2)
"""Row ids grow with `recorded_at`, but for transactions that run side by side."""

_NO_END = 1 << 63
_RARE = frozenset({State.QUEUED, State.RUNNING, State.RETRYING, State.FAILED, State.CANCELLED})
"""States in which fewer executions are than an app has: walking along them is shorter."""

Clause = ColumnElement[bool]


@dataclass(frozen=True, slots=True)
class Entry:
    """One execution as lists show it: without its message."""

    id: int
    message_id: str
    app: str
    job: str
    queue: str
    priority_rank: int
    state: State
    stage: Stage
    due_at: datetime
    held_by: str | None
    round: int
    counted: int
    counted_before: int
    attempts: int
    could_not_start: bool
    reason: str | None
    cancel_requested_at: datetime | None
    note: str | None
    sent_at: datetime
    recorded_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    user_id: str | None

    @property
    def priority(self) -> int:
        """From -100 to 100, higher first."""
        return -self.priority_rank


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


Listed = TypeVar("Listed")


@dataclass(frozen=True, slots=True)
class Page(Generic[Listed]):
    """Some rows, the newest first, and the row id behind which the list goes on, if it does."""

    rows: Sequence[Listed]
    next: int | None


@dataclass(frozen=True, slots=True)
class Counted:
    """How many there are, as far as was looked."""

    number: int
    whole: bool
    """Whether that was as far as they reach."""


def newest(tx: Tx, wanted: Filter, *, before: int | None = None, most: int = 50) -> Page[Entry]:
    """Return executions with a row id below `before`, the newest first; `next` is the next one.

    Cancelled ones whose message has not come yet are left out.
    """
    if wanted.prefix is not None:
        return _with_prefix(tx, wanted, wanted.prefix, before, most)
    span = _Span.of(tx, wanted, below=before)
    found = [_walk(tx, lead, span, most) for lead in _leads(wanted, tx.now)]
    reached = max((each.next or 0 for each in found), default=0)
    rows = [row for each in found for row in each.rows if row.id >= reached]
    rows.sort(key=lambda row: -row.id)
    return _cut(rows, most, reached or None)


def newer(tx: Tx, wanted: Filter, *, after: int, most: int = 50) -> Page[Entry]:
    """Return the executions right above `after`, the newest first; `next` is the next `after`."""
    span = _Span.of(tx, wanted, above=after)
    found = [_walk(tx, lead, span, most, up=True) for lead in _leads(wanted, tx.now)]
    reached = min((each.next or _NO_END for each in found), default=_NO_END)
    rows = [row for each in found for row in each.rows if row.id <= reached]
    rows.sort(key=lambda row: row.id)
    page = _cut(rows, most, None if reached == _NO_END else reached)
    return Page(page.rows[::-1], page.next)


def count(tx: Tx, wanted: Filter, *, most: int) -> int:
    """Count executions, up to `most` and one more."""
    return _counted(tx, wanted, most, None).number


def count_near(tx: Tx, wanted: Filter, *, most: int, windows: int) -> Counted:
    """Count as `count` does, in so many windows of the list and no more."""
    return _counted(tx, wanted, most, windows)


def _counted(tx: Tx, wanted: Filter, most: int, windows: int | None) -> Counted:
    if wanted.prefix is not None:
        own = _all_of(wanted, tx.now)
        query = select(executions.c.id).where(*_range(wanted.prefix), *own)
        return Counted(_count(tx, query.limit(most + 1)), whole=True)
    total, passed = 0, 0
    for lead in _leads(wanted, tx.now):
        span: _Span | None = _Span.of(tx, wanted)
        while span is not None and total <= most:
            if passed == windows:
                return Counted(total, whole=False)
            passed += 1
            edge = _edge(tx, lead, span) if lead.rest else None
            query = lead.select(lead.key, span.down_to(edge)).limit(most + 1)
            total += _count(tx, query)
            span = None if edge is None else replace(span, below=edge)
    return Counted(min(total, most + 1), whole=True)


def _cut(rows: Sequence[Entry], most: int, reached: int | None) -> Page[Entry]:
    """Return the first rows of all that there are as far as the walk has reached."""
    return Page(rows[:most], rows[most - 1].id if len(rows) > most else reached)


@dataclass(frozen=True, slots=True)
class _Span:
    """The row ids between which to look, both left out; None is no end."""

    above: int | None = None
    below: int | None = None

    @classmethod
    def of(
        cls, tx: Tx, wanted: Filter, *, above: int | None = None, below: int | None = None
    ) -> "_Span":
        """Narrow it down to the row ids of the time that is asked for."""
        at = executions.c.recorded_at
        ids = select(executions.c.id).limit(1)
        lows, highs = [above], [below]
        if wanted.since is not None:
            earlier = ids.where(at < wanted.since - _SKEW).order_by(at.desc())
            lows.append(tx.execute(earlier).scalar_one_or_none())
        if wanted.until is not None:
            later = ids.where(at >= wanted.until + _SKEW).order_by(at)
            highs.append(tx.execute(later).scalar_one_or_none())
        return cls(
            max((each for each in lows if each is not None), default=None),
            min((each for each in highs if each is not None), default=None),
        )

    def down_to(self, edge: int | None) -> "_Span":
        return self if edge is None else replace(self, above=edge - 1)

    def up_to(self, edge: int | None) -> "_Span":
        return self if edge is None else replace(self, below=edge + 1)

    def clauses(self, key: ColumnElement[int]) -> list[Clause]:
        found = [] if self.above is None else [key > self.above]
        return found if self.below is None else [*found, key < self.below]


@dataclass(frozen=True, slots=True)
class _Lead:
    """The index a list is walked along, and what is tested on the way.

    Without an index of executions it is walked along the rows of another table.
    """

    key: Column[int]
    where: tuple[Clause, ...]
    rest: tuple[Clause, ...]
    index: str | None
    come: tuple[Clause, ...] = ()
    """What leaves out tombstones, where there may be any: it takes the row beside the index."""
    reads: bool = False
    """Whether each row's message is read on the way, so that a page looks at fewer."""

    @property
    def window(self) -> int:
        """How many rows one page looks at."""
        return max(1, WINDOW // _READ) if self.reads else WINDOW

    def select(self, columns: Any, span: _Span, *, tested: bool = True) -> Select[Any]:
        """Select columns of the rows in the span, those that pass the tests or all."""
        query = select(*columns) if isinstance(columns, list) else select(columns)
        query = query.where(*self.where, *span.clauses(self.key))
        if self.index is not None:
            # Left to itself MariaDB looks up the filter alone and walks over all newer rows to
            # the page; SQLite is told nothing.
            query = query.select_from(executions)
            query = query.with_hint(executions, f"FORCE INDEX ({self.index})")
        elif tested:
            joined = self.key.table.join(executions, executions.c.id == self.key)
            query = query.select_from(joined).prefix_with("STRAIGHT_JOIN", dialect="mysql")
        return query.where(*self.rest, *self.come) if tested else query


_COME = executions.c.tombstone.is_(False)


def _walk(tx: Tx, lead: _Lead, span: _Span, most: int, *, up: bool = False) -> Page[Entry]:
    """Return one row more than `most`, of the next rows in the span that the lead passes."""
    edge = _edge(tx, lead, span, up=up) if lead.rest else None
    span = span.up_to(edge) if up else span.down_to(edge)
    query = lead.select(_ENTRY, span)
    found = tx.execute(query.order_by(lead.key if up else lead.key.desc()).limit(most + 1))
    rows = [_entry(row) for row in found]
    return Page(rows, rows[most].id if len(rows) > most else edge)


def _edge(tx: Tx, lead: _Lead, span: _Span, *, up: bool = False) -> int | None:
    """Return the last row id that one page looks at; None when that is all there are."""
    query = lead.select(lead.key, span, tested=False)
    query = query.order_by(lead.key if up else lead.key.desc()).offset(lead.window - 1).limit(1)
    return tx.execute(query).scalar_one_or_none()


def _leads(wanted: Filter, now: datetime) -> list[_Lead]:
    """Return what to walk along: one index, or one each for the states that a status may mean."""
    meant = _meant(wanted)
    beside = tuple(narrowing.tests(wanted, now))
    if meant is None:
        return [_lead(wanted, beside)]
    return [
        _lead(replace(wanted, state=state), beside if test is None else (test, *beside))
        for state, test in meant
        if wanted.state in (None, state)
    ]


def _meant(wanted: Filter) -> list[tuple[State, Clause | None]] | None:
    """Return the states that a status or a choice of states means, with what is tested beside."""
    if wanted.status is None:
        return [(state, None) for state in wanted.among] or None
    among = wanted.among or tuple(State)
    return [each for each in STATUSES[wanted.status] if each[0] in among]


def _lead(wanted: Filter, tests: tuple[Clause, ...]) -> _Lead:
    fields = _fields(wanted)
    rest = [*tests, *_times(wanted)]
    reads = wanted.text is not None
    if wanted.failure is not None:
        rest += [*fields.values(), *(_has_tag(wanted, tag) for tag in wanted.tags)]
        own = failure_members.c.failure == wanted.failure
        return _Lead(failure_members.c.execution, (own,), tuple(rest), None, reads=reads)
    if wanted.tags:
        first, *others = wanted.tags
        rest += [clause for name, clause in fields.items() if name != "app"]
        rest += [_has_tag(wanted, tag) for tag in others]
        own = and_(tags.c.app == wanted.app, *_is_tag(first))
        return _Lead(tags.c.execution, (own,), tuple(rest), None, reads=reads)
    index, names = _index_for(wanted)
    rest += [clause for name, clause in fields.items() if name not in names]
    walked = tuple(fields[name] for name in names)
    return _Lead(executions.c.id, walked, tuple(rest), index, _come(wanted), reads=reads)


def _come(wanted: Filter) -> tuple[Clause, ...]:
    """Leave out tombstones, which are cancelled and have an app at most."""
    fits = wanted.state in (None, State.CANCELLED)
    said = (wanted.job, wanted.queue, wanted.user_id)
    return (_COME,) if fits and said == (None, None, None) else ()


def _index_for(wanted: Filter) -> tuple[str, tuple[str, ...]]:
    """Name the index in which the fewest rows are passed, and the fields that lead into it."""
    if wanted.user_id is not None:
        return "ix_executions_user", ("user_id",)
    if wanted.app is not None and wanted.job is not None:
        if wanted.state is None:
            return "ix_executions_job", ("app", "job")
        return "ix_executions_job_state", ("app", "job", "state")
    for name in ("state", "app", "queue"):
        asked = getattr(wanted, name)
        if asked is not None and asked is not State.SUCCEEDED:
            return f"ix_executions_{name}", (name,)
    return ("ix_executions_state", ("state",)) if wanted.state else ("`PRIMARY`", ())


def _with_prefix(tx: Tx, wanted: Filter, prefix: str, before: int | None, most: int) -> Page[Entry]:
    """Return those whose id begins so, in the order of their ids, which is that of time."""
    query = select(*_ENTRY).where(*_range(prefix), *_all_of(wanted, tx.now))
    if before is not None:
        query = query.where(executions.c.message_id < _message_id_of(tx, before))
    query = query.order_by(executions.c.message_id.desc()).limit(most + 1)
    return _cut([_entry(row) for row in tx.execute(query)], most, None)


def _message_id_of(tx: Tx, number: int) -> str:
    """Return where to go on; raises `RequestError` when that execution is kept no longer."""
    found = tx.execute(select(executions.c.message_id).where(executions.c.id == number))
    message_id: str | None = found.scalar_one_or_none()
    if message_id is None:
        raise RequestError(f"before: no execution {number} is kept; begin with the first page")
    return message_id


def _range(prefix: str) -> tuple[Clause, Clause]:
    """Say so as a range: SQLite's LIKE walks the whole table, for the sake of capital letters."""
    return executions.c.message_id >= prefix, executions.c.message_id < f"{prefix}g"


def _all_of(wanted: Filter, now: datetime) -> list[Clause]:
    """Say all of it but the prefix, so that SQLite sees no index to walk along instead."""
    fields = _asked(wanted).items()
    found: list[Clause] = [
        func.coalesce(executions.c[name], None) == value for name, value in fields
    ]
    found += [*_times(wanted), _COME, *narrowing.tests(wanted, now)]
    found += [_has_tag(wanted, tag) for tag in wanted.tags]
    if wanted.failure is not None:
        found.append(_is_member(wanted.failure))
    meant = _meant(wanted)
    if meant is not None:
        found.append(or_(false(), *(_stands(state, test) for state, test in meant)))
    return found


def _fields(wanted: Filter) -> dict[str, Clause]:
    return {name: executions.c[name] == value for name, value in _asked(wanted).items()}


def _asked(wanted: Filter) -> dict[str, str]:
    names = ("app", "job", "queue", "state", "user_id")
    asked = {name: getattr(wanted, name) for name in names}
    return {name: value for name, value in asked.items() if value is not None}


def _times(wanted: Filter) -> list[Clause]:
    at = executions.c.recorded_at
    found = [] if wanted.since is None else [at >= wanted.since]
    return found if wanted.until is None else [*found, at < wanted.until]


def _has_tag(wanted: Filter, tag: tuple[str, str]) -> Clause:
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


def _is_tag(tag: tuple[str, str]) -> tuple[Clause, Clause]:
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

_ENTRY = [executions.c[name] for name in Entry.__slots__]


def _entry(row: Row[Any]) -> Entry:
    facts = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it
    facts["state"] = State(facts["state"])
    facts["stage"] = Stage(facts["stage"])
    return Entry(**facts)


def _count(tx: Tx, query: Select[Any]) -> int:
    return int(tx.execute(select(func.count()).select_from(query.subquery())).scalar_one())

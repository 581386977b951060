"""What a list of executions is walked along: one index, and the span of row ids on it."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Column, ColumnElement, Select, and_, select

from barbeque_py.executions import State
from barbeque_py.store import filters, narrowing
from barbeque_py.store.database import Tx
from barbeque_py.store.filters import COME, Clause, Filter
from barbeque_py.store.tables.history import failure_members
from barbeque_py.store.tables.runs import executions, tags

WINDOW = 10_000
"""Rows that one page looks at."""

_READ = 5
"""Of a window, the part that one page looks at where each row's message is read."""

_SKEW = timedelta(minutes=2)
"""Row ids grow with `recorded_at`, but for transactions that run side by side."""


@dataclass(frozen=True, slots=True)
class Span:
    """The row ids between which to look, both left out; None is no end."""

    above: int | None = None
    below: int | None = None

    @classmethod
    def of(
        cls, tx: Tx, wanted: Filter, *, above: int | None = None, below: int | None = None
    ) -> "Span":
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

    def down_to(self, edge: int | None) -> "Span":
        """Return its part from `edge` on upwards; None is all of it."""
        return self if edge is None else replace(self, above=edge - 1)

    def up_to(self, edge: int | None) -> "Span":
        """Return its part from `edge` on downwards; None is all of it."""
        return self if edge is None else replace(self, below=edge + 1)

    def clauses(self, key: ColumnElement[int]) -> list[Clause]:
        """Say so of a column of row ids."""
        found = [] if self.above is None else [key > self.above]
        return found if self.below is None else [*found, key < self.below]


@dataclass(frozen=True, slots=True)
class Lead:
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

    def select(self, columns: Any, span: Span, *, tested: bool = True) -> Select[Any]:
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


def leads(wanted: Filter, now: datetime) -> list[Lead]:
    """Return what to walk along: one index, or one each for the states that a status may mean."""
    meant = filters.meant(wanted)
    beside = tuple(narrowing.tests(wanted, now))
    if meant is None:
        return [_lead(wanted, beside)]
    return [
        _lead(replace(wanted, state=state), beside if test is None else (test, *beside))
        for state, test in meant
        if wanted.state in (None, state)
    ]


def _lead(wanted: Filter, tests: tuple[Clause, ...]) -> Lead:
    fields = filters.fields(wanted)
    rest = [*tests, *filters.times(wanted)]
    reads = wanted.text is not None
    if wanted.failure is not None:
        rest += [*fields.values(), *(filters.has_tag(wanted, tag) for tag in wanted.tags)]
        own = failure_members.c.failure == wanted.failure
        return Lead(failure_members.c.execution, (own,), tuple(rest), None, reads=reads)
    if wanted.tags:
        first, *others = wanted.tags
        rest += [clause for name, clause in fields.items() if name != "app"]
        rest += [filters.has_tag(wanted, tag) for tag in others]
        own = and_(tags.c.app == wanted.app, *filters.is_tag(first))
        return Lead(tags.c.execution, (own,), tuple(rest), None, reads=reads)
    index, names = _index_for(wanted)
    rest += [clause for name, clause in fields.items() if name not in names]
    walked = tuple(fields[name] for name in names)
    return Lead(executions.c.id, walked, tuple(rest), index, _come(wanted), reads=reads)


def _come(wanted: Filter) -> tuple[Clause, ...]:
    """Leave out tombstones, which are cancelled and have an app at most."""
    fits = wanted.state in (None, State.CANCELLED)
    said = (wanted.job, wanted.queue, wanted.user_id)
    return (COME,) if fits and said == (None, None, None) else ()


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

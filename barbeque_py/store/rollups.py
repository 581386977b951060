"""How jobs fared, added up by the hour and by the day: of each job, of each app, and of all."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from sqlalchemy import delete, select, tuple_
from sqlalchemy.dialects import mysql, sqlite

from barbeque_py import histogram
from barbeque_py.histogram import Histogram
from barbeque_py.store.database import Tx
from barbeque_py.store.tables import rollups

ALL = ""
"""In place of a job, all of its app; in place of an app, all of them."""

_AT_ONCE = 200


class Span(StrEnum):
    """How much time one row adds up."""

    HOUR = "hour"
    DAY = "day"


class Key(NamedTuple):
    """What one row adds up."""

    span: Span
    app: str
    job: str
    at: datetime
    """Where its hour or day begins."""


@dataclass(slots=True)
class Sums:
    """What was counted: ends of executions, ends of attempts that are tried again, and times."""

    succeeded: int = 0
    failed: int = 0
    not_started: int = 0
    """Failed because it could not be started, as far as its attempts tell."""
    cancelled: int = 0
    retried: int = 0
    """Attempts that failed and were tried again."""
    interrupted: int = 0
    """Attempts that were not the job's fault, and don't count."""
    waits: Histogram = field(default_factory=Histogram)
    """From when an attempt could start to its claim."""
    runs: Histogram = field(default_factory=Histogram)
    cpu_seconds: float = 0.0
    """vCPUs asked for, by seconds of running."""
    memory_seconds: float = 0.0
    """GiB asked for, by seconds of running."""

    @property
    def ended(self) -> int:
        """How many executions have ended."""
        return self.succeeded + self.failed + self.not_started + self.cancelled

    @property
    def success(self) -> float | None:
        """The share of successes among those that were not cancelled; None of none."""
        tried = self.ended - self.cancelled
        return self.succeeded / tried if tried else None

    def add(self, other: "Sums") -> None:
        """Count the other's, too."""
        for each in fields(self):
            mine, theirs = getattr(self, each.name), getattr(other, each.name)
            if isinstance(mine, Histogram):
                mine.update(theirs)
            else:
                setattr(self, each.name, mine + theirs)


def total(found: Iterable[Sums]) -> Sums:
    """Add them all up."""
    result = Sums()
    for each in found:
        result.add(each)
    return result


def start_of(span: Span, at: datetime) -> datetime:
    """Return where the hour or day of this instant begins, in UTC."""
    hour = at.replace(minute=0, second=0, microsecond=0)
    return hour if span is Span.HOUR else hour.replace(hour=0)


def add(tx: Tx, new: Mapping[Key, Sums]) -> None:
    """Add to the rows; only whoever has the duty may, in the transaction that has asked for it."""
    keys = sorted(new)
    for first in range(0, len(keys), _AT_ONCE):
        some = keys[first : first + _AT_ONCE]
        known = _known(tx, some)
        rows = []
        for key in some:
            sums = known.get(key, Sums())
            sums.add(new[key])
            rows.append({**key._asdict(), **_written(sums)})
        _put(tx, rows)


def _known(tx: Tx, keys: Sequence[Key]) -> dict[Key, Sums]:
    query = select(rollups).where(_KEY.in_([tuple(key) for key in keys]))
    return {_key_of(row): _sums_of(row) for row in tx.execute(query)}


def _put(tx: Tx, rows: list[dict[str, Any]]) -> None:
    changed = [each.name for each in fields(Sums)]
    if tx.sqlite:
        statement = sqlite.insert(rollups)
        new = {name: statement.excluded[name] for name in changed}
        keys = list(Key._fields)
        tx.execute(statement.on_conflict_do_update(index_elements=keys, set_=new), rows)
    else:
        upsert = mysql.insert(rollups)
        tx.execute(
            upsert.on_duplicate_key_update({name: upsert.inserted[name] for name in changed}), rows
        )


def of_one(
    tx: Tx, app: str, job: str, span: Span, since: datetime, until: datetime
) -> dict[datetime, Sums]:
    """Return the hours or days from `since` to before `until` of this job, in their order."""
    query = select(rollups).where(
        rollups.c.span == span,
        rollups.c.app == app,
        rollups.c.job == job,
        rollups.c.at >= since,
        rollups.c.at < until,
    )
    return {row.at: _sums_of(row) for row in tx.execute(query.order_by(rollups.c.at))}


def of_jobs(
    tx: Tx, jobs: Sequence[tuple[str, str]], since: datetime, until: datetime
) -> dict[tuple[str, str], Sums]:
    """Return what the hours from `since` to before `until` add up to, for each of these jobs."""
    found: dict[tuple[str, str], Sums] = {}
    for app, job in jobs:
        hours = of_one(tx, app, job, Span.HOUR, since, until)
        if hours:
            found[app, job] = total(hours.values())
    return found


def forget(tx: Tx, span: Span, before: datetime, most: int) -> int:
    """Delete up to `most` rows of hours or days that began before that; return how many."""
    query = select(*_KEY_COLUMNS).where(rollups.c.span == span, rollups.c.at < before).limit(most)
    old = [tuple(row) for row in tx.execute(query)]
    if old:
        tx.execute(delete(rollups).where(_KEY.in_(old)))
    return len(old)


_KEY_COLUMNS = [rollups.c[name] for name in Key._fields]
_KEY = tuple_(*_KEY_COLUMNS)


def _key_of(row: Any) -> Key:
    return Key(Span(row.span), row.app, row.job, row.at)


def _sums_of(row: Any) -> Sums:
    facts = {each.name: getattr(row, each.name) for each in fields(Sums)}
    times = {name: histogram.read(facts[name]) for name in ("waits", "runs")}
    return Sums(**facts | times)


def _written(sums: Sums) -> dict[str, Any]:
    facts = {each.name: getattr(sums, each.name) for each in fields(Sums)}
    return facts | {"waits": sums.waits.write(), "runs": sums.runs.write()}

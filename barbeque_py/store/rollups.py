"""How jobs fared, added up by the hour and by the day: of each job, of each app, and of all."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from sqlalchemy import bindparam, delete, select
from sqlalchemy.dialects import mysql, sqlite

from barbeque_py import histogram
from barbeque_py.histogram import Histogram
from barbeque_py.store.database import Tx
from barbeque_py.store.prepared import Prepared
from barbeque_py.store.tables.history import rollups

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

    @property
    def name(self) -> str:
        """The row's own key: in its order a job's hours lie side by side. No name has a `/`."""
        return f"{self.span}/{self.app}/{self.job}/{self.at:%Y-%m-%dT%H}"


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
        for name in self.__slots__:
            mine, theirs = getattr(self, name), getattr(other, name)
            if isinstance(mine, Histogram):
                mine.update(theirs)
            else:
                setattr(self, name, mine + theirs)


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
    keys = {key.name: key for key in sorted(new)}
    names = list(keys)
    for first in range(0, len(names), _AT_ONCE):
        some = names[first : first + _AT_ONCE]
        known = {row[0]: _read(row[1:]) for row in tx.rows(_KNOWN, names=some)}
        rows = []
        for name in some:
            key, sums = keys[name], known.get(name, Sums())
            sums.add(new[key])
            rows.append({"name": name, "span": key.span, "at": key.at, **_written(sums)})
        _put(tx, rows)


def _put(tx: Tx, rows: list[dict[str, Any]]) -> None:
    if tx.sqlite:
        upsert = sqlite.insert(rollups)
        changed = {name: upsert.excluded[name] for name in _SUMS}
        tx.execute(upsert.on_conflict_do_update(index_elements=["name"], set_=changed), rows)
    else:
        insert = mysql.insert(rollups)
        new = {name: insert.inserted[name] for name in _SUMS}
        tx.execute(insert.on_duplicate_key_update(new), rows)


def of_one(
    tx: Tx, app: str, job: str, span: Span, since: datetime, until: datetime
) -> dict[datetime, Sums]:
    """Return the hours or days from `since` to before `until` of this job, in their order."""
    first, last = (Key(span, app, job, at).name for at in (since, until))
    found = tx.rows(_OF_ONE, first=first, last=last)
    return {row[0]: _read(row[1:]) for row in found}


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
    old = select(rollups.c.name).where(rollups.c.span == span, rollups.c.at < before).limit(most)
    names = [row.name for row in tx.execute(old)]
    if names:
        tx.execute(delete(rollups).where(rollups.c.name.in_(names)))
    return len(names)


_SUMS = [each.name for each in fields(Sums)]
_COLUMNS = [rollups.c[name] for name in _SUMS]
_KNOWN = Prepared(
    select(rollups.c.name, *_COLUMNS).where(rollups.c.name.in_(bindparam("names", expanding=True)))
)
_OF_ONE = Prepared(
    select(rollups.c.at, *_COLUMNS)
    .where(rollups.c.name >= bindparam("first"), rollups.c.name < bindparam("last"))
    .order_by(rollups.c.name)
)


def _read(values: Sequence[Any]) -> Sums:
    facts = dict(zip(_SUMS, values, strict=True))
    times = {name: histogram.read(facts[name]) for name in ("waits", "runs")}
    return Sums(**facts | times)


def _written(sums: Sums) -> dict[str, Any]:
    facts = {name: getattr(sums, name) for name in _SUMS}
    return facts | {"waits": sums.waits.write(), "runs": sums.runs.write()}

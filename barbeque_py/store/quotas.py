"""Quotas of outside calls as token buckets: one row each, from which all workers draw."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import bindparam, select
from sqlalchemy.dialects import mysql, sqlite

from barbeque_py.executor import Quota
from barbeque_py.store.bulk import change_each
from barbeque_py.store.database import Tx
from barbeque_py.store.prepared import Prepared
from barbeque_py.store.tables.fleet import quotas

_PENALTY = 0.5
"""Seconds for which nobody draws after AWS said "not so fast": its bucket is emptier than ours."""


@dataclass(frozen=True, slots=True)
class Buckets:
    """Buckets that are locked until the transaction ends, and the tokens in each."""

    quotas: Sequence[Quota]
    tokens: Mapping[str, float]

    def allow(self, most: int) -> int:
        """Return how many calls they allow, up to `most`; no bucket at all allows `most`."""
        return max(0, min([most, *(math.floor(each) for each in self.tokens.values())]))

    def spend(self, tx: Tx, count: int) -> None:
        """Take so many tokens out of each, also more than there are; to be done once."""
        left = {name: tokens - count for name, tokens in self.tokens.items()}
        _write(tx, self.quotas, left)


def lock(tx: Tx, wanted: Iterable[Quota]) -> Buckets:
    """Lock the buckets of these quotas."""
    found = list(wanted)
    return Buckets(found, _lock(tx, _by_name(found)))


def spend(tx: Tx, wanted: Iterable[Quota], count: int) -> None:
    """Take so many tokens out of each bucket, also more than there are."""
    lock(tx, wanted).spend(tx, count)


def take(tx: Tx, wanted: Iterable[Quota], count: int = 1) -> float:
    """Take the tokens if they are there; else return how many seconds until they may be."""
    by_name = _by_name(wanted)
    tokens = _lock(tx, by_name)
    missing = [(count - have) / by_name[name].rate for name, have in tokens.items() if have < count]
    if missing:
        return max(missing)
    spend(tx, wanted, count)
    return 0.0


def drain(tx: Tx, wanted: Iterable[Quota]) -> None:
    """Empty the buckets, and a little more: the outside says that ours were too full."""
    by_name = _by_name(wanted)
    _write(
        tx,
        by_name.values(),
        {
            name: min(tokens, -_PENALTY * by_name[name].rate)
            for name, tokens in _lock(tx, by_name).items()
        },
    )


@dataclass(frozen=True, slots=True)
class Level:
    """How many calls a bucket allows now, and how many come a second."""

    name: str
    tokens: float
    rate: float
    filled_at: datetime

    @property
    def empty(self) -> bool:
        """Whether who calls has to wait."""
        return self.tokens < 1


def levels(tx: Tx) -> list[Level]:
    """Return how full each bucket is now; one that was not drawn from for long looks fuller."""
    found = tx.execute(select(quotas).order_by(quotas.c.name))
    return [
        Level(
            row.name,
            row.tokens + max(0.0, (tx.now - row.filled_at).total_seconds()) * row.rate,
            row.rate,
            row.filled_at,
        )
        for row in found
    ]


def throttled_until(tx: Tx) -> datetime | None:
    """Return when every bucket has a token again; None where each has one now."""
    waits = [
        timedelta(seconds=(1 - row.tokens) / row.rate) - (tx.now - row.filled_at)
        for row in tx.execute(_RATED)
    ]
    longest = max(waits, default=timedelta(0))
    return tx.now + longest if longest > timedelta(0) else None


_RATED = select(quotas).where(quotas.c.rate > 0, quotas.c.tokens < 1)


def _write(tx: Tx, wanted: Iterable[Quota], left: Mapping[str, float]) -> None:
    changes = {
        each.name: {"tokens": left[each.name], "rate": each.rate, "filled_at": tx.now}
        for each in wanted
    }
    change_each(tx, quotas, changes)


_LOCK = Prepared(
    select(quotas.c.name, quotas.c.tokens, quotas.c.filled_at)
    .where(quotas.c.name.in_(bindparam("names", expanding=True)))
    .order_by(quotas.c.name)
    .with_for_update()
)


def _by_name(wanted: Iterable[Quota]) -> dict[str, Quota]:
    return {each.name: each for each in wanted}


def _lock(tx: Tx, by_name: dict[str, Quota]) -> dict[str, float]:
    """Lock the rows, making those that are missing, and return their tokens as of now."""
    if not by_name:
        return {}
    found = tx.rows(_LOCK, names=sorted(by_name))
    if len(found) < len(by_name):
        for name in sorted(by_name.keys() - {name for name, _, _ in found}):
            _add(tx, by_name[name])
        return _lock(tx, by_name)
    return {
        name: _filled(by_name[name], tokens, filled_at, tx.now) for name, tokens, filled_at in found
    }


def _filled(quota: Quota, tokens: float, filled_at: datetime, now: datetime) -> float:
    seconds = max(0.0, (now - filled_at).total_seconds())
    return min(quota.burst, tokens + seconds * quota.rate)


def _add(tx: Tx, quota: Quota) -> None:
    row = {
        "name": quota.name,
        "tokens": quota.burst,
        "rate": quota.rate,
        "filled_at": tx.now,
    }
    if tx.sqlite:
        tx.execute(sqlite.insert(quotas).values(row).on_conflict_do_nothing())
    else:
        adding = mysql.insert(quotas).values(row)
        tx.execute(adding.on_duplicate_key_update(name=quotas.c.name))

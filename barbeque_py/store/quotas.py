"""Quotas of outside calls as token buckets: one row each, from which all workers draw."""

import math
from collections.abc import Iterable
from datetime import datetime, timedelta

from sqlalchemy import bindparam, select, update
from sqlalchemy.dialects import mysql, sqlite

from barbeque_py.executor import Quota
from barbeque_py.store.database import Tx
from barbeque_py.store.tables import quotas

_PENALTY = 0.5
"""Seconds for which nobody draws after AWS said "not so fast": its bucket is emptier than ours."""


def available(tx: Tx, wanted: Iterable[Quota], most: int) -> int:
    """Lock the buckets until the transaction ends; return how many calls they allow, up to `most`.

    No quota at all allows `most`.
    """
    tokens = _lock(tx, _by_name(wanted))
    return max(0, min([most, *(math.floor(each) for each in tokens.values())]))


def spend(tx: Tx, wanted: Iterable[Quota], count: int) -> None:
    """Take so many tokens out of each bucket, also more than there are."""
    by_name = _by_name(wanted)
    for name, tokens in _lock(tx, by_name).items():
        tx.execute(_WRITE, _written(tx, by_name[name], tokens - count))


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
    for name, tokens in _lock(tx, by_name).items():
        left = min(tokens, -_PENALTY * by_name[name].rate)
        tx.execute(_WRITE, _written(tx, by_name[name], left))


def throttled_until(tx: Tx) -> datetime | None:
    """Return when every bucket has a token again; None where each has one now."""
    waits = [
        timedelta(seconds=(1 - row.tokens) / row.rate) - (tx.now - row.filled_at)
        for row in tx.execute(_RATED)
    ]
    longest = max(waits, default=timedelta(0))
    return tx.now + longest if longest > timedelta(0) else None


_RATED = select(quotas).where(quotas.c.rate > 0, quotas.c.tokens < 1)


def _written(tx: Tx, quota: Quota, tokens: float) -> dict[str, object]:
    return {"key": quota.name, "tokens": tokens, "rate": quota.rate, "filled_at": tx.now}


_WRITE = update(quotas).where(quotas.c.name == bindparam("key"))
_LOCK = (
    select(quotas)
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
    found = tx.execute(_LOCK, {"names": sorted(by_name)}).all()
    if len(found) < len(by_name):
        for name in sorted(by_name.keys() - {row.name for row in found}):
            _add(tx, by_name[name])
        return _lock(tx, by_name)
    return {
        row.name: _filled(by_name[row.name], row.tokens, row.filled_at, tx.now) for row in found
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

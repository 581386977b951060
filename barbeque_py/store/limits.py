"""Limits as counter rows: changed only in the transactions that claim and settle.

Scopes: `place:PLACE`, `queue:NAME`, `app:APP`, `job:APP/JOB`, `key:APP/KEY`, and where a place may
lack capacity `room:PLACE/SIZE`. A row is always locked before it is judged, and several are locked
in the order of their names.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, bindparam, select, update
from sqlalchemy.dialects import mysql, sqlite

from barbeque_py.store import executions as rows
from barbeque_py.store.bulk import add_each
from barbeque_py.store.database import Tx
from barbeque_py.store.prepared import Prepared
from barbeque_py.store.tables.fleet import limits

_OF_A_KEY = 1
"""Of the executions with the same key one runs at a time, until an operator says otherwise."""


@dataclass(slots=True)
class Limit:
    """How many run under a scope, and how many may; None is no limit."""

    scope: str
    max: int | None
    used: int

    @property
    def free(self) -> int | None:
        """How many more may start; None is any number."""
        return None if self.max is None else max(0, self.max - self.used)

    @property
    def full(self) -> bool:
        """Whether nothing more may start."""
        return self.free == 0


def set_max(tx: Tx, scope: str, most: int | None) -> None:
    """Set the limit, making its row if needed; held executions that now fit become ready."""
    ensure(tx, [scope])
    lock(tx, [scope])
    tx.execute(update(limits).where(limits.c.scope == scope).values(max=most))
    wake(tx, [scope])


def ensure(tx: Tx, scopes: Iterable[str]) -> None:
    """Make the rows of these scopes that are missing; a key begins with its limit of one."""
    wanted = sorted(set(scopes))
    known = {
        row.scope for row in tx.execute(select(limits.c.scope).where(limits.c.scope.in_(wanted)))
    }
    for scope in wanted:
        if scope not in known:
            most = _OF_A_KEY if scope.startswith("key:") else None
            _add_if_missing(tx, {"scope": scope, "max": most, "used": 0})


def _add_if_missing(tx: Tx, row: dict[str, object]) -> None:
    if tx.sqlite:
        tx.execute(sqlite.insert(limits).values(row).on_conflict_do_nothing())
    else:
        adding = mysql.insert(limits).values(row)
        tx.execute(adding.on_duplicate_key_update(scope=limits.c.scope))


def read(tx: Tx, scopes: Iterable[str]) -> dict[str, Limit]:
    """Return the limits that exist, without locking them."""
    return _by_scope(tx.rows(_READ, scopes=sorted(set(scopes))))


def _by_scope(rows: Iterable[Any]) -> dict[str, Limit]:
    found = [Limit(*row) for row in rows]
    return {each.scope: each for each in found}


_OF_SCOPES = select(limits.c.scope, limits.c.max, limits.c.used).where(
    limits.c.scope.in_(bindparam("scopes", expanding=True))
)
_READ = Prepared(_OF_SCOPES)
_LOCK = Prepared(_OF_SCOPES.order_by(limits.c.scope).with_for_update())


def read_all(tx: Tx, prefix: str = "") -> list[Limit]:
    """Return every limit whose scope begins with the prefix."""
    query = select(limits)
    if prefix:
        query = query.where(*_begins_with(prefix))
    return [Limit(row.scope, row.max, row.used) for row in tx.execute(query)]


def _begins_with(prefix: str) -> tuple[ColumnElement[bool], ...]:
    """Say so as a range: SQLite's LIKE walks the whole table, for the sake of capital letters."""
    after = prefix[:-1] + chr(ord(prefix[-1]) + 1)
    return limits.c.scope >= prefix, limits.c.scope < after


def lock(tx: Tx, scopes: Iterable[str]) -> dict[str, Limit]:
    """Lock the limits until the end of the transaction and return them; missing ones are made."""
    wanted = sorted(set(scopes))
    found = _by_scope(tx.rows(_LOCK, scopes=wanted)) if wanted else {}
    if len(found) == len(wanted):
        return found
    ensure(tx, wanted)
    return lock(tx, wanted)


def take(tx: Tx, taken: Counter[str]) -> None:
    """Count these slots as used; the limits are locked and have room."""
    add_each(tx, limits, "used", {scope: taken[scope] for scope in sorted(taken)})


def give_back(tx: Tx, scopes: Iterable[str]) -> None:
    """Free a slot of a scope as often as it is named, and wake what it held back."""
    freed = Counter(scopes)
    if not freed:
        return
    lock(tx, freed)
    add_each(tx, limits, "used", {scope: -freed[scope] for scope in sorted(freed)})
    wake(tx, freed)


def wake(tx: Tx, scopes: Iterable[str]) -> int:
    """Make as many executions held by each of these locked limits ready as it has free slots."""
    woken = 0
    asked = list(scopes)
    holding = rows.those_that_hold(tx, asked) if asked else []
    for scope, limit in sorted(read(tx, holding).items() if holding else ()):
        room = limit.free
        woken += rows.wake_held(tx, scope, 1000 if room is None else room)
    return woken


def set_used(tx: Tx, scope: str, used: int) -> None:
    """Correct a counter; its row is locked."""
    tx.execute(update(limits).where(limits.c.scope == scope).values(used=used))


def forget_idle_keys(tx: Tx, most: int) -> int:
    """Delete up to `most` per-key counters that nothing uses or waits for and nobody has set."""
    idle = (
        select(limits.c.scope)
        .where(*_begins_with("key:"), limits.c.used == 0, limits.c.max == _OF_A_KEY)
        .limit(most)
        .with_for_update(skip_locked=True)
    )
    waiting = set(rows.scopes_that_hold(tx))
    names = [row.scope for row in tx.execute(idle) if row.scope not in waiting]
    if names:
        tx.execute(limits.delete().where(limits.c.scope.in_(names), limits.c.used == 0))
    return len(names)


@lru_cache(maxsize=1024)
def scope_names(
    app: str, job: str, queue: str, place: str, *, key: str | None, size: str | None = None
) -> tuple[str, ...]:
    """Return the scopes an attempt counts under, in the order in which they are locked."""
    scopes = [f"app:{app}", f"job:{app}/{job}", f"place:{place}", f"queue:{queue}"]
    if key is not None:
        scopes.append(f"key:{app}/{key}")
    if size is not None:
        scopes.append(f"room:{place}/{size}")
    return tuple(sorted(scopes))

"""Pauses for want of capacity: a place has no room for a size, and one probe asks again.

While a scope is paused its limit is zero, so what would start there is held by it and blocks
nobody else. When the pause ends one may start: if it does, the pause is lifted; if not, the next
one is twice as long.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.dialects import mysql, sqlite

from barbeque_py.store import executions as rows
from barbeque_py.store import limits
from barbeque_py.store.database import Tx
from barbeque_py.store.tables.fleet import pauses

ROOM = "room:"
"""What the scopes that can be paused begin with: `room:PLACE/SIZE`."""

SHORTEST = 5.0
LONGEST = 60.0
_PROBE_PATIENCE = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Pause:
    """A scope in which nothing starts until then, and why."""

    scope: str
    until: datetime
    seconds: float
    probing: bool
    reason: str


def pause(tx: Tx, scope: str, reason: str) -> None:
    """Pause the scope, for twice as long as its last pause if a probe has just failed."""
    limits.lock(tx, [scope])
    found = _lock(tx, scope)
    if found is not None and not found.probing:
        return  # what was under way when the pause began says nothing new
    seconds = SHORTEST if found is None else min(LONGEST, found.seconds * 2)
    row = {
        "scope": scope,
        "until": tx.now + timedelta(seconds=seconds),
        "seconds": seconds,
        "probing": False,
        "reason": reason[:4000],
    }
    _put(tx, row)
    limits.set_max(tx, scope, 0)


def lift(tx: Tx, scope: str) -> None:
    """End the pause whose probe has started, and wake all it held."""
    limits.lock(tx, [scope])
    ended = delete(pauses).where(pauses.c.scope == scope, pauses.c.probing.is_(True))
    if tx.execute(ended).rowcount == 1:
        limits.set_max(tx, scope, None)


def probe(tx: Tx, scope: str) -> None:
    """Let one start in a scope whose pause is over, or lift the pause if nothing waits for it."""
    found = limits.lock(tx, [scope])[scope]
    due = _lock(tx, scope)
    if due is None or due.until > tx.now:
        return
    change = {"probing": True, "until": tx.now + _PROBE_PATIENCE}
    tx.execute(update(pauses).where(pauses.c.scope == scope).values(change))
    if rows.those_that_hold(tx, [scope]):
        limits.set_max(tx, scope, found.used + 1)
    else:
        lift(tx, scope)


def current(tx: Tx) -> dict[str, Pause]:
    """Return every pause, by its scope."""
    return {row.scope: _read(row) for row in tx.execute(select(pauses))}


def of_scope(tx: Tx, scope: str | None) -> Pause | None:
    """Return the pause of this scope, None where there is none."""
    if scope is None or not scope.startswith(ROOM):
        return None
    row = tx.execute(select(pauses).where(pauses.c.scope == scope)).one_or_none()
    return None if row is None else _read(row)


def where(scope: str) -> str:
    """Say for people which size has no room, and where."""
    place, _, size = scope.removeprefix(ROOM).rpartition("/")
    cpu, _, memory = size.partition("x")
    return f"{cpu} CPU units and {memory} MiB in {place.rpartition('/')[2]}"


def _lock(tx: Tx, scope: str) -> Pause | None:
    query = select(pauses).where(pauses.c.scope == scope).with_for_update()
    row = tx.execute(query).one_or_none()
    return None if row is None else _read(row)


def _read(row: Any) -> Pause:
    return Pause(**row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it


def _put(tx: Tx, row: dict[str, object]) -> None:
    values = {name: value for name, value in row.items() if name != "scope"}
    if tx.sqlite:
        adding = sqlite.insert(pauses).values(row)
        tx.execute(adding.on_conflict_do_update(index_elements=["scope"], set_=values))
    else:
        tx.execute(mysql.insert(pauses).values(row).on_duplicate_key_update(values))

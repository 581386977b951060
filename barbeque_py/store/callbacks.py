"""Attempts that an app runs itself, as rows: what was posted, what came back, and what it wrote."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, delete, insert, select, update
from sqlalchemy.dialects import mysql, sqlite

from barbeque_py.ids import AttemptId
from barbeque_py.store.database import Tx
from barbeque_py.store.tables.runs import callback_lines, callbacks

LOG_LIMIT = 16 * 1024 * 1024
"""Bytes that an attempt may write, in all."""


@dataclass(frozen=True, slots=True)
class Callback:
    """One attempt at its app's backend."""

    attempt: AttemptId
    url: str
    started_at: datetime
    sent_at: datetime | None
    """From when on the backend may know of it."""
    answered_at: datetime | None
    """When the backend first said that it does."""
    ended_at: datetime | None
    reason: str | None
    exit_code: int | None
    detail: str | None


@dataclass(frozen=True, slots=True)
class Written:
    """What was written to an attempt's log at once."""

    id: int
    at: datetime
    stream: str
    text: str


def add(tx: Tx, attempt: AttemptId, url: str) -> None:
    """Begin the attempt, unless it was begun before."""
    values = {"attempt": attempt, "url": url, "started_at": tx.now, "log_bytes": 0}
    tx.execute(_ADD_ON_SQLITE if tx.sqlite else _ADD, values)


_ADD_ON_SQLITE = sqlite.insert(callbacks).on_conflict_do_nothing()
_ADD = mysql.insert(callbacks).on_duplicate_key_update(attempt=callbacks.c.attempt)


def get(tx: Tx, attempt: AttemptId) -> Callback | None:
    """Return the attempt."""
    return known(tx, [attempt]).get(attempt)


def known(tx: Tx, attempts: Sequence[AttemptId]) -> dict[AttemptId, Callback]:
    """Return those of the attempts that were begun and are not forgotten."""
    found = tx.execute(_KNOWN, {"ids": list(attempts)})
    return {row.attempt: Callback(**row._mapping) for row in found}  # noqa: SLF001 - public name


_KNOWN = select(*[callbacks.c[name] for name in Callback.__slots__]).where(
    callbacks.c.attempt.in_(bindparam("ids", expanding=True))
)


def all_ids(tx: Tx) -> list[AttemptId]:
    """Return every attempt that is not forgotten."""
    return [AttemptId(row.attempt) for row in tx.execute(select(callbacks.c.attempt))]


def mark_sent(tx: Tx, attempt: AttemptId) -> None:
    """Record, before the request leaves, that the backend may know of the attempt."""
    _change(tx, attempt, callbacks.c.sent_at.is_(None), sent_at=tx.now)


def unmark_sent(tx: Tx, attempt: AttemptId) -> None:
    """Record that the backend can't know of the attempt after all: it was not reached."""
    _change(tx, attempt, callbacks.c.answered_at.is_(None), sent_at=None)


def mark_answered(tx: Tx, attempt: AttemptId) -> bool:
    """Record a sign of life of the backend; say whether it was the first."""
    return _change(tx, attempt, callbacks.c.answered_at.is_(None), answered_at=tx.now)


def end(tx: Tx, attempt: AttemptId, reason: str, exit_code: int | None, detail: str) -> bool:
    """Record how the attempt has ended, once; say whether this was it."""
    ended = {"reason": reason, "exit_code": exit_code, "detail": detail[:4000] or None}
    return _change(tx, attempt, callbacks.c.ended_at.is_(None), ended_at=tx.now, **ended)


def _change(tx: Tx, attempt: AttemptId, guard: Any, **values: Any) -> bool:
    change = update(callbacks).where(callbacks.c.attempt == attempt, guard).values(**values)
    return tx.execute(change).rowcount == 1


def write(tx: Tx, attempt: AttemptId, text: str, *, stream: str = "out") -> bool:
    """Add to the attempt's log; False when it is full or the attempt is forgotten."""
    size = len(text.encode())
    room = callbacks.c.log_bytes <= LOG_LIMIT - size
    if not _change(tx, attempt, room, log_bytes=callbacks.c.log_bytes + size):
        return False
    values = {"attempt": attempt, "at": tx.now, "stream": stream, "text": text}
    tx.execute(insert(callback_lines).values(**values))
    return True


def written(tx: Tx, attempt: AttemptId, *, after: int, most: int) -> list[Written]:
    """Return what was written behind the number `after`, up to `most` at once."""
    one = callback_lines.c
    query = (
        select(one.id, one.at, one.stream, one.text)
        .where(one.attempt == attempt, one.id > after)
        .order_by(one.id)
        .limit(most)
    )
    return [Written(**row._mapping) for row in tx.execute(query)]  # noqa: SLF001 - public name


def forget(tx: Tx, attempt: AttemptId) -> None:
    """Forget an attempt that has ended, with what it wrote."""
    ended = tx.execute(
        delete(callbacks).where(callbacks.c.attempt == attempt, callbacks.c.ended_at.is_not(None))
    )
    if ended.rowcount:
        tx.execute(delete(callback_lines).where(callback_lines.c.attempt == attempt))

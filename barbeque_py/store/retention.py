"""Rows that are old enough to go."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, select

from barbeque_py.executions import Stage
from barbeque_py.store import failures, tags
from barbeque_py.store.database import Tx
from barbeque_py.store.tables.posts import dead_messages
from barbeque_py.store.tables.runs import attempts, executions, reports, retries


@dataclass(frozen=True, slots=True)
class Old:
    """An execution that is past its retention."""

    id: int
    message_id: str
    app: str
    job: str


def ended_before(tx: Tx, cutoff: datetime, most: int) -> list[Old]:
    """Return up to `most` executions that ended before the cutoff, the oldest first."""
    columns = executions.c
    query = (
        select(columns.id, columns.message_id, columns.app, columns.job)
        .where(columns.finished_at < cutoff)
        .order_by(columns.finished_at)
        .limit(most)
    )
    return [Old(row.id, row.message_id, row.app, row.job) for row in tx.execute(query)]


def unsealed(tx: Tx, numbers: Sequence[int]) -> set[int]:
    """Return which of these executions have an attempt whose log is not sealed yet."""
    query = select(attempts.c.execution).where(
        attempts.c.execution.in_(numbers),
        attempts.c.log_sealed_at.is_(None),
        attempts.c.first_called_at.is_not(None),
    )
    return {row.execution for row in tx.execute(query)} if numbers else set()


def forget(tx: Tx, numbers: Sequence[int]) -> int:
    """Delete these executions with all that is theirs, but for those open again; count them."""
    ended = select(executions.c.id).where(
        executions.c.id.in_(numbers), executions.c.stage == Stage.DONE
    )
    old = [row.id for row in tx.execute(ended.with_for_update())]
    if old:
        # Named one by one: MariaDB walks the whole table for a DELETE with a query inside.
        tries = tx.execute(select(attempts.c.id).where(attempts.c.execution.in_(old)))
        theirs = [row.id for row in tries]
        tx.execute(delete(reports).where(reports.c.attempt.in_(theirs)))
        tags.forget(tx, old)
        failures.forget_members(tx, old)
        tx.execute(delete(attempts).where(attempts.c.execution.in_(old)))
        tx.execute(delete(retries).where(retries.c.execution.in_(old)))
        tx.execute(delete(executions).where(executions.c.id.in_(old)))
    return len(old)


def forget_dead_messages(tx: Tx, age: timedelta, most: int) -> int:
    """Delete up to `most` dead messages that died that long ago."""
    query = select(dead_messages.c.id).where(dead_messages.c.died_at < tx.now - age).limit(most)
    numbers = [row.id for row in tx.execute(query)]
    if numbers:
        tx.execute(delete(dead_messages).where(dead_messages.c.id.in_(numbers)))
    return len(numbers)

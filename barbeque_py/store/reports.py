"""Reports as rows: what the job of an attempt told of itself, its progress and its result."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, select
from sqlalchemy.dialects import mysql, sqlite

from barbeque_py.ids import AttemptId
from barbeque_py.store.database import Tx
from barbeque_py.store.tables.runs import reports


@dataclass(frozen=True, slots=True)
class Reported:
    """What the job of one attempt has told: progress since `told_at`, a result at `result_at`."""

    attempt: AttemptId
    percent: float | None
    text: str | None
    told_at: datetime | None
    result: str | None
    """JSON text, masked."""
    fault: str | None
    """Why what it told as its result was not kept."""
    result_at: datetime | None


def put(tx: Tx, attempt: AttemptId, told: Mapping[str, Any]) -> None:
    """Keep these columns, and leave what was told before in the others."""
    row = {"attempt": attempt, **told}
    if tx.sqlite:
        adding = sqlite.insert(reports).values(row)
        tx.execute(adding.on_conflict_do_update(index_elements=["attempt"], set_=dict(told)))
    else:
        tx.execute(mysql.insert(reports).values(row).on_duplicate_key_update(dict(told)))


def of_attempt(tx: Tx, attempt: AttemptId) -> Reported | None:
    """Return what this attempt's job has told, None where it told nothing."""
    return of_attempts(tx, [attempt]).get(attempt)


def of_attempts(tx: Tx, ids: Iterable[AttemptId]) -> dict[AttemptId, Reported]:
    """Return what the jobs of those of the attempts have told that told anything."""
    found = tx.execute(_OF_ATTEMPTS, {"ids": list(ids)})
    return {row.attempt: Reported(**row._mapping) for row in found}  # noqa: SLF001 - public name


_OF_ATTEMPTS = select(reports).where(reports.c.attempt.in_(bindparam("ids", expanding=True)))

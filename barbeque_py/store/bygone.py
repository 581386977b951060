"""Executions that ended elsewhere, as rows: put in as they were, once, and never worked on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import insert, select

from barbeque_py.executions import AttemptState, Stage
from barbeque_py.store import executions as rows
from barbeque_py.store.attempts import NOBODY
from barbeque_py.store.attempts import add as add_attempts
from barbeque_py.store.attempts import new_row as new_attempt
from barbeque_py.store.database import Tx
from barbeque_py.store.tables.runs import executions, retries


@dataclass(frozen=True, slots=True)
class Bygone:
    """One execution, its attempts, and the ids of its retries."""

    message_id: str
    facts: Mapping[str, Any]
    attempts: Sequence[Mapping[str, Any]]
    retries: Sequence[str]


def missing(tx: Tx, found: Sequence[Bygone]) -> set[str]:
    """Return the message ids of those that are not here yet."""
    wanted = {each.message_id for each in found}
    query = select(executions.c.message_id).where(executions.c.message_id.in_(wanted))
    return wanted - {row.message_id for row in tx.execute(query)}


def add(tx: Tx, found: Sequence[Bygone]) -> set[str]:
    """Add those that are not here yet; return their message ids."""
    new = missing(tx, found)
    added = [each for each in found if each.message_id in new]
    if not added:
        return new
    tx.execute(insert(executions), [_row(tx, each) for each in added])
    query = select(executions.c.message_id, executions.c.id)
    numbers = {
        row.message_id: row.id for row in tx.execute(query.where(executions.c.message_id.in_(new)))
    }
    add_attempts(
        tx,
        [_attempt(numbers[each.message_id], facts) for each in added for facts in each.attempts],
    )
    again = [
        {"message_id": retry, "execution": numbers[each.message_id]}
        for each in added
        for retry in each.retries
    ]
    if again:
        tx.execute(insert(retries), again)
    return new


def _row(tx: Tx, found: Bygone) -> dict[str, Any]:
    facts = found.facts
    row = rows.new_row(
        message_id=found.message_id,
        app=facts["app"],
        job=facts["job"],
        queue=facts["queue"],
        message=None,
        message_key=facts["message_key"],
        options={},
        priority=0,
        due_at=facts["created_at"],
        sent_at=facts["created_at"],
        recorded_at=tx.now,
    )
    return row | {
        "state": facts["state"],
        "stage": Stage.DONE,
        "counted": len(found.attempts),
        "counted_before": len(found.attempts),
        "attempts": len(found.attempts),
        "could_not_start": facts["could_not_start"],
        "reason": facts["reason"],
        "note": facts["note"],
        "started_at": facts["created_at"],
        "finished_at": facts["ended_at"],
    }


def _attempt(execution: int, facts: Mapping[str, Any]) -> dict[str, Any]:
    return new_attempt(
        **facts,
        execution=execution,
        round=1,
        state=AttemptState.ENDED,
        owner=NOBODY,
        epoch=1,
        lease_until=facts["finished_at"],
        scopes=[],
        counted=True,
        log_sealed_at=facts["finished_at"],
    )

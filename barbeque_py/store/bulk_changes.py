"""Changes of many executions that somebody asked for: how far each has come, so that it goes on."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, insert, select, update

from barbeque_py.store.database import Tx
from barbeque_py.store.tables.runs import bulk_changes, executions


@dataclass(frozen=True, slots=True)
class BulkChange:
    """One request to change many executions, and how far it has come."""

    id: int
    action: str
    wanted: Mapping[str, Any]
    """The filter and the action's own words, as they were asked for."""
    app: str | None
    """The only app whose executions it may change; None is all."""
    asked_by: str
    found: int
    """How many there were when it was asked for."""
    top: int | None
    """The row id below which executions are still to be looked at; None when it is done."""
    changed: int
    left_alone: int
    created_at: datetime
    finished_at: datetime | None


def add(
    tx: Tx, action: str, wanted: Mapping[str, Any], *, app: str | None, asked_by: str, found: int
) -> int:
    """Record the request for the executions there are now, and return its number."""
    newest = tx.execute(select(func.max(executions.c.id))).scalar_one_or_none() or 0
    row = {
        "action": action,
        "wanted": json.dumps(wanted),
        "app": app,
        "asked_by": asked_by[:200],
        "found": found,
        "top": newest + 1,
        "changed": 0,
        "left_alone": 0,
        "created_at": tx.now,
    }
    added = tx.execute(insert(bulk_changes).values(row))
    return int(added.inserted_primary_key[0])  # type: ignore[index]


def get(tx: Tx, number: int, *, lock: bool = False) -> BulkChange | None:
    """Return the request with this number."""
    query: Select[Any] = select(bulk_changes).where(bulk_changes.c.id == number)
    row = tx.execute(query.with_for_update() if lock else query).one_or_none()
    if row is None:
        return None
    facts = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it
    return BulkChange(**facts | {"wanted": json.loads(facts["wanted"])})


def move_on(tx: Tx, change: BulkChange, *, top: int | None, changed: int, left_alone: int) -> None:
    """Record what one more batch did; its row is locked."""
    tx.execute(
        update(bulk_changes)
        .where(bulk_changes.c.id == change.id)
        .values(
            top=top,
            changed=change.changed + changed,
            left_alone=change.left_alone + left_alone,
            finished_at=tx.now if top is None else None,
        )
    )

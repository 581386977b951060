"""Executions as lists show them: without their messages."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row

from barbeque_py.executions import Stage, State
from barbeque_py.store.tables.runs import executions


@dataclass(frozen=True, slots=True)
class Entry:
    """One execution as lists show it: without its message."""

    id: int
    message_id: str
    app: str
    job: str
    queue: str
    priority_rank: int
    state: State
    stage: Stage
    due_at: datetime
    held_by: str | None
    round: int
    counted: int
    counted_before: int
    attempts: int
    could_not_start: bool
    reason: str | None
    cancel_requested_at: datetime | None
    note: str | None
    sent_at: datetime
    recorded_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    user_id: str | None

    @property
    def priority(self) -> int:
        """From -100 to 100, higher first."""
        return -self.priority_rank


COLUMNS = [executions.c[name] for name in Entry.__slots__]


def read_entry(row: Row[Any]) -> Entry:
    """Return the row, of `COLUMNS`, as an entry."""
    facts = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it
    facts["state"] = State(facts["state"])
    facts["stage"] = Stage(facts["stage"])
    return Entry(**facts)

"""What went wrong lately, for whoever is asked for help: reasons, and no message of a user's."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select

from barbeque_py.executions import State
from barbeque_py.notices import NoticeState
from barbeque_py.store.database import Tx
from barbeque_py.store.tables import metadata
from barbeque_py.store.tables.posts import dead_messages, notices, outbox
from barbeque_py.store.tables.runs import attempts, executions

_MOST = 50
_LOOKED_AT = 1_000
_COUNTED = 100_000


@dataclass(frozen=True, slots=True)
class Trouble:
    """One thing that went wrong, where, and why."""

    kind: str
    subject: str
    at: datetime | None
    reason: str


def newest(tx: Tx) -> list[Trouble]:
    """Return the newest of each kind: errands, notices, dead messages, starts."""
    tried = (
        select(outbox.c.kind, outbox.c.subject, outbox.c.due_at, outbox.c.last_error)
        .where(outbox.c.done_at.is_(None), outbox.c.last_error.is_not(None))
        .order_by(outbox.c.due_at.desc())
    )
    told = [
        select(notices.c.channel, notices.c.notice_id, notices.c.made_at, notices.c.reason)
        .where(notices.c.state == state, notices.c.reason.is_not(None))
        .order_by(notices.c.id.desc())
        for state in (NoticeState.WAITING, NoticeState.REFUSED, NoticeState.GIVEN_UP)
    ]
    dead = select(
        dead_messages.c.queue,
        dead_messages.c.message_id,
        dead_messages.c.died_at,
        dead_messages.c.reason,
    ).order_by(dead_messages.c.id.desc())
    failed = (
        select(executions.c.id, executions.c.could_not_start)
        .where(executions.c.state == State.FAILED)
        .order_by(executions.c.id.desc())
        .limit(_LOOKED_AT)
        .subquery()
    )
    unstarted = (
        select(attempts.c.reason, attempts.c.id, attempts.c.finished_at, attempts.c.detail)
        .join(failed, failed.c.id == attempts.c.execution)
        .where(failed.c.could_not_start.is_(True))
        .order_by(failed.c.id.desc())
    )
    asked = [("errand", tried), *(("notice", each) for each in told)]
    asked += [("dead message", dead), ("start", unstarted)]
    return [_trouble(kind, row) for kind, query in asked for row in tx.execute(query.limit(_MOST))]


def _trouble(kind: str, row: Any) -> Trouble:
    where, subject, at, reason = row
    return Trouble(f"{kind}: {where}", str(subject), at, str(reason or ""))


def count_rows(tx: Tx) -> dict[str, int]:
    """Count the rows of every table, up to a hundred thousand."""
    found = {}
    for name, table in sorted(metadata.tables.items()):
        some = select(*table.primary_key.columns).limit(_COUNTED).subquery()
        found[name] = int(tx.execute(select(func.count()).select_from(some)).scalar_one())
    return found

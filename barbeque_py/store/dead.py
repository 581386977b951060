"""Dead messages: what can't become an execution, kept with its reason."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.dialects import mysql, sqlite

from barbeque_py.broker import Delivery
from barbeque_py.store.database import Tx
from barbeque_py.store.tables.posts import dead_messages


@dataclass(frozen=True, slots=True)
class DeadMessage:
    """A message that can't become an execution, and why."""

    id: int
    queue: str
    broker_id: str
    message_id: str | None
    body: str
    reason: str
    sent_at: datetime
    died_at: datetime
    app: str | None
    """Whose it is, as far as its body tells."""

    @property
    def public_id(self) -> str:
        """The id under which its sender knows it."""
        return self.message_id or self.broker_id


def bury(
    tx: Tx,
    delivery: Delivery,
    *,
    reason: str,
    message_id: str | None,
    app: str | None = None,
) -> None:
    """Keep the message with its reason; a second burial of the same message changes nothing."""
    row = {
        "queue": delivery.queue,
        "broker_id": delivery.broker_id,
        "message_id": message_id,
        "body": delivery.body,
        "reason": reason,
        "sent_at": delivery.sent_at,
        "died_at": tx.now,
        "app": app,
    }
    if tx.sqlite:
        tx.execute(sqlite.insert(dead_messages).values(row).on_conflict_do_nothing())
    else:
        adding = mysql.insert(dead_messages).values(row)
        tx.execute(adding.on_duplicate_key_update(broker_id=dead_messages.c.broker_id))


def newest(
    tx: Tx, *, app: str | None = None, before: int | None = None, most: int = 50
) -> Sequence[DeadMessage]:
    """Return dead messages, the newest first; of this app, and with an id below `before`, only."""
    query = select(dead_messages).order_by(dead_messages.c.id.desc()).limit(most)
    if app is not None:
        query = query.where(dead_messages.c.app == app)
    if before is not None:
        query = query.where(dead_messages.c.id < before)
    return [DeadMessage(**row._mapping) for row in tx.execute(query)]  # noqa: SLF001 - public name


def get(tx: Tx, number: int) -> DeadMessage | None:
    """Return the dead message with this row id."""
    row = tx.execute(select(dead_messages).where(dead_messages.c.id == number)).one_or_none()
    return None if row is None else DeadMessage(**row._mapping)  # noqa: SLF001 - public name


def by_message_id(tx: Tx, message_id: str) -> DeadMessage | None:
    """Return the newest dead message with this public id."""
    query = select(dead_messages).where(dead_messages.c.message_id == message_id)
    row = tx.execute(query.order_by(dead_messages.c.id.desc()).limit(1)).one_or_none()
    return None if row is None else DeadMessage(**row._mapping)  # noqa: SLF001 - public name


def is_dead(tx: Tx, message_id: str, *, app: str | None = None) -> bool:
    """Tell whether the message with this public id is dead; where one is named, of this app."""
    query = select(dead_messages.c.id).where(dead_messages.c.message_id == message_id).limit(1)
    if app is not None:
        query = query.where(dead_messages.c.app == app)
    return tx.execute(query).one_or_none() is not None


def facts(found: DeadMessage) -> dict[str, Any]:
    """Return what the audit trail tells of a dead message: not its body."""
    return {"message_id": found.public_id, "queue": found.queue, "reason": found.reason[:1000]}


def drop(tx: Tx, number: int) -> bool:
    """Delete the dead message; say whether it was there."""
    return tx.execute(delete(dead_messages).where(dead_messages.c.id == number)).rowcount == 1

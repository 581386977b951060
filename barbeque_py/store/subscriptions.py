"""Which SNS topics a queue hears, as rows; one that is to go stays until SNS has let it go."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, insert, select, update

from barbeque_py.apps import Subscription
from barbeque_py.store.database import Tx
from barbeque_py.store.tables.definitions import subscriptions


@dataclass(frozen=True, slots=True)
class Subscribed:
    """A subscription, and how far SNS has it."""

    id: int
    queue: str
    topic: str
    app: str
    job: str
    subscription_arn: str | None
    """What SNS calls it; None until SNS has said so."""
    fault: str | None
    """Why SNS does not have it as it should be, when it was last tried."""
    removed_at: datetime | None
    """Since when it is to go; it starts no job any more."""
    changed_at: datetime

    @property
    def wanted(self) -> Subscription:
        """What the apply file says of it."""
        return Subscription(self.topic, self.queue, self.app, self.job)


def put(tx: Tx, wanted: Subscription) -> Subscribed:
    """Make the subscription of the queue to the topic, or let it start this job from now on."""
    values = {"app": wanted.app, "job": wanted.job, "removed_at": None, "changed_at": tx.now}
    same = (subscriptions.c.queue == wanted.queue, subscriptions.c.topic == wanted.topic)
    changed = tx.execute(update(subscriptions).where(*same).values(values))
    if changed.rowcount == 0:
        tx.execute(insert(subscriptions).values(queue=wanted.queue, topic=wanted.topic, **values))
    return _row(tx.execute(select(subscriptions).where(*same)).one())


def find(tx: Tx, queue: str, topic: str) -> Subscribed | None:
    """Return the queue's subscription to the topic, unless it is to go."""
    query = select(subscriptions).where(
        subscriptions.c.queue == queue,
        subscriptions.c.topic == topic,
        subscriptions.c.removed_at.is_(None),
    )
    row = tx.execute(query).one_or_none()
    return None if row is None else _row(row)


def get(tx: Tx, number: int) -> Subscribed | None:
    """Return the subscription with this row id."""
    row = tx.execute(select(subscriptions).where(subscriptions.c.id == number)).one_or_none()
    return None if row is None else _row(row)


def everything(tx: Tx) -> list[Subscribed]:
    """Return all subscriptions, those that are to go included, by queue and topic."""
    query = select(subscriptions).order_by(subscriptions.c.queue, subscriptions.c.topic)
    return [_row(row) for row in tx.execute(query)]


def of_queue(tx: Tx, queue: str) -> list[Subscribed]:
    """Return the queue's subscriptions, those that are to go included, by topic."""
    return [each for each in everything(tx) if each.queue == queue]


def unfinished(tx: Tx) -> list[Subscribed]:
    """Return the subscriptions that SNS does not have as it should be, as far as we know."""
    found = everything(tx)
    return [each for each in found if each.removed_at or each.fault or not each.subscription_arn]


def retire(tx: Tx, numbers: Sequence[int]) -> None:
    """Let these subscriptions start nothing more, until `drop` forgets them."""
    tx.execute(
        update(subscriptions)
        .where(subscriptions.c.id.in_(numbers), subscriptions.c.removed_at.is_(None))
        .values(removed_at=tx.now, changed_at=tx.now)
    )


def note(tx: Tx, number: int, *, arn: str | None, fault: str | None) -> None:
    """Keep what SNS calls the subscription, and why it does not have it as it should be."""
    tx.execute(
        update(subscriptions)
        .where(subscriptions.c.id == number)
        .values(subscription_arn=arn, fault=fault)
    )


def drop(tx: Tx, number: int) -> bool:
    """Forget a subscription that was to go; False when it is wanted again, or gone."""
    dropped = tx.execute(
        delete(subscriptions).where(
            subscriptions.c.id == number, subscriptions.c.removed_at.is_not(None)
        )
    )
    return dropped.rowcount == 1


def _row(row: Any) -> Subscribed:
    return Subscribed(**row._mapping)  # noqa: SLF001 - public name

"""Queues kept in the database, for machines without SQS: one table of messages."""

import uuid
from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import ColumnElement, and_, delete, func, insert, select, update

from barbeque_py.broker import Delivery, Parcel
from barbeque_py.store.database import Tx
from barbeque_py.store.tables.posts import messages


def put(tx: Tx, queue: str, parcels: Sequence[Parcel]) -> None:
    """Add the parcels to the queue."""
    tx.execute(
        insert(messages),
        [
            {
                "queue": queue,
                "body": parcel.body,
                "broker_id": str(uuid.uuid4()),
                "receives": 0,
                "visible_at": tx.now + parcel.delay,
                "sent_at": tx.now,
            }
            for parcel in parcels
        ],
    )


def any_visible(tx: Tx, queue: str) -> bool:
    """Tell whether a message can be received now, without locking anything."""
    query = (
        select(messages.c.id)
        .where(messages.c.queue == queue, messages.c.visible_at <= tx.now)
        .limit(1)
    )
    return tx.execute(query).one_or_none() is not None


def lock_visible(tx: Tx, queue: str, limit: int) -> list[Delivery]:
    """Lock the oldest visible messages that nobody else has locked, until the transaction ends."""
    query = (
        select(messages)
        .where(messages.c.queue == queue, messages.c.visible_at <= tx.now)
        .order_by(messages.c.visible_at, messages.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return [
        Delivery(
            queue=queue,
            body=row.body,
            receipt=f"{row.id}/{row.receipt or ''}",
            broker_id=row.broker_id,
            sent_at=row.sent_at,
            receives=row.receives + 1,
        )
        for row in tx.execute(query)
    ]


def hide(tx: Tx, deliveries: Sequence[Delivery], visibility: timedelta) -> list[Delivery]:
    """Hide locked messages under new receipts and count the receive; return them as received."""
    hidden = []
    for delivery in deliveries:
        number, _ = _parts(delivery.receipt)
        receipt = uuid.uuid4().hex
        tx.execute(
            update(messages)
            .where(messages.c.id == number)
            .values(
                receipt=receipt,
                receives=messages.c.receives + 1,
                visible_at=tx.now + visibility,
            )
        )
        hidden.append(
            Delivery(
                queue=delivery.queue,
                body=delivery.body,
                receipt=f"{number}/{receipt}",
                broker_id=delivery.broker_id,
                sent_at=delivery.sent_at,
                receives=delivery.receives,
            )
        )
    return hidden


def extend(tx: Tx, deliveries: Sequence[Delivery], visibility: timedelta) -> None:
    """Hide the messages for longer or shorter, where the receipt is still the newest."""
    for delivery in deliveries:
        tx.execute(update(messages).where(_held(delivery)).values(visible_at=tx.now + visibility))


def remove(tx: Tx, deliveries: Sequence[Delivery]) -> int:
    """Delete the messages where the receipt is still the newest; return how many."""
    return sum(
        tx.execute(delete(messages).where(_held(delivery))).rowcount for delivery in deliveries
    )


def depth(tx: Tx, queue: str) -> int:
    """Count the queue's messages, hidden ones included."""
    query = select(func.count()).select_from(messages).where(messages.c.queue == queue)
    return int(tx.execute(query).scalar_one())


def _held(delivery: Delivery) -> ColumnElement[bool]:
    number, receipt = _parts(delivery.receipt)
    same = messages.c.receipt == receipt if receipt else messages.c.receipt.is_(None)
    return and_(messages.c.id == number, same)


def _parts(receipt: str) -> tuple[int, str]:
    number, _, token = receipt.partition("/")
    return int(number), token

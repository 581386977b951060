"""Seam: carries messages, at least once, in no promised order."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

BATCH = 10
"""How many messages one call carries, both ways: SQS's limit."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """A message to be sent: its body as text, the app it is from, and how long it stays hidden."""

    body: str
    app: str
    delay: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message as received, with the receipt that extends or deletes it."""

    queue: str
    body: str
    receipt: str
    broker_id: str
    """The broker's own id of the message, a UUID: the same on every delivery."""
    sent_at: datetime
    receives: int
    """How often it has been received, this time included."""


class Broker(Protocol):
    """Carries messages at least once: what was sent is received until it is deleted."""

    def send(self, queue: str, parcels: Sequence[Parcel]) -> None:
        """Put the parcels on the queue; when this returns they survive a crash of anything.

        Raises `OutsideError` when that is not certain: some may have been sent.
        """
        ...

    def receive(self, queue: str, *, limit: int = BATCH, wait: timedelta) -> list[Delivery]:
        """Borrow up to `limit` visible messages, waiting at most `wait` for the first.

        A borrowed message is hidden for the broker's visibility time, then received again.
        """
        ...

    def extend(self, deliveries: Sequence[Delivery], visibility: timedelta) -> None:
        """Hide the messages for `visibility` from now; zero gives them back at once.

        A delivery whose receipt is no longer the newest is left alone.
        """
        ...

    def delete(self, deliveries: Sequence[Delivery]) -> None:
        """Forget the messages; a no-op for those that are gone or were received again since."""
        ...

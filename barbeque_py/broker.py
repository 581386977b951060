"""Seam: carries messages, at least once, in no promised order."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol, runtime_checkable

BATCH = 10
"""How many messages one call carries, both ways: SQS's limit."""

LONGEST_DELAY = timedelta(minutes=15)
"""For how long a parcel can be hidden when it is sent: SQS's limit."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """A message to be sent: its body as text, the app it is from, and how long it stays hidden.

    Every broker carries a body of 1 to 1,048,576 bytes in UTF-8, of the characters that XML allows:
    no control character but tab, newline and carriage return, no U+FFFE, no U+FFFF.
    """

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

        Raises `OutsideError` when that is not certain: some may have been sent. A broker that
        can't carry a body raises `UnfitBody`, one that knows its queues `UnknownQueue`; then
        nothing was sent.
        """
        ...

    def receive(self, queue: str, *, limit: int = BATCH, wait: timedelta) -> list[Delivery]:
        """Borrow up to `limit` visible messages, waiting at most `wait` for the first.

        A borrowed message is hidden for the broker's visibility time, then received again.
        """
        ...

    def extend(self, deliveries: Sequence[Delivery], visibility: timedelta) -> None:
        """Hide the messages for `visibility` from now; zero gives them back at once.

        A message that is gone is left alone, and one that was received again since may be.
        """
        ...

    def delete(self, deliveries: Sequence[Delivery]) -> None:
        """Forget the messages; a no-op for those that are gone.

        One that was received again since is forgotten too, or else received once more.
        """
        ...


@dataclass(frozen=True, slots=True)
class Depth:
    """About how many messages a queue has."""

    visible: int
    in_flight: int
    """Received and not deleted yet."""
    delayed: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.visible + self.in_flight + self.delayed


class Queues(Protocol):
    """The queues of a broker that does not make them by itself when messages are sent."""

    @property
    def most_receives(self) -> int:
        """How often a message is received, and not deleted, before the broker gives it up."""
        ...

    def ensure_queue(self, name: str) -> None:
        """Make the queue, or bring right what is there; can be repeated.

        Raises `RequestError` for a name that the broker can't have, `ConfigurationError` for a
        definite no, `OutsideError` when it is not known what was done.
        """
        ...

    def depth(self, name: str) -> Depth:
        """Count the queue's messages, as well as the broker can.

        Raises `UnknownQueue`, `OutsideError`.
        """
        ...

    def dead_letters_of(self, name: str) -> str:
        """Return the queue from which to receive what the broker has given up of this one."""
        ...


@dataclass(slots=True)
class Sorting:
    """What became of a batch: messages that are done with, and those to look at again later."""

    done: list[Delivery] = field(default_factory=list)
    later: list[tuple[Delivery, timedelta]] = field(default_factory=list)


@runtime_checkable
class SharedBroker(Broker, Protocol):
    """A broker whose queues live in the store's own database, where one commit does it all."""

    def take(
        self, queue: str, record: Callable[[Any, Sequence[Delivery]], Sorting]
    ) -> tuple[int, list[Delivery]]:
        """Receive, record, and delete what `record` calls done, in one transaction.

        Does not wait. Returns how many messages there were, and those that `record` left out of
        its answer: they are borrowed, as `receive` would have.
        """
        ...

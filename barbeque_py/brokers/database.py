"""The broker whose queues are a table: for one machine, without SQS."""

import time
from collections.abc import Callable, Sequence
from datetime import timedelta

from barbeque_py.broker import BATCH, Delivery, Parcel, Sorting
from barbeque_py.store import Store, Tx, lanes

VISIBILITY = timedelta(seconds=60)
_POLL = 0.05


class DatabaseBroker:
    """Carries messages in the store's own database.

    A message is hidden for `visibility` when it is received, under a new receipt each time.
    """

    def __init__(self, store: Store, *, visibility: timedelta = VISIBILITY) -> None:
        self._store = store
        self._visibility = visibility

    def send(self, queue: str, parcels: Sequence[Parcel]) -> None:
        """Write the parcels in one transaction: all or none."""
        self._store.write(lambda tx: lanes.put(tx, queue, parcels))

    def receive(self, queue: str, *, limit: int = BATCH, wait: timedelta) -> list[Delivery]:
        """Borrow the oldest visible messages; looks again every 50 ms until `wait` is over."""
        until = time.monotonic() + wait.total_seconds()
        while True:
            if self._store.read(lambda tx: lanes.any_visible(tx, queue)):
                found = self._store.write(lambda tx: self._borrow(tx, queue, limit))
                if found:
                    return found
            if time.monotonic() >= until:
                return []
            time.sleep(_POLL)

    def _borrow(self, tx: Tx, queue: str, limit: int) -> list[Delivery]:
        return lanes.hide(tx, lanes.lock_visible(tx, queue, limit), self._visibility)

    def extend(self, deliveries: Sequence[Delivery], visibility: timedelta) -> None:
        """Hide the messages for longer or shorter, from now."""
        self._store.write(lambda tx: lanes.extend(tx, deliveries, visibility))

    def delete(self, deliveries: Sequence[Delivery]) -> None:
        """Forget the messages."""
        self._store.write(lambda tx: lanes.remove(tx, deliveries))

    def take(
        self, queue: str, record: Callable[[Tx, Sequence[Delivery]], Sorting]
    ) -> tuple[int, list[Delivery]]:
        """Receive, record and delete in one transaction; returns the count and what is left."""
        return self._store.write(lambda tx: self._take(tx, queue, record))

    def _take(
        self, tx: Tx, queue: str, record: Callable[[Tx, Sequence[Delivery]], Sorting]
    ) -> tuple[int, list[Delivery]]:
        deliveries = lanes.lock_visible(tx, queue, BATCH)
        if not deliveries:
            return 0, []
        sorting = record(tx, deliveries)
        lanes.remove(tx, sorting.done)
        for delivery, wait in sorting.later:
            lanes.hide(tx, [delivery], wait)
        settled = {each.receipt for each in sorting.done}
        settled |= {each.receipt for each, _ in sorting.later}
        left = [each for each in deliveries if each.receipt not in settled]
        return len(deliveries), lanes.hide(tx, left, self._visibility)

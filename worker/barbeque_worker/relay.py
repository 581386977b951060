"""Loop: what a commit left to be done outside is done, lane by lane, until it succeeds."""

import logging
import threading
from collections.abc import Callable
from datetime import timedelta
from functools import partial

from barbeque_py.errors import OutsideError
from barbeque_py.ids import AttemptId
from barbeque_py.seal import seal_all
from barbeque_py.settle import SEAL
from barbeque_py.store import outbox
from barbeque_py.store.outbox import Item
from barbeque_worker.crew import Crew
from barbeque_worker.shipping import Shippers, Unfinished
from barbeque_worker.station import Station

log = logging.getLogger(__name__)

_REST = 1.0
_AHEAD = 4
"""How many items a thread has before it: many are taken at once, when half are done."""
_LONGEST_WAIT = timedelta(minutes=5)


class Relay:
    """Works the outbox off with a small pool; a lane has at most one thread at a time."""

    def __init__(self, station: Station, shippers: Shippers, *, threads: int = 8) -> None:
        self._station = station
        self._shippers = shippers
        self._lease = station.lease.length
        self._most = threads * _AHEAD
        self._crew = Crew(threads, "relay")
        self._busy: dict[str, int] = {}
        self._guard = threading.Lock()
        self.on_free: Callable[[], None] = lambda: None

    def step(self) -> float:
        """Take what is due and hand it to the pool; return how long to rest."""
        with self._guard:
            busy = list(self._busy)
        room = self._most - len(busy)
        if room < self._most // 2 or not self._station.store.read(
            lambda tx: outbox.any_due(tx, but=busy)
        ):
            return _REST
        places = [*self._station.places.current(), *self._station.places.former()]
        items = self._station.store.write(
            lambda tx: outbox.take(
                tx, self._station.owner, places, most=room, lease=self._lease, busy=busy
            )
        )
        self._shippers.look_up([AttemptId(item.subject) for item in items if item.kind == SEAL])
        for item in items:
            with self._guard:
                self._busy[item.lane] = item.id
            self._crew.submit(partial(self._work, item))
        return 0 if len(items) == room else _REST

    def keep(self) -> None:
        """Renew the leases of what is being worked on."""
        with self._guard:
            numbers = list(self._busy.values())
        if numbers:
            self._station.store.write(lambda tx: outbox.keep(tx, numbers, self._lease))

    def stop(self) -> None:
        """Take no more; what is under way is done again by another worker."""
        self._crew.stop()

    def _work(self, item: Item) -> None:
        try:
            self._do(item)
        except OutsideError as error:
            self._postpone(item, error)
        except Exception as error:
            log.exception("%s of %s failed", item.kind, item.subject)
            self._postpone(item, error)
        finally:
            with self._guard:
                self._busy.pop(item.lane, None)
                left = len(self._busy)
            if left == self._most // 2:
                self.on_free()

    def _do(self, item: Item) -> None:
        """Seal the log, record it, and only then free what the executor keeps of the attempt."""
        assert item.kind == SEAL, f"nobody puts a {item.kind} into the outbox"
        attempt = AttemptId(item.subject)
        facts = self._shippers.finish(attempt, fresh=item.fresh)
        if isinstance(facts, Unfinished):
            self._set_aside(item, facts.wait)
            return
        self._station.store.write_each(seal_all, (item, facts))
        self._station.executor.remove(attempt)

    def _set_aside(self, item: Item, wait: timedelta) -> None:
        owner, lease = self._station.owner, self._lease
        self._station.store.write_together(
            lambda tx: outbox.set_aside(tx, item.id, owner, wait=wait, lease=lease)
        )

    def _postpone(self, item: Item, error: Exception) -> None:
        wait = min(timedelta(seconds=1 << min(item.tries, 10)), _LONGEST_WAIT)
        reason = str(error) if isinstance(error, OutsideError) else repr(error)
        log.warning("%s of %s is tried again in %s: %s", item.kind, item.subject, wait, error)
        try:
            self._station.store.write_together(
                lambda tx: outbox.postpone(tx, item.id, wait=wait, error=reason)
            )
        except OutsideError as failure:
            log.warning("%s of %s waits for its lease to end: %s", item.kind, item.subject, failure)

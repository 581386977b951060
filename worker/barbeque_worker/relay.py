"""Loop: what a commit left to be done outside is done, lane by lane, until it succeeds."""

import logging
import threading
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial

from barbeque_py import clock
from barbeque_py.callbacks import CALL_OFF, PLACE, POST
from barbeque_py.errors import OutsideError, Undelivered
from barbeque_py.ids import AttemptId
from barbeque_py.seal import seal_all
from barbeque_py.settle import SEAL
from barbeque_py.store import outbox
from barbeque_py.store.notices import NOTICE
from barbeque_py.store.outbox import Item
from barbeque_worker import tracing
from barbeque_worker.ailing import Ailing
from barbeque_worker.courier import SENDING, Courier
from barbeque_worker.crew import Crew
from barbeque_worker.posting import Posting
from barbeque_worker.section import Section
from barbeque_worker.shipping import Unfinished

log = logging.getLogger(__name__)

_REST = 1.0
_AHEAD = 8
"""How many items a thread has before it: many are taken at once, when half are done."""
_LONGEST_WAIT = timedelta(minutes=5)


class Relay:
    """Works the outbox off with a small pool; a lane has at most one thread at a time."""

    def __init__(
        self,
        usual: Section,
        backends: Section,
        courier: Courier,
        posting: Posting,
        *,
        threads: int = 8,
    ) -> None:
        self._station = usual.station
        self._usual = usual
        self._backends = backends
        self._courier = courier
        self._posting = posting
        self._lease = max(usual.station.lease.length, SENDING)
        self._threads = threads
        self._most = threads * _AHEAD
        self._crew = Crew(threads, "relay")
        self._busy: dict[str, Item] = {}
        self._ailing = Ailing()
        self._ailing_at = 0.0
        self._more_due = False
        self._stopped = False
        self._at_work = 0
        self._guard = threading.Lock()
        self._landed = threading.Condition(self._guard)
        self.on_free: Callable[[], None] = lambda: None

    def step(self) -> float:
        """Take what is due and hand it to the pool; return how long to rest."""
        with self._guard:
            busy = list(self._busy)
        room = self._most - len(busy)
        if room < self._most // 2 or not (self._more_due or self._any_due(busy)):
            return _REST
        items = self._take(busy, room, ailing=False)
        self._more_due = len(items) == room
        for section in (self._usual, self._backends):
            sealing = [item for item in items if item.kind == SEAL]
            theirs = [each for each in sealing if self._section_of(each) is section]
            section.shippers.look_up([AttemptId(each.subject) for each in theirs])
        self._submit(items)
        failing = self._take_ailing()
        return 0 if items or failing else _REST

    def _take_ailing(self) -> list[Item]:
        """Take, each second, what failed last time, for half of the threads at most."""
        if clock.monotonic() - self._ailing_at < _REST:
            return []
        self._ailing_at = clock.monotonic()
        with self._guard:
            busy = list(self._busy)
            room = self._threads // 2 - sum(map(self._ailing.is_ailing, self._busy.values()))
        items = self._take(busy, room, ailing=True) if room > 0 else []
        self._submit(items)
        return items

    def _take(self, busy: Sequence[str], room: int, *, ailing: bool) -> list[Item]:
        places = [PLACE, *self._station.places.current(), *self._station.places.former()]
        owner, kind = self._station.owner, self._ailing.kind(ailing=ailing)
        return self._station.store.write(
            lambda tx: outbox.take(
                tx, owner, places, most=room, lease=self._lease, busy=busy, kind=kind
            )
        )

    def _submit(self, items: Sequence[Item]) -> None:
        for item in items:
            with self._guard:
                self._busy[item.lane] = item
            self._crew.submit(partial(self._work, item))

    def _any_due(self, busy: Sequence[str]) -> bool:
        return self._station.store.read(lambda tx: outbox.any_due(tx, but=busy))

    def keep(self) -> None:
        """Renew the leases of what is being worked on."""
        with self._guard:
            numbers = [item.id for item in self._busy.values()]
        if numbers:
            owner, lease = self._station.owner, self._lease
            self._station.store.write(lambda tx: outbox.keep(tx, numbers, owner, lease))

    def stop(self) -> None:
        """Take no more, and begin with nothing more of what was taken."""
        self._stopped = True
        self._crew.stop()

    def join(self, timeout: float) -> None:
        """Wait so many seconds for what is being said: whoever takes it up would say it again."""
        until = clock.monotonic() + timeout
        with self._guard:
            while self._at_work and clock.monotonic() < until:
                self._landed.wait(until - clock.monotonic())

    def _work(self, item: Item) -> None:
        if not self._begin(item):
            return
        try:
            self._try(item)
        finally:
            self._end(item)

    def _begin(self, item: Item) -> bool:
        """Begin with the item, unless all is to end; a log is sealed again without harm."""
        with self._guard:
            self._at_work += not self._stopped and item.kind != SEAL
            return not self._stopped

    def _end(self, item: Item) -> None:
        with self._guard:
            self._at_work -= item.kind != SEAL
            self._landed.notify_all()

    def _try(self, item: Item) -> None:
        began = clock.monotonic()
        recording = False
        try:
            recording = self._do(item)
        except OutsideError as error:
            whole = isinstance(error, Undelivered) and error.whole
            self._note(item, began, failed=True, whole=whole)
            self._postpone(item, error)
        except Exception as error:
            log.exception("%s of %s failed", item.kind, item.subject)
            self._note(item, began, failed=True)
            self._postpone(item, error)
        else:
            self._note(item, began)
        finally:
            if not recording:
                self._free(item)

    def _free(self, item: Item) -> None:
        """Let others have the item's lane."""
        with self._guard:
            self._busy.pop(item.lane, None)
            left = len(self._busy)
        if left == self._most // 2 or item.kind != SEAL:
            self.on_free()

    def _note(self, item: Item, began: float, *, failed: bool = False, whole: bool = False) -> None:
        if item.kind in (NOTICE, POST, CALL_OFF):
            seconds = clock.monotonic() - began
            self._ailing.note(item.lane, seconds=seconds, failed=failed, whole=whole)

    def _do(self, item: Item) -> bool:
        """Do what the item asks for; return whether what came of it is still being recorded."""
        if item.kind == SEAL:
            return self._seal(item)
        if item.kind in (POST, CALL_OFF):
            wait = self._post(item)
        elif item.kind == NOTICE:
            wait = self._courier.deliver(item)
        else:
            wait = self._courier.tell(item)
        if wait is not None:
            self._set_aside(item, wait)
        return False

    def _post(self, item: Item) -> timedelta | None:
        attempt = AttemptId(item.subject)
        if item.kind == POST:
            self._posting.order(attempt)
        else:
            self._posting.call_off(attempt)
        self._station.store.write_together(lambda tx: outbox.finish(tx, [item.id]))
        return None

    def _seal(self, item: Item) -> bool:
        """Seal the log, record it, and only then free what the executor keeps of the attempt."""
        section, attempt = self._section_of(item), AttemptId(item.subject)
        station = section.station
        began = clock.now()
        facts = section.shippers.finish(attempt, fresh=item.fresh)
        if isinstance(facts, Unfinished):
            self._set_aside(item, facts.wait)
            return False
        if station.executor.traits.attended:
            station.store.write_each(seal_all, (item, facts))
            tracing.sealed(station.store, attempt, began)
            station.executor.remove(attempt)
            return False
        tracing.sealed(station.store, attempt, began)
        station.store.write_behind(seal_all, (item, facts), partial(self._sealed, item))
        return True

    def _sealed(self, item: Item, _result: None, error: Exception | None) -> None:
        """Go on in a thread of ours, now that the seal is recorded or is known not to be."""
        self._crew.submit(partial(self._tidy, item, error))

    def _tidy(self, item: Item, error: Exception | None) -> None:
        """Free what the executor keeps of an attempt whose log is sealed."""
        try:
            if error is None:
                self._section_of(item).station.executor.remove(AttemptId(item.subject))
            else:
                self._postpone(item, error)
        except Exception as fault:  # noqa: BLE001 - the seal stands
            log.warning("what is left of %s is freed later: %s", item.subject, fault)
        finally:
            self._free(item)

    def _section_of(self, item: Item) -> Section:
        return self._backends if item.place == PLACE else self._usual

    def _set_aside(self, item: Item, wait: timedelta) -> None:
        owner, lease = self._station.owner, self._lease
        self._station.store.write_together(
            lambda tx: outbox.set_aside(tx, item.id, owner, wait=wait, lease=lease)
        )

    def _postpone(self, item: Item, error: Exception) -> None:
        wait = min(timedelta(seconds=1 << min(item.tries, 10)), _LONGEST_WAIT)
        if item.kind == NOTICE:
            wait = self._courier.wait_after(item, error)
        reason = str(error) if isinstance(error, OutsideError) else repr(error)
        log.warning("%s of %s is tried again in %s: %s", item.kind, item.subject, wait, error)
        try:
            self._station.store.write_together(
                lambda tx: outbox.postpone(tx, item.id, wait=wait, error=reason)
            )
        except OutsideError as failure:
            log.warning("%s of %s waits for its lease to end: %s", item.kind, item.subject, failure)

"""Ships the logs of running attempts, one thread each, and seals them when they have ended."""

import logging
import threading
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from barbeque_py import clock
from barbeque_py.attempt_log import masks_of
from barbeque_py.errors import BarbequeError, LogStoreUnavailable, NoSuchLog, OutsideError
from barbeque_py.ids import AttemptId
from barbeque_py.logs import LogFacts, attempt_prefix
from barbeque_py.masks import Mask
from barbeque_py.shipment import Shipment
from barbeque_py.store import Tx, lots
from barbeque_worker.station import Station

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Running:
    shipment: Shipment
    thread: threading.Thread
    complete: bool = False


@dataclass(frozen=True, slots=True)
class Unfinished:
    """Lines of the log may still come: read it on after `wait`."""

    wait: timedelta


@dataclass(frozen=True, slots=True)
class _Label:
    """Where an attempt's log goes, and what of it nobody may read."""

    prefix: str
    mask: Mask | None


class Shippers:
    """The logs this worker ships right now."""

    def __init__(self, station: Station) -> None:
        self._station = station
        self._running: dict[AttemptId, _Running] = {}
        self._sealing: list[Shipment] = []
        self._labels: dict[AttemptId, _Label | None] = {}
        self._half_read: dict[AttemptId, Shipment] = {}
        self._guard = threading.Lock()
        self._stopped = False

    def begin(self, attempt: AttemptId) -> None:
        """Ship the attempt's log while it is written; a no-op when that is under way."""
        with self._guard:
            if attempt in self._running or self._stopped:
                return
            shipment = self._shipment(attempt)
            thread = threading.Thread(
                target=self._ship, args=(attempt,), name=f"log {attempt}", daemon=True
            )
            self._running[attempt] = _Running(shipment, thread)
        thread.start()

    def finish(self, attempt: AttemptId, *, fresh: bool) -> LogFacts | Unfinished | None:
        """Seal the log of an ended attempt and return its facts; None when nothing is left of it.

        Takes what was shipped while it ran; else reads the log from its first line. Where lines
        may still come for a while, it reads what there is, and wants to be called once more.
        `fresh` says that nobody has sealed it before. Raises `OutsideError` when the log can't be
        read or stored now.
        """
        if not self._station.executor.traits.attended:
            return self._read_on(attempt, fresh=fresh)
        running = self._running.get(attempt)
        if running is not None:
            running.thread.join()
            if running.complete:
                facts = running.shipment.seal()
                self._forget(attempt)
                return facts
            self._forget(attempt)
        return self._seal_from_start(attempt)

    def _read_on(self, attempt: AttemptId, *, fresh: bool) -> LogFacts | Unfinished | None:
        begun = self._half_read.pop(attempt, None)
        shipment = begun or self._shipment(attempt)
        waits = self._station.executor.traits.log_waits[1:]
        keep = False
        try:
            shipment.run(follow=False)
            keep = begun is None and bool(waits)
            if keep:
                self._half_read[attempt] = shipment
                return Unfinished(waits[0])
            return shipment.seal(fresh=fresh)
        except NoSuchLog:
            return None
        finally:
            if not keep:
                shipment.close()

    def look_up(self, ended: Sequence[AttemptId]) -> None:
        """Read at once what `finish` must know of these attempts, or else reads one by one."""
        new = [each for each in ended if each not in self._half_read]
        if self._station.executor.traits.attended or not new:
            return
        with suppress(OutsideError):
            labels = self._station.store.read(lambda tx: _label_each(tx, new))
            self._labels |= dict(zip(new, labels, strict=True))

    def drop(self, sealed: Collection[AttemptId]) -> None:
        """Forget what another worker has sealed meanwhile."""
        with self._guard:
            ended = [each for each in self._running if each in sealed]
        for attempt in ended:
            self._forget(attempt)

    def stop(self, timeout: float) -> None:
        """Stop shipping, which takes up to `timeout` seconds: another worker starts over."""
        until = clock.monotonic() + timeout
        with self._guard:
            self._stopped = True
            running = dict(self._running)
            shipments = [each.shipment for each in running.values()] + self._sealing
        for shipment in shipments:
            shipment.stop()
        for attempt, each in running.items():
            each.thread.join(max(0.0, until - clock.monotonic()))
            if not each.thread.is_alive():
                self._forget(attempt)
        while self._half_read:  # whoever comes now starts over, and meets none that is closed
            self._half_read.popitem()[1].close()

    def _seal_from_start(self, attempt: AttemptId) -> LogFacts | None:
        shipment = self._shipment(attempt)
        with self._guard:
            self._sealing.append(shipment)
        try:
            shipment.run()
            if self._stopped:
                raise LogStoreUnavailable("this worker stops: another one seals the log")
            return shipment.seal()
        except NoSuchLog:
            return None
        finally:
            with self._guard:
                self._sealing.remove(shipment)
            shipment.close()

    def _ship(self, attempt: AttemptId) -> None:
        running = self._running[attempt]
        try:
            running.shipment.run()
            running.complete = not self._stopped
        except NoSuchLog:
            log.warning("the log of attempt %s is gone", attempt)
        except BarbequeError as error:
            log.warning("the log of attempt %s will be read again: %s", attempt, error)
        except Exception:
            log.exception("shipping the log of attempt %s failed", attempt)

    def _forget(self, attempt: AttemptId) -> None:
        with self._guard:
            running = self._running.pop(attempt, None)
        if running is not None:
            running.shipment.close()

    def _shipment(self, attempt: AttemptId) -> Shipment:
        label = self._labels.pop(attempt, None)
        if label is None:
            label = self._station.store.read_each(_label_each, attempt)
        if label is None:
            raise NoSuchLog(f"no attempt {attempt}")
        return Shipment(
            self._station.executor.log(attempt),
            self._station.logs,
            label.prefix,
            mask=label.mask,
            shipping=self._station.shipping,
        )


def _label_each(tx: Tx, ids: Sequence[AttemptId]) -> list[_Label | None]:
    origins = lots.origins(tx, ids)
    masks = masks_of(tx, {(each.app, each.job) for each in origins.values()})
    labels = {
        each.id: _Label(
            attempt_prefix(each.app, each.job, each.message_id, each.number),
            masks[each.app, each.job],
        )
        for each in origins.values()
    }
    return [labels.get(each) for each in ids]

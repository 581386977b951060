"""What of one worker belongs to one executor: its station, and the loops that look after it."""

import logging
import threading
from collections.abc import Callable
from dataclasses import replace

from barbeque_py.errors import OutsideError
from barbeque_py.executor import Executor
from barbeque_worker.launching import Launcher
from barbeque_worker.loop import Loop
from barbeque_worker.rescue import Rescue
from barbeque_worker.shipping import Shippers
from barbeque_worker.station import Places, Station
from barbeque_worker.watch import Watch

log = logging.getLogger(__name__)

_MOST_LAUNCH_THREADS = 16
_AHEAD = 4
"""How many starts a thread has before it where machines are not short: many are claimed at once."""


class Section:
    """Launches, watches, rescues and ships at the places of one executor."""

    def __init__(
        self, station: Station, *, on_free: Callable[[], None], on_settled: Callable[[], None]
    ) -> None:
        self.station = station
        self.shippers = Shippers(station)
        self.launcher = Launcher(
            station,
            self.shippers,
            threads=min(station.executor.slots() or _MOST_LAUNCH_THREADS, _MOST_LAUNCH_THREADS),
            ahead=1 if station.executor.traits.attended else _AHEAD,
            on_free=on_free,
            on_settled=on_settled,
        )
        self.watch = Watch(station, self.launcher, self.shippers, on_settled=on_settled)
        self.rescue = Rescue(station, self.launcher, self.shippers)
        self.enforce = Loop("enforce", self.watch.enforce)
        self._stop = threading.Event()
        self._events = threading.Thread(target=self._follow, name="events", daemon=True)

    def start(self) -> None:
        """Begin to hear what the executor tells."""
        self._events.start()

    def stop(self) -> None:
        """Hear no more."""
        self._stop.set()

    def _follow(self) -> None:
        while not self._stop.is_set():
            try:
                self.watch.follow(self._stop)
            except OutsideError as error:
                log.warning("following events rests for a second: %s", error)
            except Exception:
                log.exception("following events failed; the sweep goes on, events in a second")
            self._stop.wait(1.0)


def beside(station: Station, executor: Executor) -> Station:
    """Return the same worker's station at another executor, whose logs nobody ships meanwhile."""
    return replace(
        station,
        executor=executor,
        shipping=replace(station.shipping, live_every=None),
        places=Places(station.store, executor),
        mine=set(),
    )

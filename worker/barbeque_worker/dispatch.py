"""Loop: ready executions are prepared, claimed under their limits, and handed to the launcher."""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from barbeque_py import clock
from barbeque_py.apps import with_registry
from barbeque_py.errors import ExecutorUnavailable, LaunchRefused
from barbeque_py.executor import Preparation
from barbeque_py.start import claim
from barbeque_py.store import Tx, apps, limits
from barbeque_py.store import executions as rows
from barbeque_worker.crew import Crew
from barbeque_worker.intake import served_queues
from barbeque_worker.launching import Launcher
from barbeque_worker.station import Station

log = logging.getLogger(__name__)

_REST = 1.0
_IDLE_REST = 5.0
_SHORTEST_REST = 0.01
_FRESH = 10.0
"""Seconds for which a prepared image is taken as it was."""
_RE_READ = 1.0
_RIPEN_BATCH = 500


@dataclass(frozen=True, slots=True)
class _Prepared:
    answer: Preparation | LaunchRefused
    at: float


class Preparing:
    """Makes images ready before anything is claimed, so that a pull holds no slot."""

    def __init__(self, station: Station, *, on_ready: Callable[[], None]) -> None:
        self._station = station
        self._on_ready = on_ready
        self._crew = Crew(4, "prepare")
        self._ready: dict[str, _Prepared] = {}
        self._under_way: set[str] = set()
        self._guard = threading.Lock()

    def of_apps(self, images: dict[str, str]) -> dict[str, Preparation | LaunchRefused]:
        """Return, by app, the images that are ready or refused; begin to prepare the others."""
        found = {}
        for app, image in images.items():
            ready = self._ready.get(image)
            if ready is None or clock.monotonic() - ready.at > _FRESH:
                self._begin(image)
            if ready is not None and clock.monotonic() - ready.at <= 2 * _FRESH:
                found[app] = ready.answer
        return found

    def stop(self) -> None:
        """Begin nothing more."""
        self._crew.stop()

    def _begin(self, image: str) -> None:
        with self._guard:
            if image in self._under_way:
                return
            self._under_way.add(image)
        self._crew.submit(partial(self._prepare, image))

    def _prepare(self, image: str) -> None:
        try:
            answer: Preparation | LaunchRefused = self._station.executor.prepare(image)
        except LaunchRefused as refused:
            answer = refused
        except ExecutorUnavailable as error:
            log.warning("nothing is started until the engine is back: %s", error)
            self._forget(image)
            return
        except Exception:
            log.exception("preparing the image %s failed", image)
            self._forget(image)
            return
        self._ready[image] = _Prepared(answer, clock.monotonic())
        self._forget(image)
        self._on_ready()

    def _forget(self, image: str) -> None:
        with self._guard:
            self._under_way.discard(image)


class Dispatch:
    """Claims what may start now, round robin over the queues."""

    def __init__(
        self, station: Station, launcher: Launcher, preparing: Preparing, queues: Sequence[str]
    ) -> None:
        self._station = station
        self._launcher = launcher
        self._preparing = preparing
        self._only = set(queues)
        self._queues: list[str] = []
        self._queues_read_at = -_RE_READ
        self._turn = 0
        self._idle = 0

    def step(self) -> float:
        """Ripen what is due and claim what there is room for; return how long to rest."""
        self._re_read_queues()
        until_due = self._ripen()
        claimed, perhaps_more = 0, False
        for queue in self._in_turn():
            room = self._launcher.room
            found = self._claim_from(queue, room) if room else 0
            claimed += found
            perhaps_more |= 0 < found == room
        self._idle = 0 if claimed else self._idle + 1
        if perhaps_more:
            return 0
        return min(_REST if self._idle < 10 else _IDLE_REST, until_due)  # noqa: PLR2004

    def _in_turn(self) -> list[str]:
        self._turn += 1
        at = self._turn % len(self._queues) if self._queues else 0
        return self._queues[at:] + self._queues[:at]

    def _re_read_queues(self) -> None:
        if clock.monotonic() - self._queues_read_at >= _RE_READ or not self._queues:
            self._queues = served_queues(self._station.store, self._only)
            self._queues_read_at = clock.monotonic()

    def _ripen(self) -> float:
        """Make ready what is due; return how many seconds there are until something else is."""
        store = self._station.store
        while (left := store.read(_seconds_until_due)) is not None and left <= 0:
            if store.write(lambda tx: rows.ripen(tx, _RIPEN_BATCH)) == 0:
                return _SHORTEST_REST  # another worker has them locked
        return _IDLE_REST if left is None else max(_SHORTEST_REST, left)

    def _claim_from(self, queue: str, room: int) -> int:
        place = self._station.executor.place()
        images = self._station.store.read(lambda tx: _startable_images(tx, queue, place))
        registry = self._station.docker_registry
        named = {app: with_registry(image, registry) for app, image in images.items()}
        prepared = self._preparing.of_apps(named)
        if not prepared:
            return 0
        asked_at = clock.monotonic()
        claimant = self._station.claimant
        claims = self._station.store.write(
            lambda tx: claim(tx, claimant, queue, most=room, prepared=prepared)
        )
        self._station.lease.renewed(asked_at)
        for each in claims:
            self._launcher.submit(each)
        return len(claims)


def _seconds_until_due(tx: Tx) -> float | None:
    due = rows.next_due(tx)
    return None if due is None else (due - tx.now).total_seconds()


def _startable_images(tx: Tx, queue: str, place: str) -> dict[str, str]:
    """Return the image of each app with something ready, or nothing when nothing may start."""
    lane = limits.read(tx, [f"queue:{queue}", f"place:{place}"])
    if any(limit.full for limit in lane.values()):
        return {}
    waiting = {app for _, app in rows.waiting_groups(tx, queue)}
    if not waiting or queue in apps.paused_queues(tx):
        return {}
    images = {app.name: app.image for app in apps.all_apps(tx) if app.name in waiting}
    return {**dict.fromkeys(waiting, ""), **images}

"""Loop: ready executions are prepared, claimed under their limits, and handed to the launcher."""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from barbeque_py import clock
from barbeque_py.callbacks import PLACE
from barbeque_py.errors import LaunchRefused, OutsideError
from barbeque_py.executor import Blueprint, Executor, Preparation
from barbeque_py.images import is_pinned, with_registry
from barbeque_py.launches import blueprint_of
from barbeque_py.plans import Answer, Prepared, quotas_of
from barbeque_py.start import Claim, claim
from barbeque_py.store import Tx, apps, limits, ready, revisions, workers
from barbeque_py.store import executions as rows
from barbeque_worker.crew import Crew
from barbeque_worker.intake import served_queues
from barbeque_worker.section import Section
from barbeque_worker.station import Station

log = logging.getLogger(__name__)

_REST = 1.0
_IDLE_REST = 5.0
_SHORTEST_REST = 0.01
_FRESH = 10.0
"""Seconds for which what is prepared is taken as it was."""
_MOST_KEPT = 1_000
"""How many preparations are kept before old ones are looked for: each release brings new ones."""
_RE_READ = 1.0
_REFILL = 0.4
"""Seconds to wait for tokens of a quota: a few of them come at once."""
_RIPEN_BATCH = 500


@dataclass(frozen=True, slots=True)
class _Prepared:
    answer: Answer
    at: float


class Preparing:
    """Makes launches ready before anything is claimed, so that a pull holds no slot."""

    def __init__(
        self, station: Station, backends: Executor, *, on_ready: Callable[[], None]
    ) -> None:
        self._station = station
        self._backends = backends
        self._on_ready = on_ready
        self._crew = Crew(4, "prepare")
        self._ready: dict[str, _Prepared] = {}
        # By the blueprint's key.
        self._under_way: set[str] = set()
        self._guard = threading.Lock()

    def of_apps(self, wanted: Mapping[str, Mapping[str, Blueprint]]) -> Prepared:
        """Return the apps of which every job is ready or refused; begin to prepare the others."""
        found = {}
        for app, blueprints in wanted.items():
            answers = {job: self.of(blueprint) for job, blueprint in blueprints.items()}
            ready = {job: answer for job, answer in answers.items() if answer is not None}
            if len(ready) == len(blueprints):
                found[app] = ready
        return found

    def of(self, blueprint: Blueprint) -> Answer | None:
        """Return what is ready for the blueprint; begin to prepare it where that is old."""
        ready = self._ready.get(blueprint.key)
        if ready is None or clock.monotonic() - ready.at > _FRESH:
            self._begin(blueprint)
        if ready is not None and clock.monotonic() - ready.at <= 2 * _FRESH:
            return ready.answer
        return None

    def stop(self) -> None:
        """Begin nothing more."""
        self._crew.stop()

    def _begin(self, blueprint: Blueprint) -> None:
        with self._guard:
            if blueprint.key in self._under_way:
                return
            self._under_way.add(blueprint.key)
        self._crew.submit(partial(self._prepare, blueprint))

    def _prepare(self, blueprint: Blueprint) -> None:
        try:
            answer: Answer | None = self._prepare_pinned(blueprint)
        except LaunchRefused as refused:
            answer = refused
        except OutsideError as error:
            log.warning("nothing of %s is started yet: %s", blueprint.app, error)
            self._forget(blueprint)
            return
        except Exception:
            log.exception("preparing a launch of %s failed", blueprint.app)
            self._forget(blueprint)
            return
        if answer is not None:
            self._keep(blueprint, answer)
        self._forget(blueprint)
        self._on_ready()

    def _prepare_pinned(self, blueprint: Blueprint) -> Preparation | None:
        """Prepare, and pin the app's revision to what its image means here, if nobody has before.

        None when another worker has pinned it to something else meanwhile: that is what holds.
        """
        executor = self._backends if blueprint.callback else self._station.executor
        found = replace(executor.prepare(blueprint), revision=blueprint.revision)
        revision, pinned = blueprint.revision, found.image
        if revision is None or is_pinned(blueprint.image) or not is_pinned(pinned):
            return found
        held = self._station.store.write(lambda tx: revisions.pin(tx, revision, pinned))
        return found if held == pinned else None

    def _keep(self, blueprint: Blueprint, answer: Answer) -> None:
        now = clock.monotonic()
        if len(self._ready) >= _MOST_KEPT:
            old = [key for key, each in self._ready.items() if now - each.at > 2 * _FRESH]
            for key in old:
                del self._ready[key]
        self._ready[blueprint.key] = _Prepared(answer, now)

    def _forget(self, blueprint: Blueprint) -> None:
        with self._guard:
            self._under_way.discard(blueprint.key)


class Dispatch:
    """Claims what may start now, round robin over the queues."""

    def __init__(
        self, usual: Section, backends: Section, preparing: Preparing, queues: Sequence[str]
    ) -> None:
        self._station = usual.station
        self._launcher = usual.launcher
        self._backends = backends.launcher
        self._preparing = preparing
        self._only = set(queues)
        self._queues: list[str] = []
        self._queues_read_at = -_RE_READ
        self._turn = 0
        self._idle = 0
        self._thirsty = False

    def step(self) -> float:
        """Ripen what is due and claim what there is room for; return how long to rest."""
        self._re_read_queues()
        self._station.capacity.look()
        until_due = self._ripen()
        claimed, perhaps_more, self._thirsty = 0, False, False
        for queue in self._in_turn():
            room = self._launcher.room
            found = self._claim_from(queue, room) if room else 0
            claimed += found
            perhaps_more |= 0 < found == room
        self._idle = 0 if claimed else self._idle + 1
        if perhaps_more:
            return 0
        if self._thirsty:
            return min(_REFILL, until_due)
        return min(_REST if self._idle < 10 else _IDLE_REST, until_due)  # noqa: PLR2004

    def _in_turn(self) -> list[str]:
        self._turn += 1
        at = self._turn % len(self._queues) if self._queues else 0
        return self._queues[at:] + self._queues[:at]

    def _re_read_queues(self) -> None:
        if clock.monotonic() - self._queues_read_at >= _RE_READ or not self._queues:
            self._queues = served_queues(self._station.store, self._station.owner, self._only)
            self._queues_read_at = clock.monotonic()

    def _ripen(self) -> float:
        """Make ready what is due; return how many seconds there are until something else is."""
        store = self._station.store
        while (left := store.read(_seconds_until_due)) is not None and left <= 0:
            if store.write(lambda tx: rows.ripen(tx, _RIPEN_BATCH)) == 0:
                return _SHORTEST_REST  # another worker has them locked
        return _IDLE_REST if left is None else max(_SHORTEST_REST, left)

    def _claim_from(self, queue: str, room: int) -> int:
        place, registry = self._station.executor.place(), self._station.docker_registry
        wanted = self._station.store.read(lambda tx: _startable(tx, queue, place, registry))
        prepared = self._preparing.of_apps(wanted)
        if not prepared:
            return 0
        asked_at = clock.monotonic()
        claimant = self._station.claimant
        room = max(room, self._launcher.room)  # threads that came back meanwhile

        def take(tx: Tx) -> list[Claim]:
            if workers.is_drained(tx, claimant.owner):
                return []
            return claim(
                tx, claimant, queue, most=room, prepared=prepared, prepare=self._preparing.of
            )

        claims = self._station.store.write(take)
        self._station.lease.renewed(asked_at)
        for launcher, backend in ((self._launcher, False), (self._backends, True)):
            launcher.submit([each for each in claims if (each.launch.place == PLACE) is backend])
        self._thirsty |= len(claims) < room and bool(quotas_of(prepared))
        return len(claims)


def _seconds_until_due(tx: Tx) -> float | None:
    due = rows.next_due(tx)
    return None if due is None else (due - tx.now).total_seconds()


def _startable(
    tx: Tx, queue: str, place: str, registry: str | None
) -> dict[str, dict[str, Blueprint]]:
    """Return the jobs of each app with something ready that have room.

    While the place is full, these are the jobs that apps run themselves.
    """
    lane = limits.read(tx, [f"queue:{queue}", f"place:{place}"])
    full = {limit.scope for limit in lane.values() if limit.full}
    if f"queue:{queue}" in full:
        return {}
    waiting = {app for _, app in ready.waiting_groups(tx, queue)}
    if not waiting or queue in apps.paused_queues(tx):
        return {}
    wanted: dict[str, dict[str, Blueprint]] = {app: {} for app in waiting}
    for app in apps.all_apps(tx):
        if app.name in waiting:
            named = replace(app, image=with_registry(app.image, registry))
            wanted[app.name] = {
                job.name: blueprint_of(named, job)
                for job in apps.jobs_of(tx, app.name)
                if job.callback or not full
            }
    return {app: jobs for app, jobs in wanted.items() if jobs or not full}

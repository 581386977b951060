"""Runs the loops until a signal says stop."""

import logging
import signal
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace
from types import FrameType

from barbeque_py import clock
from barbeque_py.ecs_url import EcsUrl
from barbeque_py.errors import OutsideError
from barbeque_py.intake import Intake
from barbeque_py.shipment import Shipping
from barbeque_py.store import Tx, leases, limits, outbox, workers
from barbeque_py.wake import Ear
from barbeque_py.wiring.parts import Parts
from barbeque_worker.capacity import Capacity
from barbeque_worker.courier import Backoff, Courier
from barbeque_worker.dead_letters import DeadLetters
from barbeque_worker.dispatch import Dispatch, Preparing
from barbeque_worker.heartbeat import Heartbeat
from barbeque_worker.intake import Intakes
from barbeque_worker.loop import Loop
from barbeque_worker.overdue import overdue
from barbeque_worker.posting import Posting
from barbeque_worker.prune import Prune
from barbeque_worker.pulse import pulse
from barbeque_worker.relay import Relay
from barbeque_worker.schedule import Schedules
from barbeque_worker.section import Section, beside
from barbeque_worker.station import Lease, Places, Station, new_owner
from barbeque_worker.tally import Tally
from barbeque_worker.vitals import Vitals

log = logging.getLogger(__name__)

_TURN = 0.0005
"""Seconds after which a busy thread lets another in: most of ours wait, and wake in a hurry."""
_LITTLE = 0.02
_PATIENCE = 8.0
"""Seconds to wait for what is under way at a stop; a worker is gone within ten."""


class Worker:
    """One worker: its loops, and how they begin and end."""

    def __init__(
        self, parts: Parts, *, queues: Sequence[str] = (), backoff: Backoff | None = None
    ) -> None:
        self._parts = parts
        self._station = _station(parts)
        self._usual = self._section(self._station)
        self._backends = self._section(beside(self._station, parts.callbacks))
        self._sections = [self._usual, self._backends]
        posting = Posting(parts, on_settled=self._settled)
        courier = Courier(
            self._station, parts.notifiers, admins=parts.settings.admin_email or (), backoff=backoff
        )
        self._relay = Relay(self._usual, self._backends, courier, posting)
        self._preparing = Preparing(self._station, parts.callbacks, on_ready=self._dispatch_soon)
        dispatch = Dispatch(self._usual, self._backends, self._preparing, queues)
        self._dispatch = Loop("dispatch", dispatch.step)
        self._outbox = Loop("relay", self._relay.step)
        self._intakes = Intakes(
            parts.store,
            Intake(parts.store, parts.broker, parts.logs, parts.topics),
            queues,
            owner=self._station.owner,
            on_recorded=self._dispatch_soon,
        )
        self._queues = Loop("queues", self._intakes.step)
        self._others = Loop("others", self._wake_others)
        self._loops = [
            Loop("heartbeat", Heartbeat(self._station, self._relay, queues).step),
            Loop("rescue", self._usual.rescue.step),
            Loop("rescue of callbacks", self._backends.rescue.look_after),
            *[Loop("sweep", section.watch.sweep) for section in self._sections],
            *[section.enforce for section in self._sections],
            self._outbox,
            self._dispatch,
            self._queues,
            self._others,
            Loop("overdue", overdue(parts.store, self._station.owner).step),
            Loop("prune", Prune(self._station, parts.settings.retention).step),
            Loop("tally", Tally(self._station).step),
            Loop("schedules", _schedules(parts, self._station.owner).step),
            *_loops_of_broker(parts, self._station.owner),
            *_loops_of_aws(parts, self._station.owner),
        ]
        self._relay.on_free = self._outbox.nudge
        parts.callbacks.on_order = self._outbox.nudge
        self._stop = threading.Event()
        self._ear = Ear(parts.settings.home)

    @property
    def station(self) -> Station:
        """Who it is."""
        return self._station

    @property
    def loops(self) -> list[Loop]:
        """All its loops."""
        return [*self._loops, *self._intakes.loops]

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set, then end within ten seconds; running jobs go on."""
        self._begin()
        try:
            while not stop.is_set():
                if self._ear.listen():
                    self._wake()
        finally:
            self._ear.close()
            self._end()

    def _begin(self) -> None:
        sys.setswitchinterval(_TURN)
        for section in self._sections:
            section.start()
        for loop in self._loops:
            loop.start()
        log.info("worker %s is at work", self._station.owner)

    def _section(self, station: Station) -> Section:
        return Section(station, on_free=self._dispatch_soon, on_settled=self._settled)

    def _wake(self) -> None:
        """Take messages in at once; whatever else the bell may mean comes a little later."""
        self._intakes.nudge()
        self._others.nudge()

    def _wake_others(self) -> float:
        self._stop.wait(_LITTLE)
        self._queues.nudge()
        self._dispatch.nudge()
        for section in self._sections:
            section.enforce.nudge()
        return _PATIENCE

    def _dispatch_soon(self) -> None:
        self._dispatch.nudge()

    def _settled(self) -> None:
        """Look at once: a slot is free and a log waits, here and for the other workers."""
        self._dispatch.nudge()
        self._outbox.nudge()
        self._parts.bell.ring(but=self._ear)

    def _end(self) -> None:
        until = clock.monotonic() + _PATIENCE
        self._stop.set()
        self._intakes.stop()
        for loop in self._loops:
            loop.stop()
        self._preparing.stop()
        self._relay.stop()
        for section in self._sections:
            section.stop()
            section.launcher.stop(max(0.0, until - 2 - clock.monotonic()))
        for section in self._sections:
            section.shippers.stop(max(0.0, until - clock.monotonic()))
        for loop in self._loops:
            loop.join(max(0.0, until - clock.monotonic()))
        self._relay.join(max(0.0, until - clock.monotonic()))
        self._resign()
        # A message that a broken-off long poll was answered with stays hidden for a minute, so
        # polls are waited for: last, as others want what we have given up.
        self._intakes.join(max(0.0, until - clock.monotonic()))
        log.info("worker %s has stopped", self._station.owner)

    def _resign(self) -> None:
        """Give up every lease but those of starts still being called."""
        owner = self._station.owner
        under_way = [each for section in self._sections for each in section.launcher.under_way]

        def resign(tx: Tx) -> None:
            leases.release(tx, owner, but=under_way)
            outbox.release(tx, owner)
            workers.leave(tx, owner)

        try:
            self._station.store.write(resign)
        except OutsideError as error:
            log.warning("leases were not given up, they end by themselves: %s", error)


def run(
    parts: Parts,
    *,
    queues: Sequence[str] = (),
    stop: threading.Event | None = None,
    backoff: Backoff | None = None,
    vitals: Vitals | None = None,
) -> None:
    """Run a worker until SIGTERM, SIGINT, or `stop`; waits for an engine that is away.

    `backoff` is how notices that failed are tried again, where not as usual; `vitals` is told of
    the worker once it is at work.
    """
    ending = stop or threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        ending.set()

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, end)
        signal.signal(signal.SIGINT, end)
    if not _wait_for_place(parts, ending):
        return
    worker = Worker(parts, queues=queues, backoff=backoff)
    if vitals is not None:
        vitals.begin(worker.station.lease, lambda: worker.loops)
    worker.run(ending)


def _schedules(parts: Parts, owner: str) -> Schedules:
    return Schedules(parts.store, parts.broker, parts.logs, parts.bell, owner=owner)


def _loops_of_broker(parts: Parts, owner: str) -> list[Loop]:
    """Return what a broker outside of the database needs."""
    if parts.queues is None:
        return []
    letters = DeadLetters(parts.store, parts.broker, parts.queues, owner=owner)
    return [Loop("dead letters", letters.step)]


def _loops_of_aws(parts: Parts, owner: str) -> list[Loop]:
    """Return what only CloudWatch reads, which takes the lines of workers on ECS."""
    if not isinstance(parts.settings.executor, EcsUrl):
        return []
    return [Loop("pulse", pulse(parts.store, owner).step)]


def _wait_for_place(parts: Parts, stop: threading.Event) -> bool:
    """Wait until executor and database answer, and set the place's limit; False when stopped."""
    pause = 1.0
    while not stop.is_set():
        try:
            _set_slots(parts)
        except OutsideError as error:
            log.warning("waiting: %s", error)
            stop.wait(pause)
            pause = min(pause * 2, 10.0)
        else:
            return True
    return False


def _set_slots(parts: Parts) -> None:
    place, slots = parts.executor.place(), parts.executor.slots()
    parts.store.write(lambda tx: limits.set_max(tx, f"place:{place}", slots))


def _station(parts: Parts) -> Station:
    spool = parts.settings.home / "spool"
    spool.mkdir(parents=True, exist_ok=True)
    shipping = Shipping(spool_folder=spool)
    if not parts.executor.traits.attended:
        shipping = replace(shipping, live_every=None)  # who watches reads from the source
    return Station(
        owner=new_owner(),
        store=parts.store,
        executor=parts.executor,
        logs=parts.logs,
        lease=Lease(parts.settings.lease),
        shipping=shipping,
        places=Places(parts.store, parts.executor),
        capacity=Capacity(parts.store),
        docker_registry=parts.settings.docker_registry,
    )

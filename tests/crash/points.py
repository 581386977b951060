"""The points at which a worker under test can kill itself, around every commit and outside call."""

import os
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from threading import Event, Lock
from typing import Any, TypeVar

from barbeque_py.broker import BATCH, Broker, Delivery, Parcel
from barbeque_py.executor import Blueprint, Executor, Launch, News, Preparation, Sighting
from barbeque_py.executors.callback import CallbackExecutor
from barbeque_py.ids import AttemptId
from barbeque_py.logs import LogSource
from barbeque_py.logstore import LogStore
from barbeque_py.notices import Notice
from barbeque_py.notifier import Notifier, Receipt
from barbeque_py.outbound import Outbound, Response
from barbeque_py.store import Store, Tx
from barbeque_py.targets import Allowed

Result = TypeVar("Result")

START = ["before start", "after start"]
TRANSACTIONS = [
    f"{when} the commit of {work}"
    for work in (
        "Dispatch._claim_from",
        "mark_each",
        "_settle_lots",
        "Relay._take",
        "seal_all",
        "Rescue.adopt",
    )
    for when in ("before", "after")
]
NEWS = ["after news", "before news are acknowledged", "after news were acknowledged"]
LOGS = ["within a write of a log", "after a write of a log"]
QUEUE = ["after a receive", "before a delete", "after a delete"]
ON_ONE_MACHINE = [
    "before the commit of DatabaseBroker.take",
    "after the commit of DatabaseBroker.take",
    *START,
    *TRANSACTIONS,
    *NEWS,
    *LOGS,
    "before remove",
    "after remove",
]
"""Every step of a job's way through a worker that has queue and engine at hand."""
ON_A_FLEET = [
    *QUEUE,
    "before the commit of Intake._record_together",
    "after the commit of Intake._record_together",
    *START,
    *TRANSACTIONS,
    *NEWS,
    *LOGS,
]
"""Every step of a job's way through a worker of a fleet: from its receipt to its log."""
OF_CONTAINERS = [
    "after the commit of Dispatch._claim_from",
    "before start",
    "after start",
    "before the commit of mark_each",
    "after news",
    "before the commit of _settle_lots",
    "within a write of a log",
    "after the commit of seal_all",
]
"""Those between which a container comes and goes."""


class Fuse:
    """Kills this process (SIGKILL) at its named point, when that was passed so many times."""

    def __init__(self, point: str, journal: str, *, passes: int = 0) -> None:
        """Without a point it kills nowhere; each death leaves a line in the journal."""
        self._point = point
        self._passes = passes
        self._journal = Path(journal)
        self._dying = Lock()

    def reach(self, point: str) -> None:
        if point != self._point:
            return
        with self._dying:  # one thread alone, so that a death is one line
            self._passes -= 1
            if self._passes < 0:
                with self._journal.open("a") as journal:
                    journal.write(point + "\n")
                os.kill(os.getpid(), signal.SIGKILL)


class FusedStore(Store):
    """A store that may die before and after each commit."""

    def __init__(self, url: str, fuse: Fuse) -> None:
        super().__init__(url)
        self._fuse = fuse

    def write(self, work: Callable[[Tx], Result]) -> Result:
        names = _names_of(work)

        def fused(tx: Tx) -> Result:
            result = work(tx)
            self._reach("before", names, result)
            return result

        result = super().write(fused)
        self._reach("after", names, result)
        return result

    def _reach(self, when: str, names: Sequence[str], result: object) -> None:
        """Be at the named points, unless the transaction found nothing to do."""
        if result in ([], (0, []), False):
            return
        for name in names:
            self._fuse.reach(f"{when} the commit of {name}")


def _names_of(work: Callable[[Tx], Any]) -> list[str]:
    """Name the functions whose work it is: several, where callers share the transaction."""
    name: str = getattr(work, "__qualname__", type(work).__name__)
    return [each.partition(".<locals>")[0] for each in name.split(", ")]


class FusedExecutor:
    """An executor that may die before and after each call that changes something."""

    def __init__(self, executor: Executor, fuse: Fuse) -> None:
        self._executor = executor
        self._fuse = fuse
        self.traits = executor.traits

    def __getattr__(self, name: str) -> Any:
        return getattr(self._executor, name)

    def start(self, launch: Launch, message: str) -> Sighting:
        self._fuse.reach("before start")
        sighting = self._executor.start(launch, message)
        self._fuse.reach("after start")
        return sighting

    def remove(self, attempt: AttemptId) -> None:
        self._fuse.reach("before remove")
        self._executor.remove(attempt)
        self._fuse.reach("after remove")

    def place(self) -> str:
        return self._executor.place()

    def former(self, place: str) -> bool:
        return self._executor.former(place)

    def serves(self, place: str) -> bool:
        return self._executor.serves(place)

    def slots(self) -> int | None:
        return self._executor.slots()

    def prepare(self, blueprint: Blueprint) -> Preparation:
        return self._executor.prepare(blueprint)

    def sightings(self, attempts: Sequence[AttemptId]) -> dict[AttemptId, Sighting]:
        return self._executor.sightings(attempts)

    def stop(self, attempt: AttemptId, *, kill: bool) -> None:
        self._executor.stop(attempt, kill=kill)

    def events(self, stop: Event) -> Iterator[News]:
        for news in self._executor.events(stop):
            if news.sightings:
                self._fuse.reach("after news")
            yield replace(news, acknowledge=partial(self._acknowledge, news))

    def _acknowledge(self, news: News) -> None:
        self._fuse.reach("before news are acknowledged")
        news.acknowledge()
        self._fuse.reach("after news were acknowledged")

    def log(self, attempt: AttemptId) -> LogSource:
        return self._executor.log(attempt)

    def remains(self) -> list[AttemptId]:
        return self._executor.remains()


class FusedBroker:
    """A broker that may die before and after each call of a worker's."""

    def __init__(self, broker: Broker, fuse: Fuse) -> None:
        self._broker = broker
        self._fuse = fuse

    def send(self, queue: str, parcels: Sequence[Parcel]) -> None:
        self._broker.send(queue, parcels)

    def receive(self, queue: str, *, limit: int = BATCH, wait: timedelta) -> list[Delivery]:
        found = self._broker.receive(queue, limit=limit, wait=wait)
        if found:
            self._fuse.reach("after a receive")
        return found

    def extend(self, deliveries: Sequence[Delivery], visibility: timedelta) -> None:
        self._broker.extend(deliveries, visibility)

    def delete(self, deliveries: Sequence[Delivery]) -> None:
        self._fuse.reach("before a delete")
        self._broker.delete(deliveries)
        self._fuse.reach("after a delete")


class FusedLogs:
    """A log store that may die before, within and after each write."""

    def __init__(self, logs: LogStore, fuse: Fuse) -> None:
        self._logs = logs
        self._fuse = fuse

    def put(self, key: str, chunks: Iterable[bytes]) -> int:
        def fused() -> Iterable[bytes]:
            for chunk in chunks:
                yield chunk
                self._fuse.reach("within a write of a log")

        size = self._logs.put(key, fused())
        self._fuse.reach("after a write of a log")
        return size

    def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        return self._logs.read(key, start, length)

    def names(self, prefix: str) -> list[str]:
        return self._logs.names(prefix)

    def remove(self, keys: Iterable[str]) -> None:
        self._logs.remove(keys)
        self._fuse.reach("after a removal of a log")


class FusedNotifier:
    """A notifier that may die before and after each delivery."""

    def __init__(self, notifier: Notifier, fuse: Fuse) -> None:
        self._notifier = notifier
        self._fuse = fuse

    def deliver(self, notice: Notice) -> Receipt:
        self._fuse.reach("before a delivery")
        receipt = self._notifier.deliver(notice)
        self._fuse.reach("after a delivery")
        return receipt


class FusedCallbacks(CallbackExecutor):
    """Has backends run attempts, and may die before and after each call that changes something."""

    def __init__(self, store: Store, outbound: Outbound, fuse: Fuse) -> None:
        super().__init__(store, outbound)
        self._fuse = fuse

    def start(self, launch: Launch, message: str) -> Sighting:
        self._fuse.reach("before a start of a callback")
        sighting = super().start(launch, message)
        self._fuse.reach("after a start of a callback")
        return sighting

    def remove(self, attempt: AttemptId) -> None:
        self._fuse.reach("before a callback is forgotten")
        super().remove(attempt)
        self._fuse.reach("after a callback is forgotten")


class FusedOutbound(Outbound):
    """Sends requests, and may die before and after each."""

    def __init__(self, allowed: Allowed, fuse: Fuse) -> None:
        super().__init__(allowed)
        self._fuse = fuse

    def send(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Response:
        self._fuse.reach(f"before a {method} is sent")
        answer = super().send(method, url, headers, body)
        self._fuse.reach(f"after a {method} is answered")
        return answer

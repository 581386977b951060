"""The points at which a worker under test may kill itself, around every commit and outside call."""

import os
import random
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from threading import Event
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


class Fuse:
    """Kills this process (SIGKILL) with a probability at each named point it reaches."""

    def __init__(self, probability: float, journal: str, *, only: str = "") -> None:
        self._probability = probability
        self._only = only
        self._journal = Path(journal)
        self._chance = random.Random(random.random())

    def reach(self, point: str) -> None:
        if self._only in point and self._chance.random() < self._probability:
            with self._journal.open("a") as journal:
                journal.write(point + "\n")
            os.kill(os.getpid(), signal.SIGKILL)


class FusedStore(Store):
    """A store that may die before and after each commit."""

    def __init__(self, url: str, fuse: Fuse) -> None:
        super().__init__(url)
        self._fuse = fuse

    def write(self, work: Callable[[Tx], Result]) -> Result:
        name = getattr(work, "__qualname__", type(work).__name__)

        def fused(tx: Tx) -> Result:
            result = work(tx)
            self._fuse.reach(f"before the commit of {name}")
            return result

        result = super().write(fused)
        self._fuse.reach(f"after the commit of {name}")
        return result


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

"""Forks workers on request: `python -m tests.crash.nursery`, a JSON order a line on stdin.

A forked worker has imported everything already, so that hundreds of kills cost no minutes. It
answers each order with the worker's pid, and tells each death as `dead PID STATUS`.
"""

import dataclasses
import json
import logging
import os
import random
import select
import signal
import sys
import uuid
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, insert

from barbeque_py.aws import open_client
from barbeque_py.broker import Broker
from barbeque_py.brokers.database import DatabaseBroker
from barbeque_py.brokers.sqs import SqsBroker
from barbeque_py.executor import Launch, Sighting
from barbeque_py.ids import AttemptId
from barbeque_py.settings import Settings
from barbeque_py.settle import Told
from barbeque_py.store import Store, Tx, tables
from barbeque_py.targets import Allowed
from barbeque_py.wiring.parts import Parts, open_parts
from barbeque_worker import main as worker
from barbeque_worker.courier import Backoff
from barbeque_worker.rescue import Rescue
from barbeque_worker.station import Station
from tests.crash.points import (
    Fuse,
    FusedBroker,
    FusedCallbacks,
    FusedExecutor,
    FusedLogs,
    FusedNotifier,
    FusedOutbound,
    FusedStore,
)

QUICK = Backoff(timedelta(seconds=0.2), timedelta(seconds=2))


class Nameless(FusedExecutor):
    """The mutant that starts each attempt under a name of its own."""

    def start(self, launch: Launch, message: str) -> Sighting:
        stranger = AttemptId(f"{launch.attempt[:-8]}{uuid.uuid4().hex[:8]}")
        return super().start(dataclasses.replace(launch, attempt=stranger), message)


class DeletesFirst(DatabaseBroker):
    """The mutant that deletes a message before what it asks for is recorded."""

    def __init__(self, store: Store, fuse: Fuse) -> None:
        super().__init__(store)
        self._fuse = fuse

    def take(self, queue: str, record: Any) -> Any:
        found = self.receive(queue, wait=timedelta(0))
        self.delete(found)
        self._fuse.reach("between delete and commit")
        if found:
            self._store.write(lambda tx: record(tx, found))
        return len(found), []


def _adopt_nothing(_rescue: Rescue) -> None:
    """Leave what dead workers had claimed."""


class Forgetful:
    """The mutant's ECS client, which has a new token for every call."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def run_task(self, **request: Any) -> Any:
        return self._client.run_task(**request | {"clientToken": uuid.uuid4().hex})


def _settle_then_tell(fuse: Fuse) -> Callable[..., bool]:
    """Return the mutant's settling, which commits first and only then leaves the log to be sealed.

    That is what a notification sent after a commit is: a death between the two loses it.
    """
    right = Station.settle_all

    def settle_all(station: Station, told: Mapping[AttemptId, Told]) -> bool:
        done = right(station, told)
        rows = station.store.write(lambda tx: _take_away(tx, told))
        if rows:
            fuse.reach("between commit and effect")
            station.store.write(lambda tx: tx.execute(insert(tables.posts.outbox), rows))
        return done

    return settle_all


def _take_away(tx: Tx, subjects: Iterable[str]) -> list[dict[str, Any]]:
    which = tables.posts.outbox.c.subject.in_(list(subjects))
    rows = [dict(row._mapping) for row in tx.execute(tables.posts.outbox.select().where(which))]
    tx.execute(delete(tables.posts.outbox).where(which))
    return rows


def work(order: dict[str, Any]) -> None:
    """Be a worker until the end; in the child only."""
    logging.basicConfig(
        filename=order["log"], level=logging.INFO, format="%(asctime)s %(process)d %(message)s"
    )
    random.seed(order["seed"] * 1_000_003 + order["number"])
    settings = Settings.from_environment(order["environment"])
    fuse = Fuse(order["point"], order["journal"], passes=order["passes"])
    parts = _mutated(_fused(open_parts(settings), fuse), fuse, order["mutant"])
    worker.run(parts, backoff=QUICK)


def _fused(parts: Parts, fuse: Fuse) -> Parts:
    store = FusedStore(parts.settings.database, fuse)
    broker: Broker = DatabaseBroker(store)
    if parts.settings.broker.kind == "sqs":
        # A dead worker's messages come back as soon as its leases end, not in a minute.
        broker = FusedBroker(SqsBroker("Drill-", visibility=timedelta(seconds=4)), fuse)
    outbound = FusedOutbound(parts.settings.webhook_allow or Allowed(), fuse)
    return dataclasses.replace(
        parts,
        store=store,
        callbacks=FusedCallbacks(store, outbound, fuse),
        outbound=outbound,
        broker=broker,
        executor=FusedExecutor(parts.executor, fuse),
        logs=FusedLogs(parts.logs, fuse),
        notifiers={way: FusedNotifier(each, fuse) for way, each in parts.notifiers.items()},
    )


def _mutated(parts: Parts, fuse: Fuse, mutant: str) -> Parts:
    match mutant:
        case "deletes before the commit":
            return dataclasses.replace(parts, broker=DeletesFirst(parts.store, fuse))
        case "rescues nothing":
            Rescue.adopt = _adopt_nothing  # type: ignore[assignment, method-assign]
        case "has no outbox":
            Station.settle_all = _settle_then_tell(fuse)  # type: ignore[method-assign]
        case "has a new token for every call":
            ecs: Any = parts.executor._executor  # type: ignore[attr-defined]
            ecs._clients = dataclasses.replace(ecs._clients, starts=Forgetful(ecs._clients.starts))
        case "repeats a token for ever":
            parts.executor.traits = dataclasses.replace(parts.executor.traits, repeat_window=None)
        case "starts without a stable name":
            return dataclasses.replace(parts, executor=Nameless(parts.executor, fuse))
    return parts


def nurse(work: Callable[[dict[str, Any]], None]) -> None:
    """Fork a child that does the work for each line, tell each death, end with the input."""
    children: set[int] = set()
    _read_models()
    while True:
        ready, _, _ = select.select([sys.stdin], [], [], 0.02)
        if ready:
            line = sys.stdin.readline()
            if not line:
                break
            children.add(_fork(work, json.loads(line)))
        for pid in list(children):
            dead, status = os.waitpid(pid, os.WNOHANG)
            if dead:
                children.discard(pid)
                print("dead", pid, os.waitstatus_to_exitcode(status), flush=True)
    for pid in children:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _read_models() -> None:
    """Read what describes AWS's services, so that no worker has to: that takes half a second."""
    for service in ("ecs", "logs", "s3", "sqs"):
        open_client(service, region="us-east-1").close()


def _fork(work: Callable[[dict[str, Any]], None], order: dict[str, Any]) -> int:
    pid = os.fork()
    if pid == 0:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # which is the nurse's alone
        try:
            work(order)
        except BaseException:
            logging.getLogger(__name__).exception("the child failed")
            os._exit(1)
        os._exit(0)
    print("born", pid, flush=True)
    return pid


if __name__ == "__main__":
    nurse(work)

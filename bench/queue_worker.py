"""The workers that `queue_path` measures, each a process of its own.

`python -m bench.queue_worker KIND COUNT CLOUD` works COUNT messages off and prints what that took.
It is told by the environment where database and queue are. `naive` is what one would write first:
one message at a time, a row inserted and updated twice, each committed, then deleted. `path` takes
the steps of ours in one thread, `ours` is the worker.
"""
# ruff: noqa: D102 - what the methods of executors and log stores mean stands in their seams

import json
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, fields, replace
from datetime import timedelta
from queue import Empty, SimpleQueue
from threading import Event
from typing import Any

import pymysql
from sqlalchemy import make_url

from barbeque_py import clock
from barbeque_py.apps import Queue
from barbeque_py.aws import open_client
from barbeque_py.broker import BATCH
from barbeque_py.executor import (
    Blueprint,
    Launch,
    News,
    Preparation,
    Quota,
    Sighting,
    Standing,
    Traits,
)
from barbeque_py.ids import AttemptId
from barbeque_py.intake import Intake
from barbeque_py.logs import LogFacts, LogSource
from barbeque_py.outcomes import Fate, Reason
from barbeque_py.seal import seal_all
from barbeque_py.settings import Settings
from barbeque_py.settle import Told, settle_all
from barbeque_py.start import Claimant, claim
from barbeque_py.store import Store, Tx, apps, lots, outbox
from barbeque_py.store.lots import Start
from barbeque_py.wiring.front import open_front
from barbeque_py.wiring.parts import open_parts
from barbeque_worker.main import Worker

WARM, LOAD = "warm", "load"
"""The queues: one to warm up with, one to measure."""
WARM_COUNT = 200

_PLACE = "bench"
_LINE = b"2026-01-01T00:00:00.000000Z out done"
_PATIENCE = 300.0
_MOST = 50
_CALL = 0.005
"""Seconds that one call for events takes, as over a network."""
_RUN = 0.5
"""Seconds from a start to its end."""
_ENDED = Fate(Reason.EXITED, exit_code=0)


@dataclass(frozen=True, slots=True)
class Mark:
    """Where everything stands: seconds of CPU and of the clock, commits and calls so far."""

    cpu: float
    wall: float
    commits: float
    calls: float

    def since(self, before: "Mark") -> "Mark":
        """Return what happened in between."""
        return Mark(
            *(getattr(self, each.name) - getattr(before, each.name) for each in fields(self))
        )


class Meter:
    """Reads the clocks here, and the counters of the database and of SQS where they are."""

    def __init__(self, database: str, endpoint: str) -> None:
        self._url = make_url(database)
        self._endpoint = endpoint

    def read(self) -> Mark:
        """Read everything."""
        commits, calls = self._commits(), self._calls()
        return Mark(time.process_time(), clock.monotonic(), commits, calls)

    def connect(self) -> Any:
        """Open a plain connection."""
        url = self._url
        return pymysql.connect(
            host=url.host, port=url.port or 0, user=url.username, database=url.database
        )

    def _commits(self) -> int:
        """Count the COMMITs; what only reads is not in a transaction, and has none."""
        with closing(self.connect()) as connection, connection.cursor() as cursor:
            cursor.execute("SHOW GLOBAL STATUS LIKE 'Com_commit'")
            return int(cursor.fetchone()[1])

    def _calls(self) -> int:
        with urllib.request.urlopen(f"{self._endpoint}/_cloud/counts", b"{}") as answer:
            return sum(json.load(answer).get("sqs", {}).values())


class FakeExecutor:
    """Starts nothing, and tells ten ends a call, as events come from a queue: full ones together.

    Each end is told half a second after its start.
    """

    traits = Traits(
        attended=False,
        repeat_window=timedelta(minutes=50),
        log_waits=(timedelta(0),),
        check_every=timedelta(minutes=5),
    )

    def __init__(self) -> None:
        self._ended: SimpleQueue[tuple[float, AttemptId]] = SimpleQueue()
        self._next: tuple[float, AttemptId] | None = None
        self.removed: set[AttemptId] = set()
        self.started: list[AttemptId] = []

    def place(self) -> str:
        return _PLACE

    def former(self, _place: str) -> bool:
        return False

    def serves(self, place: str) -> bool:
        return place == _PLACE

    def slots(self) -> int | None:
        return None

    def prepare(self, blueprint: Blueprint) -> Preparation:
        quota = Quota("bench", 1e9, 1e9)
        return Preparation(blueprint.image, _PLACE, details={"family": "bench"}, quotas=(quota,))

    def start(self, launch: Launch, _message: str) -> Sighting:
        self.started.append(launch.attempt)
        self._ended.put((clock.monotonic() + _RUN, launch.attempt))
        return Sighting(Standing.RUNNING, handle=f"arn:{launch.attempt}", version=1)

    def sightings(self, attempts: Sequence[AttemptId]) -> dict[AttemptId, Sighting]:
        return {each: _ending() for each in attempts}

    def stop(self, attempt: AttemptId, *, kill: bool) -> None:
        """Everything has ended."""

    def events(self, stop: Event) -> Iterator[News]:
        while not stop.is_set():
            yield News({attempt: _ending() for attempt in self._receive()})

    def _receive(self) -> list[AttemptId]:
        try:
            self._next = self._next or self._ended.get(timeout=1.0)
        except Empty:
            return []
        time.sleep(max(0.0, self._next[0] - clock.monotonic()))
        found: list[AttemptId] = []
        while self._next is not None and len(found) < _MOST and self._next[0] <= clock.monotonic():
            if len(found) % BATCH == 0:
                time.sleep(_CALL)
            found.append(self._next[1])
            self._next = None if self._ended.empty() else self._ended.get()
        return found

    def log(self, _attempt: AttemptId) -> LogSource:
        return _OneLine()

    def remove(self, attempt: AttemptId) -> None:
        self.removed.add(attempt)

    def remains(self) -> list[AttemptId]:
        return []


def _ending() -> Sighting:
    now = clock.now()
    return Sighting(
        Standing.ENDED,
        fate=Fate(Reason.EXITED, exit_code=0, started_at=now, finished_at=now),
        started_at=now.timestamp(),
        version=3,
    )


class _OneLine:
    def batches(self, *, follow: bool) -> Iterator[list[bytes]]:  # noqa: ARG002 - the seam's name
        yield [_LINE]


class _NoLogs:
    """A log store that forgets: storing logs is not what is measured."""

    def put(self, _key: str, chunks: Iterable[bytes]) -> int:
        return sum(len(chunk) for chunk in chunks)

    def read(self, _key: str, _start: int = 0, _length: int | None = None) -> bytes:
        return b""

    def names(self, _prefix: str) -> list[str]:
        return []

    def remove(self, keys: Iterable[str]) -> None:
        """There is nothing to forget."""


def work_ours(count: int, meter: Meter) -> Mark:
    """Run the worker as it is, but for its executor and its log store."""
    executor = FakeExecutor()
    opened = open_parts(Settings.from_environment())
    parts = replace(opened, executor=executor, logs=_NoLogs())
    stop = threading.Event()
    thread = threading.Thread(target=Worker(parts).run, args=(stop,))
    thread.start()
    try:
        _wait_until(lambda: len(executor.removed) == WARM_COUNT)
        before = meter.read()
        parts.store.write(lambda tx: apps.put_queue(tx, Queue(LOAD)))
        parts.bell.ring()
        _wait_until(lambda: len(executor.removed) == WARM_COUNT + count)
        after = meter.read()
    finally:
        stop.set()
        thread.join()
        opened.close()
    assert len(executor.started) == len(set(executor.started)) == WARM_COUNT + count
    return after.since(before)


def work_path(count: int, meter: Meter) -> Mark:
    """Take the same steps as the worker, in one thread, up to fifty jobs at a time."""
    front = open_front(Settings.from_environment())
    intake = Intake(front.store, front.broker, _NoLogs())
    prepared = front.store.read(_prepare)
    before = after = None
    for queue, jobs in ((WARM, WARM_COUNT), (LOAD, count)):
        if queue == LOAD:
            front.store.write(lambda tx: apps.put_queue(tx, Queue(LOAD)))
        before = meter.read()
        done = 0
        while done < jobs:
            intake.take(queue, wait=timedelta(0))
            done += _work_some(front.store, queue, prepared)
        after = meter.read()
    front.close()
    assert before is not None
    assert after is not None
    return after.since(before)


def _prepare(tx: Tx) -> dict[str, dict[str, Preparation]]:
    ready = FakeExecutor().prepare(Blueprint("bench", "bench:1"))
    return {"bench": {job.name: ready for job in apps.all_jobs(tx)}}


def _work_some(store: Store, queue: str, prepared: dict[str, dict[str, Preparation]]) -> int:
    who = Claimant("worker", _PLACE, timedelta(seconds=90))
    claims = store.write(lambda tx: claim(tx, who, queue, most=_MOST, prepared=prepared))
    ids = [each.attempt for each in claims]
    if not ids:
        return 0
    store.read(lambda tx: lots.not_as_claimed(tx, ids, who.owner))
    until = clock.now() + timedelta(hours=1)
    starts = [Start(each, f"arn:{each}", None, until, 1, attended=False) for each in ids]
    store.write(lambda tx: lots.mark_each_running(tx, starts))
    told = {each: Told(_ending().fate or _ENDED) for each in ids}
    settled = store.write(lambda tx: settle_all(tx, told))
    lease = timedelta(seconds=90)
    items = store.write(
        lambda tx: outbox.take(tx, who.owner, [_PLACE], most=_MOST, lease=lease, busy=[])
    )
    facts = LogFacts(1, 4, None, None, 0, truncated=False, members=1)
    store.write(lambda tx: seal_all(tx, [(each, facts) for each in items]))
    return len(settled)


def work_naive(count: int, meter: Meter) -> Mark:
    """Take one message after the other, as Barbeque does."""
    client = open_client("sqs")
    with closing(meter.connect()) as connection, connection.cursor() as cursor:
        for queue in (WARM, LOAD):
            url = client.get_queue_url(
                QueueName=f"{Settings.from_environment().broker.prefix}{queue}"
            )
            before = meter.read()
            for _ in range(WARM_COUNT if queue == WARM else count):
                _work_one(client, url["QueueUrl"], connection, cursor)
            after = meter.read()
    client.close()
    return after.since(before)


def _work_one(client: Any, url: str, connection: Any, cursor: Any) -> None:
    message = client.receive_message(QueueUrl=url, MaxNumberOfMessages=1)["Messages"][0]
    job = json.loads(message["Body"])
    facts = (job["MessageId"], job["Application"], job["Job"], json.dumps(job["Message"]))
    cursor.execute("INSERT INTO naive VALUES (NULL, %s, %s, %s, %s, 'pending', NULL)", facts)
    connection.commit()
    change = "UPDATE naive SET status = %s, finished_at = UTC_TIMESTAMP(6) WHERE message_id = %s"
    for status in ("running", "success"):
        cursor.execute(change, (status, facts[0]))
        connection.commit()
    client.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])


KINDS: dict[str, Callable[[int, Meter], Mark]] = {
    "naive": work_naive,
    "path": work_path,
    "ours": work_ours,
}


def _wait_until(done: Callable[[], bool]) -> None:
    until = clock.monotonic() + _PATIENCE
    while not done():
        if clock.monotonic() > until:
            raise TimeoutError("the worker does not get on")
        time.sleep(0.05)


def main() -> None:
    kind, count, endpoint = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    meter = Meter(Settings.from_environment().database, endpoint)
    print(json.dumps(asdict(KINDS[kind](count, meter))), flush=True)


if __name__ == "__main__":
    main()

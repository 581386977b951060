"""A console over a real database and real logs, served on a free port, with something to show."""

import contextlib
import socket
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp

from barbeque_console.app import create_app
from barbeque_console.parts import Shown
from barbeque_py.apps import App, JobDefinition, Queue
from barbeque_py.broker import Delivery
from barbeque_py.brokers.database import DatabaseBroker
from barbeque_py.executor import Preparation
from barbeque_py.ids import AttemptId, new_message_id
from barbeque_py.logs import attempt_prefix
from barbeque_py.logstores.directory import DirectoryLogStore
from barbeque_py.notices import Audience, Channel, Event, Notice, NoticeState, Occasion, notice_id
from barbeque_py.outcomes import Fate
from barbeque_py.settle import settle
from barbeque_py.shipment import Shipment, Shipping
from barbeque_py.start import Claimant, claim
from barbeque_py.store import Store, Tx, apps, attempts, dead, notices, workers
from barbeque_py.store import executions as rows
from barbeque_py.store.schema import migrate
from barbeque_py.wake import Bell
from tests.waiting import wait_until

PLACE = "docker:ABCD:EFGH:IJKL:MNOP:QRST:UVWX:YZ23:4567:ABCD:EFGH:IJKL:MNOP"
_BEGAN = datetime(2026, 11, 21, 20, 0, tzinfo=UTC)


def stored(text: str, *, number: int = 0, stream: str = "out") -> bytes:
    """Return a stored line of a log."""
    at = (_BEGAN + timedelta(milliseconds=37 * number)).strftime("%FT%T.%fZ")
    return f"{at} {stream} {text}".encode("utf-8", "surrogateescape")


class GrowingLog:
    """A source whose lines the test writes one after the other."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self._ended = threading.Event()

    def write(self, *texts: str, stream: str = "out") -> None:
        for text in texts:
            self.lines.append(stored(text, number=len(self.lines), stream=stream))

    def end(self) -> None:
        self._ended.set()

    def batches(self, *, follow: bool) -> Iterator[list[bytes]]:
        position = 0
        while True:
            over = self._ended.is_set() or not follow
            batch = self.lines[position:]
            position += len(batch)
            yield batch
            if over:
                return
            self._ended.wait(0.02)


@dataclass(frozen=True, slots=True)
class Place:
    """One installation without workers: the test does what they would."""

    store: Store
    logs: DirectoryLogStore
    parts: Shown
    home: Path

    def enqueue(
        self,
        *,
        job: str = "Thumbnail",
        message: str | None = '{"id":7}',
        key: str | None = None,
        queue: str = "default",
        ago: timedelta = timedelta(0),
        wait: timedelta = timedelta(0),
    ) -> str:
        """Record an execution, as intake does."""
        message_id = new_message_id()

        def add(tx: Tx) -> None:
            row = rows.new_row(
                message_id=message_id,
                app="media",
                job=job,
                queue=queue,
                message=message,
                message_key=key,
                options={},
                priority=0,
                due_at=tx.now + wait,
                sent_at=tx.now - ago,
                recorded_at=tx.now,
            )
            rows.add_missing(tx, [row])

        self.store.write(add)
        return message_id

    def start(self, queue: str = "default") -> AttemptId:
        """Claim the next execution of the queue and see its attempt running."""

        def begin(tx: Tx) -> AttemptId:
            claimant = Claimant("worker", PLACE, timedelta(seconds=90))
            owner = apps.get_app(tx, "media")
            revision = None if owner is None else owner.revision
            ready = Preparation("media@sha256:" + "0" * 64, PLACE, revision=revision)
            jobs = {job.name: ready for job in apps.all_jobs(tx) if job.app == "media"}
            [found] = claim(tx, claimant, queue, most=1, prepared={"media": jobs})
            attempts.mark_running(
                tx,
                found.attempt,
                handle="container",
                started_at=tx.now,
                deadline_at=tx.now + timedelta(hours=1),
            )
            return found.attempt

        return self.store.write(begin)

    def settle(self, attempt: AttemptId, fate: Fate, *, lines: Sequence[bytes] = ()) -> None:
        """End the attempt and seal its log."""
        self.store.write(lambda tx: settle(tx, attempt, fate))
        self.seal(attempt, lines)

    def seal(self, attempt: AttemptId, lines: Sequence[bytes]) -> None:
        """Store these lines as the attempt's whole log."""
        source = GrowingLog()
        source.lines = list(lines)
        source.end()
        shipment = self.shipment(attempt, source)
        with contextlib.closing(shipment):
            shipment.run()
            self.record_seal(attempt, shipment)

    def shipment(self, attempt: AttemptId, source: GrowingLog) -> Shipment:
        """Return what ships the attempt's log."""
        shipping = Shipping(live_every=timedelta(milliseconds=50))
        return Shipment(source, self.logs, self.prefix(attempt), shipping=shipping)

    def record_seal(self, attempt: AttemptId, shipment: Shipment) -> None:
        """Seal the log, and record it."""
        facts = shipment.seal()
        values = {"log_lines": facts.lines, "log_bytes": facts.bytes}
        self.store.write(lambda tx: attempts.record_seal(tx, attempt, values))

    def prefix(self, attempt: AttemptId) -> str:
        """Return where the attempt's log is kept."""

        def find(tx: Tx) -> str:
            row = attempts.get(tx, attempt)
            assert row is not None
            execution = rows.by_id(tx, row.execution)
            assert execution is not None
            return attempt_prefix(execution.app, execution.job, execution.message_id, row.number)

        return self.store.read(find)

    def start_again(self) -> AttemptId:
        """Start the next attempt of what waits, without waiting for its time."""
        self.store.shift = timedelta(days=1)
        self.store.write(lambda tx: rows.ripen(tx, 100))
        self.store.shift = timedelta(0)
        return self.start()

    def bury(self, body: str, reason: str) -> None:
        """Keep a dead message."""

        def keep(tx: Tx) -> None:
            delivery = Delivery("default", body, "-", new_message_id(), tx.now, 1)
            dead.bury(tx, delivery, reason=reason, message_id=delivery.broker_id)

        self.store.write(keep)

    def tell(self, message_id: str, reason: str) -> None:
        """Let two be told of the execution: one was, of the other the reason says why not."""

        def tell(tx: Tx) -> None:
            execution = rows.by_message_id(tx, message_id)
            assert execution is not None
            occasion = Occasion(Event.FAILED, "media", "Encode", message_id)
            secret = "https://hooks.slack.com/services/T/B/canary"
            for channel, target in ((Channel.EMAIL, "ann@example.com"), (Channel.SLACK, secret)):
                name = notice_id(occasion, channel, target)
                made = Notice(name, channel, target, Audience.ADMINS, occasion)
                notices.add(tx, execution.id, [made])
                kept = notices.get(tx, name)
                assert kept is not None
                if channel is Channel.EMAIL:
                    notices.end(tx, kept.id, NoticeState.DELIVERED)
                else:
                    notices.end(tx, kept.id, NoticeState.REFUSED, reason=reason)

        self.store.write(tell)

    def see_worker(self) -> None:
        """Let a worker report that it is alive."""
        self.store.write(lambda tx: workers.see(tx, "worker", PLACE))


@contextlib.contextmanager
def open_place(home: Path, *, defined: bool = True) -> Iterator[Place]:
    """Make an installation with one app, three jobs and two queues, or with nothing."""
    store = Store(f"sqlite:///{home}/barbeque.db", create=True)
    migrate(store)
    if defined:
        store.write(define)
    try:
        with place_on(store, home) as place:
            yield place
    finally:
        store.close()


@contextlib.contextmanager
def place_on(store: Store, home: Path) -> Iterator[Place]:
    """Hand out the installation whose database this is."""
    logs = DirectoryLogStore(home / "logs")
    bell = Bell(home)
    broker = DatabaseBroker(store)
    try:
        yield Place(store, logs, Shown(store=store, broker=broker, logs=logs, bell=bell), home)
    finally:
        bell.close()


def define(tx: Tx) -> None:
    """Define one app, three jobs and two queues."""
    apps.put_app(tx, App("media", image="media:latest"))
    for name in ("Thumbnail", "Encode", "Flaky"):
        apps.put_job(tx, JobDefinition("media", name, command=("run",)))
    apps.put_queue(tx, Queue("default", concurrency=100))
    apps.put_queue(tx, Queue("slow"))


@contextlib.contextmanager
def serve(app: ASGIApp, port: int = 0) -> Iterator[str]:
    """Serve the app on this port, or a free one, and hand out its address."""
    listening = socket.create_server(("127.0.0.1", port))
    server = uvicorn.Server(
        uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=1)
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        wait_until(lambda: server.started)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listening.close()


@contextlib.contextmanager
def serve_console(place: Place, *, prefix: str = "") -> Iterator[str]:
    """Serve the place's console, mounted under the prefix, and hand out its address."""
    site = Starlette(routes=[Mount(prefix or "/", app=create_app(place.parts))])
    with serve(site) as address:
        yield address + prefix

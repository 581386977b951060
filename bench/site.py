"""An installation to measure: a temporary home, SQLite, and the product's own processes."""

import contextlib
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import IO

from barbeque_py import clock
from barbeque_py.apps import App, JobDefinition, Queue
from barbeque_py.cli.migrate import make_tables
from barbeque_py.enqueue import Request, enqueue
from barbeque_py.errors import ExecutorUnavailable
from barbeque_py.executors.engine import Engine
from barbeque_py.ids import new_message_id
from barbeque_py.messages import JobMessage
from barbeque_py.settings import Settings
from barbeque_py.store import Tx, apps
from barbeque_py.wiring.front import Front, open_front
from bench.raw import containers_of, remove
from tests.images import make_test_image

APP, QUEUE = "bench", "default"
PATIENCE = 120.0
"""Seconds after which something that was waited for is given up."""


class Site:
    """One installation; its containers, processes and files are gone after `opened`."""

    def __init__(self, front: Front, engine: Engine, environment: dict[str, str]) -> None:
        self.front = front
        self.engine = engine
        self._environment = environment
        self._after = ExitStack()
        path = front.store.url.database
        self._database = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)
        self._after.callback(self._database.close)

    def close(self) -> None:
        """End the processes, then remove their containers."""
        with ExitStack() as last:
            last.callback(self._remove_containers)
            self._after.close()

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start `barbeque ARGUMENTS`; it is ended with the site."""
        command = [sys.executable, "-P", "-m", "barbeque_py.cli", *arguments]
        return self._after.enter_context(running(command, self._environment))

    def serve(self, *arguments: str) -> tuple[subprocess.Popen[bytes], str]:
        """Start `barbeque ARGUMENTS --port 0` and return it with the address it listens on."""
        process = self.start(*arguments, "--port", "0")
        return process, address_said_by(process)

    def enqueue(self, job: str, count: int = 1) -> list[str]:
        """Enqueue the job that often, and wake the worker."""
        requests = [_request(job) for _ in range(count)]
        enqueue(self.front.broker, self.front.logs, requests)
        self.front.bell.ring()
        return [request.job.message_id for request in requests]

    def count(self, state: str) -> int:
        """Count the executions in this state; costs next to nothing, unlike our own queries."""
        query = "SELECT count(*) FROM executions WHERE state = ?"
        return int(self._database.execute(query, [state]).fetchone()[0])

    def attempts(self, state: str) -> int:
        """Count the attempts in this state."""
        query = "SELECT count(*) FROM attempts WHERE state = ?"
        return int(self._database.execute(query, [state]).fetchone()[0])

    def last_end(self) -> datetime:
        """Return when the container that was settled last had ended, by the engine's clock."""
        query = "SELECT finished_at FROM executions ORDER BY id DESC LIMIT 1"
        found = datetime.fromisoformat(self._database.execute(query).fetchone()[0])
        return found.replace(tzinfo=found.tzinfo or UTC)

    def containers(self) -> list[str]:
        """Return the ids of this installation's containers."""
        return containers_of(self.engine, self.front.installation)

    def settle_down(self) -> None:
        """Wait until the worker has removed its containers."""
        wait_until(lambda: not self.containers(), "the containers are removed", every=0.02)

    def _remove_containers(self) -> None:
        with contextlib.suppress(ExecutorUnavailable), ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda found: remove(self.engine, found), self.containers()))


@contextmanager
def opened(slots: int, jobs: Sequence[JobDefinition]) -> Iterator[Site]:
    """Make an installation with these jobs of the app `bench`; only they need a Docker engine."""
    with ExitStack() as stack:
        image = make_test_image() if jobs else "none"
        home = stack.enter_context(
            tempfile.TemporaryDirectory(prefix="barbeque-bench-", ignore_cleanup_errors=True)
        )
        environment = {"BARBEQUE_HOME": home, "BARBEQUE_EXECUTOR": f"docker:?slots={slots}"}
        settings = Settings.from_environment(environment)
        store, _ = make_tables(settings)
        store.write(lambda tx: define(tx, image, jobs))
        store.close()
        front = open_front(settings)
        stack.callback(front.close)
        engine = Engine("/var/run/docker.sock", 60)
        stack.callback(engine.close)
        site = Site(front, engine, environment)
        stack.callback(site.close)
        yield site


def define(tx: Tx, image: str, jobs: Sequence[JobDefinition]) -> None:
    """Make the queue, the app and its jobs."""
    apps.put_queue(tx, Queue(QUEUE))
    apps.put_app(tx, App(APP, image))
    for job in jobs:
        apps.put_job(tx, job)


def _request(job: str) -> Request:
    message = JobMessage(
        message_id=new_message_id(),
        app=APP,
        job=job,
        queue=QUEUE,
        message='{"image":"a.jpg"}',
        enqueued_at=clock.now(),
    )
    return Request(message, QUEUE)


@contextmanager
def running(command: list[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program of ours; its log lines are shown only when it fails."""
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors
        )
        try:
            yield process
            if process.poll() is not None:
                raise RuntimeError(f"{command[-1]} ended by itself: {_read(errors)}")
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for pipe in (process.stdin, process.stdout):
        assert pipe is not None
        with contextlib.suppress(OSError):
            pipe.close()


def _read(errors: IO[bytes]) -> str:
    errors.seek(0)
    return errors.read().decode(errors="replace")[-2000:]


def address_said_by(process: subprocess.Popen[bytes]) -> str:
    """Return the address that a server names in its first line."""
    assert process.stdout is not None
    line = process.stdout.readline().decode()
    if "http://" not in line:
        raise RuntimeError(f"no address in what the server said: {line!r}")
    return line[line.index("http://") :].strip()


def cpu_seconds(pid: int) -> float:
    """Return the CPU time, user and system, that all threads of a process have used so far."""
    return time.clock_gettime(~pid << 3 | 2)  # clock_getcpuclockid(3), which Python lacks


def wait_until(answer: Callable[[], bool], what: str, *, every: float = 0.002) -> None:
    """Ask again and again until the answer is yes; raise after a while."""
    deadline = clock.monotonic() + PATIENCE
    while not answer():
        if clock.monotonic() > deadline:
            raise TimeoutError(f"waited {PATIENCE:g} s in vain until {what}")
        time.sleep(every)


def load_image(site: Site, job: str) -> str:
    """Run the job once, so that everything is warm; return the id of its container, which runs."""
    site.enqueue(job)
    wait_until(lambda: site.attempts("running") == 1, "the first job runs")
    return site.containers()[0]

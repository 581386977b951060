"""Rolling restarts: while apps enqueue, each process is replaced by a new one, over and over."""

import os
import signal
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import count, cycle, islice
from pathlib import Path

import httpx

from barbeque_py.apps import App, JobDefinition, Queue
from barbeque_py.store import Store, Tx, apps, dead, limits, schema
from barbeque_py.store import executions as rows
from tests.crash.balancer import Balancer
from tests.crash.drill import all_final
from tests.crash.grounds import Fleet
from tests.crash.workers import Workers
from tests.flows.place import free_port
from tests.waiting import wait_until

_ABREAST = 2
"""How many APIs, and how many workers, there are beside those that come and go."""
_SLOTS = 5
"""Addresses of APIs: one that leaves keeps its own for some seconds."""
_PAUSE = 0.1
"""Seconds between two jobs of a client; where none is wished it looks, ten times as seldom."""
_CLIENTS = 2
_PATIENCE = 600.0
"""Seconds for one process to come or go, on a machine that has much else to do."""


@dataclass(slots=True)
class Report:
    """What came of it; `faults` is empty when nobody noticed anything."""

    restarts: int = 0
    jobs: int = 0
    tasks: int = 0
    requests: int = 0
    seconds: float = 0.0
    faults: list[str] = field(default_factory=list)


class Clients:
    """Apps that enqueue and look, each request once; `failed` says what went wrong."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._wished = 0
        self._ending = False
        self._lock = threading.Lock()
        self._enqueued = 0
        self.accepted: list[str] = []
        self.asked = 0
        self.failed: list[str] = []

    def wish(self, jobs: int) -> None:
        """Have so many jobs enqueued, bit by bit."""
        self._wished = jobs

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Ask on and on, from several threads, until all that was wished is enqueued."""
        threads = [threading.Thread(target=self._work, args=(kept,)) for kept in (0, 1) * _CLIENTS]
        for each in threads:
            each.start()
        try:
            yield
        finally:
            self._ending = True
            for each in threads:
                each.join()

    def _work(self, kept: int) -> None:
        """Keep the connection open, as most clients do, or open one for each request."""
        limits = httpx.Limits(max_keepalive_connections=kept)
        with httpx.Client(base_url=self._url, timeout=60, limits=limits) as client:
            while (more := self._is_to_enqueue()) or not self._ending:
                if more:
                    self._enqueue(client)
                elif self.accepted:
                    self._ask(client, "GET", f"/v1/job_executions/{self.accepted[-1]}")
                time.sleep(_PAUSE if more else 10 * _PAUSE)

    def _is_to_enqueue(self) -> bool:
        with self._lock:
            more = self._enqueued < self._wished
            self._enqueued += more
        return more

    def _enqueue(self, client: httpx.Client) -> None:
        request = {"application": "shop", "job": "Nap", "queue": "default", "message": {}}
        answer = self._ask(client, "POST", "/v2/job_executions", json=request)
        if answer is not None:
            self.accepted.append(answer.json()["message_id"])

    def _ask(
        self, client: httpx.Client, method: str, path: str, *, json: object = None
    ) -> httpx.Response | None:
        self.asked += 1
        try:
            answer = client.request(method, path, json=json)
        except httpx.HTTPError as error:
            self.failed.append(f"{method} {path}: {error!r}")
            return None
        if answer.is_success:
            return answer
        self.failed.append(f"{method} {path}: {answer.status_code} {answer.text}")
        return None


class Site:
    """APIs behind a balancer, and workers, of which the oldest is replaced."""

    def __init__(self, home: Path, environment: dict[str, str]) -> None:
        self._home = home
        self._environment = environment
        self._processes = Workers("tests.crash.commands")
        self._free = deque(free_port() for _ in range(_SLOTS))
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._balancer = Balancer(home, port, list(self._free))
        self._apis: deque[tuple[int, int]] = deque()
        self._workers: deque[int] = deque()
        self._leaving: dict[int, int] = {}
        self._numbers = count(1)
        self.longest_stop = 0.0

    def begin(self) -> None:
        """Start all."""
        for _ in range(_ABREAST):
            self._start_api()
            self._start_worker()

    def restart_api(self) -> None:
        """Start an API, and once it is asked, end the oldest."""
        self._start_api()
        pid, port = self._apis.popleft()
        self._leaving[pid] = port
        os.kill(pid, signal.SIGTERM)

    def restart_worker(self) -> None:
        """Start a worker, and once it is at work, end the oldest."""
        self._start_worker()
        os.kill(self._workers.popleft(), signal.SIGTERM)

    def close(self) -> list[str]:
        """End all as a deployment does; return those of all times that did not end well."""
        for pid in [*self._workers, *(pid for pid, _ in self._apis)]:
            os.kill(pid, signal.SIGTERM)
        wait_until(lambda: not self._heard(), "all have ended", within=_PATIENCE, every=0.05)
        self._processes.end()
        self._balancer.close()
        return [f"{pid} ended with {code}" for pid, code in self._processes.ended.items() if code]

    def _start_api(self) -> None:
        wait_until(
            self._a_free_port, "an API that was to end has ended", within=_PATIENCE, every=0.05
        )
        port = self._free.popleft()
        pid = self._start("api", "--port", str(port))[0]
        self._balancer.until_up(port)
        self._apis.append((pid, port))

    def _start_worker(self) -> None:
        pid, log = self._start("worker")
        wait_until(
            lambda: "is at work" in log.read_text(),
            "the worker is at work",
            within=_PATIENCE,
            every=0.05,
        )
        self._workers.append(pid)

    def _start(self, *words: str) -> tuple[int, Path]:
        log = self._home / f"{words[0]}-{next(self._numbers)}.log"
        log.touch()
        return self._processes.order(words=words, log=str(log), environment=self._environment), log

    def _a_free_port(self) -> bool:
        alive = self._heard()
        for pid in [pid for pid in self._leaving if pid not in alive]:
            self._free.append(self._leaving.pop(pid))
        return bool(self._free)

    def _heard(self) -> set[int]:
        self._processes.listen()
        return self._processes.alive


def roll(home: Path, database: str, ground: Fleet, *, jobs: int, restarts: int) -> Report:
    """Replace an API or a worker so often, in turn, while jobs are enqueued and run.

    The jobs are tasks in name only, counted by the simulated ECS: that is what counts doubles.
    """
    began, report = time.monotonic(), Report(restarts=restarts)
    environment = {
        "PATH": os.environ["PATH"],  # noqa: TID251 - the test's own
        "BARBEQUE_HOME": str(home),
        "BARBEQUE_DATABASE": database,
        **ground.environment(),
    }
    with closing(Store(database, create=True)) as store:
        ground.furnish(schema.migrate(store))
        store.write(_define)
        site = Site(home, environment)
        clients = Clients(site.url)
        try:
            site.begin()
            with clients.at_work():
                turns = cycle((site.restart_api, site.restart_worker))
                for done, restart in enumerate(islice(turns, restarts), start=1):
                    clients.wish(jobs * done // restarts)
                    restart()
            accepted = clients.accepted
            wait_until(
                lambda: all_final(store, accepted), "all have ended", within=60 + jobs, every=0.5
            )
        finally:
            report.faults += site.close()
        report.faults += clients.failed + _faults(store, accepted, ground)
        report.tasks = _tasks(ground).total()
    report.jobs, report.requests = len(accepted), clients.asked
    report.seconds = time.monotonic() - began
    return report


def _define(tx: Tx) -> None:
    apps.put_queue(tx, Queue("default"))
    apps.put_app(tx, App("shop", "shop:1"))
    apps.put_job(tx, JobDefinition("shop", "Nap", ("nap",), env={"FAKE_SECONDS": "0.3"}))


def _tasks(ground: Fleet) -> Counter[str]:
    """Count the tasks there were by execution."""
    started: Counter[str] = Counter()
    for attempt, tasks in ground.starts().items():
        started[attempt.rpartition("-")[0]] += tasks
    return started


def _faults(store: Store, accepted: list[str], ground: Fleet) -> list[str]:
    found = store.read(lambda tx: rows.many_by_message_id(tx, accepted))
    tasks = _tasks(ground)
    faults = [f"lost: {each}" for each in accepted if each not in found]
    faults += [
        f"{each.message_id} {each.state}" for each in found.values() if each.state != "succeeded"
    ]
    faults += [f"run {tasks[each]} times: {each}" for each in accepted if tasks[each] != 1]
    faults += [f"nobody asked for {each}" for each in tasks.keys() - set(accepted)]
    faults += [
        f"{each.scope} is left at {each.used}" for each in store.read(limits.read_all) if each.used
    ]
    faults += [f"dead: {each.reason}" for each in store.read(dead.newest)]
    return faults

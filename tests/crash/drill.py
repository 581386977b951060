"""A crash drill: jobs, workers, kills, and the judgement afterwards."""

import math
import os
import random
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from pathlib import Path

from barbeque_py import ids
from barbeque_py.apps import App, JobDefinition, Queue
from barbeque_py.backoff import RetryPolicy
from barbeque_py.enqueue import Request, enqueue
from barbeque_py.errors import OutsideError, StoreUnavailable
from barbeque_py.executions import ENDED
from barbeque_py.messages import JobMessage
from barbeque_py.settings import Settings
from barbeque_py.store import Store, Tx, apps, outbox, ready, schema
from barbeque_py.store import executions as rows
from barbeque_py.wiring.front import Front, open_front
from barbeque_py.wiring.parts import open_parts
from tests.crash.grounds import Ground, OneMachine
from tests.crash.judge import JOB_LIMIT, QUEUE_LIMIT, RETRIES, Report, judge
from tests.crash.marks import Marks
from tests.crash.points import ON_ONE_MACHINE
from tests.crash.workers import Workers

_ENOUGH = 2 * QUEUE_LIMIT
"""Executions that wait so that every worker finds something to do."""


@dataclass(frozen=True, slots=True)
class Drill:
    """How much of what: jobs at least, workers, kills at least, and where."""

    database: str
    home: Path
    marks: Marks
    jobs: int
    kills: int
    ground: Ground = field(default_factory=OneMachine)
    workers: int = 4
    lease: float = 3.0
    mutant: str = ""
    patience: float = 1800.0
    """Seconds within which those have died that are to die."""
    respite: float = 900.0
    """Seconds after the last death or outage within which all is over."""
    points: Sequence[str] = tuple(ON_ONE_MACHINE)
    """The named points at which workers kill themselves: each in turn, until there were `kills`."""
    passes: Sequence[int] = (0, 0, 0, 1, 2)
    """How often a worker passes its point before it dies there, by chance."""
    pause: float = 4.0
    """Seconds between two kills from outside, on average, which come on top."""
    image: str = ""
    disturb: Callable[[int], None] = field(default=lambda _kills: None)
    """Called after deaths with how many there were; may stop a database for a while."""
    gentle: bool = True
    """Ask the workers to stop at the end, which may take them a long poll; else kill them."""
    outage: float = 0.0
    """Seconds for which no worker lives, `outages` times while the kills go on."""
    outages: int = 1
    seed: int = 1


def run(drill: Drill) -> Report:
    """Run the drill and judge it by the jobs' own marks."""
    began = time.monotonic()
    report = Report()
    environment = _environment(drill)
    settings = Settings.from_environment(environment)
    store = Store(settings.database, create=True)
    drill.ground.furnish(schema.migrate(store))
    store.write(lambda tx: _define(tx, drill))
    random.seed(drill.seed)
    with closing(open_front(settings)) as front:
        course = _Course(drill, front, environment)
        course.run(report)
    report.seconds = time.monotonic() - began
    parts = open_parts(settings)
    try:
        report.faults += judge(parts, course.wanted, drill.marks.read(), report, drill.ground)
    finally:
        parts.close()
        store.close()
    return report


def _environment(drill: Drill) -> dict[str, str]:
    return {
        "BARBEQUE_HOME": str(drill.home),
        "BARBEQUE_DATABASE": drill.database,
        "BARBEQUE_LEASE": f"{drill.lease}s",
        "PATH": os.environ["PATH"],  # noqa: TID251 - the test's own
    } | drill.ground.environment()


def _define(tx: Tx, drill: Drill) -> None:
    policy = RetryPolicy(RETRIES, timedelta(seconds=0.1), None, jitter=True)
    apps.put_queue(tx, Queue("default", QUEUE_LIMIT))
    apps.put_app(tx, App("drill", drill.image))
    kinds = [(name, failures) for name in ("narrow", "wide") for failures in (0, 1, 9)]
    for number, (name, failures) in enumerate(kinds):
        apps.put_job(
            tx,
            JobDefinition(
                "drill",
                f"{name}-{failures}",
                ("sh", "-c", drill.marks.script(name, failures)),
                retry=policy,
                concurrency=JOB_LIMIT if name == "narrow" else None,
                network="host",
                memory=64 + 8 * number,  # a size of its own: a want of capacity stops no other
            ),
        )


def _jobs() -> Iterator[tuple[str, int]]:
    """Yield names and how often each job fails: most never, some once, some always."""
    for number in count():
        failures = {3: 1, 7: 9}.get(number % 10, 0)
        yield f"{'narrow' if number % 3 == 0 else 'wide'}-{failures}", failures


class _Course:
    """One drill under way: enqueues as the kills go on, until all is done."""

    def __init__(self, drill: Drill, front: Front, environment: dict[str, str]) -> None:
        self._drill = drill
        self._store = front.store
        self._front = front
        self._workers = Workers()
        self._jobs = _jobs()
        self._wished = 0.0
        self._stirred_at = 0.0
        self.wanted: dict[str, int] = {}
        self.journal = drill.home / "points"
        self._died: Counter[str] = Counter()
        self._point_of: dict[int, str] = {}
        self._order = {
            "environment": environment,
            "journal": str(self.journal),
            "log": str(drill.home / "workers.log"),
            "mutant": drill.mutant,
            "seed": drill.seed,
        }
        self._dark_until = 0.0
        self._outages = drill.outages if drill.outage else 0
        self._been_dark = 0

    def run(self, report: Report) -> None:
        until, calm = time.monotonic() + self._drill.patience, False
        next_kill, disturbed = time.monotonic() + self._drill.pause, 0
        while time.monotonic() < until and not self._done():
            self._workers.listen()
            self._keep_at_work()
            self._enqueue_share()
            if self._killing and time.monotonic() > next_kill:
                self._workers.kill_one()
                next_kill = time.monotonic() + self._drill.pause * random.uniform(0.4, 1.6)
            self._count_deaths()
            if self._is_time_for_an_outage():
                self._go_dark()
            if self._died.total() > disturbed:
                disturbed = self._died.total()
                self._drill.disturb(disturbed)
            if self._calm and not calm:
                until, calm = time.monotonic() + self._drill.respite, True
            time.sleep(0.02)
        self._drill.ground.calm()
        report.kills = self._workers.killed
        if late := self._workers.end(gentle=self._drill.gentle):
            report.faults.append(f"{len(late)} workers did not stop within ten seconds")
        self._count_deaths()
        report.points = self._died
        report.faults += [f"nobody died {point}" for point in self._missing]

    @property
    def _missing(self) -> list[str]:
        """The points at which somebody must still die: all, where there are kills enough."""
        if self._drill.kills < 2 * len(self._drill.points):
            return []
        return [point for point in self._drill.points if not self._died[point]]

    @property
    def _killing(self) -> bool:
        return self._died.total() < self._drill.kills or bool(self._missing)

    def _count_deaths(self) -> None:
        if self.journal.exists():
            self._died = Counter(self.journal.read_text().splitlines())

    def _is_time_for_an_outage(self) -> bool:
        share = (self._been_dark + 1) / (self._outages + 1)
        left = self._been_dark < self._outages and time.monotonic() > self._dark_until
        return left and self._died.total() >= math.ceil(self._drill.kills * share)

    def _go_dark(self) -> None:
        """Kill every worker and start none for a while: longer than a start may be repeated."""
        while self._workers.alive:
            self._workers.kill_one()
            self._workers.listen()
        self._been_dark += 1
        self._dark_until = time.monotonic() + self._drill.outage

    def _keep_at_work(self) -> None:
        if time.monotonic() < self._dark_until:
            return
        while len(self._workers.alive) < self._drill.workers:
            point = self._next_point() if self._killing else ""
            passes = random.choice(self._drill.passes)
            pid = self._workers.order(**self._order, point=point, passes=passes)
            self._point_of[pid] = point

    def _next_point(self) -> str:
        """Return one of the points at which the fewest have died, or are to die."""
        deaths = self._died + Counter(self._point_of[pid] for pid in self._workers.alive)
        fewest = min(deaths[point] for point in self._drill.points)
        return random.choice([point for point in self._drill.points if deaths[point] == fewest])

    def _enqueue_share(self) -> None:
        """Enqueue as many as the kills so far allow, and one more a second: all must be reached.

        None more while enough wait: where all is slow, they would only make the end come later.
        """
        if self._killing:
            share = min(1.0, (self._died.total() + 1) / self._drill.kills)
            if time.monotonic() > self._stirred_at + 1:
                self._stirred_at = time.monotonic()
                self._wished += not self._enough_wait()
        else:
            share = 1.0
        self._wished = max(self._wished, self._drill.jobs * share)
        while len(self.wanted) < self._wished:
            name, failures = next(self._jobs)
            self.wanted[_enqueue(self._front, name)] = failures
            self._front.bell.ring()

    def _enough_wait(self) -> bool:
        try:
            waiting = self._store.read(lambda tx: ready.count_startable(tx, "default", _ENOUGH))
        except StoreUnavailable:
            return True
        return waiting == _ENOUGH

    @property
    def _calm(self) -> bool:
        """Whether nothing stands in the way of the jobs any more."""
        dark = self._been_dark < self._outages or time.monotonic() < self._dark_until
        return not self._killing and not dark

    def _done(self) -> bool:
        idle = self._calm and len(self.wanted) >= self._drill.jobs
        return idle and all_final(self._store, self.wanted)


def _enqueue(front: Front, name: str) -> str:
    message_id = ids.new_message_id()
    job = JobMessage(message_id, "drill", name, "default", '{"drill":true}')
    times = random.randint(1, 5)  # SQS delivers more than once, too
    for attempt in range(100):
        try:
            enqueue(front.broker, front.logs, [Request(job, "default")] * times)
        except OutsideError:
            if attempt == 99:
                raise
            time.sleep(0.2)  # a client sends again
        else:
            break
    return message_id


def all_final(store: Store, wanted: Collection[str]) -> bool:
    """Tell whether all have ended, and everything that follows an end is done."""
    try:
        found = store.read(lambda tx: rows.many_by_message_id(tx, wanted))
        undone = store.read(outbox.oldest_due)
    except StoreUnavailable:
        return False
    return (
        undone is None
        and len(found) == len(wanted)
        and all(execution.state in ENDED for execution in found.values())
    )

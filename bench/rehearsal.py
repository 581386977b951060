"""A fleet's whole path at scale, on one machine: API, SQS, MariaDB and simulated ECS.

Everything is the product's own: an API, two workers, four URLs. ECS has AWS's buckets, of 20 starts
a second. `--quota 3` is an account to which AWS has granted three times that, so that time goes
three times as fast, which is what two cores follow; `--quota 1` is the real one. Jobs come four
times as fast as they may start, so a backlog builds up and is worked off; a task takes a second and
does nothing.

Twice: all jobs of one app, then of ten apps with a queue each, of which the first asks for ten
times as many as any other. Its flood must not make the others wait: their waits are compared with
those that came of it if the same starts went in turn to all who want one. A picture of each is
written to `soak/`: backlog, starts a second, and how long jobs waited for their start.
"""

import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import cycle, islice
from pathlib import Path

import httpx

from barbeque_py import clock
from barbeque_py.apps import App, JobDefinition, Queue
from barbeque_py.store import Tx, apps
from bench.fleet import EXECUTOR, Fleet, mariadb, opened, wait_until
from bench.pictures import Picture
from bench.report import Report, quantile, read_options
from tests.stores import MariaDb

RATE = 20.0
"""Starts a second that AWS publishes."""
_JOB, _WARM = "work", 30
_BATCH = 100
_FLOOD = 10
"""How many times as many jobs the first of several apps asks for."""
_HASTE = 4.0
"""How many times as fast jobs come as they may start."""
_LEAST = 1.0
"""Seconds of a fair wait, at least: so long is the way through SQS and intake alone."""
_SPANS = 60
"""Of so many spans of time a picture shows the mean; a second is the shortest."""


@dataclass(frozen=True, slots=True)
class Job:
    """One job: its app, and seconds after the beginning when it was asked for and started."""

    app: str
    asked_at: float
    started_at: float

    @property
    def wait(self) -> float:
        """How long it waited for its start."""
        return self.started_at - self.asked_at


@dataclass(slots=True)
class Rehearsal:
    """What one run came to."""

    quota: float
    jobs: list[Job] = field(default_factory=list)
    states: Counter[str] = field(default_factory=Counter)
    refused: int = 0
    tasks: int = 0
    most_tasks: int = 0
    """Of one attempt."""

    def rate(self) -> float:
        """Return the starts a second between the tenth and the ninetieth hundredth of them."""
        starts = sorted(each.started_at for each in self.jobs)
        first, last = len(starts) // 10, len(starts) * 9 // 10
        return (last - first) / (starts[last] - starts[first])

    def waits(self) -> dict[str, list[float]]:
        """Return how long jobs waited, by app."""
        found: dict[str, list[float]] = defaultdict(list)
        for each in self.jobs:
            found[each.app].append(each.wait)
        return found

    def shares(self) -> dict[str, tuple[float, float]]:
        """Return the p95 wait of each app, and what it were with its fair share of the starts."""
        fair = fair_waits(self.jobs)
        return {
            app: (quantile(waits, 0.95), quantile(fair[app], 0.95))
            for app, waits in self.waits().items()
        }

    def unfairness(self) -> float:
        """Return the largest ratio of an app's p95 wait to that of its fair share."""
        return max(wait / max(fair, _LEAST) for wait, fair in self.shares().values())


def main(argv: Sequence[str] | None = None) -> None:
    given = read_options(argv, __doc__, jobs=5_000, quota=3)
    with mariadb() as server:
        for count in (1, 10):
            found = rehearse(server, given.jobs, quota=given.quota, apps=count)
            report = Report(f"{given.jobs:,} jobs of {count} apps, quota {given.quota}", given.json)
            tell(report, found)
            report.show()
            draw(found, Path(f"soak/rehearsal-{given.jobs}-jobs-of-{count}.svg"))


def rehearse(server: MariaDb, jobs: int, *, quota: float, apps: int) -> Rehearsal:
    """See so many jobs of so many apps through, and tell what was seen."""
    names = [f"app{number}" for number in range(apps)]
    knobs = {"awslogs": False, "buckets": True, "scale": quota, "stopped_life": 60.0}
    executor = f"{EXECUTOR}&quota={quota:g}&log_wait=1s"
    with (
        server.database() as url,
        opened({"warm": 0.05}, database=url, executor=executor, knobs=knobs) as fleet,
    ):
        _furnish(fleet, names)
        address = fleet.start_api()
        for _ in range(2):
            fleet.start_worker()
        fleet.enqueue("warm", _WARM)
        fleet.finish(_WARM, within=120.0)
        return _run(fleet, address, _wanted(names, jobs), quota)


def _furnish(fleet: Fleet, names: Sequence[str]) -> None:
    def define(tx: Tx) -> None:
        for name in names:
            apps.put_queue(tx, Queue(name))
            apps.put_app(tx, App(name, f"{name}:1"))
            env = {"FAKE_SECONDS": "1"}
            apps.put_job(tx, JobDefinition(name, _JOB, ("work",), env=env))

    queues = fleet.front.queues
    assert queues is not None
    for name in names:
        queues.ensure_queue(name)
    fleet.front.store.write(define)


def _wanted(names: Sequence[str], jobs: int) -> list[str]:
    """Return whose each job is: evenly mixed, of the first of several many more."""
    turn = (
        [names[0]] if len(names) == 1 else [each for name in names[1:] for each in (names[0], name)]
    )
    return list(islice(cycle(turn), jobs))


def _run(fleet: Fleet, address: str, wanted: Sequence[str], quota: float) -> Rehearsal:
    began = clock.now()
    asking = _Asking(address, wanted, rate=_HASTE * RATE * quota)
    asking.start()
    wait_until(
        lambda: fleet.executions()["succeeded"] >= len(wanted) + _WARM,
        f"{len(wanted)} have succeeded",
        within=300 + 4 * len(wanted) / (RATE * quota),
        every=1.0,
    )
    asking.join()
    found = Rehearsal(quota, refused=asking.refused, states=fleet.executions())
    started = fleet.first_calls()
    for message_id, (app, asked) in asking.asked.items():
        at = started[message_id].replace(tzinfo=UTC)
        found.jobs.append(Job(app, _after(began, asked), _after(began, at)))
    counts = fleet.cloud.control("ecs", "counts")
    found.tasks, found.most_tasks = counts["tasks"], counts["most_for_one_startedBy"]
    return found


def _after(began: datetime, at: datetime) -> float:
    return (at - began).total_seconds()


class _Asking(threading.Thread):
    """The apps, which post batches at a steady rate; `asked` tells whose and when, by id."""

    def __init__(self, address: str, wanted: Sequence[str], *, rate: float) -> None:
        super().__init__(name="apps")
        self._address = address
        self._wanted = wanted
        self._rate = rate
        self.asked: dict[str, tuple[str, datetime]] = {}
        self.refused = 0

    def run(self) -> None:
        """Post them all."""
        began = clock.monotonic()
        with httpx.Client(base_url=self._address, timeout=60) as client:
            for first in range(0, len(self._wanted), _BATCH):
                time.sleep(max(0.0, began + first / self._rate - clock.monotonic()))
                self._post(client, self._wanted[first : first + _BATCH])

    def _post(self, client: httpx.Client, names: Sequence[str]) -> None:
        jobs = [
            {"application": name, "job": _JOB, "queue": name, "message": {"for": name}}
            for name in names
        ]
        now = clock.now()
        answer = client.post("/v2/job_executions/batch", json={"jobs": jobs}).json()
        self.refused += answer["refused"]
        for name, each in zip(names, answer["results"], strict=True):
            self.asked[each["message_id"]] = (name, now)


def fair_waits(jobs: Sequence[Job]) -> Mapping[str, list[float]]:
    """Return how long jobs wait where each of the starts goes to the app that had none for longest.

    The starts are those that there were: how many they are is the quota's and the machine's matter,
    who gets them is ours.
    """
    coming = {app: deque(times) for app, times in _asked(jobs).items()}
    served = dict.fromkeys(coming, -1)
    waits: dict[str, list[float]] = defaultdict(list)
    for number, at in enumerate(sorted(each.started_at for each in jobs)):
        wanting = [app for app, times in coming.items() if times and times[0] <= at]
        app = min(wanting, key=served.__getitem__)
        served[app] = number
        waits[app].append(at - coming[app].popleft())
    return waits


def _asked(jobs: Sequence[Job]) -> Mapping[str, list[float]]:
    found: dict[str, list[float]] = defaultdict(list)
    for each in sorted(jobs, key=lambda job: job.asked_at):
        found[each.app].append(each.asked_at)
    return found


def tell(report: Report, found: Rehearsal) -> None:
    """Say what it came to."""
    allowed = RATE * found.quota
    report.share("starts against the quota", found.rate() / allowed, at_least=0.9)
    report.number("jobs refused", found.refused, "", at_most=0)
    lost = len(found.jobs) + _WARM - found.states["succeeded"]
    report.number("jobs that did not succeed", lost, "", at_most=0)
    report.number("tasks more than jobs", found.tasks - len(found.jobs) - _WARM, "", at_most=0)
    report.number("most tasks of one attempt", found.most_tasks, "", at_most=1)
    waits = [each.wait for each in found.jobs]
    report.number("wait for the start, p50", quantile(waits, 0.5), "s")
    report.number("wait for the start, p95", quantile(waits, 0.95), "s")
    report.number("worst p95 against its fair share", found.unfairness(), "x", at_most=2)
    pairs = [f"{app} {wait:.1f}/{fair:.1f}" for app, (wait, fair) in sorted(found.shares().items())]
    report.note("p95 / fair, in seconds: " + ", ".join(pairs))


def draw(found: Rehearsal, path: Path) -> None:
    """Write the picture."""
    end = max(each.started_at for each in found.jobs)
    span = max(1.0, end / _SPANS)
    picture = Picture(f"{len(found.jobs):,} jobs, {RATE * found.quota:g} starts a second", end)
    picture.show("jobs that wait for their start", {"backlog": _backlog(found.jobs, end)})
    starts = Counter(int(each.started_at / span) for each in found.jobs)
    curve = [(span * at, starts[at] / span) for at in range(int(end / span))]
    picture.show("starts a second", {"starts": curve}, limit=RATE * found.quota)
    picture.show("p95 of seconds to the start", _latency(found.jobs, span))
    picture.write(path)


def _backlog(jobs: Sequence[Job], end: float) -> list[tuple[float, float]]:
    asked = sorted(each.asked_at for each in jobs)
    started = sorted(each.started_at for each in jobs)
    curve, came, went = [], 0, 0
    for step in range(201):
        at = end * step / 200
        while came < len(asked) and asked[came] <= at:
            came += 1
        while went < len(started) and started[went] <= at:
            went += 1
        curve.append((at, float(came - went)))
    return curve


def _latency(jobs: Sequence[Job], span: float) -> dict[str, list[tuple[float, float]]]:
    """Return each app's p95 wait over time."""
    found: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for each in jobs:
        found[each.app][int(each.asked_at / span)].append(each.wait)
    return {
        app: [(span * at, quantile(waits, 0.95)) for at, waits in sorted(by_time.items())]
        for app, by_time in sorted(found.items())
    }


if __name__ == "__main__":
    main()

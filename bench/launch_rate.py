"""Launches per second against ECS's token bucket, with 1 and with 4 workers, on MariaDB.

The simulator has AWS's real buckets: 20 Fargate launches a second with a burst of 20, 40 calls a
second for tasks on EC2 with a burst of 100. All jobs wait in the queue before the clock starts;
it runs from the first start to the last, and what the burst gave is left out: what remains is the
rate that lasts. Our own quota is 97 % of the bucket. The tasks take a second each, so that ends
and logs are worked on meanwhile, as in life.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from barbeque_py import clock
from bench.fleet import EXECUTOR, Fleet, mariadb, opened, wait_until
from bench.report import Report, read_options
from bench.site import cpu_seconds
from tests.stores import MariaDb

_WORK, _WARM = "work", "warm"
_FULL = 6.0
"""Seconds in which every bucket fills up."""
_WAYS = {"Fargate": ("", 20.0, 20), "EC2": ("&launch=ec2", 40.0, 100)}
"""By name: what the URL says, the bucket's rate and its burst."""


@dataclass(frozen=True, slots=True)
class Launches:
    """How a number of jobs was launched; `cpu` is seconds of all workers until all had started."""

    jobs: int
    starts: Sequence[float]
    calls: int
    failed: int
    seconds: float
    cpu: float

    def rate(self, burst: int) -> float:
        """Return launches per second without the burst."""
        return (len(self.starts) - burst) / (self.starts[-1] - self.starts[burst - 1])


def main(argv: Sequence[str] | None = None) -> None:
    given = read_options(argv, __doc__, jobs=400, ec2=0)
    with mariadb() as server:
        for name, (words, rate, burst) in _WAYS.items():
            jobs = given.jobs if name == "Fargate" else given.ec2
            if jobs:
                report = Report(f"launches on {name}, {jobs} jobs, MariaDB", given.json)
                for workers in (1, 4):
                    found = _measure(server, words, jobs, workers)
                    _tell(report, found, workers=workers, rate=rate, burst=burst)
                report.show()


def _measure(server: MariaDb, words: str, jobs: int, workers: int) -> Launches:
    seconds = {_WORK: 1.0, _WARM: 0.05}
    knobs = {"awslogs": False, "buckets": True}
    with (
        server.database() as url,
        opened(seconds, database=url, executor=f"{EXECUTOR}{words}&log_wait=1s", knobs=knobs) as it,
    ):
        pids = [it.start_worker().pid for _ in range(workers)]
        it.enqueue(_WARM, 10)
        it.finish(10, within=60.0)
        full = clock.monotonic() + _FULL
        wait_until(lambda: clock.monotonic() > full, "the buckets are full", within=2 * _FULL)
        return _launch(it, pids, jobs, before=10)


def _launch(fleet: Fleet, pids: Sequence[int], jobs: int, *, before: int) -> Launches:
    fleet.cloud.reset_counts()
    cpu, began = sum(map(cpu_seconds, pids)), clock.monotonic()
    fleet.enqueue(_WORK, jobs)
    wait_until(lambda: _begun(fleet) >= jobs + before, "all are launched", within=jobs * 0.5)
    cpu, took = sum(map(cpu_seconds, pids)) - cpu, clock.monotonic() - began
    wait_until(lambda: fleet.attempts()["ended"] >= jobs + before, "all have ended", within=120.0)
    ended = fleet.executions()
    starts = sorted(task["createdAt"] for task in fleet.tasks())[before:]
    calls = fleet.calls()["ecs.RunTask"]
    return Launches(jobs, starts, calls, ended.total() - ended["succeeded"], took, cpu)


def _begun(fleet: Fleet) -> int:
    found = fleet.attempts()
    return found["running"] + found["ended"]


def _tell(report: Report, found: Launches, *, workers: int, rate: float, burst: int) -> None:
    who = f"{workers} worker{'s' if workers > 1 else ''}"
    report.share(f"rate against the bucket's, {who}", found.rate(burst) / rate, at_least=0.95)
    throttled = 100 * (found.calls - found.jobs) / found.calls
    report.number(f"calls throttled or repeated, {who}", throttled, "%", at_most=5)
    report.number(f"jobs failed, {who}", found.failed, "", at_most=0)
    at_rate = 100 * found.cpu / found.seconds * rate / (found.jobs / found.seconds)
    report.number(f"CPU of all workers at {rate:g}/s, {who}", at_rate, "%", at_most=rate / 2)


if __name__ == "__main__":
    main()

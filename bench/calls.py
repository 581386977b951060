"""Calls of AWS per job, counted at its endpoint, beside a naive loop on the same jobs.

Loaded: all jobs are enqueued at once, in batches. Idle: one after the other, each alone. What a
job costs does not depend on how long it takes, but for its share of DescribeTasks: a running task
is looked at once in `check_every`, a hundred of them in one call, and fewer than a hundred in one
call after five times as long. So that nobody waits for ten minutes, jobs "of 10 minutes" take 10 s
with `check_every=1s` instead of 60 s: time is a sixtieth for all that depends on it.

Left out of a job's calls are polls of a queue that brought nothing, which an idle worker makes,
too: they are a figure of their own.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from barbeque_py import clock
from bench import naive
from bench.fleet import EXECUTOR, Calls, Fleet, opened
from bench.report import Report, read_options

SCALE = 60
TEN_MINUTES = 600 / SCALE
_WAITS = f"&log_wait=1s&check_every={60 // SCALE}s"
_PATIENCE = 120.0
_RECEIVE, _DELETE, _DESCRIBE = "sqs.ReceiveMessage", "sqs.DeleteMessageBatch", "ecs.DescribeTasks"
_LOG = "logs.GetLogEvents"
_SHORT, _LONG = "one-second", "ten-minutes"
_MOST_LOADED, _MOST_IDLE, _LOG_READS = 3, 9, 2


@dataclass(frozen=True, slots=True)
class Bill:
    """What a number of jobs cost in calls."""

    jobs: int
    calls: Calls

    def each(self, operation: str) -> float:
        """Return how often the operation was called per job."""
        return self.calls[operation] / self.jobs

    @property
    def own(self) -> float:
        """Calls per job but for reading its log, polls that brought nothing, and DescribeTasks."""
        apart = self.calls[_LOG] + self.calls[_DESCRIBE] + self.empty_polls
        return (self.calls.total() - apart) / self.jobs

    @property
    def empty_polls(self) -> int:
        """How many polls brought nothing: what one brings is deleted by one call."""
        return max(0, self.calls[_RECEIVE] - self.calls[_DELETE])


@contextmanager
def started(database: str = "") -> Iterator[Fleet]:
    """Make a fleet with one worker that has done one job, so that its definition is registered."""
    jobs = {_SHORT: 1.0, _LONG: TEN_MINUTES}
    with opened(jobs, database=database, executor=EXECUTOR + _WAITS) as fleet:
        fleet.start_worker()
        fleet.enqueue(_SHORT)
        fleet.finish(1, within=_PATIENCE)
        yield fleet


def bill_loaded(fleet: Fleet, jobs: int, *, long: bool = False) -> Bill:
    """Enqueue so many jobs at once, and count until all are done."""
    fleet.cloud.reset_counts()
    before = fleet.executions()["succeeded"]
    fleet.enqueue(_LONG if long else _SHORT, jobs)
    fleet.finish(before + jobs, within=_PATIENCE)
    return Bill(jobs, fleet.calls())


def bill_idle(fleet: Fleet, jobs: int, *, long: bool = False) -> Bill:
    """Enqueue one job after the other, each when the last one is done."""
    bills = [bill_loaded(fleet, 1, long=long) for _ in range(jobs)]
    return Bill(jobs, sum((bill.calls for bill in bills), Calls()))


def bill_silence(fleet: Fleet, seconds: float) -> Calls:
    """Count what is called while there is nothing to do."""
    fleet.cloud.reset_counts()
    time.sleep(seconds)
    return fleet.calls()


def bill_naive(jobs: int, seconds: float) -> Bill:
    """Count what the naive loop calls for so many jobs at once."""
    with opened({_SHORT: seconds}, database="") as fleet:
        fleet.enqueue(_SHORT, jobs)
        fleet.cloud.reset_counts()
        naive.work_off(fleet, jobs, seconds)
        return Bill(jobs, fleet.calls())


def main(argv: Sequence[str] | None = None) -> None:
    given = read_options(argv, __doc__, jobs=100, alone=3, silence=30, naive=10)
    report = Report("calls of AWS per job, SQLite", given.json)
    with started() as fleet:
        bills = {
            "loaded, jobs of 1 s": (bill_loaded(fleet, given.jobs), _MOST_LOADED),
            "loaded, jobs of 10 min": (bill_loaded(fleet, given.jobs, long=True), _MOST_LOADED),
            "idle, jobs of 1 s": (bill_idle(fleet, given.alone), _MOST_IDLE),
            "idle, a job of 10 min": (bill_idle(fleet, 1, long=True), _MOST_IDLE),
        }
        for name, (bill, most) in bills.items():
            _tell(report, name, bill, most)
        silence = bill_silence(fleet, given.silence)
    _tell_silence(report, silence, given.silence)
    _tell_naive(report, given)
    report.show()


def _tell(report: Report, name: str, bill: Bill, most: int) -> None:
    report.number(name, bill.own, "calls", at_most=most)
    report.number("  and GetLogEvents", bill.each(_LOG), "", at_most=_LOG_READS)
    report.number("  and DescribeTasks", bill.each(_DESCRIBE), "")
    register = bill.calls["ecs.RegisterTaskDefinition"]
    report.number("  and RegisterTaskDefinition, of all", register, "", at_most=0)
    report.note(_spelt(bill.calls, bill.jobs))


def _tell_silence(report: Report, calls: Mapping[str, int], seconds: float) -> None:
    polls = calls.get(_RECEIVE, 0) * 60 / seconds
    report.number("an idle worker with one queue, polls per minute", polls, "")
    others = sum(calls.values()) - calls.get(_RECEIVE, 0)
    report.number("  and other calls, DescribeTasks too", others, "", at_most=0)


def _tell_naive(report: Report, given: Any) -> None:
    began = clock.monotonic()
    for name, seconds in (("1 s", 1.0), ("10 s", 10.0)):
        bill = bill_naive(given.naive, seconds)
        report.number(f"naive loop, jobs of {name}", bill.calls.total() / bill.jobs, "calls")
        report.note(_spelt(bill.calls, bill.jobs))
    took = clock.monotonic() - began
    report.note(f"it makes one more each second a job lasts: 600 for ten minutes ({took:.0f} s)")


def _spelt(calls: Mapping[str, int], jobs: int) -> str:
    words = (f"{name.partition('.')[2]} {count / jobs:g}" for name, count in sorted(calls.items()))
    return "per job: " + ", ".join(words)


if __name__ == "__main__":
    main()

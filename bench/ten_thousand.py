"""What 10,000 running tasks cost one worker that only watches: memory and CPU, on MariaDB.

To get there soon the workers' quotas are filled up all the while, in the database, and the
simulated ECS has no buckets. Each task takes an hour, so that none ends while it is measured. The
simulator and the database are not counted.
"""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from barbeque_py import clock
from bench.fleet import EXECUTOR, Fleet, mariadb, opened, wait_until
from bench.report import Report, read_options
from bench.site import cpu_seconds

_WORK = "work"
_HOUR = 3600.0
_LAUNCHES = 25.0
"""Launches per second below which the machine is too busy to measure anything."""
_CALM = 15.0


def main(argv: Sequence[str] | None = None) -> None:
    given = read_options(argv, __doc__, tasks=10_000, steady=60)
    report = Report(f"{given.tasks:,} running tasks, one worker, MariaDB", given.json)
    with (
        mariadb() as server,
        server.database() as url,
        opened(
            {_WORK: _HOUR},
            database=url,
            executor=f"{EXECUTOR}&launch=ec2",
            knobs={"awslogs": False},
        ) as fleet,
    ):
        pid = fleet.start_worker().pid
        with _abundance(fleet):
            fleet.enqueue(_WORK, given.tasks)
            wait_until(
                lambda: fleet.attempts()["running"] >= given.tasks,
                f"{given.tasks} run",
                within=60.0 + given.tasks / _LAUNCHES,
            )
        time.sleep(_CALM)
        _measure(report, fleet, pid, float(given.steady))
    report.show()


def _measure(report: Report, fleet: Fleet, pid: int, seconds: float) -> None:
    fleet.cloud.reset_counts()
    cpu, began = cpu_seconds(pid), clock.monotonic()
    time.sleep(seconds)
    took = clock.monotonic() - began
    share = 100 * (cpu_seconds(pid) - cpu) / took
    calls = fleet.calls()
    report.number("memory of the worker", _resident(pid), "MB", at_most=200)
    report.number("CPU of the worker", share, "%", at_most=10)
    for name in ("ecs.DescribeTasks", "sqs.ReceiveMessage"):
        report.number(f"{name} per minute", calls[name] * 60 / took, "")
    others = calls.total() - calls["ecs.DescribeTasks"] - calls["sqs.ReceiveMessage"]
    report.number("other calls", others, "", at_most=0)


@contextmanager
def _abundance(fleet: Fleet) -> Iterator[None]:
    """Keep the workers' quotas full."""
    over = threading.Event()

    def fill() -> None:
        while not over.wait(0.1):
            with fleet.front.store.engine.begin() as connection:
                connection.exec_driver_sql("UPDATE quotas SET tokens = 97")

    thread = threading.Thread(target=fill)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _resident(pid: int) -> float:
    """Return the megabytes of memory that a process holds."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise RuntimeError(f"no process {pid}")


if __name__ == "__main__":
    main()

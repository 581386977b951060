"""A container's end to its status being visible, with few and with many others running.

The end is the engine's `FinishedAt`. Visible means that a reader of the database, who looks every
2 ms, sees the execution as succeeded: that is what every page and answer shows. The others are
jobs of the same worker that sleep.
"""

import time
from collections.abc import Sequence
from datetime import UTC, datetime

from barbeque_py.apps import JobDefinition
from bench.report import Report, read_options
from bench.site import APP, Site, opened, wait_until

JOBS = (
    JobDefinition(APP, "short", ("usleep", "300000"), network="none", memory=32),
    JobDefinition(APP, "sleeper", ("sleep", "3600"), network="none", memory=32),
)


def main(argv: Sequence[str] | None = None) -> None:
    given = read_options(argv, __doc__, samples=15, many=50)
    report = Report("container's end to status visible, one ends at a time", given.json)
    with opened(given.many + 4, JOBS) as site:
        site.start("worker")
        _sample(site)  # warms everything up
        for others in (0, given.many * 2 // 5, given.many):
            _let_run(site, others)
            seconds = [_sample(site) for _ in range(given.samples)]
            report.times(f"with {others} others running", seconds, p50=120)
    report.show()


def _let_run(site: Site, others: int) -> None:
    site.enqueue("sleeper", others - site.attempts("running"))
    wait_until(lambda: site.attempts("running") == others, f"{others} run", every=0.05)
    time.sleep(1.0)  # what their start left to do is not what is measured


def _sample(site: Site) -> float:
    wanted = site.count("succeeded") + 1
    site.enqueue("short")
    wait_until(lambda: site.count("succeeded") == wanted, "the job has succeeded")
    seen = datetime.now(UTC)  # noqa: TID251 - the very next thing after the look
    seconds = (seen - site.last_end()).total_seconds()
    wait_until(lambda: len(site.containers()) == site.attempts("running"), "it is gone", every=0.02)
    return seconds


if __name__ == "__main__":
    main()

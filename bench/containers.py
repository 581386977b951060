"""Containers per second through the whole system, against a raw create+start+wait loop.

Rounds alternate: N jobs of `true` through enqueue, intake, claim, start, end and status, with the
worker as a process of its own; then the same N containers by bare calls of the engine, as many at
once. The clock of a round of ours runs from before the enqueue until every status is visible.
"""

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from barbeque_py import clock
from barbeque_py.apps import JobDefinition
from bench.raw import description_of, run_loop
from bench.report import Report, read_options
from bench.site import APP, Site, cpu_seconds, load_image, opened, wait_until

NETWORKS = ("none", "bridge")


@dataclass(frozen=True, slots=True)
class Round:
    """Seconds until all had ended, seconds until all were removed, CPU seconds of the client."""

    ended: float
    removed: float
    cpu: float


def main(argv: Sequence[str] | None = None) -> None:
    given = read_options(argv, __doc__, rounds=3, jobs=24, slots=4)
    jobs = [JobDefinition(APP, name, ("true",), network=name) for name in NETWORKS]
    jobs += [JobDefinition(APP, f"look-{name}", ("sleep", "1"), network=name) for name in NETWORKS]
    with opened(given.slots, jobs) as site:
        worker = site.start("worker").pid
        for network in NETWORKS:
            title = f"containers, network {network}, {given.slots} at once, rounds of {given.jobs}"
            report = Report(title, given.json)
            description = _description(site, network)
            _measure(report, site, worker, description, given)
            report.show()


def _description(site: Site, network: str) -> dict[str, Any]:
    container = load_image(site, f"look-{network}")
    description = description_of(site.engine, container, ["true"])
    site.settle_down()
    return description


def _measure(
    report: Report, site: Site, worker: int, description: dict[str, Any], given: Any
) -> None:
    ours, raw = [], []
    for turn in range(2 * given.rounds):
        if turn % 4 in (0, 3):  # neither always comes first
            ours.append(
                _run_ours(site, worker, str(description["HostConfig"]["NetworkMode"]), given.jobs)
            )
        else:
            raw.append(_run_raw(site, description, given))
    pairs = list(zip(ours, raw, strict=True))
    report.ratio(
        "containers/s against create+start+wait",
        [bare.ended / own.ended for own, bare in pairs],
        at_least=0.95,
    )
    report.ratio(
        "the same, ours with log and removal, raw with removal",
        [bare.removed / own.removed for own, bare in pairs],
    )
    for name, rounds in (("ours", ours), ("raw", raw)):
        rates = [given.jobs / each.ended for each in rounds]
        report.ratio(f"containers/s, {name}", rates)
    spent = 1000 * sum(each.cpu for each in ours) / (given.jobs * len(ours))
    report.number("CPU per container, our worker", spent, "ms", at_most=3)
    bare = 1000 * statistics.mean(each.cpu for each in raw) / given.jobs
    report.number("CPU per container, raw loop", bare, "ms")


def _run_ours(site: Site, worker: int, job: str, count: int) -> Round:
    wanted = site.count("succeeded") + count
    cpu, began = cpu_seconds(worker), clock.monotonic()
    site.enqueue(job, count)
    wait_until(lambda: site.count("succeeded") == wanted, "all have succeeded")
    ended = clock.monotonic()
    site.settle_down()
    return Round(ended - began, clock.monotonic() - began, cpu_seconds(worker) - cpu)


def _run_raw(site: Site, description: dict[str, Any], given: Any) -> Round:
    cpu = time.process_time()
    ended, removed = run_loop(site.engine, description, count=given.jobs, at_once=given.slots)
    return Round(ended, removed, time.process_time() - cpu)


if __name__ == "__main__":
    main()

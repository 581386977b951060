"""POST to container started, minus the engine's own create+start.

Strictly alternating: bare create+start, a job through HTTP, bare create+start once more (raw
against raw is the noise of the machine). Both ends are by one definition: the engine's `StartedAt`
minus the moment before the first byte was sent. The engine's `Created`, which it notes as the
create call comes in, parts the time before the engine from the engine's own. Before the engine
stand three commits (the message, the execution, the attempt), so a disk's sync is measured, too.
"""

import http.client
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from barbeque_py import clock
from barbeque_py.apps import JobDefinition
from barbeque_py.executors.engine import Engine
from bench.raw import create, description_of, remove, start
from bench.report import Report, quantile, read_options
from bench.site import APP, QUEUE, Site, load_image, opened, wait_until

JOB = ["usleep", "250000"]


@dataclass(frozen=True, slots=True)
class Start:
    """Seconds from the first byte to the engine's create, and from there to the start."""

    before: float
    engine: float

    @property
    def whole(self) -> float:
        """Seconds from the first byte to the start."""
        return self.before + self.engine


def main(argv: Sequence[str] | None = None) -> None:
    given = read_options(argv, __doc__, samples=20)
    job = JobDefinition(APP, "Thumbnail", tuple(JOB), network="none")
    with opened(2, [job]) as site:
        _, url = site.serve("up")
        connection = http.client.HTTPConnection(urlsplit(url).netloc)
        description = description_of(site.engine, load_image(site, job.name), JOB)
        site.settle_down()
        samples, syncs = [], []
        for _ in range(given.samples):
            samples.append(_sample(site, connection, description))
            syncs.append(_sync(site.front.settings.home))
        connection.close()
    report = Report("POST to container started, network none, one at a time", given.json)
    _tell(report, samples)
    report.times("one durable write to the same disk; ours are three", syncs)
    report.show()


def _sample(
    site: Site, connection: http.client.HTTPConnection, description: dict[str, Any]
) -> tuple[Start, Start, Start]:
    before = _start_raw(site.engine, description)
    ours = _start_ours(site, connection)
    return before, ours, _start_raw(site.engine, description)


def _start_raw(engine: Engine, description: dict[str, Any]) -> Start:
    began = clock.now()
    container = create(engine, description)
    start(engine, container)
    seen = _seen(engine, container, began)
    remove(engine, container)
    return seen


def _start_ours(site: Site, connection: http.client.HTTPConnection) -> Start:
    done = site.count("succeeded")
    began = clock.now()
    _post(connection)
    wait_until(lambda: site.attempts("running") == 1, "the job runs")
    seen = _seen(site.engine, site.containers()[0], began)
    wait_until(lambda: site.count("succeeded") > done, "the job has succeeded")
    site.settle_down()
    return seen


def _sync(home: Path) -> float:
    """Return the seconds that 4 KiB take to the disk, right after the engine wrote there."""
    with (home / "probe").open("ab") as probe:
        probe.write(bytes(4096))
        probe.flush()
        began = clock.monotonic()
        os.fdatasync(probe.fileno())
        return clock.monotonic() - began


def _post(connection: http.client.HTTPConnection) -> None:
    body = {"application": APP, "job": "Thumbnail", "queue": QUEUE, "message": {"image": "a.jpg"}}
    headers = {"Content-Type": "application/json"}
    connection.request("POST", "/v2/job_executions", json.dumps(body), headers)
    answer = connection.getresponse()
    said = answer.read()
    if answer.status != 201:
        raise RuntimeError(f"POST answered {answer.status}: {said!r}")


def _seen(engine: Engine, container: str, began: datetime) -> Start:
    found = engine.call("GET", f"/containers/{container}/json").json()
    created = datetime.fromisoformat(found["Created"])
    started = datetime.fromisoformat(found["State"]["StartedAt"])
    return Start((created - began).total_seconds(), (started - created).total_seconds())


def _tell(report: Report, samples: list[tuple[Start, Start, Start]]) -> None:
    ours = [own for _, own, _ in samples]
    raw = [start for first, _, second in samples for start in (first, second)]
    usual = quantile([start.before for start in raw], 0.5)
    report.times(
        "POST to the engine's create, minus raw's",
        [start.before - usual for start in ours],
        p50=8,
        p95=15,
    )
    report.times("the engine's create to started, ours", [start.engine for start in ours])
    report.times("the engine's create to started, raw", [start.engine for start in raw])
    for share in (0.5, 0.95):
        whole = [quantile([start.whole for start in each], share) for each in (ours, raw)]
        name = f"whole, p{share * 100:.0f} of ours minus p{share * 100:.0f} of raw"
        report.number(name, 1000 * (whole[0] - whole[1]), "ms")
    report.times("whole, ours minus the raw just before", _differences(samples, 1))
    report.times("whole, raw minus raw (the machine's noise)", _differences(samples, 2))


def _differences(samples: list[tuple[Start, Start, Start]], which: int) -> list[float]:
    return [sample[which].whole - sample[0].whole for sample in samples]


if __name__ == "__main__":
    main()

"""What a fleet leans on goes away under load: the accepted is kept, and the log stays short."""

import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from barbeque_py.executions import State
from barbeque_py.ids import attempt_id
from barbeque_py.store import attempts
from barbeque_py.store import executions as rows
from barbeque_py.store.attempts import Attempt
from tests.conformance.modes import Fleet, fleet
from tests.conformance.pump import pumping
from tests.stores import MariaDb
from tests.waiting import wait_until

pytestmark = pytest.mark.mariadb

REQUEST: dict[str, object] = {
    "application": "load",
    "job": "Step",
    "queue": "default",
    "message": {"n": 1},
}
SLOWEST = 3.0
"""Seconds within which a request is accepted, whatever is away."""
MANY, FEW = 8, 3
"""Clients: two dozen requests a second, and nine."""
FEW_LINES = 8
"""Warnings of one process for one outage."""
CALM = 1.5
PATIENCE = 20
"""Seconds for which calls may be tried again before anything is said."""

lengths = pytest.mark.parametrize(
    "seconds",
    [
        pytest.param(3, id="short"),
        pytest.param(60, id="whole", marks=[pytest.mark.soak, pytest.mark.timeout(0)]),
    ],
)


@pytest.fixture(scope="module")
def server() -> Iterator[MariaDb]:
    """A database of these tests alone, as it is killed."""
    with tempfile.TemporaryDirectory(prefix="maria") as folder:
        server = MariaDb(Path(folder))
        try:
            server.start()
            yield server
        finally:
            server.stop()


@pytest.fixture(scope="module")
def sky(server: MariaDb, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    home = tmp_path_factory.mktemp("outages") / "fleet"
    with fleet(home, server, runner="process") as sky:
        job = {"name": "Step", "command": ["sh", "-c", "echo done"], "memory": 64}
        app = {"name": "load", "image": "load:1", "jobs": [job]}
        sky.apply({"apps": [app], "queues": [{"name": "default"}]})
        yield sky


@pytest.fixture(scope="module")
def accepted() -> list[str]:
    """What was accepted by all tests so far: the last one sees that it has run."""
    return []


def states(sky: Fleet, accepted: list[str]) -> Counter[Any]:
    """Count the executions by state, None for those not recorded."""
    found = sky.store.read(lambda tx: rows.many_by_message_id(tx, accepted))
    return Counter(found[each].state if each in found else None for each in accepted)


def assert_all_run_once(sky: Fleet, accepted: list[str], seconds: float) -> None:
    """Wait until all have succeeded and their logs are sealed; each was started once."""
    every = {State.SUCCEEDED: len(accepted)}
    what = "all that was accepted has succeeded"
    wait_until(lambda: states(sky, accepted) == every, what, within=seconds, every=0.5)

    def tries() -> list[Attempt]:
        firsts = [attempt_id(each, 1) for each in accepted]
        return list(sky.store.read(lambda tx: attempts.known(tx, firsts)).values())

    what = "all logs are sealed"
    wait_until(lambda: all(each.log_sealed_at for each in tries()), what, within=seconds, every=1)
    assert Counter(each.log_lines for each in tries()) == {1: len(accepted)}
    tasks = sky.cloud.control("ecs", "tasks")["tasks"]
    starts = Counter(each["startedBy"].rpartition("/")[2] for each in tasks)
    assert {starts[each.id] for each in tries()} == {1}


class Logs:
    """What the processes log from now on."""

    def __init__(self, sky: Fleet) -> None:
        self._sky = sky
        self._before = {name: len(lines) for name, lines in sky.wrote().items()}

    def warnings(self) -> dict[str, list[str]]:
        """Return the lines that are no information, by process."""
        return {
            name: [line for line in lines[self._before[name] :] if " INFO " not in line]
            for name, lines in self._sky.wrote().items()
        }

    def assert_few(self, *words: str, told: bool = True) -> None:
        """Each process wrote a handful of lines at most; one of a worker's names fault and cure."""
        for name, lines in self.warnings().items():
            print(f"\n{name}: {len(lines)} lines", *lines, sep="\n  ")
            assert len(lines) <= FEW_LINES, name
            assert not [line for line in lines if "Traceback" in line]
            if told and name != "api":
                assert any(all(word in line for word in words) for line in lines), name


@lengths
def test_a_database_that_is_killed_under_load_costs_nobody_a_request_or_a_job(
    sky: Fleet, server: MariaDb, accepted: list[str], seconds: int
) -> None:
    logs = Logs(sky)
    with pumping(sky.url, REQUEST, accepted, clients=MANY) as answers:
        time.sleep(CALM)
        server.kill()
        try:
            time.sleep(max(10, seconds))
        finally:
            server.start()
        time.sleep(CALM)
    print(f"\n{len(accepted)} accepted, the slowest in {answers.slowest:.2f} s")
    assert answers.statuses.keys() == {201}
    assert answers.slowest < SLOWEST
    logs.assert_few("BARBEQUE_DATABASE", "is it running")


@lengths
def test_jobs_run_while_logs_can_t_be_kept_or_read(
    sky: Fleet, accepted: list[str], seconds: int
) -> None:
    with pumping(sky.url, REQUEST, accepted, clients=FEW) as answers:
        for service in ("s3", "logs"):
            logs = Logs(sky)
            sky.cloud.faults(**{service: {"down": True}})
            try:
                before = states(sky, accepted)[State.SUCCEEDED]
                time.sleep(seconds)
                more = "more jobs have succeeded meanwhile"
                wait_until(lambda: states(sky, accepted)[State.SUCCEEDED] > before, more)  # noqa: B023 - called here
            finally:
                sky.cloud.faults()
            logs.assert_few("failed", "Is the network up", told=seconds > PATIENCE)
            time.sleep(CALM)
    assert answers.statuses.keys() == {201}
    assert answers.slowest < SLOWEST


@lengths
def test_jobs_wait_while_ecs_is_away(sky: Fleet, accepted: list[str], seconds: int) -> None:
    logs = Logs(sky)
    with pumping(sky.url, REQUEST, accepted, clients=FEW) as answers:
        time.sleep(CALM)
        sky.cloud.faults(ecs={"down": True})
        try:
            time.sleep(seconds)
        finally:
            sky.cloud.faults()
    assert answers.statuses.keys() == {201}
    assert answers.slowest < SLOWEST
    logs.assert_few("failed", "Is the network up")


@lengths
def test_without_sqs_requests_are_refused_and_nothing_accepted_is_lost(
    sky: Fleet, accepted: list[str], seconds: int
) -> None:
    logs = Logs(sky)
    with pumping(sky.url, REQUEST, accepted, clients=FEW) as answers:
        time.sleep(CALM)
        sky.cloud.faults(sqs={"down": True})
        try:
            time.sleep(seconds)
        finally:
            sky.cloud.faults()
        time.sleep(CALM)
    print(f"\n{dict(answers.statuses)}, the slowest in {answers.slowest:.2f} s")
    assert answers.statuses.keys() == {201, 503}
    logs.assert_few("queue Jobs-default failed", "Is the network up", told=seconds > PATIENCE)


@pytest.mark.parametrize(
    "seconds",
    [120, pytest.param(1200, id="whole", marks=[pytest.mark.soak, pytest.mark.timeout(0)])],
)
def test_after_all_outages_everything_accepted_has_run_exactly_once(
    sky: Fleet, accepted: list[str], seconds: int
) -> None:
    """What was received as the database died comes back when its minute on SQS is over."""
    accepted.append(sky.enqueue("load", "Step", {"n": 2}))
    assert_all_run_once(sky, accepted, seconds)

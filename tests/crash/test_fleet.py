"""The same promises on a fleet: SQS, ECS, S3 and MySQL, each of them failing as they do."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cloud.rig import CloudProcess
from tests.crash.drill import Drill, run
from tests.crash.grounds import Fleet
from tests.crash.marks import FileMarks, ServerMarks
from tests.crash.test_crash import assert_all_kept, marks, sizes
from tests.images import make_test_image
from tests.stores import MariaDb

__all__ = ["marks"]

ROUGH = {
    "sqs": {"refuse": 0.05, "lose_answer": 0.05},
    "ecs": {"refuse": 0.05, "lose_answer": 0.05, "throttle": 0.015},
    "s3": {"refuse": 0.05, "lose_answer": 0.05},
}
CARELESS = {"duplicate": 0.05, "forget_delete": 0.05}
UNSURE = {
    "events_lost": 0.15,
    "events_doubled": 0.10,
    "events_shuffled": 0.5,
    "capacity": 0.015,
    "failed_starts": 0.02,
}


TRIES = 3
"""Drills within which a wrong fleet is caught: what kills it has to meet is left to chance."""


@contextmanager
def cloud(monkeypatch: pytest.MonkeyPatch, *, seed: int = 1) -> Iterator[CloudProcess]:
    """Hand out a cloud, which the test's process takes for AWS."""
    process = CloudProcess(seed=seed)
    for name, value in process.environment.items():
        monkeypatch.setenv(name, value)
    try:
        yield process
    finally:
        process.stop()


@pytest.fixture
def sky(monkeypatch: pytest.MonkeyPatch) -> Iterator[CloudProcess]:
    """A cloud of the test's own."""
    with cloud(monkeypatch) as process:
        yield process


@pytest.mark.mariadb
@sizes(100, 25, whole=(2000, 100))
def test_a_fleet_survives_kills_and_every_fault_of_its_services(
    tmp_path: Path, marks: FileMarks, mariadb: MariaDb, sky: CloudProcess, jobs: int, kills: int
) -> None:
    ground = Fleet(sky, faults=ROUGH, queue_faults=CARELESS, knobs=UNSURE)
    deaths: list[int] = []

    def disturb(died: int) -> None:
        """Kill the database after each fifth of the kills, three times."""
        if died >= kills * (len(deaths) + 1) / 5 and len(deaths) < 3:
            mariadb.kill()
            deaths.append(died)
            time.sleep(1)
            mariadb.start()

    with mariadb.database() as database:
        drill = Drill(
            database=database,
            home=tmp_path,
            marks=marks,
            jobs=jobs,
            kills=kills,
            ground=ground,
            disturb=disturb,
            outage=10.0,
            probability=0.2 * kills / jobs,
            pause=4.0,
        )
        assert_all_kept(run(drill), kills)
    assert len(deaths) == 3


@pytest.mark.docker
@pytest.mark.mariadb
@sizes(30, 8, whole=(100, 30))
def test_a_fleet_of_real_containers_survives_kills(
    tmp_path: Path, mariadb: MariaDb, sky: CloudProcess, jobs: int, kills: int
) -> None:
    image, marks = make_test_image(), ServerMarks()
    ground = Fleet(
        sky, runner="docker", faults=ROUGH, queue_faults=CARELESS, knobs=UNSURE, window=20.0
    )
    with mariadb.database() as database:
        drill = Drill(
            database=database,
            home=tmp_path,
            marks=marks,
            jobs=jobs,
            kills=kills,
            ground=ground,
            image=image,
            lease=12.0,
        )
        try:
            assert_all_kept(run(drill), kills)
        finally:
            marks.close()


@pytest.mark.parametrize(
    ("mutant", "point", "symptom", "outage"),
    [
        ("has a new token for every call", "after start", "started 2 times", 0.0),
        ("rescues nothing", "before start", " is running, not ", 0.0),
        ("has no outbox", "between commit and effect", " has the log ", 0.0),
        pytest.param(
            "repeats a token for ever",
            "after start",
            "started 2 times",
            5.0,
            marks=[pytest.mark.soak, pytest.mark.timeout(0)],  # met by chance: not in each drill
        ),
    ],
)
def test_a_fleet_that_is_wrong_on_purpose_is_caught(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    mutant: str,
    point: str,
    symptom: str,
    outage: float,
) -> None:
    reports = []
    for seed in range(1, TRIES + 1):
        home = tmp_path / str(seed)
        home.mkdir()
        with cloud(monkeypatch, seed=seed) as sky:
            drill = Drill(
                database=f"sqlite:///{home}/barbeque.db",
                home=home,
                marks=FileMarks(home),
                jobs=30,
                kills=8,
                ground=Fleet(
                    sky,
                    faults={"ecs": {"lose_answer": 0.3, "only": ["RunTask"]}},
                    knobs={"events_lost": 0.9, "token_life": 3.0},
                    window=2.0,
                ),
                probability=0.5,
                only=point,
                patience=18.0 + 4 * outage,
                outage=outage,
                outages=3,
                mutant=mutant,
                seed=seed,
            )
            reports.append(run(drill))
        if any(symptom in fault for fault in reports[-1].faults):
            return
    raise AssertionError(reports)

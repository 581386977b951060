"""The same promises on a fleet: SQS, ECS, S3 and MySQL, each of them failing as they do."""

import math
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cloud.rig import CloudProcess
from tests.crash.drill import Drill, run
from tests.crash.grounds import Fleet
from tests.crash.marks import FileMarks, ServerMarks
from tests.crash.points import OF_CONTAINERS, ON_A_FLEET
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


LIFE_OF_A_TOKEN = 1.0
"""Seconds after the end of its task, where a worker is away for longer."""


@pytest.fixture
def sky(monkeypatch: pytest.MonkeyPatch) -> Iterator[CloudProcess]:
    """A cloud of the test's own, which the test's process takes for AWS."""
    process = CloudProcess(seed=1)
    for name, value in process.environment.items():
        monkeypatch.setenv(name, value)
    try:
        yield process
    finally:
        process.stop()


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
            points=ON_A_FLEET,
            outage=10.0,
            pause=8.0,
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
            points=OF_CONTAINERS,
            ground=ground,
            image=image,
            lease=12.0,
            gentle=False,
        )
        try:
            assert_all_kept(run(drill), kills)
        finally:
            marks.close()


@pytest.mark.parametrize(
    ("mutant", "point", "symptom", "gap"),
    [
        ("has a new token for every call", "after start", "started 2 times", 1.0),
        ("rescues nothing", "before start", " is running, not ", 0.0),
        ("has no outbox", "between commit and effect", " has the log ", 0.0),
        ("repeats a token for ever", "after start", "started 2 times", LIFE_OF_A_TOKEN + 1.5),
        ("", "after start", "", LIFE_OF_A_TOKEN + 1.5),
    ],
)
def test_a_fleet_that_is_wrong_on_purpose_is_caught(
    tmp_path: Path, sky: CloudProcess, mutant: str, point: str, symptom: str, gap: float
) -> None:
    """And one that is right is not, though its worker dies there, too."""
    lost = 1.0 if point == "after start" else 0.0  # what would tell of the end before the repeat

    def be_away(_died: int) -> None:
        time.sleep(gap)
        sky.control("ecs", "configure", events_lost=0.0)

    window = LIFE_OF_A_TOKEN if gap > LIFE_OF_A_TOKEN else 30.0
    knobs = {"events_lost": lost, "token_life": LIFE_OF_A_TOKEN}
    drill = Drill(
        database=f"sqlite:///{tmp_path}/barbeque.db",
        home=tmp_path,
        marks=FileMarks(tmp_path),
        jobs=1,
        kills=1,
        workers=1,
        points=[point],
        passes=[0],
        pause=math.inf,
        ground=Fleet(sky, knobs=knobs, window=window),
        disturb=be_away,
        respite=5.0 if mutant == "rescues nothing" else 60.0,
        mutant=mutant,
        gentle=False,
    )
    report = run(drill)
    assert report.points[point] == 1, report
    if mutant:
        assert [fault for fault in report.faults if symptom in fault], report
    else:
        assert_all_kept(report, 1)
        assert report.tasks == report.attempts

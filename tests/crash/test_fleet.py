"""The same promises on a fleet: SQS, ECS, S3 and MySQL, each of them failing as they do."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cloud.rig import CloudProcess
from tests.crash.drill import Drill, run
from tests.crash.grounds import Fleet
from tests.crash.marks import FileMarks
from tests.crash.test_crash import assert_all_kept, marks, sizes
from tests.stores import MariaDb

__all__ = ["marks"]

ROUGH = {
    "sqs": {"refuse": 0.05, "lose_answer": 0.05},
    "ecs": {"refuse": 0.05, "lose_answer": 0.05, "throttle": 0.03},
    "s3": {"refuse": 0.05, "lose_answer": 0.05},
}
CARELESS = {"duplicate": 0.05, "forget_delete": 0.05}
UNSURE = {
    "events_lost": 0.15,
    "events_doubled": 0.10,
    "events_shuffled": 0.5,
    "capacity": 0.03,
    "failed_starts": 0.02,
    "token_life": 8.0,
}


@pytest.fixture
def sky(monkeypatch: pytest.MonkeyPatch) -> Iterator[CloudProcess]:
    """A cloud of the test's own, which the test's process takes for AWS."""
    cloud = CloudProcess(seed=1)
    for name, value in cloud.environment.items():
        monkeypatch.setenv(name, value)
    yield cloud
    cloud.stop()


@pytest.mark.mariadb
@sizes(100, 25, whole=(2000, 100))
def test_a_fleet_survives_kills_and_every_fault_of_its_services(
    tmp_path: Path, marks: FileMarks, mariadb: MariaDb, sky: CloudProcess, jobs: int, kills: int
) -> None:
    ground = Fleet(sky, faults=ROUGH, queue_faults=CARELESS, knobs=UNSURE)
    with mariadb.database() as database:
        drill = Drill(
            database=database,
            home=tmp_path,
            marks=marks,
            jobs=jobs,
            kills=kills,
            ground=ground,
            outage=12.0,
        )
        assert_all_kept(run(drill), kills)


@pytest.mark.parametrize(
    ("mutant", "point", "symptom"),
    [
        ("has a new token for every call", "after start", "started 2 times"),
        ("rescues nothing", "before start", " is running, not "),
        ("has no outbox", "between commit and effect", " has the log "),
        ("repeats a token for ever", "after start", "started 2 times"),
    ],
)
def test_a_fleet_that_is_wrong_on_purpose_is_caught(
    tmp_path: Path, marks: FileMarks, sky: CloudProcess, mutant: str, point: str, symptom: str
) -> None:
    ground = Fleet(
        sky,
        faults={"ecs": {"lose_answer": 0.3, "only": ["RunTask"]}},
        knobs={"events_lost": 0.9, "token_life": 3.0},
        window=2.0,
    )
    drill = Drill(
        database=f"sqlite:///{tmp_path}/barbeque.db",
        home=tmp_path,
        marks=marks,
        jobs=40,
        kills=12,
        ground=ground,
        probability=0.5,
        only=point,
        patience=25.0,
        outage=6.0,
        mutant=mutant,
    )
    report = run(drill)
    assert [fault for fault in report.faults if symptom in fault], report

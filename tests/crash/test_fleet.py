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

"""A deployment is not noticed: whoever is replaced by SIGTERM loses nothing and refuses nobody."""

from pathlib import Path

import pytest

from tests.cloud.rig import CloudProcess
from tests.crash.grounds import Fleet
from tests.crash.rolling import roll
from tests.crash.test_crash import sizes
from tests.crash.test_fleet import sky
from tests.stores import MariaDb

__all__ = ["sky"]


@pytest.mark.mariadb
@sizes(300, 10, whole=(3000, 200))
def test_rolling_restarts_lose_double_and_refuse_nothing(
    tmp_path: Path, mariadb: MariaDb, sky: CloudProcess, jobs: int, kills: int
) -> None:
    ground = Fleet(sky, runner="fake", knobs={"awslogs": False})
    with mariadb.database() as database:
        report = roll(tmp_path, database, ground, jobs=jobs, restarts=kills)
    print(report)
    assert report.faults == []
    assert report.jobs == report.tasks == jobs

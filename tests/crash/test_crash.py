"""Whatever is killed, whenever: nothing is lost, nothing runs twice, no slot leaks."""

import math
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.crash.drill import Drill, run
from tests.crash.grounds import OneMachine
from tests.crash.judge import Report
from tests.crash.marks import FileMarks, ServerMarks
from tests.crash.points import OF_CONTAINERS
from tests.images import make_test_image
from tests.stores import MariaDb


def sizes(*short: int, whole: tuple[int, int]) -> pytest.MarkDecorator:
    """Run with few jobs and kills, and with an issue's full numbers in the soak."""
    return pytest.mark.parametrize(
        ("jobs", "kills"),
        [
            pytest.param(*short, id="short"),
            pytest.param(*whole, id="whole", marks=[pytest.mark.soak, pytest.mark.timeout(0)]),
        ],
    )


@pytest.fixture
def marks(tmp_path: Path) -> Iterator[FileMarks]:
    marks = FileMarks(tmp_path)
    yield marks
    marks.close()


def assert_all_kept(report: Report, kills: int) -> None:
    print(report)
    assert report.faults == [], report
    assert report.points.total() >= kills, report.points


@sizes(60, 20, whole=(300, 100))
def test_processes_on_sqlite_survive_kills(
    tmp_path: Path, marks: FileMarks, jobs: int, kills: int
) -> None:
    database = f"sqlite:///{tmp_path}/barbeque.db"
    drill = Drill(database=database, home=tmp_path, marks=marks, jobs=jobs, kills=kills)
    assert_all_kept(run(drill), kills)


@pytest.mark.mariadb
@sizes(60, 20, whole=(300, 100))
def test_processes_on_mariadb_survive_kills_its_own_too(
    tmp_path: Path, marks: FileMarks, mariadb: MariaDb, jobs: int, kills: int
) -> None:
    deaths: list[int] = []

    def disturb(died: int) -> None:
        if died >= 4 * (len(deaths) + 1) and len(deaths) < 3:
            mariadb.kill()
            deaths.append(died)
            time.sleep(1)
            mariadb.start()

    with mariadb.database() as database:
        drill = Drill(database=database, home=tmp_path, marks=marks, jobs=jobs, kills=kills)
        assert_all_kept(run(replace(drill, disturb=disturb)), kills)
    assert len(deaths) == 3


@pytest.mark.docker
@sizes(30, 8, whole=(100, 30))
def test_containers_survive_kills(tmp_path: Path, jobs: int, kills: int) -> None:
    image = make_test_image()
    marks = ServerMarks()
    drill = Drill(
        database=f"sqlite:///{tmp_path}/barbeque.db",
        home=tmp_path,
        marks=marks,
        jobs=jobs,
        kills=kills,
        points=OF_CONTAINERS,
        ground=OneMachine("docker:?slots=8"),
        image=image,
        lease=12.0,
    )
    try:
        assert_all_kept(run(drill), kills)
    finally:
        marks.close()


@pytest.mark.parametrize(
    ("mutant", "point", "symptom"),
    [
        ("deletes before the commit", "between delete and commit", "lost: "),
        ("rescues nothing", "before start", " is running, not "),
        ("starts without a stable name", "after start", " times: "),
    ],
)
def test_a_worker_that_is_wrong_on_purpose_is_caught(
    tmp_path: Path, marks: FileMarks, mutant: str, point: str, symptom: str
) -> None:
    drill = Drill(
        database=f"sqlite:///{tmp_path}/barbeque.db",
        home=tmp_path,
        marks=marks,
        jobs=1,
        kills=1,
        workers=1,
        points=[point],
        passes=[0],
        pause=math.inf,
        respite=5.0,
        mutant=mutant,
        gentle=False,
    )
    report = run(drill)
    assert report.points[point] == 1, report
    assert [fault for fault in report.faults if symptom in fault], report

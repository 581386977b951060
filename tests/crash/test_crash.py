"""Whatever is killed, whenever: nothing is lost, nothing runs twice, no slot leaks."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.drill import Drill, run
from tests.crash.marks import FileMarks, ServerMarks
from tests.images import make_test_image
from tests.stores import MariaDb


@pytest.fixture
def marks(tmp_path: Path) -> Iterator[FileMarks]:
    marks = FileMarks(tmp_path)
    yield marks
    marks.close()


def test_processes_on_sqlite_survive_kills(tmp_path: Path, marks: FileMarks) -> None:
    report = run(
        Drill(
            database=f"sqlite:///{tmp_path}/barbeque.db",
            home=tmp_path,
            executor="process:?slots=8",
            jobs=60,
            kills=20,
            script=marks.script,
        ),
        read_marks=marks.read,
    )
    assert report.faults == [], report
    assert report.kills >= 20


@pytest.mark.mariadb
def test_processes_on_mariadb_survive_kills(
    tmp_path: Path, marks: FileMarks, mariadb: MariaDb
) -> None:
    with mariadb.database() as url:
        report = run(
            Drill(
                database=url,
                home=tmp_path,
                executor="process:?slots=8",
                jobs=60,
                kills=20,
                script=marks.script,
            ),
            read_marks=marks.read,
        )
    assert report.faults == [], report
    assert report.kills >= 20


@pytest.mark.mariadb
def test_a_killed_mariadb_loses_nothing(
    tmp_path: Path, marks: FileMarks, mariadb: MariaDb
) -> None:
    deaths: list[int] = []

    def disturb(kills: int) -> None:
        if kills % 4 == 0 and len(deaths) < 3:
            mariadb.kill()
            deaths.append(kills)
            time.sleep(1)
            mariadb.start()

    with mariadb.database() as url:
        report = run(
            Drill(
                database=url,
                home=tmp_path,
                executor="process:?slots=8",
                jobs=60,
                kills=16,
                script=marks.script,
                disturb=disturb,
            ),
            read_marks=marks.read,
        )
    assert report.faults == [], report
    assert len(deaths) == 3


@pytest.mark.docker
def test_containers_survive_kills(tmp_path: Path) -> None:
    marks = ServerMarks()
    try:
        report = run(
            Drill(
                database=f"sqlite:///{tmp_path}/barbeque.db",
                home=tmp_path,
                executor="docker:?slots=8",
                image=make_test_image(),
                jobs=30,
                kills=8,
                lease=12.0,
                script=marks.script,
            ),
            read_marks=marks.read,
        )
    finally:
        marks.close()
    assert report.faults == [], report
    assert report.kills >= 8


@pytest.mark.parametrize(
    ("mutant", "symptom"),
    [
        ("deletes before the commit", "lost: "),
        ("rescues nothing", " is running, not "),
        ("starts without a stable name", " times: "),
    ],
)
def test_a_worker_that_is_wrong_on_purpose_is_caught(
    tmp_path: Path, marks: FileMarks, mutant: str, symptom: str
) -> None:
    report = run(
        Drill(
            database=f"sqlite:///{tmp_path}/barbeque.db",
            home=tmp_path,
            executor="process:?slots=8",
            jobs=40,
            kills=25,
            probability=0.1,
            patience=35.0,
            mutant=mutant,
            script=marks.script,
        ),
        read_marks=marks.read,
    )
    assert [fault for fault in report.faults if symptom in fault], report

"""Stores for many small tests: migrated once, emptied for each."""

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from barbeque_py.store import Store
from barbeque_py.store.schema import migrate
from barbeque_py.store.tables import installation, metadata
from tests.stores import MariaDb

INSTALLATION = "tests1"


def migrated(url: str) -> str:
    """Make the tables and return the URL."""
    with closing(Store(url, create=True)) as store:
        migrate(store, name=INSTALLATION)
    return url


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("migrated") / "barbeque.db"
    migrated(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def migrated_mariadb(mariadb: MariaDb) -> Iterator[str]:
    with mariadb.database() as url:
        yield migrated(url)


@pytest.fixture
def sqlite_url(migrated_file: Path, tmp_path: Path) -> str:
    return f"sqlite:///{shutil.copy(migrated_file, tmp_path / 'barbeque.db')}"


@pytest.fixture
def mariadb_url(mariadb: MariaDb, migrated_mariadb: str) -> str:
    database = migrated_mariadb.rpartition("/")[2]
    deletes = [f"DELETE FROM {database}.{name}" for name in metadata.tables]
    kept = f"DELETE FROM {database}.{installation.name}"
    block = "; ".join(each for each in deletes if each != kept)
    mariadb.execute(f"BEGIN NOT ATOMIC {block}; COMMIT; END")
    return migrated_mariadb


@pytest.fixture(params=["sqlite", pytest.param("mariadb", marks=pytest.mark.mariadb)])
def database_url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    with closing(Store(database_url)) as opened:
        yield opened


@pytest.fixture
def other_store(store: Store, database_url: str) -> Iterator[Store]:
    with closing(Store(database_url)) as opened:
        yield opened

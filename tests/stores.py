"""Migrated stores for tests: SQLite in a folder of the test, MariaDB on a server of the session.

A test that takes the fixture `store` runs on both; `sqlite_store` and `mariadb_store` give one.
`mariadb` is the server, for tests that want a database of their own: `with mariadb.database()`.
Migrating takes longer than most tests, so it is done once: SQLite's file is copied, MariaDB's
database is emptied for the next test.
"""

import functools
import sqlite3
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from barbeque_py.store import Store
from barbeque_py.store.schema import migrate
from barbeque_py.store.tables import metadata
from barbeque_py.store.tables.definitions import installation
from tests import mariadb as mariadb_server
from tests.parts import missing


class MariaDb(mariadb_server.MariaDb):
    """The server, for tests: where there is none they are skipped, or fail under CI."""

    def start(self) -> None:
        try:
            super().start()
        except mariadb_server.NoMariaDb as reason:
            missing("MariaDB", str(reason))


@contextmanager
def opened(url: str) -> Iterator[Store]:
    """Open the database, made and migrated if it is not there yet, and close it afterwards."""
    path = Path(url.removeprefix("sqlite:///"))
    if url.startswith("sqlite:///") and not path.exists():
        make_sqlite(path)
        with closing(Store(url)) as store:
            yield store
    else:
        with closing(Store(migrated(url))) as store:
            yield store


def migrated(url: str) -> str:
    """Make the tables and return the URL."""
    with closing(Store(url, create=True)) as store:
        migrate(store)
    return url


def make_sqlite(path: Path) -> None:
    """Write a migrated database whose installation has a name of its own."""
    path.write_bytes(_migrated_sqlite())
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"UPDATE {installation.name} SET name = ?", (_a_name(),))
        connection.commit()


@functools.cache
def _migrated_sqlite() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "barbeque.db"
        migrated(f"sqlite:///{path}")
        return path.read_bytes()


def _a_name() -> str:
    # Containers are told apart by it: two tests must not see each other's.
    return uuid.uuid4().hex[:6]


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDb]:
    # Its own short folder: a socket's path holds 108 bytes at most.
    with tempfile.TemporaryDirectory(prefix="maria") as folder:
        server = MariaDb(Path(folder))
        try:
            server.start()
            yield server
        finally:
            server.stop()


@pytest.fixture
def sqlite_store(tmp_path: Path) -> Iterator[Store]:
    with opened(f"sqlite:///{tmp_path / 'barbeque.db'}") as store:
        yield store


@pytest.fixture(scope="session")
def migrated_mariadb(mariadb: MariaDb) -> Iterator[str]:
    with mariadb.database() as url:
        yield migrated(url)


@pytest.fixture
def mariadb_url(mariadb: MariaDb, migrated_mariadb: str) -> str:
    database = migrated_mariadb.rpartition("/")[2]
    emptied = [each for each in metadata.tables if each != installation.name]
    block = "; ".join(f"DELETE FROM {database}.{name}" for name in emptied)
    renamed = f"UPDATE {database}.{installation.name} SET name = '{_a_name()}'"
    mariadb.execute(f"BEGIN NOT ATOMIC {block}; {renamed}; COMMIT; END")
    return migrated_mariadb


@pytest.fixture
def mariadb_store(mariadb_url: str) -> Iterator[Store]:
    with closing(Store(mariadb_url)) as store:
        yield store


@pytest.fixture(params=["sqlite", pytest.param("mariadb", marks=pytest.mark.mariadb)])
def store(request: pytest.FixtureRequest) -> Store:
    found = request.getfixturevalue(f"{request.param}_store")
    assert isinstance(found, Store)
    return found

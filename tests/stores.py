"""Migrated stores for tests: SQLite in a folder of the test, MariaDB on a server of the session.

A test that takes the fixture `store` runs on both; `sqlite_store` and `mariadb_store` give one.
`mariadb` is the server, for tests that want a database of their own: `with mariadb.database()`.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from barbeque_py.store import Store
from barbeque_py.store.schema import migrate
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
    """Open and migrate the database, and close it afterwards."""
    store = Store(url, create=True)
    try:
        migrate(store)
        yield store
    finally:
        store.close()


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


@pytest.fixture
def mariadb_store(mariadb: MariaDb) -> Iterator[Store]:
    with mariadb.database() as url, opened(url) as store:
        yield store


@pytest.fixture(params=["sqlite", pytest.param("mariadb", marks=pytest.mark.mariadb)])
def store(request: pytest.FixtureRequest) -> Store:
    found = request.getfixturevalue(f"{request.param}_store")
    assert isinstance(found, Store)
    return found

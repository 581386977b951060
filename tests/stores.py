"""Migrated stores for tests: SQLite in a folder of the test, MariaDB on a server of the session.

A test that takes the fixture `store` runs on both; `sqlite_store` and `mariadb_store` give one.
`mariadb` is the server, for tests that want a database of their own: `with mariadb.database()`.
"""

import os
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pymysql
import pytest

from barbeque_py import clock
from barbeque_py.store import Store
from barbeque_py.store.schema import migrate
from tests.parts import missing

_PATIENCE = 60.0
_TRIES = 3
_ENDS = 30


class MariaDb:
    """A MariaDB server of our own: root without a password on 127.0.0.1, its files in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._data = folder / "data"
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        """What the server and its installer wrote."""
        return self._folder / "log"

    def start(self) -> None:
        """Make the data directory if needed, start the server and wait until it answers."""
        if not self._data.exists():
            self._install()
        for _ in range(_TRIES):
            self.port = self.port or _free_port()
            self._launch()
            if self._answers():
                return
            self.stop()
            self.port = 0
        pytest.fail(f"mariadbd does not start:\n{self.log.read_text()[-3000:]}")

    def stop(self) -> None:
        """End the server; `start` starts it again on the same data and port."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_ENDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def kill(self) -> None:
        """Kill the server (SIGKILL), as a crash would; `start` starts it again."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._process = None

    @contextmanager
    def database(self) -> Iterator[str]:
        """Make an empty database and hand out its URL; it is dropped afterwards."""
        name = f"barbeque_{uuid.uuid4().hex[:12]}"
        self.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
        try:
            yield f"mysql+pymysql://root@127.0.0.1:{self.port}/{name}"
        finally:
            if self._process is not None:
                self.execute(f"DROP DATABASE {name}")

    def execute(self, statement: str) -> None:
        """Run the statement as root."""
        with closing(pymysql.connect(host="127.0.0.1", port=self.port, user="root")) as connection:
            connection.cursor().execute(statement)

    def _install(self) -> None:
        installing = [
            _program("mariadb-install-db"),
            "--no-defaults",
            f"--datadir={self._data}",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            *_as_root(),
        ]
        with self.log.open("ab") as log:
            subprocess.run(installing, check=True, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def _launch(self) -> None:
        serving = [
            _program("mariadbd"),
            "--no-defaults",
            f"--datadir={self._data}",
            f"--port={self.port}",
            "--bind-address=127.0.0.1",
            f"--socket={self._folder / 's'}",
            f"--pid-file={self._folder / 'pid'}",
            "--skip-name-resolve",
            "--max-connections=500",
            "--innodb-buffer-pool-size=64M",
            "--innodb-flush-log-at-trx-commit=2",
            *_as_root(),
        ]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                serving, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def _answers(self) -> bool:
        """Wait until the server answers; False when it ended instead, its port taken perhaps."""
        deadline = clock.monotonic() + _PATIENCE
        while clock.monotonic() < deadline:
            assert self._process is not None
            if self._process.poll() is not None:
                return False
            try:
                self.execute("SELECT 1")
            except pymysql.Error:
                time.sleep(0.05)
            else:
                return True
        return False


def _program(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/libexec:/usr/local/sbin")
    if found is None:
        missing("MariaDB", f"no {name} on this machine (Debian: mariadb-server)")
    return found


def _as_root() -> list[str]:
    return ["--user=root"] if os.geteuid() == 0 else []


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


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

"""A MariaDB server of our own, for tests and demos.

`python -m tests.mariadb` serves one empty database until SIGTERM or the end of stdin, and prints
one JSON line with its URL.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pymysql

from barbeque_py import clock

_PATIENCE = 60.0
_TRIES = 3
_ENDS = 30


class NoMariaDb(Exception):
    """There is no MariaDB server on this machine; the text says what is missing."""


class MariaDb:
    """A MariaDB server of our own: root without a password on 127.0.0.1, its files in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._data = folder / "data"
        # A server that starts deletes every other's temporary tables where they share a folder.
        self._temporary = f"--tmpdir={folder}"
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        """What the server and its installer wrote."""
        return self._folder / "log"

    def start(self) -> None:
        """Make the data directory if needed, start the server and wait until it answers.

        Raises `NoMariaDb` when there is none on this machine.
        """
        if not self._data.exists():
            self._install()
        for _ in range(_TRIES):
            self.port = self.port or _free_port()
            self._launch()
            if self._answers():
                return
            self.stop()
            self.port = 0
        raise RuntimeError(f"mariadbd does not start:\n{self._told()}")

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
    def frozen(self) -> Iterator[None]:
        """Stop the server in the middle of what it does: it takes connections, and is silent."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

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
            self._temporary,
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            *_as_root(),
        ]
        with self.log.open("ab") as log:
            ended = subprocess.run(
                installing, check=False, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        if ended.returncode:
            raise RuntimeError(f"MariaDB can't be set up:\n{self._told()}")

    def _told(self) -> str:
        return self.log.read_text(errors="replace")[-3000:]

    def _launch(self) -> None:
        serving = [
            _program("mariadbd"),
            "--no-defaults",
            f"--datadir={self._data}",
            self._temporary,
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
        raise NoMariaDb(f"no {name} on this machine (Debian: mariadb-server)")
    return found


def _as_root() -> list[str]:
    return ["--user=root"] if os.geteuid() == 0 else []


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def main() -> None:
    """Serve one database, and print where."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Its own short folder: a socket's path holds 108 bytes at most.
    with tempfile.TemporaryDirectory(prefix="maria") as folder:
        server = MariaDb(Path(folder))
        try:
            server.start()
            with server.database() as url:
                print(json.dumps({"url": url}), flush=True)
                while os.read(0, 4096):
                    pass
        except NoMariaDb as missing:
            sys.exit(str(missing))
        finally:
            server.stop()


if __name__ == "__main__":
    main()

"""An installation of a test's own: its home, its address, and what is typed there."""

import contextlib
import json
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.waiting import wait_until

BARBEQUE = str(Path(sys.executable).parent / "barbeque")
PATIENCE = 90.0

FILE = """
apps:
  - name: shop
    image: none
    jobs:
      - name: Echo
        command: [sh, -c, 'echo "$BARBEQUE_MESSAGE"; echo late >&2']
      - name: Flaky
        command: [sh, -c, 'echo "try $BARBEQUE_RETRY_COUNT"; [ "$BARBEQUE_RETRY_COUNT" = 2 ]']
        retry: {limit: 5, base_delay: 100ms, jitter: false}
      - name: Broken
        command: [sh, -c, 'echo broken; exit 3']
        retry: {limit: 0}
      - name: Sleep
        command: [sleep, '60']
      - name: Nap
        command: [sh, -c, 'echo asleep; sleep 8; echo awake']
      - name: Count
        command: [seq, '2500']
queues:
  - name: default
  - name: other
"""


class Place:
    """One installation: its home, its address, and what is typed there."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.more: dict[str, str] = {}
        """Settings beside those of every place."""
        self._up: subprocess.Popen[str] | None = None

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PATH": "/usr/bin:/bin",
            "HOME": str(self.home.parent),
            "BARBEQUE_HOME": str(self.home),
            "BARBEQUE_EXECUTOR": "process:",
            "BARBEQUE_URL": self.url,
        } | self.more

    @property
    def output(self) -> Path:
        return self.home.parent / "up.log"

    def call(self, *words: str, given: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [BARBEQUE, *words],
            env=self.environment,
            cwd=self.home.parent,
            input=given,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def say(self, *words: str, given: str = "") -> str:
        """Return what a command that must succeed printed."""
        ended = self.call(*words, given=given)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout.strip()

    def ask(self, *words: str) -> Any:
        return json.loads(self.say(*words, "--json"))

    @contextlib.contextmanager
    def started(self, *words: str) -> Iterator[subprocess.Popen[str]]:
        with subprocess.Popen(
            [BARBEQUE, *words],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def up(self) -> subprocess.Popen[str]:
        with self.output.open("a") as output:
            self._up = subprocess.Popen(
                [BARBEQUE, "up", "--port", str(self.port)],
                env=self.environment,
                stdout=output,
                stderr=output,
                text=True,
            )
        wait_until(lambda: self.call("check").stdout.count(" is ready"))
        return self._up

    def down(self) -> None:
        if self._up is not None and self._up.poll() is None:
            self._up.terminate()
            self._up.wait(PATIENCE)

    def enqueue(self, job: str, *words: str) -> str:
        return self.say("enqueue", "shop", job, *words)

    def state(self, message_id: str) -> str:
        return str(self.ask("status", message_id)["state"])

    def until(self, message_id: str, state: str) -> dict[str, Any]:
        wait_until(lambda: self.state(message_id) == state)
        found: dict[str, Any] = self.ask("status", message_id)
        return found

    def workers(self) -> list[int]:
        """Return the worker processes that are children of `up`."""
        assert self._up is not None
        listed = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(self._up.pid)],
            capture_output=True,
            text=True,
            check=False,
        )
        return [int(pid) for pid in listed.stdout.split()]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


def is_alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """An installation that is up, with the file applied."""
    place = Place(tmp_path_factory.mktemp("shop") / "home")
    (place.home.parent / "barbeque.yaml").write_text(FILE)
    try:
        place.up()
        place.say("apply", "-f", "barbeque.yaml")
        yield place
    finally:
        place.down()


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Place]:
    """An installation of the test's own, not started."""
    place = Place(tmp_path / "home")
    (tmp_path / "barbeque.yaml").write_text(FILE)
    yield place
    place.down()


def one_line(ended: subprocess.CompletedProcess[str]) -> str:
    assert re.fullmatch(r"error: [^\n]+\n", ended.stderr), ended.stderr
    return ended.stderr

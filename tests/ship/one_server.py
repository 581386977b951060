"""One server as its page makes it: the compose file, the settings, and who types there."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import httpx

from tests.flows.place import free_port
from tests.parts import need
from tests.ship.engine import BASE, IMAGE, ROOT, docker, inspect, wait_until_healthy
from tests.waiting import wait_until

DATABASE = "barbeque-test-database"
SERVICES = ("database", "api", "console", "worker")
PATIENCE = 180.0


def make_database_image() -> str:
    """Make what stands in for the public image of MariaDB."""
    folder = Path(__file__).parent / "database"
    docker("build", "--quiet", "--build-arg", f"BASE={BASE}", "--tag", DATABASE, str(folder))
    return DATABASE


class OneServer:
    """An installation that the compose file runs, and its command line from outside."""

    def __init__(self, folder: Path, *, subnet: str) -> None:
        need("docker-compose", shutil.which("docker-compose"), "it is not installed")
        self.project = f"bq{os.getpid()}{folder.name}"
        self._folder = folder
        self._port = free_port()
        self.token = ""
        folder.mkdir()
        shutil.copy(ROOT / "deploy/compose.yaml", folder)
        settings = (ROOT / "deploy/env.example").read_text()
        for name, value in {
            "DATABASE_PASSWORD": os.urandom(12).hex(),
            "DOCKER_GROUP": str(Path("/var/run/docker.sock").stat().st_gid),
            "#IMAGE": IMAGE,
            "#DATABASE_IMAGE": DATABASE,
            "#API_PORT": str(self._port),
            "#CONSOLE_PORT": str(free_port()),
            "#SUBNET": subnet,
        }.items():
            before, found, after = settings.partition(f"{name}=")
            assert found, f"env.example has no {name}"
            rest = after.partition("\n")[2]
            settings = f"{before}{name.removeprefix('#')}={value}\n{rest}"
        # A worker that died is made up for when its leases end: sooner, for a test.
        (folder / ".env").write_text(f"{settings}BARBEQUE_LEASE=10s\n")

    def compose(
        self, *words: str, given: IO[bytes] | None = None, output: IO[bytes] | None = None
    ) -> str:
        """Type a docker-compose command; return what it printed, unless that goes to `output`."""
        done = subprocess.run(
            ["docker-compose", "--project-name", self.project, *words],
            cwd=self._folder,
            env={"PATH": os.environ["PATH"], "HOME": str(self._folder)},  # noqa: TID251 - docker's
            stdin=given or subprocess.DEVNULL,
            stdout=output or subprocess.PIPE,
            stderr=subprocess.PIPE,
            check=False,
        )
        printed, complaint = (done.stdout or b"").decode(), done.stderr.decode()
        told = printed[-2000:] + complaint[-2000:]
        assert done.returncode == 0, f"docker-compose {' '.join(words)}: {told}"
        return printed

    def container(self, service: str) -> str:
        """Return the name of the service's container."""
        return f"{self.project}_{service}_1"

    def up(self) -> None:
        """Bring everything up, and wait until it says that it is well."""
        self.compose("up", "--detach")
        for service in SERVICES:
            wait_until_healthy(self.container(service))

    def crash(self, service: str) -> None:
        """Have the service's process die as by a fault; wait until the engine started it again."""
        before = inspect(self.container(service))
        os.kill(before["State"]["Pid"], 9)

        def is_new() -> bool:
            now = inspect(self.container(service))
            return bool(now["RestartCount"] > before["RestartCount"] and now["State"]["Running"])

        wait_until(is_new, f"{service} is started again", within=PATIENCE, every=0.2)

    def is_ready(self) -> bool:
        """Tell whether the API answers, and can use its database."""
        try:
            return httpx.get(f"http://127.0.0.1:{self._port}/readyz").status_code == 200
        except httpx.TransportError:
            return False

    def inside(self, *words: str) -> str:
        """Type a command of barbeque's in the API's container."""
        return self.compose("exec", "-T", "api", "barbeque", *words).strip()

    def say(self, *words: str, given: str = "") -> str:
        """Type a command of barbeque's on another machine."""
        done = subprocess.run(
            [Path(sys.executable).parent / "barbeque", *words],
            cwd=ROOT / "deploy/examples/media",
            env={
                "PATH": "/usr/bin:/bin",
                "HOME": str(self._folder),
                "BARBEQUE_URL": f"http://127.0.0.1:{self._port}",
                "BARBEQUE_TOKEN": self.token,
            },
            input=given,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{' '.join(words)}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def ask(self, *words: str) -> Any:
        return json.loads(self.say(*words, "--json"))

    def until(self, message_id: str, *states: str) -> dict[str, Any]:
        def look() -> dict[str, Any] | None:
            found: dict[str, Any] = self.ask("status", message_id)
            return found if found["state"] in states else None

        return wait_until(look, f"{message_id} is {states}", within=PATIENCE, every=0.5)


@contextmanager
def one_server(folder: Path, *, subnet: str) -> Iterator[OneServer]:
    """Hand out a server on which nothing is up yet; everything of it is removed at last."""
    server = OneServer(folder, subnet=subnet)
    try:
        yield server
    finally:
        server.compose("down", "--volumes", "--timeout", "20")

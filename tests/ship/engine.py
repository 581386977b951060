"""The Docker command line, as a person types it, and the image that it makes of this repository."""

import fcntl
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from barbeque_py.executors.engine import engine_answers
from tests.parts import need
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
IMAGE = "barbeque:test"
BASE = "debian:bookworm-slim"
PATIENCE = 120.0
_SOCKET = "/var/run/docker.sock"


def make_image() -> str:
    """Make the image of this copy of the repository; what has not changed since is not made anew.

    It begins with the machine's own base image where there is one (deploy/base-image.sh).
    """
    need("a Docker engine", engine_answers(_SOCKET), f"none answers at {_SOCKET}")
    with (Path(tempfile.gettempdir()) / "barbeque-test-image.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # test processes beside each other make it once
        return _make()


def _make() -> str:
    local = docker("image", "inspect", BASE, check=False).returncode == 0
    done = subprocess.run(
        ["sh", ROOT / "deploy/image.sh", IMAGE],
        env=dict(os.environ) | ({"BASE": BASE} if local else {}),  # noqa: TID251 - its own settings
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return IMAGE


def docker(*words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a command of the engine's; it must succeed unless `check` is off."""
    done = subprocess.run(["docker", *words], capture_output=True, text=True, check=False)
    assert not check or done.returncode == 0, f"docker {' '.join(words)}: {done.stderr}"
    return done


def inspect(name: str) -> dict[str, Any]:
    """Return what the engine knows of a container or an image."""
    found: dict[str, Any] = json.loads(docker("inspect", name).stdout)[0]
    return found


@contextmanager
def running(image: str, *words: str, options: tuple[str, ...] = ()) -> Iterator[str]:
    """Run a container of the image in the background; hand out its name, and remove it at last."""
    name = docker("run", "--detach", *options, image, *words).stdout.strip()
    try:
        yield name
    finally:
        docker("rm", "--force", "--volumes", name)


def wait_until_healthy(name: str) -> None:
    """Wait until the container's own health check says that it is well."""
    said = inspect(name)["State"]

    def is_healthy() -> bool:
        nonlocal said
        said = inspect(name)["State"]
        assert said["Running"], docker("logs", name).stderr
        return bool(said["Health"]["Status"] == "healthy")

    wait_until(is_healthy, f"{name} is healthy: {said}", within=PATIENCE, every=0.2)

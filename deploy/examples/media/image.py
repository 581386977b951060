"""Builds this example's image through the Docker engine's HTTP API; `docker build .` does the same.

Spoken to directly, an engine is enough: no command line client is needed on the machine.
"""

import hashlib
import io
import json
import os
import re
import socket
import tarfile
import time
from collections.abc import Callable, Iterator
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

HERE = Path(__file__).resolve().parent
NAME = "barbeque-example-media:latest"
LABEL = "barbeque.example.context"
CONTEXT = ("Dockerfile", "bin/encode", "bin/flaky", "bin/thumbnail", "bin/video.py")
PULL_SECONDS = 20
BUILD_SECONDS = 150


class NoImageError(Exception):
    """The image can't be had here; the text says why."""


class _Connection(HTTPConnection):
    """HTTP over the engine's unix socket."""

    def __init__(self, path: str, *, timeout: float) -> None:
        super().__init__("docker", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def build_if_needed(say: Callable[[str], None]) -> str:
    """Have the image at the engine, as it is in this directory; return a sentence about it.

    Raises `NoImageError` when there is no engine, or no base image within 20 seconds.
    """
    try:
        _call("GET", "/_ping", timeout=5)
        context = _context()
        digest = hashlib.sha256(context).hexdigest()
        if _labels(NAME).get(LABEL) == digest:
            return "the image is up to date"
        base = _base(say)
        _build(context, base=base, digest=digest, say=say)
    except (OSError, HTTPException) as error:
        raise NoImageError(f"no Docker engine answers ({error})") from error
    return f"the image was built from {base}"


def socket_path() -> str:
    """Return where the engine listens, as DOCKER_HOST says or by default."""
    return os.environ.get("DOCKER_HOST", "").removeprefix("unix://") or "/var/run/docker.sock"


def _context() -> bytes:
    """Return what the engine builds from, the same bytes for the same files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name in CONTEXT:
            content = (HERE / name).read_bytes()
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o755
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def _base(say: Callable[[str], None]) -> str:
    """Return a base image the engine has: the pinned one, or a local one of the same name."""
    found = re.search(r"^ARG BASE=(\S+)$", (HERE / "Dockerfile").read_text(), re.MULTILINE)
    assert found
    pinned = found[1]
    name, _, digest = pinned.partition("@")
    for image in (pinned, name):
        if _has(image):
            return image
    say(f"Pulling {name}, for at most {PULL_SECONDS} s")
    query = urlencode({"fromImage": name.partition(":")[0], "tag": digest})
    try:
        for step in _steps("POST", f"/images/create?{query}", seconds=PULL_SECONDS):
            if "error" in step:
                raise NoImageError(f"{name} is not present and can't be pulled")
    except TimeoutError:
        raise NoImageError(f"{name} can't be pulled in {PULL_SECONDS} s") from None
    return pinned


def _build(context: bytes, *, base: str, digest: str, say: Callable[[str], None]) -> None:
    say(f"Building {NAME} from {base} (once; half a minute or so)")
    query = urlencode(
        {
            "t": NAME,
            "rm": "1",
            "forcerm": "1",
            "buildargs": json.dumps({"BASE": base}),
            "labels": json.dumps({LABEL: digest}),
        }
    )
    for step in _steps("POST", f"/build?{query}", body=context, seconds=BUILD_SECONDS):
        if "error" in step:
            raise NoImageError(f"the image can't be built: {step['error'].strip()}")
        line = step.get("stream", "").strip()
        if line.startswith("Step "):
            say(f"  {line[:100]}")


def _has(image: str) -> bool:
    return _call("GET", f"/images/{image}/json", timeout=10)[0] == HTTPStatus.OK


def _labels(image: str) -> dict[str, str]:
    status, body = _call("GET", f"/images/{image}/json", timeout=10)
    if status != HTTPStatus.OK:
        return {}
    labels: dict[str, str] | None = json.loads(body)["Config"]["Labels"]
    return labels or {}


def _call(method: str, path: str, *, timeout: float) -> tuple[int, bytes]:
    connection = _Connection(socket_path(), timeout=timeout)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def _steps(
    method: str, path: str, *, seconds: float, body: bytes | None = None
) -> Iterator[dict[str, Any]]:
    """Yield what the engine tells while it works; it stops the work when we hang up.

    Raises `TimeoutError` when it is not done after so many seconds.
    """
    deadline = time.monotonic() + seconds
    connection = _Connection(socket_path(), timeout=seconds)
    try:
        connection.request(method, path, body, {"Content-Type": "application/x-tar"})
        response = connection.getresponse()
        if response.status != HTTPStatus.OK:
            yield {"error": json.loads(response.read())["message"]}
        else:
            for line in response:
                if line.strip():
                    yield json.loads(line)
                connection.sock.settimeout(max(deadline - time.monotonic(), 0.001))
    finally:
        connection.close()

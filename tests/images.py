"""The image that Docker tests run: a static busybox and nothing else, made through the API."""

import functools
import io
import tarfile
from pathlib import Path

from barbeque_py.executors.engine import Engine, engine_answers
from tests.parts import need

IMAGE = "barbeque-test:latest"
BUSYBOX = Path("/bin/busybox")
APPLETS = (
    *(
        "awk",
        "cat",
        "date",
        "dd",
        "echo",
        "env",
        "false",
        "grep",
        "head",
        "id",
        "kill",
        "ls",
        "mkdir",
    ),
    *("nc", "printf", "seq", "sh", "sleep", "stat", "tail", "touch", "tr", "true", "usleep", "wc"),
    *("wget", "yes"),
)


@functools.cache
def make_test_image(socket: str = "/var/run/docker.sock") -> str:
    """Import the image into this engine unless it is there; return its name.

    A test that asks for it on a machine without an engine is skipped, or fails under CI.
    """
    need("a Docker engine", engine_answers(socket), f"none answers at {socket}")
    need("a static busybox", BUSYBOX.exists(), "Debian's busybox-static is not installed")
    engine = Engine(socket, timeout=60)
    try:
        if engine.call("GET", f"/images/{IMAGE}/json").status == 404:
            name, _, tag = IMAGE.partition(":")
            path = f"/images/create?fromSrc=-&repo={name}&tag={tag}&changes=ENV%20PATH%3D/bin"
            answer = engine.call("POST", path, content=pack())
            assert answer.status == 200, answer.sentence()
    finally:
        engine.close()
    return IMAGE


def pack(version: str = "") -> bytes:
    """Return the files of the image as a tar; /version says which of several it is."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for folder, mode in (("bin", 0o755), ("tmp", 0o1777), ("etc", 0o755)):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, mode
            tar.addfile(entry)
        tar.add(BUSYBOX, "bin/busybox")
        for applet in APPLETS:
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
        if version:
            entry = tarfile.TarInfo("version")
            entry.size, entry.mode = len(version), 0o644
            tar.addfile(entry, io.BytesIO(version.encode()))
    return packed.getvalue()

"""Stand-ins on this machine for what a fleet has elsewhere: AWS, and a MariaDB server.

They are those of the project's own tests, run as programs; each ends with its standard input.
"""

import json
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from stage import HERE, PATH, ROOT, DemoError, console, stop


class StandIn:
    """A program that prints one line of JSON about itself when it is ready."""

    def __init__(self, program: subprocess.Popen[bytes], log: Path) -> None:
        """Know the program, which may still be starting."""
        self._program = program
        self._log = log

    def told(self) -> dict[str, Any]:
        """Wait for the line and return it."""
        assert self._program.stdout
        line = self._program.stdout.readline()
        if not line:
            raise DemoError(f"{self._log.stem} does not start", self._log)
        facts: dict[str, Any] = json.loads(line)
        return facts


@contextmanager
def started(module: str, log: Path) -> Iterator[StandIn]:
    """Run one of the tests' modules as a program while the demo lasts."""
    with log.open("wb") as output:
        program = subprocess.Popen(
            [sys.executable, "-m", module],
            cwd=ROOT,
            # Where there is no engine, jobs are found as in the image: the example's and ffmpeg.
            env={**os.environ, "PATH": f"{HERE / 'bin'}{os.pathsep}{PATH}"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield StandIn(program, log)
    finally:
        stop(program)
        for pipe in (program.stdin, program.stdout):
            assert pipe
            pipe.close()


def has_mariadb() -> bool:
    """Tell whether a MariaDB server is installed."""
    return bool(shutil.which("mariadbd", path=f"{PATH}:/usr/sbin:/usr/libexec:/usr/local/sbin"))


def believe(endpoint: str) -> None:
    """Take the stand-in for AWS, here and in every program from now on, and nothing else.

    What the user's environment says of AWS and of barbeque_py is set aside.
    """
    for name in list(os.environ):
        if name.startswith(("AWS_", "BARBEQUE_")):
            del os.environ[name]
    os.environ |= {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "nobody",
        "AWS_SECRET_ACCESS_KEY": "nothing",  # the stand-in asks nobody who they are
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "NO_PROXY": "*",
        "no_proxy": "*",
    }


def control(endpoint: str, path: str, **wish: Any) -> dict[str, Any]:
    """Ask of the stand-in for AWS what AWS itself would not do for us."""
    request = urllib.request.Request(f"{endpoint}/_cloud/{path}", json.dumps(wish).encode())
    with urllib.request.urlopen(request, timeout=30) as answer:
        facts: dict[str, Any] = json.load(answer)
    return facts


def say_database(*, mariadb: bool) -> None:
    """Tell which database it is."""
    if mariadb:
        console.print("The database is a MariaDB server in a temporary folder.")
    else:
        console.print(
            "The database is SQLite: no MariaDB server is installed (Debian: mariadb-server)."
        )

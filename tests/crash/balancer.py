"""HAProxy in front of the APIs of a test, as an operator sets it up: it looks at `/readyz`."""

import csv
import shutil
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.parts import missing
from tests.waiting import wait_until

_FILE = """
global
  stats socket {folder}/balancer.sock
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  timeout check 20s
  option redispatch 1
frontend all
  bind 127.0.0.1:{port}
  default_backend apis
backend apis
  option httpchk
  http-check send meth GET uri /readyz ver HTTP/1.1 hdr Host localhost
  default-server check inter 500ms fall 1 rise 1
"""


class Balancer:
    """Sends requests to those of its servers that are ready; what was sent is not sent again."""

    def __init__(self, folder: Path, port: int, servers: Sequence[int]) -> None:
        program = shutil.which("haproxy", path="/usr/sbin:/usr/bin:/usr/local/bin")
        if program is None:
            missing("HAProxy", "there is no haproxy: install Debian's package of that name")
        self._socket = folder / "balancer.sock"
        lines = [f"  server at{each} 127.0.0.1:{each}\n" for each in servers]
        file = folder / "balancer.cfg"
        file.write_text(_FILE.format(folder=folder, port=port) + "".join(lines))
        with (folder / "balancer.log").open("wb") as log:
            self._process = subprocess.Popen(
                [program, "-db", "-f", str(file)], stdout=log, stderr=log
            )
        wait_until(self._socket.exists, "HAProxy is up")

    def until_up(self, server: int) -> None:
        """Wait until requests are sent to the server."""
        wait_until(lambda: self._stands(server) == "UP", f"{server} is up", every=0.05)

    def _stands(self, server: int) -> str:
        with socket.socket(socket.AF_UNIX) as asking:
            asking.connect(str(self._socket))
            asking.sendall(b"show stat\n")
            told = b"".join(iter(lambda: asking.recv(65536), b"")).decode()
        rows = csv.DictReader(told.removeprefix("# ").splitlines())
        return next(row["status"] for row in rows if row["svname"] == f"at{server}")

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(60)

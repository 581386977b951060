"""A Docker engine that tests may kill: its own dockerd, with every path in one folder."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from barbeque_py.executors.engine import engine_answers
from tests.parts import need
from tests.waiting import wait_until


class OwnEngine:
    """A dockerd beside the machine's; needs root, shares no folder, socket or network with it."""

    def __init__(self) -> None:
        need("a Docker engine of one's own", os.geteuid() == 0, "it needs root")
        for program in ("dockerd", "containerd", "unshare"):
            need("a Docker engine of one's own", shutil.which(program), f"there is no {program}")
        self.home = Path(tempfile.mkdtemp(prefix="bbq-engine-"))
        self.socket = str(self.home / "docker.sock")
        address = self.home / "containerd.sock"
        folders = [f"--{name}={self.home / 'containerd' / name}" for name in ("root", "state")]
        self._containerd = self._spawn("containerd", f"--address={address}", *folders)
        wait_until(address.exists, "containerd listens")
        self.start()

    def start(self) -> None:
        """Start dockerd and wait until it answers."""
        folders = [f"--{name}={self.home / name}" for name in ("data-root", "exec-root", "pidfile")]
        # In a network of its own: with --bridge=none it deletes the docker0 it finds.
        self._dockerd = self._spawn(
            *(
                "unshare",
                "--net",
                "dockerd",
                "--bridge=none",
                "--iptables=false",
                "--ip-forward=false",
            ),
            *("--ip-masq=false", f"--host=unix://{self.socket}", *folders),
            f"--containerd={self.home / 'containerd.sock'}",
        )
        wait_until(lambda: engine_answers(self.socket), "dockerd answers")

    def kill(self) -> None:
        """Kill dockerd as a crash would; the containers go on."""
        self._dockerd.kill()
        self._dockerd.wait()
        (self.home / "pidfile").unlink(missing_ok=True)

    def stop(self) -> None:
        """Stop dockerd as `systemctl stop` does."""
        self._dockerd.terminate()
        self._dockerd.wait(60)

    def close(self) -> None:
        if self._dockerd.poll() is None:
            self.stop()
        self._containerd.terminate()
        self._containerd.wait(60)
        for mount in self._mounts():  # what a killed dockerd leaves
            subprocess.run(["umount", mount], check=True)
        shutil.rmtree(self.home)

    def _mounts(self) -> list[str]:
        points = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        return [point for point in reversed(points) if point.startswith(f"{self.home}/")]

    def _spawn(self, *command: str) -> "subprocess.Popen[bytes]":
        with (self.home / f"{command[0]}.log").open("ab") as log:
            return subprocess.Popen(command, stdout=log, stderr=log)

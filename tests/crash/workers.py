"""The test's end of the nursery: orders workers, kills them, counts the kills."""

import json
import os
import random
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from typing import Any

_PATIENCE = 60


class Workers:
    """The process that forks the workers, or whatever `nursery` forks."""

    def __init__(self, nursery: str = "tests.crash.nursery") -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", nursery],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        self._said = self._process.stdout.fileno()
        self._rest = b""
        self.alive: set[int] = set()
        self.killed = 0
        self.ended: dict[int, int] = {}
        """Exit codes by pid."""
        self.newest = 0
        self._ordered = 0

    def order(self, *, point: str = "", passes: int = 0, **order: Any) -> int:
        """Have a worker born that dies at the point when it has passed it so often; return it.

        Without a point it lives.
        """
        assert self._process.stdin is not None
        self._ordered += 1
        order |= {"number": self._ordered, "point": point, "passes": passes}
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        self._process.stdin.flush()
        self.listen(born=True)
        return self.newest

    def listen(self, *, born: bool = False) -> None:
        """Read what the nursery says; with `born` until a worker was born."""
        waiting = born
        while select.select([self._said], [], [], _PATIENCE if waiting else 0)[0]:
            said = os.read(self._said, 4096)
            assert said, "the nursery has ended; what it said stands above"
            self._rest += said
            *lines, self._rest = self._rest.split(b"\n")
            for line in lines:
                waiting = self._hear(*line.decode().split()) and waiting
        assert not waiting, f"no worker was born in {_PATIENCE} seconds"

    def _hear(self, what: str, pid: str, status: str = "") -> bool:
        """Note a birth or a death; say whether it was not the birth that was waited for."""
        if what == "born":
            self.newest = int(pid)
            self.alive.add(self.newest)
            return False
        self.alive.discard(int(pid))
        self.ended[int(pid)] = int(status)
        self.killed += status == "-9"
        return True

    def kill_one(self) -> None:
        """Kill any of the workers, from outside, wherever it is."""
        if self.alive:
            with suppress(ProcessLookupError):
                os.kill(random.choice(sorted(self.alive)), signal.SIGKILL)

    def end(self, *, gentle: bool = True) -> list[int]:
        """Ask every worker to stop, as a deployment would; return those that did not in time."""
        for pid in self.alive:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM if gentle else signal.SIGKILL)
        until = time.monotonic() + 10
        while self.alive and time.monotonic() < until:
            self.listen()
            time.sleep(0.02)
        late = sorted(self.alive)
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(60)
        assert self._process.stdout is not None
        self._process.stdout.close()
        return late

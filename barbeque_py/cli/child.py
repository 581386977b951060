"""The worker that `up` runs beside itself: started again when it dies, ended with `up`."""

import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence

from barbeque_py import clock
from barbeque_py.cli.exits import warn

_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0
_STEADY = 60.0
"""Seconds after which a worker that dies is started again at once."""


class Child:
    """Keeps one `barbeque worker` running. Its output goes where ours goes."""

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        patience: float = 9.0,
    ) -> None:
        self._command = [sys.executable, "-P", "-m", "barbeque_py.cli", *arguments]
        self._environment = environment
        self._patience = patience
        self._ending = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._guard = threading.Lock()
        self._thread = threading.Thread(target=self._keep, name="worker", daemon=True)

    def start(self) -> None:
        """Start the worker, and watch it from now on."""
        self._thread.start()

    def ask_to_end(self) -> None:
        """Ask the worker to end, and don't wait for it."""
        self._ending.set()
        with self._guard:
            if self._process is not None:
                _close_input(self._process)

    def stop(self) -> None:
        """Ask the worker to end; kill it when it has not ended in time."""
        self.ask_to_end()
        if self._thread.ident is not None:
            self._thread.join(self._patience)
        process = self._process
        if process is not None and process.poll() is None:
            warn(f"the worker did not end within {self._patience:g} s and was killed")
            process.kill()
            process.wait()

    def _keep(self) -> None:
        pause = _FIRST_PAUSE
        while not self._ending.is_set():
            began = clock.monotonic()
            code = self._run()
            if self._ending.is_set():
                return
            if clock.monotonic() - began > _STEADY:
                pause = _FIRST_PAUSE
            warn(f"the worker ended ({_described(code)}) and is started again in {pause:g} s")
            self._ending.wait(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _run(self) -> int:
        """Run the worker once. It ends with the pipe that is its input, also when we are killed.

        In a process group of its own, so that Ctrl-C reaches it through us only, once.
        """
        with self._guard:
            if self._ending.is_set():
                return 0
            self._process = subprocess.Popen(
                self._command,
                env=self._environment,
                stdin=subprocess.PIPE,
                process_group=0,
                bufsize=0,
            )
        code = self._process.wait()
        with self._guard:
            _close_input(self._process)
        return code


def _close_input(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    process.stdin.close()


def _described(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"

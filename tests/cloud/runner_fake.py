"""A runner without processes: a task is a timer and an exit code."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from tests.cloud.runners import OUT, Errand, Heard


@dataclass(slots=True)
class _Run:
    errand: Errand
    heard: Heard
    timer: asyncio.TimerHandle


class FakeRunner:
    """Runs containers in name only, as its environment says.

    FAKE_SECONDS (0.05): how long. FAKE_EXIT (0): the exit code. FAKE_OOM=1: killed for want of
    memory. FAKE_REFUSED: the sentence with which it can't be started, such as
    "CannotPullContainerError: pull access denied". FAKE_DEAF=1: takes no notice of SIGTERM.
    FAKE_LINES: what it writes. The loop's own heap holds the timers, so 10,000 tasks are cheap.
    """

    runs_all = False

    def __init__(self) -> None:
        self._runs: dict[tuple[str, str], _Run] = {}

    def start(self, task: str, errands: Sequence[Errand], heard: Heard) -> None:
        for errand in errands:
            self._begin(task, errand, heard)

    def stop(self, task: str, container: str, *, kill: bool) -> None:
        run = self._runs.get((task, container))
        if run and (kill or not run.errand.environment.get("FAKE_DEAF")):
            loop = asyncio.get_running_loop()
            loop.call_soon(self._end, task, run, 137 if kill else 143)

    def close(self) -> None:
        self._runs.clear()

    def _begin(self, task: str, errand: Errand, heard: Heard) -> None:
        environment = errand.environment
        if refused := environment.get("FAKE_REFUSED"):
            heard.refused(errand.name, refused)
            return
        heard.pulled(errand.name, "sha256:" + "0" * 64)
        seconds = float(environment.get("FAKE_SECONDS", "0.05"))
        code = int(environment.get("FAKE_EXIT", "0"))
        timer = asyncio.get_running_loop().call_later(
            seconds, self._finish, task, errand.name, code
        )
        self._runs[task, errand.name] = _Run(errand, heard, timer)
        heard.started(errand.name, task[-32:])

    def _finish(self, task: str, container: str, code: int) -> None:
        run = self._runs.get((task, container))
        if run:
            self._end(task, run, 137 if run.errand.environment.get("FAKE_OOM") else code)

    def _end(self, task: str, run: _Run, code: int) -> None:
        if self._runs.pop((task, run.errand.name), None) is None:
            return
        run.timer.cancel()
        if run.errand.sink:
            loop = asyncio.get_running_loop()
            loop.run_in_executor(None, self._write, loop, run, code)
        else:
            self._tell(run, code)

    def _write(self, loop: asyncio.AbstractEventLoop, run: _Run, code: int) -> None:
        if run.errand.sink:
            run.errand.sink.write(OUT, run.errand.environment.get("FAKE_LINES", "").encode())
            run.errand.sink.close()
        loop.call_soon_threadsafe(self._tell, run, code)

    def _tell(self, run: _Run, code: int) -> None:
        oom = run.errand.environment.get("FAKE_OOM")
        reason = "OutOfMemoryError: Container killed due to memory usage" if oom else ""
        run.heard.ended(run.errand.name, code, reason)

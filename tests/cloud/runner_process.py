"""A runner that starts a container's command as a process of this machine."""

import asyncio
import os
import selectors
import signal
import subprocess
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from barbeque_py import clock
from tests.cloud.runners import ERR, OUT, Errand, Heard, Sink

_PIECE: Final = 256 * 1024
_MOMENT: Final = 0.05
"""Seconds between two looks at a process that says nothing, and to a sink."""

_ORPHANS: Final = 2.0
"""Seconds to wait for the end of pipes that children of a dead process still hold."""

_PATH: Final = os.environ.get("PATH", os.defpath)  # noqa: TID251 - a test's own process needs it


class ProcessRunner:
    """Runs commands with the task's environment and PATH, and nothing else of ours.

    The image, memory and cpu have no meaning here. One thread follows each process.
    """

    runs_all = False

    def __init__(self) -> None:
        self._processes: dict[tuple[str, str], subprocess.Popen[bytes]] = {}
        self._threads: set[threading.Thread] = set()
        self._closed = False

    def start(self, task: str, errands: Sequence[Errand], heard: Heard) -> None:
        loop = asyncio.get_running_loop()
        for errand in errands:
            thread = threading.Thread(
                target=self._follow, args=(task, errand, heard, loop), daemon=True
            )
            self._threads.add(thread)
            thread.start()

    def stop(self, task: str, container: str, *, kill: bool) -> None:
        process = self._processes.get((task, container))
        if process is None:
            return
        if kill:
            _kill_group(process)
        else:
            process.send_signal(signal.SIGTERM)

    def close(self) -> None:
        self._closed = True
        for process in list(self._processes.values()):
            _kill_group(process)
        for thread in list(self._threads):
            thread.join()

    def _follow(
        self, task: str, errand: Errand, heard: Heard, loop: asyncio.AbstractEventLoop
    ) -> None:
        """Start the process and tell of it; in a thread."""
        try:
            self._run(task, errand, heard, loop)
        except OSError as error:
            if errand.sink:
                errand.sink.close()
            _tell(loop, heard.refused, errand.name, _refusal(errand, error))
        finally:
            self._threads.discard(threading.current_thread())

    def _run(
        self, task: str, errand: Errand, heard: Heard, loop: asyncio.AbstractEventLoop
    ) -> None:
        with _start(errand) as process:
            self._processes[task, errand.name] = process
            if self._closed:
                _kill_group(process)
            _tell(loop, heard.pulled, errand.name, "sha256:" + "0" * 64)
            _tell(loop, heard.started, errand.name, f"{task}-{process.pid}")
            if errand.sink:
                _pump(process, errand.sink)
            code = process.wait()
            del self._processes[task, errand.name]
            _kill_group(process)
        if errand.sink:
            errand.sink.close()
        _tell(loop, heard.ended, errand.name, code if code >= 0 else 128 - code, "")


def _start(errand: Errand) -> subprocess.Popen[bytes]:
    words = [*errand.entry_point, *errand.command]
    if not words:
        raise FileNotFoundError("no command specified")
    sink = errand.sink
    out = subprocess.PIPE if sink else subprocess.DEVNULL
    return subprocess.Popen(
        words,
        env={"PATH": _PATH, **errand.environment},
        cwd=errand.folder or None,
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=out if not sink or sink.split else subprocess.STDOUT,
        start_new_session=True,
    )


def _pump(process: subprocess.Popen[bytes], sink: Sink) -> None:
    """Feed the sink until the pipes end, or until a moment after the process's end."""
    deadline = None
    with selectors.DefaultSelector() as selector:
        for stream, pipe in ((OUT, process.stdout), (ERR, process.stderr)):
            if pipe:
                selector.register(pipe, selectors.EVENT_READ, stream)
        while selector.get_map():
            if not _read(selector, sink) and process.poll() is not None:
                _kill_group(process)
                deadline = deadline or clock.monotonic() + _ORPHANS
            if deadline and clock.monotonic() > deadline:
                return


def _read(selector: selectors.BaseSelector, sink: Sink) -> bool:
    """Feed the sink what there is; tell whether there was anything within a moment."""
    ready = selector.select(_MOMENT)
    for key, _ in ready:
        if piece := os.read(key.fd, _PIECE):
            sink.write(key.data, piece)
        else:
            selector.unregister(key.fileobj)
    if not ready:
        sink.rest()
    return bool(ready)


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _tell(loop: asyncio.AbstractEventLoop, heard: Callable[..., None], *words: object) -> None:
    with suppress(RuntimeError):  # the loop has ended, and nobody wants to know
        loop.call_soon_threadsafe(heard, *words)


def _refusal(errand: Errand, error: OSError) -> str:
    word = next(iter([*errand.entry_point, *errand.command]), "")
    cause = "executable file not found in $PATH" if word else "no command specified"
    if isinstance(error, PermissionError):
        cause = "permission denied"
    return (
        "CannotStartContainerError: ResourceInitializationError: failed to create new container "
        f'runtime task: failed to create shim task: OCI runtime create failed: exec: "{word}": '
        f"{cause}: unknown"
    )

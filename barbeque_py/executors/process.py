"""Runs attempts as plain processes of this machine, each under a supervisor of its own."""

import contextlib
import os
import select
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from importlib.util import cache_from_source
from pathlib import Path
from threading import Event

from barbeque_py.errors import ExecutorUnavailable, LaunchRefused
from barbeque_py.executor import Blueprint, Launch, News, Preparation, Sighting, Standing, Traits
from barbeque_py.executors import supervisor
from barbeque_py.executors.folder import Folder, delete, here
from barbeque_py.executors.tail import Tail
from barbeque_py.ids import AttemptId
from barbeque_py.outcomes import Reason
from barbeque_py.tickets import JobUrls

SEARCH_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"
INHERITED = ("PATH", "HOME", "LANG", "TZ")
LAUNCH_PATIENCE = 30.0
"""Seconds that a supervisor may take to say that the job runs."""


class ProcessExecutor:
    """Runs each attempt as a process of this machine, for development and small places.

    The files of an attempt lie under `<home>/processes/<installation>/<attempt id>/`. A launch's
    limits of cpu, memory and pids, its capabilities and its network are not enforced here, and
    there are no images. The supervisor enforces `timeout` and `grace` itself, and outlives the
    worker. `environment` is the worker's own, of which jobs get PATH, HOME, LANG and TZ.
    """

    def __init__(
        self,
        *,
        home: Path,
        installation: str,
        slots: int | None = None,
        environment: Mapping[str, str] | None = None,
        urls: JobUrls | None = None,
    ) -> None:
        self._attempts = home.absolute() / "processes" / installation
        self._watch = self._attempts / ".watch"
        self._slots = slots or os.cpu_count() or 1
        self._urls = urls
        self.traits = Traits()
        self._base = {"PATH": SEARCH_PATH, "HOME": str(Path.home())} | {
            name: value for name, value in (environment or {}).items() if name in INHERITED
        }
        with _engine():
            self._watch.mkdir(parents=True, exist_ok=True)
            self._host = _host_id(home.absolute())
            for gone in self._attempts.glob(".gone-*"):
                delete(gone)

    def place(self) -> str:
        """Return `process:<host>:<boot>:<PID namespace>`."""
        return f"process:{self._host}:" + ":".join(here())

    def serves(self, place: str) -> bool:
        """Tell whether the place is this host, booted as it is or as it was."""
        return place == self.place() or self.former(place)

    def former(self, place: str) -> bool:
        """Tell whether the place is this host, before it was booted or its namespace made anew.

        `sightings` tells the truth of attempts there: their exit file's, else interrupted. Those
        without any trace (absent, created) were never started.
        """
        return place.startswith(f"process:{self._host}:") and place != self.place()

    def slots(self) -> int:
        """Return how many attempts may run at once, the number of CPUs unless told."""
        return self._slots

    def prepare(self, blueprint: Blueprint) -> Preparation:
        """Return the name as it is: a process has no image."""
        return Preparation(blueprint.image, self.place())

    def start(self, launch: Launch, message: str) -> Sighting:
        """Start the attempt under its own supervisor, or find it started."""
        folder = self._folder(launch.attempt)
        with _engine():
            folder.make(self._complete(launch), message)
            if folder.sighting().standing is Standing.CREATED:
                _supervise(folder)
            sighting = _look(folder)
            if sighting.standing is Standing.CREATED:
                raise ExecutorUnavailable(folder.fault())
        fate = sighting.fate
        if fate is not None and fate.reason is Reason.NEVER_STARTED:
            raise LaunchRefused(fate.detail, blame_definition=fate.blame_definition)
        return sighting

    def sightings(self, attempts: Sequence[AttemptId]) -> dict[AttemptId, Sighting]:
        """Look into the folder of each."""
        with _engine():
            return {attempt: _look(self._folder(attempt)) for attempt in attempts}

    def stop(self, attempt: AttemptId, *, kill: bool) -> None:
        """Tell the supervisor, which also kills by itself after the grace period."""
        with _engine():
            self._folder(attempt).signal(kill=kill)

    def events(self, stop: Event) -> Iterator[News]:
        """Yield attempts as their supervisors tell of their end."""
        while not stop.is_set():
            with _engine(), self._ear() as (ear, address):
                while not stop.is_set() and address.exists():
                    try:
                        yield News({AttemptId(ear.recv(256).decode()): None})
                    except TimeoutError:
                        yield News()

    def log(self, attempt: AttemptId) -> Tail:
        """Return the log that the attempt's supervisor writes."""
        return Tail(self._folder(attempt))

    def remove(self, attempt: AttemptId) -> None:
        """Delete the attempt's folder; one that still runs is left alone."""
        with _engine():
            self._folder(attempt).remove()

    def remains(self) -> list[AttemptId]:
        """Return the attempts that have a folder."""
        with _engine():
            names = sorted(path.name for path in self._attempts.iterdir())
        return [AttemptId(name) for name in names if not name.startswith(".")]

    def _folder(self, attempt: AttemptId) -> Folder:
        return Folder(self._attempts / attempt)

    def _complete(self, launch: Launch) -> Launch:
        """Return the launch with the whole environment of its process."""
        posts = self._urls.reports(launch.attempt) if self._urls else {}
        environment = {**self._base, **launch.environment, **posts}
        environment["PATH"] = ":".join((*launch.path, environment["PATH"]))
        return replace(launch, environment=environment)

    @contextlib.contextmanager
    def _ear(self) -> Iterator[tuple[socket.socket, Path]]:
        """Open a socket of our own among those that supervisors tell of an end."""
        self._watch.mkdir(parents=True, exist_ok=True)
        address = self._watch / f"{uuid.uuid4().hex}.sock"
        directory = os.open(self._watch, os.O_RDONLY)
        short = Path(f"/proc/self/fd/{directory}") / address.name
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
            try:
                # The name of a socket may have 108 bytes only, and a home's may have more.
                ear.bind(str(short if short.parent.exists() else address))
                ear.settimeout(0.5)
                yield ear, address
            finally:
                os.close(directory)
                address.unlink(missing_ok=True)


def _look(folder: Folder) -> Sighting:
    sighting = folder.sighting()
    if sighting.standing not in (Standing.RUNNING, Standing.ENDED):
        return sighting
    report = folder.report(ended=sighting.standing is Standing.ENDED)
    return replace(sighting, report=report)


@contextlib.contextmanager
def _engine() -> Iterator[None]:
    try:
        yield
    except OSError as fault:
        raise ExecutorUnavailable(f"process mode: {fault}") from fault


def _supervise(folder: Folder) -> None:
    """Start a supervisor and wait until the job runs or was refused, whoever started it."""
    report, told = os.pipe()
    command = [sys.executable, "-I", "-S", _script(), str(folder.path), str(told)]
    try:
        subprocess.run(
            command,
            env={},
            pass_fds=[told],
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=LAUNCH_PATIENCE,
            check=False,
        )
        os.close(told)
        told = -1
        waiting = select.poll()
        waiting.register(report, select.POLLIN)
        waiting.poll(LAUNCH_PATIENCE * 1000)
    except subprocess.TimeoutExpired as fault:
        raise ExecutorUnavailable("the supervisor did not start in time") from fault
    finally:
        os.close(report)
        if told >= 0:
            os.close(told)


def _script() -> str:
    """Return the supervisor's file, compiled if it can be had: half of its start-up is that."""
    compiled = cache_from_source(supervisor.__file__)
    return compiled if Path(compiled).exists() else supervisor.__file__


def _host_id(home: Path) -> str:
    """Return this home's host id, made once whoever comes first."""
    path = home / "host"
    if not path.exists():
        new = home / f".host-{uuid.uuid4().hex}"
        new.write_text(uuid.uuid4().hex)
        with contextlib.suppress(FileExistsError):
            os.link(new, path)
        new.unlink()
    return path.read_text()

"""A runner on the local Docker engine: containers as ECS's agent would make them."""

import asyncio
import os
import struct
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from barbeque_py.errors import ExecutorUnavailable
from barbeque_py.executors.engine import Engine
from tests.cloud.knobs import Knobs
from tests.cloud.runners import Errand, Heard, Mount, Sink

SOCKET: Final = "/var/run/docker.sock"
LABEL: Final = "tests.cloud.pid"
"""Names the simulator that made the container, so that the next one can clear up after it."""

_OOM: Final = "OutOfMemoryError: Container killed due to memory usage"
_PATIENCE: Final = 60.0
_WEEK: Final = 7 * 86400.0
_MOMENT: Final = 0.05
_MIB: Final = 1024 * 1024
_FRAME: Final = struct.Struct(">BxxxI")


class _Refused(Exception):
    """The engine refused a container; the text is ECS's reason."""


@dataclass(slots=True)
class _End:
    """The end of a container, for those that wait for it; the first one said counts."""

    code: int = -1
    over: threading.Event = field(default_factory=threading.Event)

    def say(self, code: int) -> None:
        if not self.over.is_set():
            self.code = code
            self.over.set()


@dataclass(slots=True)
class _Run:
    """One task under way; its methods run in its threads."""

    task: str
    heard: Heard
    loop: asyncio.AbstractEventLoop
    first: str = ""
    """The first container: the others share its network."""
    at: str = ""
    """The container that is being started."""
    mounts: list[Mount] = field(default_factory=list)
    """The mounts of all its containers."""
    ends: dict[str, _End] = field(default_factory=dict)

    def tell(self, heard: Callable[..., None], *words: object) -> None:
        with suppress(RuntimeError):  # the loop has ended, and nobody wants to know
            self.loop.call_soon_threadsafe(heard, *words)

    def end(self, container: str, exit_code: int, reason: str) -> None:
        """Tell that a container has ended, also those that wait for it."""
        self.tell(self.heard.ended, container, exit_code, reason)
        self.ends[container].say(exit_code)

    def wait(self, errand: Errand) -> None:
        """Wait for the containers that must have ended before this one starts."""
        self.at = errand.name
        for name, condition in errand.after:
            if condition in ("COMPLETE", "SUCCESS") and name in self.ends:
                self.ends[name].over.wait()
                if self.ends[name].code and condition == "SUCCESS":
                    raise _Refused(f"dependency {name} did not exit successfully")


class DockerRunner:
    """Runs every container of a task on the engine, with a memory limit that really kills.

    Lines reach a sink by attaching, so a slow sink makes the container wait, as awslogs's mode
    `blocking` does. One thread starts a task's containers, one follows each.
    """

    runs_all = True

    def __init__(self, knobs: Knobs) -> None:
        self._knobs = knobs
        self._engine = Engine(SOCKET, _PATIENCE)
        self._waiting = Engine(SOCKET, _WEEK)
        self._containers: dict[tuple[str, str], str] = {}
        self._threads: set[threading.Thread] = set()
        self._swept = False
        self._sweeping = threading.Lock()
        self._closed = False

    def start(self, task: str, errands: Sequence[Errand], heard: Heard) -> None:
        run = _Run(task, heard, asyncio.get_running_loop())
        run.mounts.extend(mount for errand in errands for mount in errand.mounts)
        run.ends.update({errand.name: _End() for errand in errands})
        self._spawn(self._begin, run, errands)

    def stop(self, task: str, container: str, *, kill: bool) -> None:
        if identity := self._containers.get((task, container)):
            self._spawn(self._signal, identity, "SIGKILL" if kill else "SIGTERM")

    def close(self) -> None:
        self._closed = True
        while self._threads:
            for identity in list(self._containers.values()):
                self._signal(identity, "SIGKILL")
            for thread in list(self._threads):
                thread.join(1.0)
        self._engine.close()
        self._waiting.close()

    def _spawn(self, work: Callable[..., None], *words: Any) -> None:
        def run() -> None:
            try:
                work(*words)
            finally:
                self._threads.discard(threading.current_thread())

        thread = threading.Thread(target=run, daemon=True)
        self._threads.add(thread)
        thread.start()

    def _signal(self, identity: str, signal: str) -> None:
        with suppress(ExecutorUnavailable):
            self._engine.ask("POST", f"/containers/{identity}/kill?signal={signal}")

    def _begin(self, run: _Run, errands: Sequence[Errand]) -> None:
        """Find the images, then start the containers in order."""
        run.at = errands[0].name
        try:
            self._sweep()
            images = {errand.name: self._find_image(run, errand) for errand in errands}
            for errand in _in_order(errands):
                run.wait(errand)
                identity = self._create(run, errand, images[errand.name])
                ready = threading.Event()
                self._spawn(self._follow, run, errand, identity, ready)
                ready.wait(_PATIENCE)
        except (_Refused, ExecutorUnavailable) as error:
            run.tell(run.heard.refused, run.at, str(error))
            self._give_up(run)

    def _give_up(self, run: _Run) -> None:
        """Count as ended what was never started, and tidy up if nothing was."""
        for name, end in run.ends.items():
            if (run.task, name) not in self._containers:
                end.say(-1)
        if all(end.over.is_set() for end in run.ends.values()):
            with suppress(ExecutorUnavailable):
                self._remove_volumes(run)

    def _find_image(self, run: _Run, errand: Errand) -> str:
        """Return the image's id; there is no registry, so it must be there."""
        run.at = errand.name
        _, _, digest = errand.image.partition("@")
        for name in (errand.image, digest):
            answer = self._engine.call("GET", f"/images/{quote(name)}/json") if name else None
            if answer and answer.status == 200:
                identity = str(answer.json()["Id"])
                run.tell(run.heard.pulled, errand.name, digest or identity)
                return identity
        raise _Refused(
            "CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to "
            f"resolve ref {errand.image}: pull access denied, repository does not exist or may "
            "require authorization: server message: insufficient_scope: authorization failed"
        )

    def _create(self, run: _Run, errand: Errand, image: str) -> str:
        if self._closed:
            raise _Refused("CannotStartContainerError: the simulator closes")
        name = f"ecs-{run.task}-{errand.name}"
        content = self._describe(run, errand, image)
        answer = self._engine.ask("POST", f"/containers/create?name={name}", content=content)
        if answer.status != 201:
            raise _Refused(f"CannotCreateContainerError: {answer.sentence()}")
        identity = str(answer.json()["Id"])
        run.first = run.first or identity
        return identity

    def _describe(self, run: _Run, errand: Errand, image: str) -> dict[str, Any]:
        """Write the engine's request for a container."""
        memory = errand.memory * _MIB
        shared = run.first and self._knobs.network != "host"
        host: dict[str, Any] = {
            "Memory": memory,
            "MemorySwap": memory,
            "CpuShares": errand.cpu,
            "NetworkMode": f"container:{run.first}" if shared else self._knobs.network,
            "LogConfig": {"Type": "none"},
            "Binds": [_bind(run, mount) for mount in errand.mounts],
            **errand.host,
        }
        if self._knobs.cpu_limits and errand.task_cpu:
            units = min(errand.task_cpu, 1024 * (os.cpu_count() or 1))
            host["NanoCpus"] = units * 1_000_000_000 // 1024
        content: dict[str, Any] = {
            "Image": image,
            "Env": [f"{name}={value}" for name, value in errand.environment.items()],
            "User": errand.user,
            "WorkingDir": errand.folder,
            "Labels": {
                LABEL: str(os.getpid()),
                "com.amazonaws.ecs.container-name": errand.name,
                "com.amazonaws.ecs.task-id": run.task,
            },
            "HostConfig": host,
        }
        if errand.command:
            content["Cmd"] = list(errand.command)
        if errand.entry_point:
            content["Entrypoint"] = list(errand.entry_point)
        return content

    def _follow(self, run: _Run, errand: Errand, identity: str, ready: threading.Event) -> None:
        """Start a container that was created, read what it writes, and tell how it ended."""
        try:
            if errand.sink:
                self._run_attached(run, errand, errand.sink, identity, ready)
            else:
                self._run(run, errand, identity, ready)
            self._waiting.ask("POST", f"/containers/{identity}/wait")
            state = self._engine.call("GET", f"/containers/{identity}/json").json()["State"]
        except _Refused as refused:
            self._forget(run, errand, identity)
            run.ends[errand.name].say(-1)
            run.tell(run.heard.refused, errand.name, str(refused))
        except ExecutorUnavailable as error:
            self._forget(run, errand, identity)
            run.end(errand.name, 137, f"DockerTimeoutError: {error}")
        else:
            self._forget(run, errand, identity)
            reason = _OOM if state["OOMKilled"] else ""
            run.end(errand.name, int(state["ExitCode"]), reason)
        finally:
            ready.set()

    def _run_attached(
        self, run: _Run, errand: Errand, sink: Sink, identity: str, ready: threading.Event
    ) -> None:
        path = f"/containers/{identity}/attach?stream=1&stdout=1&stderr=1"
        frames = _Frames(sink)
        with self._engine.stream("POST", path, silence=_MOMENT) as stream:
            self._run(run, errand, identity, ready)
            with suppress(ExecutorUnavailable):  # so ends what the engine does not measure
                while not stream.complete:
                    pieces = stream.read()
                    if pieces is None:
                        sink.rest()
                    for piece in pieces or ():
                        frames.feed(piece)

    def _run(self, run: _Run, errand: Errand, identity: str, ready: threading.Event) -> None:
        self._containers[run.task, errand.name] = identity
        answer = self._engine.ask("POST", f"/containers/{identity}/start")
        if answer.status != 204:
            raise _Refused(f"CannotStartContainerError: {answer.sentence()}")
        run.tell(run.heard.started, errand.name, identity)
        ready.set()

    def _forget(self, run: _Run, errand: Errand, identity: str) -> None:
        """Remove what is over, and let its last lines go."""
        self._containers.pop((run.task, errand.name), None)
        with suppress(ExecutorUnavailable):
            self._engine.ask("DELETE", f"/containers/{identity}?v=1&force=1")
            others = (end for name, end in run.ends.items() if name != errand.name)
            if all(end.over.is_set() for end in others):
                self._remove_volumes(run)
        if errand.sink:
            errand.sink.close()

    def _remove_volumes(self, run: _Run) -> None:
        """Remove the task's volumes; the engine keeps one that a container still has."""
        for volume in {_volume(run, each) for each in run.mounts if not each.host}:
            self._engine.ask("DELETE", f"/volumes/{volume}")

    def _sweep(self) -> None:
        """Remove, once, the containers of simulators that were killed."""
        with self._sweeping:
            if self._swept:
                return
            self._swept = True
            found = self._engine.call(
                "GET", f'/containers/json?all=1&filters={{"label":["{LABEL}"]}}'
            )
            left = [
                each for each in found.json() if not Path("/proc", each["Labels"][LABEL]).exists()
            ]
            for each in left:
                self._engine.ask("DELETE", f"/containers/{each['Id']}?v=1&force=1")
            for mount in (mount for each in left for mount in each["Mounts"]):
                if mount.get("Name", "").startswith("ecs-"):
                    self._engine.ask("DELETE", f"/volumes/{mount['Name']}")


def _in_order(errands: Sequence[Errand]) -> list[Errand]:
    """Return the containers so that each comes after those it waits for."""
    named = {errand.name: errand for errand in errands}
    waits = {errand.name: [name for name, _ in errand.after] for errand in errands}
    order = TopologicalSorter(waits).static_order()
    return [named[name] for name in order if name in named]


def _volume(run: _Run, mount: Mount) -> str:
    return f"ecs-{run.task}-{mount.volume}"


def _bind(run: _Run, mount: Mount) -> str:
    source = mount.host or _volume(run, mount)
    return f"{source}:{mount.path}:{'ro' if mount.read_only else 'rw'}"


class _Frames:
    """Cuts what the engine sends into the pieces of stdout and of stderr."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._unread = b""

    def feed(self, piece: bytes) -> None:
        buffer = self._unread + piece if self._unread else piece
        start = 0
        while len(buffer) - start >= _FRAME.size:
            stream, length = _FRAME.unpack_from(buffer, start)
            end = start + _FRAME.size + length
            if end > len(buffer):
                break
            self._sink.write(stream, buffer[start + _FRAME.size : end])
            start = end
        self._unread = buffer[start:]

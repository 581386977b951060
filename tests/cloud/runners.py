"""The seam between ECS's tasks and what really runs their containers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

OUT, ERR = 1, 2


class Sink(Protocol):
    """Takes what a container writes; called by one thread, may make it wait."""

    split: bool
    """Whether it must know stdout from stderr; else the order of both together matters more."""

    def write(self, stream: int, piece: bytes) -> None:
        """Take a piece of the stream, which need not end at a line's end."""
        ...

    def rest(self) -> None:
        """Be told that nothing came for a moment."""
        ...

    def close(self) -> None:
        """Take the end: return when all is written."""
        ...


@dataclass(frozen=True, slots=True)
class Mount:
    """A volume of the task, or a path of the host, in a container."""

    volume: str
    path: str
    read_only: bool
    host: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """One container of a task, with the task's overrides already in it."""

    name: str
    image: str
    entry_point: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    environment: Mapping[str, str]
    essential: bool = True
    cpu: int = 0
    """CPU units, 1024 to a processor; 0 for no word about it."""
    task_cpu: int = 0
    """CPU units of the whole task."""
    memory: int = 0
    """The hard limit in MiB; 0 for none."""
    user: str = ""
    folder: str = ""
    host: Mapping[str, Any] = field(default_factory=dict)
    """Further settings for Docker's engine, in its words."""
    mounts: tuple[Mount, ...] = ()
    after: tuple[tuple[str, str], ...] = ()
    """Containers that come first: (name, START | COMPLETE | SUCCESS | HEALTHY)."""
    sink: Sink | None = None


class Heard(Protocol):
    """What a runner tells of a task; only inside the event loop."""

    def pulled(self, container: str, digest: str) -> None:
        """The image is there."""
        ...

    def started(self, container: str, runtime_id: str) -> None:
        """The container runs."""
        ...

    def ended(self, container: str, exit_code: int, reason: str) -> None:
        """The container ended, and its sink is closed."""
        ...

    def refused(self, container: str, reason: str) -> None:
        """The container could not be started; the runner starts none of those after it."""
        ...


class Runner(Protocol):
    """Runs the containers of tasks."""

    runs_all: bool
    """Whether it can run several containers of a task; else it is given one."""

    def start(self, task: str, errands: Sequence[Errand], heard: Heard) -> None:
        """Begin, in this order; returns at once."""
        ...

    def stop(self, task: str, container: str, *, kill: bool) -> None:
        """Send SIGTERM, or SIGKILL; nothing where the container has not started or has ended."""
        ...

    def close(self) -> None:
        """Kill what runs and wait for it; called in a thread."""
        ...

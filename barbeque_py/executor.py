"""Seam: runs one container per attempt and says how it ended."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from enum import StrEnum
from threading import Event
from typing import Any, Protocol

from barbeque_py.fargate import fargate_size
from barbeque_py.ids import AttemptId
from barbeque_py.logs import LogSource
from barbeque_py.outcomes import Fate
from barbeque_py.reports import Report


@dataclass(frozen=True, slots=True)
class Blueprint:
    """What must be ready before an attempt can be launched: many jobs of an app share one."""

    app: str
    image: str
    grace: float = 30.0
    """Seconds from SIGTERM to SIGKILL."""
    ecs: Mapping[str, Any] = field(default_factory=dict)
    """What the definition says of ECS, app and job merged."""
    revision: int | None = None
    """The app's revision whose image this is, to be pinned if it is not."""
    callback: str = ""
    """Where the app's backend takes the job that it runs itself; empty for a container's."""

    @property
    def key(self) -> str:
        """The same text for the same blueprint."""
        return json.dumps(asdict(self), sort_keys=True)


@dataclass(frozen=True, slots=True)
class Quota:
    """How often an outside call may be made: a bucket from which all workers draw."""

    name: str
    burst: float
    rate: float
    """How many calls a second fill it up again."""
    stops: bool = False
    """Whether a stop draws from it, too; it never waits for a token."""


@dataclass(frozen=True, slots=True)
class Preparation:
    """What `prepare` found: what a launch is made of and nothing can change under its name."""

    image: str
    place: str
    """Where the attempts will live."""
    log_at: str = ""
    """Where their logs are to be read, for executors whose logs nobody ships meanwhile."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """The executor's own; JSON-able, kept with every launch."""
    quotas: tuple[Quota, ...] = ()
    """What one start draws a token from, each."""
    revision: int | None = None
    """The blueprint's."""
    beside: tuple[int, int] = (0, 0)
    """CPU (1024 is one vCPU) and MiB of what runs beside the job's own container."""
    fargate: bool = False
    """Whether an attempt gets the next larger of Fargate's sizes."""

    def size_of(self, cpu: int, memory: int) -> tuple[int, int]:
        """Return the CPU and MiB that an attempt at a job of this size takes up."""
        size = cpu + self.beside[0], memory + self.beside[1]
        try:
            return fargate_size(*size) if self.fargate else size
        except ValueError:
            return size  # its start is refused


@dataclass(frozen=True, slots=True)
class Launch:
    """Everything an executor needs to start an attempt; committed before the first call.

    Times are seconds, `cpu` counts 1024 for one vCPU, `memory` is MiB.
    """

    attempt: AttemptId
    message_id: str
    number: int
    app: str
    job: str
    image: str
    """What `prepare` answered: an image that can no longer change under the name."""
    command: tuple[str, ...]
    environment: Mapping[str, str]
    timeout: float
    grace: float
    cpu: int = 256
    memory: int = 512
    pids: int = 512
    capabilities: tuple[str, ...] = ()
    network: str = "bridge"
    path: tuple[str, ...] = ()
    """Process mode only: absolute directories in which the command is found."""
    message_file: bool = False
    """Whether `message` must be given as a file, at BARBEQUE_MESSAGE_URL."""
    report_files: bool = False
    """Whether a container is given files to tell its progress and result in; processes always."""
    launch_number: int = 1
    """Goes up when a start was refused for want of capacity and is made anew."""
    place: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)
    """The preparation's."""
    quotas: tuple[Quota, ...] = ()
    """The preparation's."""

    def to_json(self) -> str:
        """Write the launch as JSON, the same bytes for the same launch."""
        facts = {name: getattr(self, name) for name in Launch.__slots__}
        facts["quotas"] = [
            {name: getattr(each, name) for name in Quota.__slots__} for each in self.quotas
        ]
        return _SORTED.encode(facts)

    @classmethod
    def from_json(cls, text: str) -> "Launch":
        """Read what `to_json` wrote."""
        facts = json.loads(text)
        for name in ("command", "capabilities", "path"):
            facts[name] = tuple(facts[name])
        facts["quotas"] = tuple(Quota(**each) for each in facts.get("quotas", ()))
        return cls(**facts)


_SORTED = json.JSONEncoder(sort_keys=True, separators=(",", ":"))


class Standing(StrEnum):
    """What an executor sees of an attempt."""

    ABSENT = "absent"
    """No trace. For an attempt that was launched, the trace may be gone for good."""
    CREATED = "created"
    """There is a trace, and it proves that the command was never started."""
    RUNNING = "running"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Sighting:
    """What an executor saw of one attempt; `fate` is there when it has ended."""

    standing: Standing
    handle: str = ""
    """What the executor calls the running thing: a container id, a supervisor's pid."""
    fate: Fate | None = None
    started_at: float | None = None
    """Seconds since 1970 at which the command started, where the executor knows."""
    version: int | None = None
    """Counts what happened to the attempt, where the executor counts; an older one is stale."""
    report: Report | None = None
    """What the job has told in its files; of one that has ended this is the last of it."""


@dataclass(frozen=True, slots=True)
class News:
    """What an executor tells unasked: attempts, each with what was seen where it knows."""

    sightings: Mapping[AttemptId, Sighting | None] = field(default_factory=dict)
    acknowledge: Callable[[], None] = lambda: None
    """To be called when all of it is recorded; until then it is told again."""
    deaf: bool = False
    """Whether nothing can be heard now, so that looking is all there is."""


@dataclass(frozen=True, slots=True)
class Traits:
    """How an executor's attempts are to be treated; the default is an engine of this machine."""

    attended: bool = True
    """Whether a worker must attend to each running attempt: hold its lease, ship its log."""
    repeat_window: timedelta | None = None
    """For how long after its first call a start may be repeated; None is for ever."""
    log_waits: tuple[timedelta, ...] = ()
    """How long after the end to read the log, and how much later to read on before it is sealed."""
    check_every: timedelta = timedelta(seconds=5)
    """How often every running attempt is looked at, in case its end was never told.

    While nobody attends to them and they are too few to fill a call, a fifth as often.
    """


class Executor(Protocol):
    """Runs one container per attempt, at one place or a few.

    Every call may raise `ExecutorUnavailable`: the engine is away, or did not answer in time, and
    what it did is unknown. Only `start` and `prepare` raise `LaunchRefused`, only `start` raises
    `NoCapacity` and `Throttled`.
    """

    traits: Traits

    def place(self) -> str:
        """Return where attempts live unless their definition says otherwise.

        An engine's id, a host's id and boot id, a cluster's ARN.
        """
        ...

    def serves(self, place: str) -> bool:
        """Tell whether this executor speaks to that place, which is or was its own."""
        ...

    def former(self, place: str) -> bool:
        """Tell whether this executor's place had that name before, as before a reboot.

        Nothing is ever started at a former place again; `sightings` and `log` still answer for
        attempts that were there.
        """
        ...

    def slots(self) -> int | None:
        """Return how many attempts the place may run at once; None is any number."""
        ...

    def prepare(self, blueprint: Blueprint) -> Preparation:
        """Make ready what the blueprint names and pin it; slow (a pull), holds nothing.

        Raises `LaunchRefused` when there is no such image, access is denied or the pull broke.
        """
        ...

    def start(self, launch: Launch, message: str) -> Sighting:
        """Start the attempt; called again for the same attempt it starts nothing new.

        `message` is the JSON text of the execution's message. Raises `LaunchRefused` on a definite
        no, after which the same attempt has not run and never will; `NoCapacity` on a definite "not
        now", after which the same attempt may be started under the next launch number; `Throttled`
        when it was asked too often and did nothing.
        """
        ...

    def sightings(self, attempts: Sequence[AttemptId]) -> dict[AttemptId, Sighting]:
        """Return what is seen of each of the attempts, in one or few calls for all of them."""
        ...

    def stop(self, attempt: AttemptId, *, kill: bool) -> None:
        """Ask the attempt to end (SIGTERM), or kill it; a no-op when it is not running.

        Returns at once. The caller sends the kill when the grace period is over.
        """
        ...

    def events(self, stop: Event) -> Iterator[News]:
        """Yield attempts of this installation as they end, and no news at least each 20 s.

        A hint, not a promise: what is missed is found by `sightings`. Reconnects by itself, and
        returns only when `stop` is set. Yields for attempts that other workers started, too.
        """
        ...

    def log(self, attempt: AttemptId) -> LogSource:
        """Return the attempt's log, being written or complete, until `remove`."""
        ...

    def remove(self, attempt: AttemptId) -> None:
        """Forget an ended attempt and free what it holds; its log must be sealed before."""
        ...

    def remains(self) -> list[AttemptId]:
        """Return the attempts of this installation that still hold something at this place."""
        ...

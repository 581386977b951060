"""Seam: runs one container per attempt and says how it ended."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from threading import Event
from typing import Protocol

from barbeque_py.ids import AttemptId
from barbeque_py.logs import LogSource
from barbeque_py.outcomes import Fate


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

    def to_json(self) -> str:
        """Write the launch as JSON, the same bytes for the same launch."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> "Launch":
        """Read what `to_json` wrote."""
        facts = json.loads(text)
        for name in ("command", "capabilities", "path"):
            facts[name] = tuple(facts[name])
        return cls(**facts)


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


@dataclass(frozen=True, slots=True)
class Preparation:
    """What `prepare` found: the pinned image."""

    image: str
    details: Mapping[str, str] = field(default_factory=dict)


class Executor(Protocol):
    """Runs one container per attempt at one place.

    Every call may raise `ExecutorUnavailable`: the engine is away, or did not answer in time, and
    what it did is unknown. Only `start` and `prepare` raise `LaunchRefused`.
    """

    def place(self) -> str:
        """Return where this executor's attempts live: an engine's id, a host's id and boot id."""
        ...

    def former(self, place: str) -> bool:
        """Tell whether this executor's place had that name before, as before a reboot.

        Nothing is ever started at a former place again; `sightings` and `log` still answer for
        attempts that were there.
        """
        ...

    def slots(self) -> int:
        """Return how many attempts the place may run at once."""
        ...

    def prepare(self, image: str) -> Preparation:
        """Make the image ready and pin it; slow (a pull), holds nothing.

        Raises `LaunchRefused` when there is no such image, access is denied or the pull broke.
        """
        ...

    def start(self, launch: Launch, message: str) -> Sighting:
        """Start the attempt; called again for the same attempt it starts nothing new.

        `message` is the JSON text of the execution's message. Raises `LaunchRefused` on a definite
        no, after which the same attempt still may not have run and never will.
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

    def events(self, stop: Event) -> Iterator[AttemptId | None]:
        """Yield attempts of this installation as they end, and None at least once a second.

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

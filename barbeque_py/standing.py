"""What is known of an execution that does not run: the facts from which the reason is told."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from barbeque_py.executions import AttemptState, Stage, State


@dataclass(frozen=True, slots=True)
class Holder:
    """An execution that holds a slot of the limit that is full."""

    message_id: str
    app: str
    since: datetime


@dataclass(frozen=True, slots=True)
class FullLimit:
    """A limit without a free slot, and who has them."""

    scope: str
    max: int
    used: int
    holders: Sequence[Holder] = ()
    """Some of them, the oldest first."""


@dataclass(frozen=True, slots=True)
class Shortage:
    """What a place has no room for, in the executor's own words."""

    where: str
    reason: str
    until: datetime
    asking: bool
    """Whether one attempt is asking again now."""


@dataclass(frozen=True, slots=True)
class Paused:
    """Since when a queue is paused, and why and until when, where somebody said so."""

    since: datetime
    reason: str = ""
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """A place where it may run, as seen from the queue it waits in."""

    name: str
    max: int | None
    used: int

    @property
    def full(self) -> bool:
        """Whether nothing more may start there."""
        return self.max is not None and self.used >= self.max


@dataclass(frozen=True, slots=True)
class Line:
    """What is in front of it."""

    ahead: int
    """Ready executions of its app or a higher priority that come first; up to `most`."""
    others: int
    """Apps of the same priority that take turns with its own."""
    most: int = 10_000


@dataclass(frozen=True, slots=True)
class LastTry:
    """The newest attempt, as far as it tells why the execution does not run."""

    number: int
    state: AttemptState
    reason: str | None
    exit_code: int | None
    detail: str | None
    counted: bool | None
    place: str
    claimed_at: datetime
    cancel_requested_at: datetime | None
    served: bool
    """Whether a live worker speaks to its place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Everything the answer depends on."""

    now: datetime
    state: State
    stage: Stage
    queue: str
    due_at: datetime
    paused: Paused | None = None
    full: FullLimit | None = None
    """The limit that holds it, or that stops its whole queue."""
    shortage: Shortage | None = None
    throttled_until: datetime | None = None
    workers: int = 0
    """How many are alive."""
    serving: int = 0
    """How many of them take from the queue."""
    places: Sequence[Place] = ()
    """Those of the workers that take from the queue."""
    drained: int = 0
    """Those that would, were they not drained."""
    line: Line | None = None
    last: LastTry | None = None


@dataclass(frozen=True, slots=True)
class Unseen:
    """What is known of an id that no worker has taken in."""

    dead: str | None
    """Why its message is dead, if it is."""
    workers: int
    resting: Sequence[tuple[str, int]] = ()
    """Queues on which messages stay because so many executions wait already, and the mark."""

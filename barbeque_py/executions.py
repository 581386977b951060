"""An execution is one requested run; an attempt is one launched try at it."""

from enum import StrEnum
from typing import Literal


class State(StrEnum):
    """Where an execution stands, in our words."""

    QUEUED = "queued"
    RUNNING = "running"
    RETRYING = "retrying"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


OPEN = frozenset({State.QUEUED, State.RUNNING, State.RETRYING})
ENDED = frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED})

MOVES: dict[State, frozenset[State]] = {
    State.QUEUED: frozenset({State.RUNNING, State.CANCELLED}),
    State.RUNNING: frozenset(
        {State.QUEUED, State.RETRYING, State.SUCCEEDED, State.FAILED, State.CANCELLED}
    ),
    State.RETRYING: frozenset({State.RUNNING, State.CANCELLED}),
    State.SUCCEEDED: frozenset({State.QUEUED}),
    State.FAILED: frozenset({State.QUEUED}),
    State.CANCELLED: frozenset({State.QUEUED}),
}
"""The only machine: from each state, where an execution may go."""


class Stage(StrEnum):
    """Where an execution stands for the machinery: only `ready` is ever claimed."""

    SCHEDULED = "scheduled"
    READY = "ready"
    HELD = "held"
    ACTIVE = "active"
    DONE = "done"


class AttemptState(StrEnum):
    """Where an attempt stands: claimed and perhaps launched, seen running, or over.

    One that waits has been refused for want of capacity: nothing of it runs, and the next claim
    of its execution takes it up again.
    """

    WAITING = "waiting"
    STARTING = "starting"
    RUNNING = "running"
    ENDED = "ended"


BarbequeStatus = Literal["pending", "running", "retried", "success", "failed", "error", "cancelled"]


def barbeque_status(
    state: State, *, round_: int, counted: int, could_not_start: bool
) -> BarbequeStatus:
    """Return the v1/v2 word for a state.

    `counted` are the counted attempts that have ended, those of earlier rounds too;
    `could_not_start` tells that the last attempt failed because it could not be started, which
    Barbeque calls `error`.
    """
    match state:
        case State.SUCCEEDED:
            return "success"
        case State.CANCELLED:
            return "cancelled"
        case State.FAILED:
            return "error" if could_not_start else "failed"
        case State.RETRYING:
            return "retried"
        case State.QUEUED:
            return "pending" if counted == 0 else "retried"
        case State.RUNNING:
            return "running" if counted == 0 and round_ == 1 else "retried"

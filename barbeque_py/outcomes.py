"""How an attempt ended, and what follows: the one pure decision."""

import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from barbeque_py.backoff import (
    INTERRUPTIONS,
    RetryPolicy,
    delay_after,
    delay_after_interruption,
)
from barbeque_py.executions import State


class Reason(StrEnum):
    """Why an attempt is over."""

    EXITED = "exited"
    OUT_OF_MEMORY = "out of memory"
    TIMED_OUT = "timed out"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"
    NEVER_STARTED = "never started"
    VANISHED = "vanished"


@dataclass(frozen=True, slots=True)
class Fate:
    """How an attempt ended: exit code and reason, with a sentence for people."""

    reason: Reason
    exit_code: int | None = None
    detail: str = ""
    started_at: datetime | None = None
    finished_at: datetime | None = None
    blame_definition: bool = True
    """For `never started` only: whether the definition is at fault, which counts the attempt."""


@dataclass(frozen=True, slots=True)
class Round:
    """What has happened since the execution was enqueued or last retried by hand."""

    number: int
    counted: int
    uncounted: int


@dataclass(frozen=True, slots=True)
class Settlement:
    """What follows an attempt: the state, when to try again, and what the attempt cost."""

    state: State
    counted: bool
    wait: timedelta | None = None
    could_not_start: bool = False


def decide(
    fate: Fate,
    so_far: Round,
    policy: RetryPolicy,
    *,
    cancel_requested: bool,
    at_most_once: bool,
    chance: random.Random,
) -> Settlement:
    """Decide what follows an attempt that ended; `so_far` does not include it."""
    if fate.reason is Reason.EXITED and fate.exit_code == 0:
        return Settlement(State.SUCCEEDED, counted=True)
    if cancel_requested or fate.reason is Reason.CANCELLED:
        return Settlement(State.CANCELLED, counted=False)
    if _interrupted(fate):
        return _after_interruption(so_far, chance)
    never_started = fate.reason is Reason.NEVER_STARTED
    failures = so_far.counted + 1
    unsure = at_most_once and fate.reason is Reason.VANISHED
    if failures > policy.limit or unsure:
        return Settlement(State.FAILED, counted=True, could_not_start=never_started)
    return Settlement(State.RETRYING, counted=True, wait=delay_after(policy, failures, chance))


def _interrupted(fate: Fate) -> bool:
    if fate.reason is Reason.NEVER_STARTED:
        return not fate.blame_definition
    return fate.reason is Reason.INTERRUPTED


def _after_interruption(so_far: Round, chance: random.Random) -> Settlement:
    interruptions = so_far.uncounted + 1
    if interruptions > INTERRUPTIONS:
        return Settlement(State.FAILED, counted=False, could_not_start=True)
    wait = delay_after_interruption(interruptions, chance)
    return Settlement(State.QUEUED, counted=False, wait=wait)

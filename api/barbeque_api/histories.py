"""What happened to an execution, step by step, and what its attempts took up."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from typing_extensions import TypedDict

from barbeque_api.times import Instant, written
from barbeque_py.store.attempts import Attempt
from barbeque_py.store.executions import Execution

_CPU = 1024
_MEMORY = 1024
_DECIMALS = 3


class Step(TypedDict):
    """One step of an execution, and the seconds since the one before."""

    at: Instant
    event: str
    attempt: int | None
    after: float | None


class Total(TypedDict):
    """What attempts took up together; null where the size of one is not known."""

    seconds: float | None
    vcpu_seconds: float | None
    gb_seconds: float | None


class Cost(TypedDict):
    """An attempt's size, the seconds it ran, and their product; a GB is 1024 MiB."""

    cpu: int | None
    memory: int | None
    seconds: float
    vcpu_seconds: float | None
    gb_seconds: float | None


def timeline(execution: Execution, tries: Sequence[Attempt]) -> list[Step]:
    """Return the steps in their order, each with the seconds since the one before."""
    steps = sorted(_steps(execution, tries), key=lambda step: step[0])
    told: list[Step] = []
    last: datetime | None = None
    for at, event, attempt in steps:
        after = None if last is None else round((at - last).total_seconds(), 6)
        told.append({"at": written(at), "event": event, "attempt": attempt, "after": after})
        last = at
    return told


def _steps(
    execution: Execution, tries: Sequence[Attempt]
) -> Iterator[tuple[datetime, str, int | None]]:
    again = execution.round > 1
    facts = (
        (execution.sent_at, "retried by hand" if again else "enqueued"),
        (execution.recorded_at, "taken in"),
        (execution.due_at if execution.due_at > execution.recorded_at else None, "due"),
        (execution.cancel_requested_at, "cancel asked for"),
    )
    yield from ((at, event, None) for at, event in facts if at is not None)
    for each in tries:
        marks = (
            (each.claimed_at, "claimed"),
            (each.first_called_at, "called"),
            (each.started_at, "started"),
            (each.stop_requested_at, "told to stop"),
            (each.finished_at, "ended"),
            (each.log_sealed_at, "log sealed"),
        )
        yield from ((at, event, each.number) for at, event in marks if at is not None)
    if execution.finished_at is not None:
        yield execution.finished_at, str(execution.state), None


def cost(attempt: Attempt, now: datetime) -> Cost:
    """Return the attempt's size, the seconds it ran, so far if it runs, and their product.

    A GB is 1024 MiB, as Fargate counts it. Null where the size is not known.
    """
    seconds = 0.0
    if attempt.started_at is not None:
        end = attempt.finished_at or now
        seconds = max(0.0, (end - attempt.started_at).total_seconds())
    return {
        "cpu": attempt.cpu,
        "memory": attempt.memory,
        "seconds": round(seconds, _DECIMALS),
        "vcpu_seconds": _product(attempt.cpu, _CPU, seconds),
        "gb_seconds": _product(attempt.memory, _MEMORY, seconds),
    }


def total(costs: Sequence[Cost]) -> Total:
    """Return the sum of the attempts' costs; null where the size of one is not known."""
    return {
        "seconds": _sum([each["seconds"] for each in costs]),
        "vcpu_seconds": _sum([each["vcpu_seconds"] for each in costs]),
        "gb_seconds": _sum([each["gb_seconds"] for each in costs]),
    }


def _sum(found: Sequence[float | None]) -> float | None:
    known = [each for each in found if each is not None]
    return round(sum(known), _DECIMALS) if len(known) == len(found) else None


def _product(size: int | None, unit: int, seconds: float) -> float | None:
    return None if size is None else round(size / unit * seconds, _DECIMALS)

"""Why an execution that has not ended does not run: one sentence, from facts alone."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from barbeque_py import clock
from barbeque_py.executions import AttemptState, Stage, State
from barbeque_py.standing import FullLimit, LastTry, Shortage, Standing, Unseen

_NAMED = 2
"""How many ids or places one sentence names."""


class Cause(StrEnum):
    """What an execution waits for, in one word for programs."""

    NOT_TAKEN_IN = "not taken in"
    INTAKE_RESTS = "intake rests"
    DEAD = "dead"
    NO_WORKER = "no worker"
    NO_WORKER_FOR_QUEUE = "no worker for queue"
    DRAINED = "workers drained"
    PAUSED = "paused"
    DUE_LATER = "due later"
    BACKOFF = "backoff"
    INTERRUPTED = "interrupted"
    LIMIT = "limit"
    CAPACITY = "capacity"
    THROTTLED = "throttled"
    LINE = "line"
    STARTING = "starting"
    STOPPING = "stopping"
    UNWATCHED = "unwatched"


@dataclass(frozen=True, slots=True)
class Waiting:
    """The answer: one cause, one sentence, and the facts behind it, as JSON."""

    cause: Cause
    sentence: str
    facts: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return it as answers have it."""
        return {"cause": self.cause, "sentence": self.sentence, **self.facts}


def decide(it: Standing) -> Waiting | None:
    """Say what the execution waits for; None for one that has ended or runs."""
    if it.state is State.RUNNING:
        return _running(it)
    if it.stage is Stage.SCHEDULED:
        return _scheduled(it)
    if it.stage is Stage.HELD:
        return _held(it)
    return _ready(it) if it.stage is Stage.READY else None


def _running(it: Standing) -> Waiting | None:
    last = it.last
    if last is None:
        return None
    if not last.served:
        return Waiting(
            Cause.UNWATCHED,
            f"Attempt {last.number} lives at {last.place}, to which no live worker speaks: what "
            "becomes of it is known when one does.",
            {"attempt": last.number, "place": last.place},
        )
    if last.cancel_requested_at is not None:
        since = _written(last.cancel_requested_at)
        return Waiting(
            Cause.STOPPING,
            f"A cancel was asked for at {since}: attempt {last.number} is being stopped.",
            {"attempt": last.number, "since": _json(last.cancel_requested_at)},
        )
    if last.state is not AttemptState.STARTING:
        return None
    if it.throttled_until is not None:
        return _throttled(it, f"Attempt {last.number}")
    return Waiting(
        Cause.STARTING,
        f"Attempt {last.number} is being started since {_written(last.claimed_at)}.",
        {"attempt": last.number, "since": _json(last.claimed_at), "place": last.place},
    )


def _scheduled(it: Standing) -> Waiting:
    when = f"{_written(it.due_at)} ({_soon(it.due_at - it.now)})"
    facts: dict[str, Any] = {"due_at": _json(it.due_at), "paused": it.paused is not None}
    rest = f"; and the queue {it.queue} is paused" * (it.paused is not None)
    last = it.last
    if last is None or last.state is not AttemptState.ENDED or it.due_at <= last.claimed_at:
        return Waiting(Cause.DUE_LATER, f"It is due at {when}{rest}.", facts)
    facts["attempt"] = last.number
    if last.counted:
        sentence = f"Attempt {last.number} {_end_of(last)}; the next one is due at {when}{rest}."
        return Waiting(Cause.BACKOFF, sentence, facts)
    sentence = (
        f"Attempt {last.number} {_end_of(last)}, which uses up no try; "
        f"the next one is due at {when}{rest}."
    )
    return Waiting(Cause.INTERRUPTED, sentence, facts)


def _end_of(last: LastTry) -> str:
    if last.reason == "exited":
        return f"exited with {last.exit_code}"
    return {
        "out of memory": "ran out of memory",
        "timed out": "timed out",
        "interrupted": "was interrupted",
        "never started": "could not be started",
        "vanished": "vanished",
    }.get(last.reason or "", "ended")


def _held(it: Standing) -> Waiting:
    if it.shortage is not None:
        return _short(it.shortage)
    if it.full is not None:
        return _limited(it, it.full)
    return _in_line(it)


def _short(short: Shortage) -> Waiting:
    again = "one attempt is asking again now"
    if not short.asking:
        again = f"it is asked for again at {_written(short.until)}"
    return Waiting(
        Cause.CAPACITY,
        f"There is no capacity for {short.where} ({short.reason}); {again}.",
        {"reason": short.reason, "until": _json(short.until), "asking": short.asking},
    )


def _limited(it: Standing, full: FullLimit) -> Waiting:
    facts: dict[str, Any] = {
        "limit": full.scope,
        "max": full.max,
        "used": full.used,
        "holders": [
            {"message_id": each.message_id, "app": each.app, "since": _json(each.since)}
            for each in full.holders
        ],
        "paused": it.paused is not None,
    }
    if full.max == 0:
        sentence = f"The limit of {called(full.scope)} is 0: nothing may run under it."
    else:
        sentence = (
            f"The limit of {called(full.scope)} is full: {full.used} of {full.max} "
            f"{'runs' if full.max == 1 else 'run'}{_by(full)}."
        )
    return Waiting(Cause.LIMIT, sentence, facts)


def _by(full: FullLimit) -> str:
    """Name some of those that run; all that are known are among the facts."""
    if not full.holders:
        return ""
    named = full.holders[:_NAMED]
    more = f" and {full.used - len(named)} more" * (full.used > len(named))
    since = _written(named[0].since)
    return f": {', '.join(each.message_id for each in named)}{more}, the oldest since {since}"


def called(scope: str) -> str:
    """Name a limit for people."""
    kind, _, name = scope.partition(":")
    return f"the {'concurrency key' if kind == 'key' else kind} {name}".strip()


def _ready(it: Standing) -> Waiting:
    if it.paused is not None:
        why = f" ({it.paused.reason})" if it.paused.reason else ""
        until = f" until {_written(it.paused.until)}" if it.paused.until else ""
        return Waiting(
            Cause.PAUSED,
            f"The queue {it.queue} is paused since {_written(it.paused.since)}{until}{why}.",
            {
                "queue": it.queue,
                "since": _json(it.paused.since),
                "reason": it.paused.reason or None,
                "until": None if it.paused.until is None else _json(it.paused.until),
            },
        )
    absent = _nobody(it)
    if absent is not None:
        return absent
    if it.full is not None:
        return _limited(it, it.full)
    if it.places and all(place.full for place in it.places):
        return _crowded(it)
    if it.throttled_until is not None:
        return _throttled(it, "It")
    return _in_line(it)


def _nobody(it: Standing) -> Waiting | None:
    workers, queue = it.workers, it.queue
    if workers == 0:
        return Waiting(
            Cause.NO_WORKER,
            "No worker has reported in for a minute: start one with `barbeque worker`.",
            {"workers": 0},
        )
    if it.serving == 0 and it.drained:
        return Waiting(
            Cause.DRAINED,
            f"Every worker that takes from the queue {queue} is drained: start another, or "
            "`barbeque workers undrain NAME`.",
            {"workers": workers, "drained": it.drained, "queue": queue},
        )
    if it.serving == 0:
        return Waiting(
            Cause.NO_WORKER_FOR_QUEUE,
            f"No live worker takes from the queue {queue}: start one with "
            f"`barbeque worker --queue {queue}`.",
            {"workers": workers, "queue": queue},
        )
    return None


def _crowded(it: Standing) -> Waiting:
    """Say that every slot of every place is taken: a limit, too."""
    most = sum(place.max or 0 for place in it.places)
    used = sum(place.used for place in it.places)
    names = ", ".join(place.name for place in it.places[:_NAMED])
    rest = f" and {len(it.places) - _NAMED} more" * (len(it.places) > _NAMED)
    return Waiting(
        Cause.LIMIT,
        f"Every slot is taken: {used} of {most} at {names}{rest}{_ahead(it)}.",
        {
            "limit": f"place:{it.places[0].name}",
            "max": most,
            "used": used,
            "holders": [],
            **_position(it),
        },
    )


def _throttled(it: Standing, what: str) -> Waiting:
    assert it.throttled_until is not None
    return Waiting(
        Cause.THROTTLED,
        f"{what} waits because AWS takes only so many starts a second: the next one may be made "
        f"at {_written(it.throttled_until)}.",
        {"until": _json(it.throttled_until), **_position(it)},
    )


def _in_line(it: Standing) -> Waiting:
    if it.last is not None and it.last.state is AttemptState.WAITING:
        sentence = f"It asks for capacity again ({it.last.detail or 'there was none'})"
    else:
        sentence = "It is ready, and is started as soon as a worker has prepared it and a slot"
        sentence += " is free"
    return Waiting(Cause.LINE, f"{sentence}{_ahead(it)}.", _position(it))


def _ahead(it: Standing) -> str:
    line = it.line
    if line is None:
        return ""
    more = "+" if line.ahead >= line.most else ""
    others = f", and {line.others} other {'app takes' if line.others == 1 else 'apps take'} turns"
    told = f"; {line.ahead:,}{more} before it" if line.ahead else "; it is the next of its app"
    return told + others * bool(line.others)


def _position(it: Standing) -> dict[str, Any]:
    if it.line is None:
        return {}
    return {"position": it.line.ahead + 1, "other_apps": it.line.others}


def explain_unseen(it: Unseen) -> Waiting:
    """Say why there is no execution of that id yet."""
    if it.dead is not None:
        return Waiting(
            Cause.DEAD,
            f"Its message can't become an execution: {it.dead}. See `barbeque dead`.",
            {"reason": it.dead},
        )
    if it.workers == 0:
        return Waiting(
            Cause.NO_WORKER,
            "No worker has taken its message in, and none has reported in for a minute: start one "
            "with `barbeque worker`.",
            {"workers": 0},
        )
    if it.resting:
        names = ", ".join(f"{queue} ({mark:,} wait there)" for queue, mark in it.resting)
        return Waiting(
            Cause.INTAKE_RESTS,
            "No worker has taken its message in: messages stay on their queue while so many "
            f"executions wait already, as now on {names}.",
            {"queues": [queue for queue, _ in it.resting]},
        )
    return Waiting(
        Cause.NOT_TAKEN_IN,
        "No worker has taken in a message with this id yet; where it was enqueued with a delay, "
        "that is still to come.",
        {"workers": it.workers},
    )


def _written(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%d %H:%M:%S UTC")


def _json(instant: datetime) -> str:
    return clock.rfc3339(instant)


def _soon(distance: timedelta) -> str:
    seconds = int(distance.total_seconds())
    if seconds <= 0:
        return "now"
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"in {seconds // size} {unit}"
    return f"in {seconds} s"

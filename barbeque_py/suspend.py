"""Let queues and schedules rest, and go on: why, and until when; the audit trail has it all."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from barbeque_py.clock import rfc3339
from barbeque_py.durations import parse_duration
from barbeque_py.errors import UnknownQueue
from barbeque_py.identity import Identity
from barbeque_py.store import Tx, apps, audit, schedules
from barbeque_py.store.apps import QueuePause
from barbeque_py.store.schedules import Scheduled

LONGEST_REASON = 500
LONGEST = timedelta(days=366)
CLOCK = Identity("barbeque, as its time was over", frozenset())
"""Who ends a rest that was to last for so long only."""


@dataclass(frozen=True, slots=True)
class Rest:
    """Why something is to rest, and for how long; without a length until it is resumed."""

    reason: str = ""
    lasts: timedelta | None = None

    @classmethod
    def read(cls, reason: str | None, lasts: str | None) -> "Rest":
        """Read what a person wrote. Raises `ValueError` that names the fault."""
        if reason is not None and len(reason) > LONGEST_REASON:
            raise ValueError(f"reason: it is longer than {LONGEST_REASON} characters")
        if not lasts:
            return cls(reason or "")
        try:
            length = parse_duration(lasts)
        except ValueError as error:
            raise ValueError(f"lasts: {error}") from None
        if not timedelta(0) < length <= LONGEST:
            raise ValueError(f"lasts: it is not above 0 and up to {LONGEST.days}d")
        return cls(reason or "", length)

    def until(self, now: datetime) -> datetime | None:
        """Return when it ends by itself."""
        return None if self.lasts is None else now + self.lasts


def pause(tx: Tx, who: Identity, name: str, rest: Rest) -> None:
    """Start nothing more from the queue; asked for again, the end is the newer one's.

    Raises `UnknownQueue`.
    """
    before = _queue_facts(apps.pause_of(tx, name))
    if not apps.pause_queue(tx, name, rest.reason, rest.until(tx.now)):
        raise UnknownQueue(f"no queue is called {name[:60]!r}")
    _record_queue(tx, who, "pause", name, before)


def resume_queue(tx: Tx, who: Identity, name: str) -> None:
    """Start from the queue again. Raises `UnknownQueue`."""
    before = _queue_facts(apps.pause_of(tx, name))
    if not apps.resume_queue(tx, name):
        raise UnknownQueue(f"no queue is called {name[:60]!r}")
    _record_queue(tx, who, "resume", name, before)


def end_pauses(tx: Tx) -> list[str]:
    """Resume the queues whose pause is over, and return their names."""
    ended = []
    for name in apps.pauses_over(tx):
        before = _queue_facts(apps.pause_of(tx, name))
        if apps.end_pause(tx, name):
            _record_queue(tx, CLOCK, "resume", name, before)
            ended.append(name)
    return ended


def suspend(tx: Tx, who: Identity, found: Scheduled, rest: Rest = Rest()) -> Scheduled:
    """Let it start nothing until it is resumed, or the rest is over; the same changes nothing."""
    schedules.suspend(tx, found, rest.reason, rest.until(tx.now))
    return _record_schedule(tx, who, "suspend", found)


def resume(tx: Tx, who: Identity, found: Scheduled) -> Scheduled:
    """Let it start its job again; what passed meanwhile is not caught up."""
    schedules.resume(tx, found, tx.now)
    return _record_schedule(tx, who, "resume", found)


def end_suspension(tx: Tx, found: Scheduled) -> Scheduled:
    """Let it go on from when its rest was over, if it is; what passed before is not caught up."""
    if found.suspended_until is None or found.suspended_until > tx.now:
        return found
    schedules.resume(tx, found, found.suspended_until)
    return _record_schedule(tx, CLOCK, "resume", found)


def _record_queue(tx: Tx, who: Identity, verb: str, name: str, before: dict[str, Any]) -> None:
    after = _queue_facts(apps.pause_of(tx, name))
    audit.record(tx, who, f"queue.{verb}", f"queue:{name}", before=before, after=after)


def _queue_facts(found: QueuePause | None) -> dict[str, Any]:
    if found is None:
        return {"paused": False, "reason": None, "until": None}
    return {"paused": True, "reason": found.reason or None, "until": _written(found.until)}


def _record_schedule(tx: Tx, who: Identity, verb: str, found: Scheduled) -> Scheduled:
    own = found.schedule
    changed = schedules.get(tx, own.app, own.job, own.name)
    assert changed is not None, "it is locked"
    before, after = _schedule_facts(found), _schedule_facts(changed)
    if before != after:
        subject = f"schedule:{own.app}/{own.job}/{own.name}"
        audit.record(tx, who, f"schedule.{verb}", subject, before=before, after=after)
    return changed


def _schedule_facts(found: Scheduled) -> dict[str, Any]:
    facts: dict[str, Any] = {"suspended_at": _written(found.suspended_at)}
    facts["reason"] = found.suspend_reason
    facts["until"] = _written(found.suspended_until)
    return facts


def _written(instant: datetime | None) -> str | None:
    return None if instant is None else rfc3339(instant)

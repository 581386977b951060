"""Let schedules run their jobs: decided in a transaction, sent after it, and never twice.

What fires is recorded with the decision, and its message's id is made of the schedule and the time.
So whoever finds it unsent sends it, and sent again it is the same execution.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from barbeque_py import clock
from barbeque_py.enqueue import Request
from barbeque_py.executions import ENDED
from barbeque_py.ids import new_message_id, scheduled_id
from barbeque_py.messages import JobMessage, Options
from barbeque_py.schedules import Clockwork, Schedule, decide
from barbeque_py.store import Tx, apps, dead, schedules
from barbeque_py.store import executions as rows
from barbeque_py.store.schedules import Scheduled
from barbeque_py.suspend import end_suspension

_BATCH = 100
_UNSEEN = timedelta(days=14)
"""How long a message may be on its way; SQS forgets it then."""


def due(tx: Tx) -> list[Scheduled]:
    """Decide about every schedule whose time has come; return those with runs to send."""
    found = schedules.lock_due(tx, _BATCH)
    return [firing for each in found if (firing := _decide(tx, each)).firing]


def requests_of(tx: Tx, found: Sequence[Scheduled]) -> list[Request]:
    """Return what to enqueue for the runs that are decided; jobs that are gone have none."""
    defined = apps.get_jobs(tx, {(each.schedule.app, each.schedule.job) for each in found})
    return [
        request_of(each.schedule, at, each.schedule.queue or job.queue)
        for each in found
        if (job := defined.get((each.schedule.app, each.schedule.job))) is not None
        for at in each.firing
    ]


def request_of(schedule: Schedule, at: datetime, queue: str) -> Request:
    """Return the request of the schedule's run at this time: the same whenever it is asked for."""
    tags = {"schedule": schedule.name, "scheduled_at": clock.rfc3339(at)}
    return _request(schedule, id_of(schedule, at), queue, tags)


def extra_run(schedule: Schedule, queue: str) -> Request:
    """Return the request of a run out of turn."""
    return _request(schedule, new_message_id(), queue, {"schedule": schedule.name})


def _request(schedule: Schedule, message_id: str, queue: str, tags: dict[str, str]) -> Request:
    job = JobMessage(
        message_id=message_id,
        app=schedule.app,
        job=schedule.job,
        queue=queue,
        message=schedule.message,
        enqueued_at=clock.now(),
        options=Options(tags=tags),
    )
    return Request(job, queue)


def id_of(schedule: Schedule, at: datetime) -> str:
    """Return the message id of the schedule's run at this time."""
    return scheduled_id(schedule.app, schedule.job, schedule.name, clock.rfc3339(at))


def _decide(tx: Tx, found: Scheduled) -> Scheduled:
    found = end_suspension(tx, found)
    if found.firing or found.suspended_at is not None:
        return found
    clockwork = Clockwork(found.until, found.waiting, busy=_is_busy(tx, found))
    decision = decide(found.schedule, clockwork, tx.now)
    newest = id_of(found.schedule, decision.fire[-1]) if decision.fire else None
    schedules.decided(tx, found, decision.after, decision.fire, newest)
    return replace(found, firing=decision.fire)


def _is_busy(tx: Tx, found: Scheduled) -> bool:
    """Tell whether the newest run has not ended, as far as that can be known."""
    if found.last_message_id is None:
        return False
    execution = rows.by_message_id(tx, found.last_message_id)
    if execution is not None:
        return execution.state not in ENDED
    if dead.is_dead(tx, found.last_message_id):
        return False
    return found.last_fired_at is not None and tx.now - found.last_fired_at < _UNSEEN

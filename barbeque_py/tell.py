"""Work out whom an event concerns, and leave a notice for each to the relay."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from barbeque_py.apps import JobDefinition
from barbeque_py.clock import rfc3339
from barbeque_py.ids import AttemptId
from barbeque_py.notices import (
    FAILURES,
    Channel,
    Event,
    Notice,
    Occasion,
    Request,
    Rules,
    may_concern,
    notices_of,
    rules_of,
)
from barbeque_py.store import Tx, address_book, apps, attempts, lots, notices, outbox, reports
from barbeque_py.store import executions as rows
from barbeque_py.store.apps import Telling
from barbeque_py.store.attempts import Attempt
from barbeque_py.store.executions import Execution
from barbeque_py.store.lots import Course
from barbeque_py.store.notices import NOTICE
from barbeque_py.store.outbox import Errand, Item

_MESSAGE_ID = 36
"""Characters, with which an attempt's id begins too."""
_LONGEST_RESULT = 1000
"""Characters of a result that people are told; the API has the whole."""
_LONGEST_LANE = 100


@dataclass(frozen=True, slots=True)
class News:
    """What happened to an attempt of a locked execution."""

    attempt: AttemptId
    execution: Course
    event: Event


@dataclass(frozen=True, slots=True)
class Tail:
    """The last lines of an attempt's log, and how many come before them."""

    lines: tuple[str, ...] = ()
    before: int | None = None
    """None when the log could not be read in time."""


def errands_of(
    tx: Tx,
    news: Sequence[News],
    jobs: Mapping[tuple[str, str], JobDefinition],
    *,
    wait: timedelta,
) -> list[Errand]:
    """Return the errands of telling about what may concern somebody; the relay finds out whom."""
    wanted = apps.telling(tx, {each.execution.app for each in news}) if news else {}
    errands = []
    for each in news:
        app, job = each.execution.app, each.execution.job
        of_app, of_job = wanted.get(app, _NOBODY), jobs.get((app, job))
        rules = rules_of(of_app.notify, of_job.notify if of_job else {})
        asked, failing = each.execution.names_people, job in of_app.failing
        if may_concern(each.event, rules, asked=asked, failing=failing):
            errands.append(errand_of(each.event, each.attempt, wait=wait))
    return errands


_NOBODY = Telling({})


def errand_of(event: Event, subject: str, *, wait: timedelta = timedelta(0)) -> Errand:
    """Return the errand of telling about an attempt, or an execution's round: `<message id>.1`.

    What happens to one execution is told in order.
    """
    lane = f"tell/{subject[:_MESSAGE_ID]}"
    return Errand(event, subject, lane, None, "", head_start=timedelta(0), wait=wait)


def errands_of_cancel(tx: Tx, execution: Execution) -> list[Errand]:
    """Return the errand of telling that a waiting execution was cancelled, if that may concern."""
    rules, _ = _rules_of(tx, execution)
    asked = "notify" in execution.options
    if not may_concern(Event.CANCELLED, rules, asked=asked, failing=False):
        return []
    return [errand_of(Event.CANCELLED, f"{execution.message_id}.{execution.round}")]


def errands_of_late(tx: Tx) -> list[Errand]:
    """Return the errands of warning about attempts that run for longer than expected.

    An attempt's is the same each time: whoever puts it into the outbox again changes nothing.
    """
    expecting = [job for job in apps.all_jobs(tx) if job.expected]
    if not expecting:
        return []
    wanted = apps.telling(tx, {job.app for job in expecting})
    spans = {}
    for job in expecting:
        rules = rules_of(wanted.get(job.app, _NOBODY).notify, job.notify)
        if rules.anybody and rules.hears(Event.LATE) and job.expected:
            spans[job.app, job.name] = job.expected
    return [errand_of(Event.LATE, each) for each in lots.running_longer(tx, spans)]


def tell(tx: Tx, item: Item, tail: Tail, *, admins: Sequence[str] = ()) -> int:
    """Record the notices of the event and what is to be sent; return how many there are.

    Whoever does the same item again changes nothing. `admins` hear of every failure for good.
    """
    found = _look_up(tx, item)
    if found is None:  # past its retention
        outbox.finish(tx, [item.id])
        return 0
    execution, attempt = found
    if item.kind == Event.LATE and (attempt is None or attempt.finished_at is not None):
        outbox.finish(tx, [item.id])
        return 0
    rules, job = _rules_of(tx, execution)
    occasion = _occasion(tx, Event(item.kind), execution, attempt, job, tail)
    if occasion.event in FAILURES:
        occasion = replace(occasion, mention=rules.mention)
    asked = Request(execution.options.get("user_id"), execution.options.get("notify", {}))
    user = address_book.get(tx, execution.app, asked.user_id) if asked.user_id else None
    made = notices_of(occasion, rules, asked, user, admins=admins)
    if occasion.event in FAILURES and rules.hears(occasion.event):
        notices.set_failing(tx, execution.app, execution.job)
    first: dict[tuple[str, str, str], Notice] = {}
    for each in (*_recovery(tx, occasion, rules, admins), *made):
        # People are told once; programs wait for the event that they know.
        event = each.occasion.event if each.channel is Channel.WEBHOOK else ""
        first.setdefault((each.channel, each.target, event), each)
    put(tx, execution.id, list(first.values()))
    outbox.finish(tx, [item.id])
    return len(first)


def put(tx: Tx, execution: int | None, made: Sequence[Notice]) -> None:
    """Record the notices and leave the sending of those that have an address to the relay."""
    notices.add(tx, execution, made)
    outbox.put(tx, [sending_of(each.id, each.channel, each.target) for each in made if each.target])


def sending_of(notice_id: str, channel: Channel, target: str) -> Errand:
    """Return the errand of sending the notice; one receiver gets one at a time."""
    lane = f"{channel}/{target}"
    if len(lane) > _LONGEST_LANE or "://" in lane:  # an address of the web may be a secret
        lane = f"{channel}/{notices.digest_of(target)}"
    return Errand(NOTICE, notice_id, lane, None, "", head_start=timedelta(0))


def _recovery(tx: Tx, occasion: Occasion, rules: Rules, admins: Sequence[str]) -> list[Notice]:
    """Return the notices that say a success is one after failures, to those told of these."""
    if occasion.event is not Event.SUCCEEDED:
        return []
    if not notices.set_recovered(tx, occasion.app, occasion.job):
        return []
    again = replace(occasion, event=Event.RECOVERED)
    return notices_of(again, rules, Request(), None, admins=admins)


def _look_up(tx: Tx, item: Item) -> tuple[Execution, Attempt | None] | None:
    """Return the execution and the attempt that the errand is about, None when they are gone."""
    execution = rows.by_message_id(tx, item.subject[:_MESSAGE_ID])
    if execution is None or execution.tombstone:
        return None
    if item.subject[_MESSAGE_ID] != "-":
        return execution, None
    attempt = attempts.get(tx, AttemptId(item.subject))
    return None if attempt is None else (execution, attempt)


def _rules_of(tx: Tx, execution: Execution) -> tuple[Rules, JobDefinition]:
    of_app = apps.telling(tx, [execution.app]).get(execution.app, _NOBODY)
    job = apps.get_job(tx, execution.app, execution.job)
    if job is None:
        job = JobDefinition(execution.app, execution.job, command=())
    return rules_of(of_app.notify, job.notify), job


def _occasion(
    tx: Tx,
    event: Event,
    execution: Execution,
    attempt: Attempt | None,
    job: JobDefinition,
    tail: Tail,
) -> Occasion:
    return Occasion(
        event,
        execution.app,
        execution.job,
        execution.message_id,
        queue=execution.queue,
        attempt=attempt.number if attempt else None,
        attempts=_counted(tx, execution, attempt),
        tries=job.retry.limit + 1,
        reason=attempt.reason if attempt else execution.reason,
        exit_code=attempt.exit_code if attempt else None,
        detail=attempt.detail if attempt else None,
        enqueued_at=rfc3339(execution.sent_at),
        started_at=_written(attempt.started_at if attempt else None),
        finished_at=_written(attempt.finished_at if attempt else execution.finished_at),
        seconds=_duration(tx, attempt),
        expected=job.expected.total_seconds() if job.expected else None,
        user_id=execution.options.get("user_id"),
        tags=execution.options.get("tags", {}),
        lines=tail.lines,
        lines_before=tail.before,
        result=_result(tx, attempt),
    )


def _result(tx: Tx, attempt: Attempt | None) -> str | None:
    told = None if attempt is None else reports.of_attempt(tx, attempt.id)
    if told is None or told.result is None:
        return None
    cut = len(told.result) > _LONGEST_RESULT
    return told.result[:_LONGEST_RESULT] + ("…" if cut else "")


def _counted(tx: Tx, execution: Execution, attempt: Attempt | None) -> int:
    """Count the tries of the attempt's round up to it; what came since is not told here."""
    if attempt is None:
        return execution.counted
    return sum(
        1
        for each in attempts.of_execution(tx, execution.id)
        if each.round == attempt.round and each.number <= attempt.number and each.counted
    )


def _duration(tx: Tx, attempt: Attempt | None) -> float | None:
    if attempt is None or attempt.started_at is None:
        return None
    return max(0.0, ((attempt.finished_at or tx.now) - attempt.started_at).total_seconds())


def _written(instant: datetime | None) -> str | None:
    return None if instant is None else rfc3339(instant)

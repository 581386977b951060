"""Record how an attempt ended, and what follows."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from barbeque_py.apps import JobDefinition
from barbeque_py.executions import Stage, State
from barbeque_py.ids import AttemptId, message_id_of, number_of
from barbeque_py.notices import event_of
from barbeque_py.outcomes import Fate, Reason, Round, Settlement, decide
from barbeque_py.report import report
from barbeque_py.reports import Report
from barbeque_py.store import Tx, apps, endings, limits, lots, outbox
from barbeque_py.store.lots import Course, Ending
from barbeque_py.store.outbox import Errand
from barbeque_py.tell import News, errands_of

SEAL = "seal"
HEAD_START = timedelta(seconds=15)
"""How long only the owner may seal the log: it holds what was shipped while the job ran."""

_chance = random.SystemRandom()


@dataclass(frozen=True, slots=True)
class Told:
    """What is told of an attempt's end; its handle where that may be news, and its report."""

    fate: Fate
    handle: str = ""
    report: Report | None = None


def settle(
    tx: Tx,
    attempt_id: AttemptId,
    fate: Fate,
    *,
    handle: str = "",
    log_wait: timedelta = timedelta(0),
) -> Settlement | None:
    """Settle the attempt once: the loser of a race changes nothing and gets None.

    Ends the attempt, moves its execution, frees its slots and wakes what they held back, and
    leaves the sealing of its log to the relay after `log_wait`, all in this one transaction.
    `handle` is kept where none was known: an end may be the first that is told of an attempt.
    """
    told = {attempt_id: Told(fate, handle)}
    return settle_all(tx, told, log_wait=log_wait).get(attempt_id)


def settle_all(
    tx: Tx, told: Mapping[AttemptId, Told], *, log_wait: timedelta = timedelta(0)
) -> dict[AttemptId, Settlement]:
    """Settle many attempts in as many statements as one takes; return those that were not yet."""
    # Executions are always locked before their attempts.
    executions = lots.lock_courses(tx, map(message_id_of, told))
    live = lots.lock_live(tx, told) if executions else {}
    if not live:
        return {}
    jobs = apps.get_jobs(tx, {(each.app, each.job) for each in executions.values()})
    settlements, ends, moves = {}, {}, {}
    for each, attempt in live.items():
        execution, fate = executions[attempt.execution], _as_asked(told[each].fate, attempt)
        assert execution.state == State.RUNNING, f"live attempt of {execution.message_id}"
        settlement = _decide(execution, fate, jobs.get((execution.app, execution.job)))
        settlements[each] = settlement
        ends[each] = _end_of(tx, attempt, fate, counted=settlement.counted)
        ends[each]["handle"] = attempt.handle or told[each].handle[:200] or None
        moves[execution.id] = _move_of(tx, execution, fate, settlement)
    if last := {each: found for each in live if (found := told[each].report) is not None}:
        report(tx, last)
    lots.end_each(tx, ends)
    lots.move_each_running(tx, moves)
    limits.give_back(tx, [scope for attempt in live.values() for scope in attempt.scopes])
    endings.add(tx, [_ending_of(each, executions, settlements, ends) for each in live.values()])
    sealings = [_sealing_of(attempt, log_wait) for attempt in live.values()]
    news = _news(live, executions, settlements)
    outbox.put(tx, sealings + errands_of(tx, news, jobs, wait=log_wait))
    return settlements


def _news(
    live: Mapping[AttemptId, Ending],
    executions: Mapping[int, Course],
    settlements: Mapping[AttemptId, Settlement],
) -> list[News]:
    """Return what may be told of; an interruption is nothing to people."""
    found = [
        (each, executions[live[each].execution], event_of(settlement))
        for each, settlement in settlements.items()
    ]
    return [News(each, execution, event) for each, execution, event in found if event is not None]


def _ending_of(
    attempt: Ending,
    executions: Mapping[int, Course],
    settlements: Mapping[AttemptId, Settlement],
    ends: Mapping[AttemptId, Mapping[str, Any]],
) -> dict[str, Any]:
    execution = executions[attempt.execution]
    return endings.row(
        execution.id,
        number_of(attempt.id),
        execution.app,
        execution.job,
        settlements[attempt.id].state,
        due_at=execution.due_at,
        ended_at=ends[attempt.id]["finished_at"],
    )


def _sealing_of(attempt: Ending, wait: timedelta) -> Errand:
    return Errand(
        SEAL,
        subject=attempt.id,
        lane=f"log/{attempt.id}",
        place=attempt.place,
        owner=attempt.owner,
        head_start=HEAD_START if attempt.owner else timedelta(0),
        wait=wait,
    )


def _as_asked(fate: Fate, attempt: Ending) -> Fate:
    """Name the end after our own request where the attempt ended because of it."""
    asked_at = attempt.stop_requested_at
    if asked_at is None or fate.reason in (Reason.NEVER_STARTED, Reason.OUT_OF_MEMORY):
        return fate
    if fate.finished_at is not None and fate.finished_at < asked_at:
        return fate
    if attempt.stop_reason == Reason.TIMED_OUT:
        return replace(fate, reason=Reason.TIMED_OUT, detail="")
    succeeded = fate.reason is Reason.EXITED and fate.exit_code == 0
    return fate if succeeded else replace(fate, reason=Reason.CANCELLED, detail="")


def _end_of(tx: Tx, attempt: Ending, fate: Fate, *, counted: bool) -> dict[str, Any]:
    return {
        "reason": fate.reason,
        "exit_code": fate.exit_code,
        "detail": fate.detail[:4000] or None,
        "started_at": attempt.started_at or fate.started_at,
        "finished_at": fate.finished_at or tx.now,
        "counted": counted,
    }


def _decide(execution: Course, fate: Fate, job: JobDefinition | None) -> Settlement:
    if job is None:
        job = JobDefinition(execution.app, execution.job, command=())
    return decide(
        fate,
        Round(execution.round, execution.counted, execution.uncounted),
        job.retry,
        cancel_requested=execution.cancel_requested_at is not None,
        at_most_once=job.at_most_once,
        chance=_chance,
    )


def _move_of(tx: Tx, execution: Course, fate: Fate, settlement: Settlement) -> dict[str, Any]:
    change: dict[str, Any] = {
        "state": settlement.state,
        "stage": Stage.DONE,
        "counted": execution.counted + settlement.counted,
        "counted_before": execution.counted_before + settlement.counted,
        "uncounted": execution.uncounted + (not settlement.counted),
        "could_not_start": settlement.could_not_start,
        "reason": fate.reason,
        "due_at": execution.due_at,
        "finished_at": None,
    }
    if settlement.state in (State.QUEUED, State.RETRYING):
        change["stage"] = Stage.SCHEDULED
        change["due_at"] = tx.now + (settlement.wait or timedelta(0))
    else:
        change["finished_at"] = fate.finished_at or tx.now
    return change

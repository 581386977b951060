"""`/v2/job_executions`: executions in our words, one and many, and their cancellation."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response
from typing_extensions import TypedDict

from barbeque_api import histories, schemas
from barbeque_api.bodies import read_flag, read_object, read_text, shown
from barbeque_api.document import answers
from barbeque_api.filters import Listed
from barbeque_api.notices import NoticeFacts, facts_of
from barbeque_api.parts import Served
from barbeque_api.problems import Answer, answer, refusal
from barbeque_api.rights import caller_of, needs
from barbeque_api.routes import ANY_JSON
from barbeque_api.statuses import check_id, page_url, read_message, status_of
from barbeque_api.times import Instant, written
from barbeque_api.waits import WaitingFacts, waiting_of
from barbeque_py.acts import cancel_execution, own_execution
from barbeque_py.apps import NAME
from barbeque_py.cancel import ANY_APP, Cancelled
from barbeque_py.executions import AttemptState, BarbequeStatus, Stage, State, barbeque_status
from barbeque_py.identity import Identity, Scope
from barbeque_py.ids import AttemptId
from barbeque_py.store import Tx, attempts, lists, notices, reports
from barbeque_py.store.attempts import Attempt
from barbeque_py.store.entries import Entry
from barbeque_py.store.executions import Execution
from barbeque_py.store.filters import Filter
from barbeque_py.store.pages import Page
from barbeque_py.store.reports import Reported
from barbeque_py.waiting import Waiting

_PATH = "/v2/job_executions"


class ExecutionRow(TypedDict):
    """What lists and single answers both say of an execution."""

    message_id: str
    id: int
    app: str
    job: str
    queue: str
    state: State
    stage: Stage
    reason: str | None
    priority: int
    held_by: str | None
    round: int
    counted: int
    retries: int
    could_not_start: bool
    note: str | None
    user_id: str | None
    sent_at: Instant
    recorded_at: Instant
    due_at: Instant
    started_at: Instant | None
    finished_at: Instant | None
    cancel_requested_at: Instant | None


class ListedExecution(ExecutionRow):
    """An execution as lists show it."""

    status: BarbequeStatus
    attempts: int


class ExecutionPage(TypedDict):
    """Executions; `next` is the `before` of the page that follows, null at the end."""

    job_executions: list[ListedExecution]
    next: int | None


class Progress(TypedDict):
    """How far an attempt is, as its job told."""

    percent: float | None
    text: str | None
    at: Instant


class LogFacts(TypedDict):
    """What is known of an attempt's log once it is sealed."""

    sealed_at: Instant | None
    lines: int | None
    bytes: int | None
    error_lines: int | None
    truncated: bool | None


class AttemptFacts(TypedDict):
    """One launched try at an execution."""

    id: str
    number: int
    round: int
    state: AttemptState
    reason: str | None
    exit_code: int | None
    detail: str | None
    counted: bool | None
    place: str
    image: str
    command: list[str] | None
    handle: str | None
    claimed_at: Instant
    started_at: Instant | None
    deadline_at: Instant | None
    finished_at: Instant | None
    progress: Progress | None
    has_result: bool
    log: LogFacts
    cost: histories.Cost


class WholeExecution(ExecutionRow):
    """Everything about an execution and its attempts."""

    status: BarbequeStatus
    uncounted: int
    options: dict[str, Any]
    waiting: WaitingFacts | None
    message: str | None
    html_url: str | None
    progress: Progress | None
    result: Any
    result_fault: str | None
    cost: histories.Total
    timeline: list[histories.Step]
    attempts: list[AttemptFacts]
    notices: list[NoticeFacts]


class CancelAnswer(TypedDict):
    """What a cancel did."""

    message_id: str
    outcome: Cancelled


class Executions:
    """Shows executions and cancels them."""

    def __init__(self, parts: Served) -> None:
        self._parts = parts

    def add_to(self, router: APIRouter) -> None:
        """Add the routes."""
        reading: dict[str, Any] = {"dependencies": [needs(Scope.READ)]}
        router.add_api_route(_PATH, self.newest, methods=["GET"], **reading)
        router.add_api_route(f"{_PATH}/{{message_id}}", self.get, methods=["GET"], **reading)
        router.add_api_route(
            f"{_PATH}/{{message_id}}/result",
            self.result,
            methods=["GET"],
            responses={200: ANY_JSON},
            **reading,
        )
        router.add_api_route(
            f"{_PATH}/{{message_id}}/cancel",
            self.cancel,
            methods=["POST"],
            dependencies=[needs(Scope.ENQUEUE)],
            responses=answers(202),
            openapi_extra=schemas.body(schemas.CANCEL, required=False),
        )

    def newest(self, asked: Annotated[Listed, Query()], request: Request) -> Answer[ExecutionPage]:
        """List executions, the newest first; `next` is the `before` of the page that follows.

        A page may be short, even empty, where few executions fit: `next` is null at the end only.
        """
        wanted = _wanted(asked, request)
        page: Page[Entry] = Page([], None)
        if wanted is not None:
            page = self._parts.store.read(
                lambda tx: lists.newest(tx, wanted, before=asked.before, most=asked.limit)
            )
        return answer({"job_executions": list(map(_entry, page.rows)), "next": page.next})

    def get(self, message_id: str, request: Request) -> Answer[WholeExecution]:
        """Show everything about one execution and its attempts."""
        check_id(message_id)
        caller = caller_of(request)
        found = self._parts.store.read(lambda tx: _read(tx, message_id, caller))
        execution, tries, told = found.execution, found.tries, found.told
        newest = told.get(tries[-1].id) if tries else None
        costs = [histories.cost(each, found.now) for each in tries]
        made = self._parts.store.read(lambda tx: notices.of_execution(tx, execution.id))
        return answer(
            {
                **_shared(execution),
                "status": status_of(execution),
                "uncounted": execution.uncounted,
                "options": dict(execution.options),
                "waiting": None if found.waiting is None else found.waiting.to_json(),
                "message": read_message(self._parts.logs, execution),
                "html_url": page_url(self._parts.host_url, execution.message_id),
                "progress": _progress(newest),
                "result": _result(newest),
                "result_fault": newest.fault if newest else None,
                "cost": histories.total(costs),
                "timeline": histories.timeline(execution, tries),
                "attempts": [
                    _attempt(each, told.get(each.id), cost)
                    for each, cost in zip(tries, costs, strict=True)
                ],
                "notices": list(map(facts_of, made)),
            }
        )

    def result(
        self, request: Request, message_id: str, attempt: Annotated[int | None, Query(ge=1)] = None
    ) -> Response:
        """Return the result that the attempt told, the newest one's where none is named.

        404 while there is none, and for ever where the job told none.
        """
        check_id(message_id)
        caller = caller_of(request)
        read = self._parts.store.read(lambda tx: _read(tx, message_id, caller))
        wanted = [each for each in read.tries if attempt in (None, each.number)][-1:]
        found = read.told.get(wanted[0].id) if wanted else None
        if found is None or found.result is None:
            why = found.fault if found is not None and found.fault else "it has told no result"
            raise refusal(404, why)
        return Response(found.result.encode(), media_type="application/json")

    async def cancel(self, message_id: str, request: Request) -> Answer[CancelAnswer]:
        """Cancel the execution: now while it waits, by stopping its attempt while it runs.

        `force` kills what runs, without its grace; it needs the right `admin`.
        """
        check_id(message_id)
        facts = await read_object(
            request, self._parts.max_body, known=("application", "force"), may_be_empty=True
        )
        app = read_text(facts, "application") or ANY_APP
        if app and NAME.fullmatch(app) is None:
            raise refusal(400, f"application: {shown(app)} is not an app's name")
        force = read_flag(facts, "force")
        outcome = await run_in_threadpool(
            self._parts.store.write,
            lambda tx: cancel_execution(tx, caller_of(request), message_id, app=app, force=force),
        )
        self._parts.bell.ring()
        status = 202 if outcome in (Cancelled.REQUESTED, Cancelled.KILL) else 200
        return answer({"message_id": message_id, "outcome": outcome}, status=status)


def _wanted(asked: Listed, request: Request) -> Filter | None:
    try:
        return asked.filter(caller_of(request))
    except ValueError as error:
        raise refusal(400, str(error)) from None


@dataclass(frozen=True, slots=True)
class _Found:
    now: datetime
    execution: Execution
    tries: list[Attempt]
    told: dict[AttemptId, Reported]
    waiting: Waiting | None


def _read(tx: Tx, message_id: str, caller: Identity) -> _Found:
    execution = own_execution(tx, caller, Scope.READ, message_id)
    tries = attempts.of_execution(tx, execution.id)
    told = reports.of_attempts(tx, [each.id for each in tries])
    return _Found(tx.now, execution, tries, told, waiting_of(tx, execution, caller))


def _result(told: Reported | None) -> Any:
    return None if told is None or told.result is None else json.loads(told.result)


def _progress(told: Reported | None) -> Progress | None:
    if told is None or told.told_at is None:
        return None
    return {"percent": told.percent, "text": told.text, "at": written(told.told_at)}


def _entry(entry: Entry) -> ListedExecution:
    status = barbeque_status(
        entry.state,
        round_=entry.round,
        counted=entry.counted_before,
        could_not_start=entry.could_not_start,
    )
    return {**_shared(entry), "status": status, "attempts": entry.attempts}


def _shared(row: Entry | Execution) -> ExecutionRow:
    return {
        "message_id": row.message_id,
        "id": row.id,
        "app": row.app,
        "job": row.job,
        "queue": row.queue,
        "state": row.state,
        "stage": row.stage,
        "reason": row.reason,
        "priority": -row.priority_rank,
        "held_by": row.held_by,
        "round": row.round,
        "counted": row.counted,
        "retries": row.counted_before,
        "could_not_start": row.could_not_start,
        "note": row.note,
        "user_id": row.user_id,
        "sent_at": written(row.sent_at),
        "recorded_at": written(row.recorded_at),
        "due_at": written(row.due_at),
        "started_at": written(row.started_at),
        "finished_at": written(row.finished_at),
        "cancel_requested_at": written(row.cancel_requested_at),
    }


def _attempt(attempt: Attempt, told: Reported | None, cost: histories.Cost) -> AttemptFacts:
    return {
        "id": attempt.id,
        "number": attempt.number,
        "round": attempt.round,
        "state": attempt.state,
        "reason": attempt.reason,
        "exit_code": attempt.exit_code,
        "detail": attempt.detail,
        "counted": attempt.counted,
        "place": attempt.place,
        "image": attempt.image,
        "command": None if attempt.command is None else list(attempt.command),
        "handle": attempt.handle,
        "claimed_at": written(attempt.claimed_at),
        "started_at": written(attempt.started_at),
        "deadline_at": written(attempt.deadline_at),
        "finished_at": written(attempt.finished_at),
        "progress": _progress(told),
        "has_result": told is not None and told.result is not None,
        "log": {
            "sealed_at": written(attempt.log_sealed_at),
            "lines": attempt.log_lines,
            "bytes": attempt.log_bytes,
            "error_lines": attempt.log_error_lines,
            "truncated": attempt.log_truncated,
        },
        "cost": cost,
    }

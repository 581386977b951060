"""`POST /v2/job_executions`: accept a request to run a job, without the schedule's tables."""

import asyncio
from datetime import timedelta
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from barbeque_api import schemas
from barbeque_api.bodies import read_delay, read_object, read_text, shown
from barbeque_api.gate import Endpoint
from barbeque_api.parts import Served
from barbeque_api.problems import answer, refusal, service_refusal
from barbeque_api.sender import Sender
from barbeque_api.snapshot import Names, Snapshot
from barbeque_py import clock, strict_json
from barbeque_py.apps import NAME
from barbeque_py.broker import SharedBroker
from barbeque_py.enqueue import Request as Job
from barbeque_py.errors import RequestError, StoreUnavailable
from barbeque_py.ids import new_message_id
from barbeque_py.messages import JobMessage, Options, read_options, write_options

PATH = "/v2/job_executions"
FURTHEST = timedelta(days=366)
"""How far ahead `run_at` may be."""

_OPTIONS = frozenset(
    {"run_at", "priority", "timeout", "concurrency_key", "user_id", "notify", "tags"}
)
_FIELDS = _OPTIONS | {"application", "job", "queue", "message", "delay_seconds"}
_MOST_OPTIONS = 16 * 1024
"""Characters of JSON: what the column of the smallest database holds, with room to spare."""


class Enqueueing:
    """Accepts requests to run jobs."""

    def __init__(self, parts: Served) -> None:
        self._parts = parts
        self._snapshot = Snapshot(parts.store, parts.home)
        self._sender = Sender(parts.broker, parts.logs, parts.bell)
        self._broker_knows = not isinstance(parts.broker, SharedBroker)
        """Whether the broker itself says which queues there are."""
        self._refreshing: asyncio.Future[None] | None = None

    @property
    def direct(self) -> dict[tuple[str, str], Endpoint]:
        """The route, for the gate."""
        return {("POST", PATH): self.post}

    def add_to(self, router: APIRouter) -> None:
        """Add the route."""
        router.add_api_route(
            PATH,
            self.post,
            methods=["POST"],
            status_code=201,
            openapi_extra=schemas.body(schemas.ENQUEUE),
        )

    def close(self) -> None:
        """Send what was accepted, then stop."""
        self._sender.close()

    async def post(self, request: Request) -> Response:
        """Run a job: answers once its message can't be lost any more."""
        facts = await read_object(request, self._parts.max_body, known=_FIELDS)
        job = self._read_job(facts, request.headers.get("traceparent"))
        await self._check_names(job)
        await self._sender.send(job)
        message_id = job.job.message_id
        return answer({"message_id": message_id, "status": "pending", "id": None}, status=201)

    def _read_job(self, facts: dict[str, Any], traceparent: str | None) -> Job:
        message = facts.get("message")
        if message is None:
            raise refusal(400, f"message is {'null' if 'message' in facts else 'missing'}")
        app, job = _name(facts, "application"), _name(facts, "job")
        queue = read_text(facts, "queue") or self._parts.default_queue
        delay = read_delay(facts, service_refusal)
        options = _read_options(facts, traceparent)
        if delay and options.run_at is not None:
            raise refusal(400, "delay_seconds and run_at: give one of them, not both")
        return Job(
            JobMessage(
                message_id=new_message_id(),
                app=app,
                job=job,
                queue=queue,
                message=strict_json.dumps(message),
                enqueued_at=clock.now(),
                options=options,
            ),
            queue,
            delay,
        )

    async def _check_names(self, job: Job) -> None:
        """Refuse what is not there, after a look at the database for what came lately."""
        names = self._snapshot.names
        if names is None or self._fault(job, names) is not None:
            names = await self._look_again()
            if names is not None and (fault := self._fault(job, names)):
                raise fault
        elif self._snapshot.stale and (self._refreshing is None or self._refreshing.done()):
            loop = asyncio.get_running_loop()
            self._refreshing = loop.run_in_executor(None, self._snapshot.refresh_quietly)

    async def _look_again(self) -> Names | None:
        """Read the names anew; None when nothing is known and the broker will say so itself.

        Raises `StoreUnavailable` when neither can.
        """
        left_to_broker = self._broker_knows and not self._parts.verify_enqueued_jobs
        if left_to_broker and self._snapshot.names is None and not self._snapshot.stale:
            return None  # the database did not answer a moment ago
        try:
            return await asyncio.to_thread(self._snapshot.refresh, asked_at=clock.monotonic())
        except StoreUnavailable:
            if left_to_broker:
                return None
            raise

    def _fault(self, job: Job, names: Names) -> Exception | None:
        if job.queue not in names.queues:
            return refusal(404, f"no queue is called {shown(job.queue)}")
        wanted = (job.job.app, job.job.job)
        if self._parts.verify_enqueued_jobs and wanted not in names.jobs:
            # Barbeque's very words: clients look for them.
            return service_refusal(
                f"JobDefinition '{wanted[1]}' isn't defined in '{wanted[0]}' application"
            )
        return None


def _name(facts: dict[str, Any], field: str) -> str:
    value = facts.get(field)
    if value is None:
        raise refusal(400, f"{field} is {'null' if field in facts else 'missing'}")
    if not isinstance(value, str) or NAME.fullmatch(value) is None:
        raise refusal(
            400,
            f"{field}: {shown(value)} is not a name: up to 128 of A-Z a-z 0-9 _ . : -, "
            "a letter or digit first",
        )
    return value


def _read_options(facts: dict[str, Any], traceparent: str | None) -> Options:
    given = {name: facts[name] for name in _OPTIONS & facts.keys()}
    if not given and traceparent is None:
        return _NO_OPTIONS
    try:
        options = read_options(given | _trace(traceparent))
    except RequestError as error:
        raise refusal(400, str(error).removeprefix("Options.")) from None
    if len(strict_json.dumps(write_options(options))) > _MOST_OPTIONS:
        raise refusal(400, f"the options together are longer than {_MOST_OPTIONS:,} characters")
    if options.run_at is not None and options.run_at > clock.now() + FURTHEST:
        raise refusal(400, f"run_at: {shown(facts['run_at'])} is more than a year ahead")
    return options


def _trace(traceparent: str | None) -> dict[str, str]:
    """Return the trace to go on with; W3C wants a header that is none to be ignored."""
    if traceparent is None:
        return {}
    trace = {"traceparent": traceparent}
    try:
        read_options(trace)
    except RequestError:
        return {}
    return trace


_NO_OPTIONS = Options()

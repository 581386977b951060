"""`POST /v2/job_executions`: accept requests to run jobs, without the schedule's tables."""

import asyncio
from collections.abc import Sequence
from http import HTTPStatus
from typing import Literal

from fastapi import APIRouter, Depends, Request
from typing_extensions import TypedDict

from barbeque_api import schemas
from barbeque_api.bodies import read_object, shown
from barbeque_api.document import answers
from barbeque_api.gate import Endpoint
from barbeque_api.job_requests import FIELDS, Heading, read_batch, read_heading, read_item, read_job
from barbeque_api.parts import Served
from barbeque_api.problems import (
    RETRY_AFTER,
    Answer,
    Fault,
    Refusal,
    answer,
    describe,
    refusal,
    service_refusal,
    translate,
)
from barbeque_api.rights import Needs, caller_of
from barbeque_api.sender import Sender
from barbeque_api.snapshot import Names, Snapshot
from barbeque_api.tracing import traced
from barbeque_py import clock
from barbeque_py.broker import SharedBroker
from barbeque_py.enqueue import Request as Job
from barbeque_py.errors import StoreUnavailable
from barbeque_py.identity import Identity, Scope

PATH = "/v2/job_executions"
BATCH_PATH = f"{PATH}/batch"


class Accepted(TypedDict):
    """A job whose message can't be lost any more."""

    message_id: str
    status: Literal["pending"]
    id: None


class BatchAnswer(TypedDict):
    """Of each job of a batch, in their order, that it is accepted, or why it is refused."""

    results: list[Accepted | Fault]
    accepted: int
    refused: int


class Enqueueing:
    """Accepts requests to run jobs."""

    def __init__(self, parts: Served, snapshot: Snapshot) -> None:
        self._parts = parts
        self._snapshot = snapshot
        self._sender = Sender(parts.broker, parts.logs, parts.bell)
        self._broker_knows = not isinstance(parts.broker, SharedBroker)
        """Whether the broker itself says which queues there are."""
        self._refreshing: asyncio.Future[None] | None = None

    @property
    def direct(self) -> dict[tuple[str, str], Endpoint]:
        """The routes, for the gate."""
        return {("POST", PATH): self.post, ("POST", BATCH_PATH): self.post_batch}

    def add_to(self, router: APIRouter) -> None:
        """Add the routes."""
        for path, endpoint, schema, others in (
            (PATH, self.post, schemas.ENQUEUE, (404,)),
            (BATCH_PATH, self.post_batch, schemas.BATCH, (207,)),
        ):
            router.add_api_route(
                path,
                endpoint,
                methods=["POST"],
                status_code=201,
                dependencies=[Depends(_needed)],
                openapi_extra=schemas.body(schema),
                responses=answers(*others),
            )

    def close(self) -> None:
        """Send what was accepted, then stop."""
        self._sender.close()

    async def post(self, request: Request) -> Answer[Accepted]:
        """Run a job: answers once its message can't be lost any more."""
        _needed(request)
        facts = await read_object(request, self._parts.max_body, known=FIELDS)
        job = read_job(facts, read_heading(request), default_queue=self._parts.default_queue)
        _check_app(job, caller_of(request))
        (fault,) = await self._faults([job])
        if fault is not None:
            raise fault
        with traced(PATH, [job]) as (sent,):
            await self._sender.send(sent)
        return answer(_accepted(job), status=201)

    async def post_batch(self, request: Request) -> Answer[BatchAnswer]:
        """Run up to 1,000 jobs: says of each whether it can't be lost any more, or its fault."""
        _needed(request)
        items = await read_batch(request, self._parts.max_body)
        heading, caller = read_heading(request), caller_of(request)
        found = [self._read_item(item, heading, caller) for item in items]
        await self._refuse_unknown(found)
        jobs = {number: each for number, each in enumerate(found) if isinstance(each, Job)}
        with traced(BATCH_PATH, list(jobs.values())) as sent:
            ends = await self._sender.send_all(sent)
        for number, end in zip(jobs, ends, strict=True):
            if end is not None:
                found[number] = end
        return _answer_batch(found)

    def _read_item(self, item: object, heading: Heading, caller: Identity) -> Job | Exception:
        try:
            job = read_item(item, heading, default_queue=self._parts.default_queue)
            _check_app(job, caller)
        except Refusal as refused:
            return refused
        return job

    async def _refuse_unknown(self, found: list[Job | Exception]) -> None:
        """Put the faults in the places of jobs whose names are not there."""
        jobs = {number: each for number, each in enumerate(found) if isinstance(each, Job)}
        faults = await self._faults(list(jobs.values()))
        for number, fault in zip(jobs, faults, strict=True):
            if fault is not None:
                found[number] = fault

    async def _faults(self, jobs: Sequence[Job]) -> list[Refusal | None]:
        """Find the names that are not there, after a look at the database for what came lately."""
        names = self._snapshot.names
        faults = None if names is None else [self._fault(job, names) for job in jobs]
        if faults is None or any(faults):
            names = await self._look_again()
            return [None if names is None else self._fault(job, names) for job in jobs]
        if self._snapshot.stale and (self._refreshing is None or self._refreshing.done()):
            loop = asyncio.get_running_loop()
            self._refreshing = loop.run_in_executor(None, self._snapshot.refresh_quietly)
        return faults

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

    def _fault(self, job: Job, names: Names) -> Refusal | None:
        if job.queue not in names.queues:
            return refusal(404, f"no queue is called {shown(job.queue)}")
        wanted = (job.job.app, job.job.job)
        if self._parts.verify_enqueued_jobs and wanted not in names.jobs:
            # Barbeque's very words: clients look for them.
            return service_refusal(
                f"JobDefinition '{wanted[1]}' isn't defined in '{wanted[0]}' application"
            )
        return None


_needed = Needs(Scope.ENQUEUE)


def _check_app(job: Job, caller: Identity) -> None:
    if not caller.may(Scope.ENQUEUE, job.job.app):
        raise refusal(404, f"no app of yours is called {shown(job.job.app)}")


def _accepted(job: Job) -> Accepted:
    return accepted(job.job.message_id)


def accepted(message_id: str) -> Accepted:
    """Return what is answered for a message that was sent."""
    return {"message_id": message_id, "status": "pending", "id": None}


def _answer_batch(found: Sequence[Job | Exception]) -> Answer[BatchAnswer]:
    """Return 201 when all were accepted, 503 when none could be kept, else 207."""
    refused = [translate(each) for each in found if not isinstance(each, Job)]
    away = [each for each in refused if each.status >= HTTPStatus.INTERNAL_SERVER_ERROR]
    if len(away) == len(found):
        raise away[0]
    results = [_result(each) for each in found]
    facts: BatchAnswer = {
        "results": results,
        "accepted": len(found) - len(refused),
        "refused": len(refused),
    }
    return answer(facts, status=207 if refused else 201, headers=RETRY_AFTER if away else None)


def _result(found: Job | Exception) -> Accepted | Fault:
    if isinstance(found, Job):
        return _accepted(found)
    refused = translate(found)
    return describe(refused.status, refused.body.get("message") or refused.body["error"])

"""`/v2/attempts/{attempt_id}`: what jobs ask and tell, with their own attempt's ticket alone."""

from collections.abc import Iterator
from datetime import timedelta
from functools import cached_property
from itertools import chain
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response, StreamingResponse

from barbeque_api import problems
from barbeque_api.backends import LINES_LIMIT, Backends
from barbeque_api.bodies import read_body
from barbeque_api.document import answers
from barbeque_api.gate import JOB_PATHS, Gate
from barbeque_api.parts import Served
from barbeque_api.problems import refusal
from barbeque_api.rights import by_ticket
from barbeque_api.routes import ANY_JSON, Routes
from barbeque_py.callbacks import ANSWER_LIMIT
from barbeque_py.errors import NoSuchLog
from barbeque_py.executions import AttemptState
from barbeque_py.ids import AttemptId
from barbeque_py.report import report
from barbeque_py.reports import (
    PROGRESS_LIMIT,
    RESULT_LIMIT,
    Report,
    ReportFault,
    read_progress,
    read_result,
)
from barbeque_py.store import Tx, apps, attempts, reports
from barbeque_py.store import executions as rows
from barbeque_py.store.attempts import Attempt
from barbeque_py.store.executions import Execution
from barbeque_py.tickets import is_ticket

GOOD_FOR = timedelta(hours=1)
"""How long behind an attempt's end its ticket is good: a container may outlive what we know."""

_CHUNK = 1024 * 1024
_STRANGE = "the address is not of an attempt that may ask, or its token is wrong or too old"
_JSON = "application/json"


def create_job_app(parts: Served) -> FastAPI:
    """Return the routes for jobs alone, for an address at which nothing else answers."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    router = Routes()
    JobRoutes(parts).add_to(router)
    app.include_router(router)
    problems.install(app)
    app.add_middleware(Gate, hosts=None, host_url=None, pages=None)
    return app


class JobRoutes:
    """Hands a job what is its own, and hears what it tells of itself."""

    def __init__(self, parts: Served) -> None:
        self._parts = parts
        self._backends = Backends(parts.store, parts.bell)

    def add_to(self, router: APIRouter) -> None:
        """Add the routes."""
        attempt = f"{JOB_PATHS}{{attempt_id}}"
        rights: dict[str, Any] = {"dependencies": [by_ticket()]}
        router.add_api_route(
            f"{attempt}/message",
            self.message,
            methods=["GET"],
            responses=answers(410) | {200: ANY_JSON},
            **rights,
        )
        posts = {
            "progress": self.progress,
            "result": self.result,
            "heartbeat": self.heartbeat,
            "log": self.lines,
        }
        for noun, take in posts.items():
            router.add_api_route(
                f"{attempt}/{noun}",
                take,
                methods=["POST"],
                status_code=204,
                responses=answers(409, 413),
                **rights,
            )

    def message(self, attempt_id: str, token: str = "") -> Response:
        """Return the attempt's message, byte for byte as it was enqueued, to its own job.

        Whatever is wrong with the attempt or its token, the answer is the same 404.
        """
        asker = self._check(attempt_id, token)
        execution = self._parts.store.read(lambda tx: _find(tx, asker))
        if execution is None:
            raise refusal(404, _STRANGE)
        if execution.message is not None:
            return Response(execution.message.encode(), media_type=_JSON)
        if execution.message_key is None:
            raise _forgotten()
        return self._stored(execution.message_key)

    async def progress(self, attempt_id: str, request: Request, token: str = "") -> Response:
        """Take how far the attempt is: `3/10 words`, `42% words`, words, or a JSON object.

        The object has `percent`, `text` or both. Of several lines the last one counts, and the
        Content-Type none. An attempt that has ended is answered 409.
        """
        asker = await run_in_threadpool(self._check, attempt_id, token)
        body = await read_body(request, PROGRESS_LIMIT)
        try:
            told = Report(progress=read_progress(body))
        except ReportFault as fault:
            raise refusal(400, str(fault)) from None
        return await run_in_threadpool(self._keep_progress, asker, told)

    async def result(self, attempt_id: str, request: Request, token: str = "") -> Response:
        """Take the attempt's result: any JSON of up to 64 KiB, whatever the Content-Type.

        While the attempt runs the last one counts, after its end only one that is the first. Of
        an attempt at its app's backend it is how the attempt ends, and taken once.
        """
        asker = await run_in_threadpool(self._check, attempt_id, token)
        body = await read_body(request, RESULT_LIMIT)
        if await run_in_threadpool(self._backends.hear_verdict, asker, body):
            return Response(status_code=204)
        try:
            told = Report(result=read_result(body))
        except ReportFault as fault:
            raise refusal(400, str(fault)) from None
        return await run_in_threadpool(self._keep, asker, told)

    async def heartbeat(self, attempt_id: str, request: Request, token: str = "") -> Response:
        """Let the time of an attempt at its app's backend begin anew."""
        asker = await run_in_threadpool(self._check, attempt_id, token)
        body = await read_body(request, ANSWER_LIMIT)
        await run_in_threadpool(self._backends.hear_life, asker, body)
        return Response(status_code=204)

    async def lines(self, attempt_id: str, request: Request, token: str = "") -> Response:
        """Add lines to the log of an attempt at its app's backend."""
        asker = await run_in_threadpool(self._check, attempt_id, token)
        body = await read_body(request, LINES_LIMIT)
        await run_in_threadpool(self._backends.hear_lines, asker, body)
        return Response(status_code=204)

    def _check(self, attempt_id: str, token: str) -> AttemptId:
        if not is_ticket(self._secret, attempt_id, token):
            raise refusal(404, _STRANGE)
        return AttemptId(attempt_id)

    def _keep_progress(self, asker: AttemptId, told: Report) -> Response:
        kept = self._keep(asker, told)
        self._backends.hear_progress(asker)
        return kept

    def _keep(self, asker: AttemptId, told: Report) -> Response:
        kept = self._parts.store.write_together(lambda tx: _keep(tx, asker, told))
        if kept is None:
            raise refusal(404, _STRANGE)
        if not kept:
            raise refusal(409, "the attempt has ended")
        return Response(status_code=204)

    @cached_property
    def _secret(self) -> bytes:
        return self._parts.store.read(apps.installation_secret)

    def _stored(self, key: str) -> Response:
        """Read the first chunk now, so that a log store that is away is told as an error."""
        try:
            first = self._parts.logs.read(key, 0, _CHUNK)
        except NoSuchLog:
            raise _forgotten() from None
        if len(first) < _CHUNK:
            return Response(first, media_type=_JSON)
        return StreamingResponse(chain([first], self._rest(key)), media_type=_JSON)

    def _rest(self, key: str) -> Iterator[bytes]:
        start = _CHUNK
        while chunk := self._parts.logs.read(key, start, _CHUNK):
            start += len(chunk)
            yield chunk


def _find(tx: Tx, attempt_id: AttemptId) -> Execution | None:
    attempt = attempts.get(tx, attempt_id)
    if attempt is None or not _may_ask(tx, attempt):
        return None
    return rows.by_id(tx, attempt.execution)


def _keep(tx: Tx, asker: AttemptId, told: Report) -> bool | None:
    """Keep what the attempt tells; False when it is too late, None when it may not speak."""
    attempt = attempts.get(tx, asker)
    if attempt is None or not _may_ask(tx, attempt):
        return None
    if attempt.state is AttemptState.ENDED:
        before = reports.of_attempt(tx, asker)
        if told.result is None or (before is not None and before.result is not None):
            return False
    report(tx, {asker: told})
    return True


def _may_ask(tx: Tx, attempt: Attempt) -> bool:
    if attempt.state is not AttemptState.ENDED:
        return True
    return attempt.finished_at is not None and tx.now - attempt.finished_at <= GOOD_FOR


def _forgotten() -> problems.Refusal:
    return refusal(410, "the message is no longer kept")

"""Assembles the API of its parts."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.concurrency import run_in_threadpool
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from barbeque_api import problems
from barbeque_api.address_book import AddressBook
from barbeque_api.admission import Admission
from barbeque_api.attempt_logs import AttemptLogs
from barbeque_api.bulk import Bulk
from barbeque_api.configuration import Configuration
from barbeque_api.docs_page import DocsPage
from barbeque_api.enqueue import Enqueueing
from barbeque_api.executions import Executions
from barbeque_api.exporting import Exporting
from barbeque_api.gate import Endpoint, Gate
from barbeque_api.health import Health
from barbeque_api.job_routes import JobRoutes
from barbeque_api.log_streams import LogStreams
from barbeque_api.metrics import Metrics
from barbeque_api.notices import Notices
from barbeque_api.numbers import Numbers
from barbeque_api.openapi import TITLE, describe
from barbeque_api.parts import Served
from barbeque_api.queues import DeadMessages, Queues
from barbeque_api.releases import Releases
from barbeque_api.revisions import Revisions
from barbeque_api.routes import Routes
from barbeque_api.schedules import Schedules
from barbeque_api.signing_secrets import SigningSecrets
from barbeque_api.snapshot import Snapshot
from barbeque_api.statuses import Statuses
from barbeque_api.subscriptions import Subscriptions
from barbeque_api.tokens import Tokens
from barbeque_api.trail import Trail
from barbeque_api.waits import Waits
from barbeque_api.workers import Workers

__all__ = ["Served", "create_app"]


def create_app(parts: Served, *, pages: ASGIApp | None = None, for_jobs: bool = True) -> FastAPI:
    """Return the API; `pages` answers all addresses that are not its own.

    Without `for_jobs` the routes for jobs are not among them: they have an address of their own.
    The parts stay the caller's to close. What was accepted is sent before the app's shutdown ends.
    """
    snapshot = Snapshot(parts.store, parts.home)
    enqueueing = Enqueueing(parts, snapshot)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await run_in_threadpool(enqueueing.close)
        await run_in_threadpool(snapshot.close)

    app = _Api(
        title=TITLE,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    router = _routes(parts, enqueueing, snapshot, for_jobs=for_jobs)
    DocsPage(app).add_to(router)
    app.described = router.routes
    app.include_router(router)
    problems.install(app)
    gate = partial(
        Gate,
        hosts=parts.allowed_hosts,
        host_url=parts.host_url,
        pages=pages,
        admission=Admission(snapshot, rate=parts.rate_limit) if parts.ask_for_tokens else None,
    )
    app.add_middleware(gate)
    app.serve_directly(gate, enqueueing.direct)
    return app


class _Api(FastAPI):
    """The API. Its direct routes lie before the framework, which costs more than they do."""

    _before: ASGIApp | None = None
    _direct: Mapping[tuple[str, str], Endpoint] = {}
    described: Sequence[BaseRoute] = ()

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI document."""
        return describe(self, self.described)

    def serve_directly(
        self, gate: Callable[..., Gate], direct: Mapping[tuple[str, str], Endpoint]
    ) -> None:
        """Answer these routes behind a gate of their own, with nothing else in the way."""
        self._before = gate(self, direct=direct)
        self._direct = direct

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer directly where that is possible, else as the framework does."""
        wanted = (scope["method"], scope["path"]) if scope["type"] == "http" else None
        if self._before is not None and wanted in self._direct:
            await self._before(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def _routes(
    parts: Served, enqueueing: Enqueueing, snapshot: Snapshot, *, for_jobs: bool
) -> APIRouter:
    router = Routes()
    jobs = (
        Statuses,
        Executions,
        Bulk,
        Waits,
        Numbers,
        AttemptLogs,
        LogStreams,
        *((JobRoutes,) if for_jobs else ()),
    )
    images = (Revisions, Releases)
    definitions = (Configuration, Exporting, Queues, Schedules, Subscriptions, DeadMessages, Tokens)
    machines = (Workers,)
    people = (AddressBook, Notices, SigningSecrets, Trail)
    enqueueing.add_to(router)
    for noun in (*jobs, *images, *definitions, *machines, *people):
        noun(parts).add_to(router)
    Health(parts, snapshot).add_to(router)
    Metrics(parts).add_to(router)
    return router

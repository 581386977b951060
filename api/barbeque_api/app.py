"""Assembles the API of its parts."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import APIRouter, FastAPI
from fastapi.concurrency import run_in_threadpool
from starlette.types import ASGIApp

from barbeque_api import problems
from barbeque_api.attempt_logs import AttemptLogs
from barbeque_api.configuration import Configuration
from barbeque_api.enqueue import Enqueueing
from barbeque_api.executions import Executions
from barbeque_api.gate import Gate
from barbeque_api.health import Health
from barbeque_api.parts import Served
from barbeque_api.queues import DeadMessages, Queues
from barbeque_api.revisions import Revisions
from barbeque_api.statuses import Statuses

__all__ = ["Served", "create_app"]


def create_app(parts: Served, *, pages: ASGIApp | None = None) -> FastAPI:
    """Return the API; `pages` answers all addresses that are not its own.

    The parts stay the caller's to close. What was accepted is sent before the app's shutdown ends.
    """
    enqueueing = Enqueueing(parts)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await run_in_threadpool(enqueueing.close)

    app = FastAPI(
        title="barbeque_py",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    app.include_router(_routes(parts, enqueueing))
    problems.install(app)
    app.add_middleware(
        Gate,
        hosts=parts.allowed_hosts,
        host_url=parts.host_url,
        direct=enqueueing.direct,
        pages=pages,
    )
    return app


def _routes(parts: Served, enqueueing: Enqueueing) -> APIRouter:
    router = APIRouter()
    nouns = (Statuses, Executions, AttemptLogs, Revisions, Configuration, Queues, DeadMessages)
    enqueueing.add_to(router)
    for noun in (*nouns, Health):
        noun(parts).add_to(router)
    return router

"""Assembles the console: an ASGI app that may be mounted beside the API, under any prefix."""

import logging
from contextlib import suppress
from http import HTTPStatus
from typing import Protocol
from urllib.parse import parse_qsl, quote, urlencode

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from barbeque_console.actions import Actions
from barbeque_console.apps import AppPages
from barbeque_console.assets import Assets
from barbeque_console.audit import AuditPages
from barbeque_console.away import RETRY_AFTER, Outages
from barbeque_console.bulk import BulkPages
from barbeque_console.bundle import BundlePages
from barbeque_console.definitions import DefinitionPages
from barbeque_console.door import READING, VIEWER, Door
from barbeque_console.events import EventPages
from barbeque_console.executions import ExecutionPages
from barbeque_console.export import ExportPages
from barbeque_console.failures import FailurePages
from barbeque_console.frame import FramePages
from barbeque_console.guard import Guard
from barbeque_console.help import HelpPages
from barbeque_console.job_acts import JobActs
from barbeque_console.jobs import JobPages
from barbeque_console.listing import ListPages
from barbeque_console.log_events import LogEvents
from barbeque_console.log_pages import LogPages
from barbeque_console.login import LoginPages
from barbeque_console.logs import LogRoutes
from barbeque_console.notices import NoticePages
from barbeque_console.overview import OverviewPages
from barbeque_console.pages import Pages, redirect
from barbeque_console.parts import Shown
from barbeque_console.queues import QueuePages
from barbeque_console.refusals import ChooseApp, LoginNeeded, Refusal
from barbeque_console.releases import ReleasePages
from barbeque_console.removals import RemovalPages
from barbeque_console.rights import Router, door_of, routes_of
from barbeque_console.sample import SamplePages
from barbeque_console.schedules import SchedulePages
from barbeque_console.search import SearchPages
from barbeque_console.settings import SettingsPages
from barbeque_console.stats import StatsPages
from barbeque_console.subscriptions import SubscriptionPages
from barbeque_console.tagging import TagPages
from barbeque_console.timeline import TimelinePages
from barbeque_console.views import ViewPages
from barbeque_console.workers import WorkerPages
from barbeque_py.errors import (
    BadPattern,
    Forbidden,
    Outrun,
    OutsideError,
    QueueRefused,
    RequestError,
    StillOpen,
    StoreUnavailable,
)

log = logging.getLogger("barbeque.console")

_NOWHERE = "Nothing has this address."


class Routed(Protocol):
    """Some pages of one kind."""

    def __init__(self, parts: Shown, pages: Pages) -> None: ...

    def router(self) -> Router:
        """Return the routes, each with whom it is for: see `rights`."""
        ...


PAGES: tuple[type[Routed], ...] = (
    OverviewPages,
    FramePages,
    SearchPages,
    EventPages,
    HelpPages,
    ListPages,
    ExportPages,
    BulkPages,
    ViewPages,
    ExecutionPages,
    BundlePages,
    LogPages,
    LogRoutes,
    LogEvents,
    QueuePages,
    WorkerPages,
    NoticePages,
    SchedulePages,
    SubscriptionPages,
    FailurePages,
    JobPages,
    JobActs,
    AppPages,
    ReleasePages,
    DefinitionPages,
    RemovalPages,
    StatsPages,
    TimelinePages,
    Actions,
    SamplePages,
    TagPages,
    LoginPages,
    SettingsPages,
    AuditPages,
)
"""Every module of pages; of two that serve the same address the first one does."""


def create_app(parts: Shown) -> FastAPI:
    """Return the console. It closes nothing: the parts belong to the caller."""
    pages = Pages(parts.environment)
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    for kind in PAGES:
        app.include_router(kind(parts, pages).router())
    list(routes_of(app.routes))  # each says who may ask for it, or nothing starts
    app.mount("/static", Assets(), name="static")
    _explain_errors(app, pages)
    door = Door(parts.store, parts.entrance, read_only=parts.read_only, host_url=parts.host_url)
    app.add_middleware(
        Guard, door=door, refuse=pages.refuse, hosts=parts.allowed_hosts, host_url=parts.host_url
    )
    return app


def _explain_errors(app: FastAPI, pages: Pages) -> None:
    outages = Outages()

    async def explain(request: Request, error: Exception) -> Response:
        if VIEWER not in request.scope:  # so that the page has the menus of who asks
            with suppress(StoreUnavailable, Refusal):
                await door_of(request).look(request)
        if isinstance(error, ChooseApp):
            return redirect(request.scope, _with_app(request, error.app))
        if isinstance(error, LoginNeeded) and request.method in READING and not _is_part(request):
            return redirect(request.scope, f"/login?next={quote(_asked_for(request), safe='')}")
        status, sentence, cure = _describe(error, outages)
        answer = pages.refuse(request.scope, status, sentence, cure)
        answer.headers.update(getattr(error, "headers", None) or {})
        if isinstance(error, OutsideError):
            answer.headers["retry-after"] = str(RETRY_AFTER)
        return answer

    for kind in (RequestError, OutsideError, HTTPException, RequestValidationError, Refusal):
        app.add_exception_handler(kind, explain)


def _asked_for(request: Request) -> str:
    """Return the page that was asked for, without the prefix of all pages."""
    path = str(request.scope["path"]).removeprefix(request.scope.get("root_path", ""))
    return path + (f"?{request.url.query}" if request.url.query else "")


def _with_app(request: Request, app: str) -> str:
    path, _, query = _asked_for(request).partition("?")
    kept = [(name, value) for name, value in parse_qsl(query) if name != "app"]
    return f"{path}?{urlencode([*kept, ('app', app)])}"


def _is_part(request: Request) -> bool:
    """Tell whether a script asks, which can't show a page to log in."""
    return "hx-request" in request.headers or "text/html" not in request.headers.get("accept", "")


def _describe(error: Exception, outages: Outages) -> tuple[int, str, str]:
    """Return what people are told: never an address or a path, which only the log may name."""
    if isinstance(error, Refusal):
        return error.status, error.sentence, error.cure
    if isinstance(error, OutsideError):
        log.warning("a page can't be shown: %s", error)
        return 503, *outages.describe(error)
    return _describe_failure(error)


def _status_of(error: RequestError) -> int:
    match error:
        case BadPattern():
            return 400
        case Forbidden():
            return 403
        case Outrun() | QueueRefused():
            return 409
    return 404


def _describe_failure(error: Exception) -> tuple[int, str, str]:
    match error:
        case StillOpen():
            return 409, "It has not ended yet, so it can't be retried.", ""
        case RequestError():
            return _status_of(error), str(error), ""
        case HTTPException(status_code=status, detail=detail):
            said = detail != HTTPStatus(status).phrase
            return status, detail if said else _NOWHERE, ""
        case _:
            return 404, _NOWHERE, ""

"""What every request passes first: host, origin, token, its id, and the net under its handler."""

import logging
import random
import re
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import urlsplit

from fastapi import Request
from fastapi.responses import Response
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from barbeque_api.admission import Admission
from barbeque_api.counting import tell
from barbeque_api.problems import Refusal, answer_error, answer_problem, describe
from barbeque_api.request_ids import request_id
from barbeque_api.rights import OPEN_PATHS
from barbeque_py import clock
from barbeque_py.errors import BarbequeError
from barbeque_py.identity import EVERYBODY, NOBODY, Identity

log = logging.getLogger("barbeque.api")

API_PATHS = ("/v1/", "/v2/")
JOB_PATHS = "/v2/attempts/"
"""What jobs ask for, under whatever name they reach us: their tickets are all that counts."""
API_PAGES = frozenset({"/livez", "/readyz", "/metrics", "/openapi.json", "/docs", "/v1", "/v2"})

_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")
_chance = random.Random()  # noqa: S311 - tells log lines apart, keeps no secret
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_SAFE = [(b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store")]


Endpoint = Callable[[Request], Awaitable[Response]]


class Gate:
    """Checks host, origin and token, gives the request its id, and leaves no error unanswered.

    `admission` tells who asks; without it everybody may do everything, which is for loopback only.
    `direct` answers some routes past the framework, whose errors it words alike: what is asked
    thousands of times a second spends most of its time there. `pages` answers every address that
    is not the API's.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        hosts: frozenset[str] | None,
        host_url: str | None,
        admission: Admission | None = None,
        direct: Mapping[tuple[str, str], Endpoint] | None = None,
        pages: ASGIApp | None,
    ) -> None:
        self._app = app
        self._pages = pages
        self._admission = admission
        self._direct = direct or {}
        own = urlsplit(host_url or "")
        self._own_netloc = own.netloc.lower()
        own_name = frozenset({own.hostname} if own.hostname else ())
        self._hosts = None if hosts is None else hosts | own_name

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through, or answer it here."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        answering = _Answering(scope, headers, send, api=self._is_api(scope["path"]))
        token = request_id.set(answering.id)
        scope["barbeque.request_id"] = answering.id
        try:
            await self._pass(scope, headers, receive, answering)
        finally:
            request_id.reset(token)
            answering.report()

    async def _pass(
        self, scope: Scope, headers: dict[bytes, bytes], receive: Receive, send: "_Answering"
    ) -> None:
        fault = self._fault(scope["method"], scope["path"], headers)
        if fault is not None:
            status, sentence = fault
            await answer_problem(scope, status, describe(status, sentence))(scope, receive, send)
            return
        try:
            if send.api or self._pages is None:
                await self._answer(scope, headers, receive, send)
            else:
                await self._pages(scope, receive, send)
        except ClientDisconnect:
            return  # nobody is left to be answered
        except Exception:
            log.exception("request %s failed", send.id, extra={"request_id": send.id})
            if send.status:
                raise
            sentence = f"something is wrong in barbeque_py; its log says more about {send.id}"
            await answer_problem(scope, 500, describe(500, sentence))(scope, receive, send)

    async def _answer(
        self, scope: Scope, headers: dict[bytes, bytes], receive: Receive, send: "_Answering"
    ) -> None:
        try:
            identity = await self._who(scope, headers)
        except Refusal as error:
            await answer_error(scope, error)(scope, receive, send)
            return
        scope.setdefault("state", {})["identity"] = identity
        endpoint = self._direct.get((scope["method"], scope["path"]))
        if endpoint is not None:
            scope["barbeque.route"] = scope["path"]
            await _answer_directly(endpoint, scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _who(self, scope: Scope, headers: dict[bytes, bytes]) -> Identity:
        """Return who asks; nobody, where that doesn't matter. Raises a `Refusal`."""
        if self._admission is None:
            client = scope.get("client")
            return Identity(EVERYBODY.name, EVERYBODY.scopes, origin=client[0] if client else "")
        if scope["path"] in OPEN_PATHS or scope["path"].startswith(JOB_PATHS):
            return NOBODY
        return await self._admission.admit(headers, scope)

    def _is_api(self, path: str) -> bool:
        return self._pages is None or path.startswith(API_PATHS) or path in API_PAGES

    def _fault(self, method: str, path: str, headers: dict[bytes, bytes]) -> tuple[int, str] | None:
        """Say why the request is not let in: DNS rebinding, or another site's page behind it."""
        if path.startswith(JOB_PATHS):
            return None
        host = headers.get(b"host", b"").decode("latin-1").lower()
        if self._hosts is not None and _name(host) not in self._hosts:
            return 400, (
                f"the Host header {host[:80]!r} is not one that this address answers to; "
                "use localhost or 127.0.0.1, or set BARBEQUE_HOST"
            )
        origin = headers.get(b"origin")
        if origin is None or method in _READING:
            return None
        asked_by = origin.decode("latin-1").lower().partition("://")[2]
        if asked_by and asked_by in (host, self._own_netloc):
            return None
        return 403, "a page of another site may not send this request (its Origin differs)"


async def _answer_directly(endpoint: Endpoint, scope: Scope, receive: Receive, send: Send) -> None:
    try:
        response = await endpoint(Request(scope, receive))
    except (Refusal, BarbequeError) as error:
        response = answer_error(scope, error)
    await response(scope, receive, send)


class _Answering:
    """Sends the answer, with the headers that each one has."""

    def __init__(self, scope: Scope, headers: dict[bytes, bytes], send: Send, *, api: bool) -> None:
        given = headers.get(b"x-request-id", b"")
        self.id = given.decode() if _ID.fullmatch(given) else f"{_chance.getrandbits(64):016x}"
        self.api = api
        self.status = 0
        self._scope = scope
        self._send = send
        self._began = clock.monotonic()
        self._waited = 0.0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self._waited = clock.monotonic() - self._began
            extra = [(b"x-request-id", self.id.encode()), *(_SAFE if self.api else ())]
            message["headers"] = [*message.get("headers", ()), *extra]
        await self._send(message)

    def report(self) -> None:
        """Count the request, write its line of the log, and a failure behind us with its cause."""
        tell(self._scope, self.status, self._waited)
        method, path = self._scope["method"], ascii(self._scope["path"])[1:-1]
        extra = {"request_id": self.id}
        if cause := self._scope.get("state", {}).get("cause"):
            wording = "%s %s is answered %s, request %s: %s"
            log.warning(wording, method, path, self.status, self.id, cause, extra=extra)
        if log.isEnabledFor(logging.INFO):
            took = (clock.monotonic() - self._began) * 1000
            wording = "%s %s %s in %.0f ms, request %s"
            log.info(wording, method, path, self.status, took, self.id, extra=extra)


def _name(host: str) -> str:
    """Return the host's name without its port; an IPv6 address without its brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]

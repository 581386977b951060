"""What every request passes first: its host, where it comes from, and the net under the pages."""

import logging
import secrets
from collections.abc import Callable
from urllib.parse import urlsplit

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from barbeque_console import tongue
from barbeque_console.door import READING, Door
from barbeque_console.preferences import read_preferences

log = logging.getLogger("barbeque.console")

_CONTENT = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    b"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = (
    (b"content-security-policy", _CONTENT),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    # `no-referrer` would make browsers hide the Origin of our own forms from us.
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)

_HTTPS = (b"strict-transport-security", b"max-age=31536000")
"""Sent where BARBEQUE_HOST is an https address."""

Refuse = Callable[[Scope, int, str], Response]


class Guard:
    """Refuses strange hosts and forms of other sites, and puts the headers on every answer.

    A form proves by what the browser says of its origin that one of our own pages sent it; one
    without such a word is refused. `door` knows who asks; each page says whom it is for.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        door: Door,
        refuse: Refuse,
        hosts: frozenset[str] | None,
        host_url: str | None,
    ) -> None:
        self._app = app
        self._door = door
        self._refuse = refuse
        own = urlsplit(host_url or "")
        self._own_netloc = own.netloc.lower()
        self._prefix = own.path.rstrip("/")
        self._kept_to_https = own.scheme == "https"
        names = frozenset({own.hostname} if own.hostname else ())
        self._hosts = None if hosts is None else hosts | names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through, or answer it here."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        self._add_prefix(scope)
        scope.setdefault("state", {})["door"] = self._door
        started = False
        own: list[tuple[bytes, bytes]] = [_HTTPS] if self._kept_to_https else []
        if "barbeque.request_id" not in scope:  # where the API in front of us gave none
            scope["barbeque.request_id"] = secrets.token_hex(8)
            own.append((b"x-request-id", scope["barbeque.request_id"].encode()))
        tongue.speak(read_preferences(scope).language)

        async def send_guarded(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = [*_kept(message), *own, *HEADERS]
            await send(message)

        fault = self._fault(scope)
        if fault is not None:
            await self._refuse(scope, *fault)(scope, receive, send_guarded)
            return
        try:
            await self._app(scope, receive, send_guarded)
        except Exception:
            if started:
                raise
            request = scope["barbeque.request_id"]
            log.exception("a page failed: %s (request %s)", ascii(scope["path"]), request)
            sentence = "Something is wrong in barbeque_py itself; its log says more."
            await self._refuse(scope, 500, sentence)(scope, receive, send_guarded)

    def _add_prefix(self, scope: Scope) -> None:
        """Put the pages under the path of BARBEQUE_HOST, whether a proxy has cut it off or not."""
        if self._prefix and not scope.get("root_path"):
            scope["root_path"] = self._prefix
            if not f"{scope['path']}/".startswith(f"{self._prefix}/"):
                scope["path"] = self._prefix + scope["path"]

    def _fault(self, scope: Scope) -> tuple[int, str] | None:
        headers = {name: value.decode("latin-1").lower() for name, value in scope["headers"]}
        host = headers.get(b"host", "")
        if self._hosts is not None and _name(host) not in self._hosts:
            return 400, "This address does not answer to that host name: use localhost."
        if scope["method"] in READING or self._is_ours(headers, host):
            return None
        return 403, "This form was not sent by one of the console's own pages."

    def _is_ours(self, headers: dict[bytes, str], host: str) -> bool:
        """Tell whether one of our pages sent it: both words of the browser, or the one it says."""
        site, origin = headers.get(b"sec-fetch-site"), headers.get(b"origin")
        if site is None and origin is None:
            return False
        sent_from = "" if origin is None else origin.partition("://")[2]
        return site in (None, "same-origin") and (
            origin is None or (bool(sent_from) and sent_from in (host, self._own_netloc))
        )


def _kept(message: Message) -> list[tuple[bytes, bytes]]:
    """Return the answer's own headers; what says nothing about caches is not to be kept."""
    headers = list(message.get("headers", ()))
    if not any(name == b"cache-control" for name, _ in headers):
        headers.append((b"cache-control", b"no-store"))
    return headers


def _name(host: str) -> str:
    """Return the host's name without its port; an IPv6 address without its brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]

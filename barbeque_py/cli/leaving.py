"""How a server leaves that a load balancer looks at: it says so first, and answers on meanwhile."""

import math
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.responses import JSONResponse

from barbeque_py import clock

_READY = "/readyz"
_WATCHED = 60.0
"""Seconds since somebody last asked whether we are ready, within which he is still there."""
_NOTICE = 5.0
"""Seconds in which he hears the answer; with the requests under way it ends within ten."""

Send = Callable[[Any], Awaitable[None]]


class Leaving:
    """The app; once it is to leave, it is not ready, and keeps no connection open.

    A load balancer that asks `/readyz` sends the next requests elsewhere, so none fails. Where
    nobody has asked for a minute there is nobody to tell, and nothing to wait for.
    """

    def __init__(self, app: Any) -> None:
        self._app = app
        self._asked_at = -math.inf
        self._until: float | None = None

    def announce(self) -> bool:
        """Begin to leave; False when nobody is there to be told, or he was told before."""
        if self._until is not None or clock.monotonic() - self._asked_at > _WATCHED:
            return False
        self._until = clock.monotonic() + _NOTICE
        return True

    @property
    def is_over(self) -> bool:
        """Whether it has been told for long enough."""
        return self._until is not None and clock.monotonic() > self._until

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        asks = scope["type"] == "http" and scope["path"] == _READY
        if asks:
            self._asked_at = clock.monotonic()
        if self._until is None or scope["type"] != "http":
            await self._app(scope, receive, send)
        elif asks:
            reasons = ["it is about to end: send requests elsewhere"]
            answer = JSONResponse({"message": "not ready", "reasons": reasons}, 503)
            await answer(scope, receive, _closing(send))
        else:
            await self._app(scope, receive, _closing(send))


def _closing(send: Send) -> Send:
    """Return a `send` after which the client opens another connection."""

    async def send_and_close(message: Any) -> None:
        if message["type"] == "http.response.start":
            headers = [*message.get("headers", []), (b"connection", b"close")]
            message = {**message, "headers": headers}
        await send(message)

    return send_and_close

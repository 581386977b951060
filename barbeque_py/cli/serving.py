"""Serves HTTP, each app on its address: refuses what is unsafe, and says what to do about it."""

import asyncio
import contextlib
import errno
import ipaddress
import logging
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from barbeque_api.gate import JOB_PATHS
from barbeque_py.cli.exits import Code, Failure
from barbeque_py.cli.repeats import Repeats
from barbeque_py.setting_values import Address

PORT = 3003
_GRACE = 4
"""Seconds that requests under way may take at a stop."""

_NO_AUTHENTICATION = (
    "no authentication is configured: make a token with `barbeque token create` and set "
    "BARBEQUE_AUTH=tokens, or listen on 127.0.0.1 behind an SSH tunnel or a reverse proxy that "
    "asks who comes"
)
_CONSOLE_ASKS_NOBODY = (
    "the console has no login yet: serve the API alone there with `barbeque api`, and the "
    "console on 127.0.0.1 behind an SSH tunnel or a reverse proxy that asks who comes"
)

_GONE = {"type": "http.disconnect"}


def set_up_logging(*, requests: bool = True) -> None:
    """Write log lines to standard error, in UTC; those of requests that went well if wanted.

    What an outage repeats is written once.
    """
    handler = logging.StreamHandler(sys.stderr)
    form = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s", "%FT%TZ")
    form.converter = time.gmtime
    handler.setFormatter(form)
    handler.addFilter(Repeats())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.getLogger("barbeque.api").setLevel(logging.INFO if requests else logging.WARNING)
    for library in ("alembic", "botocore", "httpx"):
        logging.getLogger(library).setLevel(logging.WARNING)
    logging.getLogger("botocore").setLevel(logging.WARNING)


def require_loopback(host: str, *, auth: bool) -> None:
    """Raise `Failure` unless the host is this machine's loopback: somebody is not asked who he is.

    `auth` tells whether the API asks; it is the console then that does not.
    """
    if host == "localhost":
        return
    with contextlib.suppress(ValueError):
        if ipaddress.ip_address(host.strip("[]")).is_loopback:
            return
    raise Failure(
        f"--host {host} would let everybody who reaches it run commands here, because "
        + (_CONSOLE_ASKS_NOBODY if auth else _NO_AUTHENTICATION),
        Code.USAGE,
    )


def listen(host: str, port: int, *, asks: bool, auth: bool) -> socket.socket:
    """Return a socket that listens there; raise `Failure` with the cure when it can't be had.

    `asks` tells whether all that is served there asks who comes; `auth` whether the API does.
    """
    if not asks:
        require_loopback(host, auth=auth)
    try:
        return _bind(host.strip("[]"), port)
    except OSError as error:
        raise _explained(error, host, port) from None


@contextmanager
def listen_for_jobs(address: Address | None) -> Iterator[socket.socket | None]:
    """Hand out a socket that listens where jobs ask, None where that is no address of its own.

    Any address will do: each job shows a token there. Raises `Failure` when it can't be had.
    """
    if address is None:
        yield None
        return
    try:
        listening = _bind(address.host, address.port)
    except OSError as error:
        raise Failure(
            f"BARBEQUE_JOB_LISTEN is {address.host} port {address.port}, which can't be listened "
            f"on ({error.strerror or error}): name an address of this machine and a free port"
        ) from None
    with listening:
        yield listening


def _bind(name: str, port: int) -> socket.socket:
    listening = socket.socket(socket.AF_INET6 if ":" in name else socket.AF_INET)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((name, port))
        listening.listen(2048)
    except OSError:
        listening.close()
        raise
    return listening


def _explained(error: OSError, host: str, port: int) -> Failure:
    if error.errno == errno.EADDRINUSE:
        return Failure(
            f"port {port} of {host} is in use, perhaps by another barbeque: "
            f"end that program, or choose another port with --port {min(port + 1, 65_535)}"
        )
    if error.errno == errno.EACCES:
        return Failure(f"port {port} is not for this user: choose one above 1023 with --port")
    return Failure(f"{host} port {port} can't be listened on ({error.strerror}): see --host")


def url_of(listening: socket.socket) -> str:
    """Return the address that a browser on this machine takes."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class _Impatient:
    """The app, but once the server is ending, readers who wait for news are told to go."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._ending = asyncio.Event()

    def end(self) -> None:
        """Let nobody wait any more."""
        self._ending.set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        reads = scope["type"] == "http" and scope["method"] in ("GET", "HEAD")
        if reads and scope["path"].startswith(JOB_PATHS):
            reads = False  # a message that is cut off would fail its job
        await self._app(scope, self._listening(receive) if reads else receive, send)

    def _listening(self, receive: Any) -> Callable[[], Awaitable[Any]]:
        async def receive_or_leave() -> Any:
            if self._ending.is_set():  # whoever only looks in cancels us at our first await
                return _GONE
            said = asyncio.ensure_future(receive())
            ending = asyncio.ensure_future(self._ending.wait())
            try:
                await asyncio.wait({said, ending}, return_when=asyncio.FIRST_COMPLETED)
                return said.result() if said.done() else _GONE
            finally:
                said.cancel()
                ending.cancel()

        return receive_or_leave


class _Server(uvicorn.Server):
    """A server that tells at once that it is going to end, before requests under way have."""

    at_end: Callable[[], None] = staticmethod(lambda: None)

    def __init__(self, app: Any) -> None:
        self._readers = _Impatient(app)
        self._beside: list[tuple[_Second, socket.socket]] = []
        self._running: list[asyncio.Task[None]] = []
        config = uvicorn.Config(
            self._readers,
            log_config=None,
            log_level="warning",
            access_log=False,  # it would write the tokens in jobs' addresses
            server_header=False,
            timeout_graceful_shutdown=_GRACE,
        )
        super().__init__(config)

    def serve_beside(self, app: Any, listening: socket.socket) -> None:
        """Serve another app on an address of its own for as long as this one is served."""
        self._beside.append((_Second(app), listening))

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._running = [
            asyncio.create_task(server.serve(sockets=[listening]))
            for server, listening in self._beside
        ]

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._readers.end()
        self.at_end()
        for server, _ in self._beside:
            server.should_exit = True
        await super().shutdown(sockets)
        await asyncio.gather(*self._running)


class _Second(_Server):
    """A server that another one starts and ends, and to which signals are not sent."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def make_server(app: Any) -> _Server:
    """Return a server for the app that ends at SIGTERM and SIGINT, from this moment on."""
    server = _Server(app)
    # uvicorn takes the signals over while it serves, and raises them again after its end.
    signal.signal(signal.SIGTERM, server.handle_exit)
    signal.signal(signal.SIGINT, server.handle_exit)
    return server


def serve(
    server: _Server, listening: socket.socket, *, at_end: Callable[[], None] | None = None
) -> None:
    """Serve until a signal ends it; `at_end` is called as the end begins."""
    if at_end is not None:
        server.at_end = at_end
    if not server.should_exit:
        server.run(sockets=[listening])

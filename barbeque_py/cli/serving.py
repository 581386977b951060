"""Serves HTTP, each app on its address: refuses what is unsafe, and says what to do about it."""

import asyncio
import contextlib
import errno
import ipaddress
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

import uvicorn
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from barbeque_api.gate import JOB_PATHS
from barbeque_console.door import PEER
from barbeque_py.cli.exits import Code, Failure
from barbeque_py.cli.leaving import Leaving
from barbeque_py.entrance import entrance_of
from barbeque_py.setting_addresses import Address
from barbeque_py.settings import Settings
from barbeque_py.targets import Network

PORT = 3003
_GRACE = 4
"""Seconds that requests under way may take at a stop."""
_IDLE = 75
"""Seconds for which a connection is kept that nobody uses: longer than load balancers keep theirs,
or they would send a request into one that we are closing."""

_NO_AUTHENTICATION = (
    "no authentication is configured: make a token with `barbeque token create` and set "
    "BARBEQUE_AUTH=tokens, or listen on 127.0.0.1 behind an SSH tunnel or a reverse proxy that "
    "asks who comes"
)
_CONSOLE_ASKS_NOBODY = (
    "no way into the console is configured that is fit for others: set BARBEQUE_LOGIN=users and "
    "make somebody a member with `barbeque user add`, or set oidc or proxy there, or listen on "
    "127.0.0.1 behind an SSH tunnel"
)

_GONE = {"type": "http.disconnect"}


def require_loopback(host: str, reason: str) -> None:
    """Raise `Failure` unless the host is this machine's loopback: somebody is not asked who he is.

    `reason` says where nobody is asked, and the cure.
    """
    if is_loopback(host):
        return
    raise Failure(
        f"--host {host} would let everybody who reaches it run commands here, because {reason}",
        Code.USAGE,
    )


def is_loopback(host: str) -> bool:
    """Tell whether only this machine reaches an address."""
    if host == "localhost":
        return True
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    return False


def why_unguarded(settings: Settings, *, api: bool, console: bool) -> str:
    """Return where nobody would be asked who he is, and the cure; nothing where all are asked."""
    if api and not settings.auth:
        return _NO_AUTHENTICATION
    if console and not entrance_of(settings).guards_strangers:
        return _CONSOLE_ASKS_NOBODY
    return ""


def listen(host: str, port: int, *, unguarded: str) -> socket.socket:
    """Return a socket that listens there; raise `Failure` with the cure when it can't be had.

    `unguarded` says why it may be loopback only; see `why_unguarded`.
    """
    if unguarded:
        require_loopback(host, unguarded)
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


class _Met:
    """The app, which is told who really asked, and whom a proxy of ours says it asks for."""

    def __init__(self, app: Any, proxies: Sequence[Network]) -> None:
        trusted = [str(each) for each in proxies] or ["127.0.0.1", "::1"]
        self._app = ProxyHeadersMiddleware(app, trusted_hosts=trusted)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        client = scope.get("client")
        scope[PEER] = client[0] if client else ""
        await self._app(scope, receive, send)


class _Server(uvicorn.Server):
    """A server that tells at once that it is going to end, before requests under way have."""

    at_end: Callable[[], None] = staticmethod(lambda: None)
    announces = False
    """Whether it is one of several: it tells a load balancer before it ends at SIGTERM."""

    def __init__(self, app: Any, proxies: Sequence[Network] = ()) -> None:
        self._readers = _Impatient(app)
        self._leaving = Leaving(self._readers)
        self._beside: list[tuple[_Second, socket.socket]] = []
        self._running: list[asyncio.Task[None]] = []
        config = uvicorn.Config(
            _Met(self._leaving, proxies),
            proxy_headers=False,  # `_Met` does it, after it has noted who really asked
            log_config=None,
            log_level="warning",
            access_log=False,  # it would write the tokens in jobs' addresses
            server_header=False,
            timeout_graceful_shutdown=_GRACE,
            timeout_keep_alive=_IDLE,
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

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """End at once; at SIGTERM only after a load balancer that looks at us was told."""
        if not (self.announces and sig == signal.SIGTERM and self._leaving.announce()):
            super().handle_exit(sig, frame)

    async def on_tick(self, counter: int) -> bool:
        return await super().on_tick(counter) or self._leaving.is_over

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


def make_server(app: Any, proxies: Sequence[Network] | None = None) -> _Server:
    """Return a server for the app that ends at SIGTERM and SIGINT, from this moment on.

    What `proxies` say about those for whom they ask is believed; without any, a proxy of this
    machine is.
    """
    server = _Server(app, proxies or ())
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

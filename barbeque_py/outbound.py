"""Sends requests to addresses of others' choosing: checked, pinned, bounded, never redirected."""

import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import httpcore
import httpx

from barbeque_py import clock
from barbeque_py.errors import Unanswered
from barbeque_py.targets import (
    Address,
    Allowed,
    Target,
    check_addresses,
    check_target,
    literal_of,
    read_target,
)

PATIENCE = 10.0
"""Seconds that a whole request may take, from looking up the name to the answer's last byte."""
MOST = 64 * 1024
"""Bytes of an answer that are read."""

Resolve = Callable[[str], Sequence[Address]]
"""Returns every address that a name has now; raises `OSError`."""


@dataclass(frozen=True, slots=True)
class Response:
    """What was answered."""

    status: int
    headers: Mapping[str, str]
    """By their names in lower case; of one that came twice the last."""
    body: bytes
    """Up to `MOST` bytes of it."""

    @property
    def good(self) -> bool:
        """Whether the request was taken; a redirect is not, as none is followed."""
        return 200 <= self.status < 300  # noqa: PLR2004


class Outbound:
    """Speaks to public addresses over https, and to what the operator has listed.

    The name is looked up once a request, every address it has is checked, and the connection goes
    to one of those that were: what the name says later changes nothing. Proxies of the
    environment are not asked, as they would look the name up again.
    """

    def __init__(
        self,
        allowed: Allowed,
        *,
        resolve: Resolve | None = None,
        trust: ssl.SSLContext | None = None,
        patience: float = PATIENCE,
    ) -> None:
        self._allowed = allowed
        self._resolve = resolve or look_up
        self._trust = trust
        self._patience = patience

    def check(self, url: str) -> Target:
        """Refuse, without asking anybody, what can't be sent to; raises `ForbiddenTarget`."""
        target = read_target(url)
        check_target(target, self._allowed)
        return target

    def send(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Response:
        """Send the request once and return the answer, whatever its status.

        Raises `ForbiddenTarget` when nothing may be sent there, and `Unanswered`.
        """
        until = clock.monotonic() + self._patience
        target = self.check(url)
        addresses = self._addresses(target, until)
        check_addresses(target, addresses, self._allowed)
        backend = _Pinned(addresses, until)
        with _told(target, backend), self._pool(backend) as pool:
            lines = [(name.encode(), text.encode()) for name, text in headers.items()]
            lines.append((b"Connection", b"close"))
            with pool.stream(
                method, f"{target.origin}{target.path}", headers=lines, content=body
            ) as answer:
                read = _first(answer.iter_stream(), MOST)
            names = {each.decode("latin-1").lower(): text for each, text in answer.headers}
            told = {name: text.decode("latin-1") for name, text in names.items()}
            return Response(answer.status, told, read)

    def _pool(self, backend: "_Pinned") -> httpcore.ConnectionPool:
        if self._trust is None:
            self._trust = httpx.create_ssl_context()
        return httpcore.ConnectionPool(
            ssl_context=self._trust, network_backend=backend, max_connections=1
        )

    def _addresses(self, target: Target, until: float) -> Sequence[Address]:
        literal = literal_of(target)
        if literal is not None:
            return [literal]
        try:
            return _in_time(lambda: self._resolve(target.host), until)
        except OSError as error:
            raise Unanswered(f"{target.host} can't be looked up: {error}", sent=False) from None


def look_up(host: str) -> list[Address]:
    """Return every address of the name, in the order in which they should be tried."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    texts = dict.fromkeys(str(each[4][0]).partition("%")[0] for each in found)
    return [ipaddress.ip_address(text) for text in texts]


def _in_time(ask: Callable[[], Sequence[Address]], until: float) -> Sequence[Address]:
    """Return the answer of a call that knows no time limit; raises `OSError` as it does."""
    found: list[Sequence[Address]] = []
    faults: list[Exception] = []

    def run() -> None:
        try:
            found.append(ask())
        except (OSError, UnicodeError) as error:
            faults.append(error)

    asking = threading.Thread(target=run, name="resolve", daemon=True)
    asking.start()
    asking.join(max(0.0, until - clock.monotonic()))
    if not found:
        raise OSError(str(faults[0]) if faults else "no answer in time")
    return found[0]


class _Pinned(httpcore.NetworkBackend):
    """Connects to addresses that were checked, whatever the name would say by now."""

    def __init__(self, addresses: Sequence[Address], until: float) -> None:
        self._addresses = addresses
        self._until = until
        self._plain = httpcore.SyncBackend()
        self.sent = False
        """Whether a byte of the request may have left."""

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002 - ours is for the whole request
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Try the addresses one after the other."""
        fault: Exception = httpcore.ConnectError(f"{host} has no address")
        for number, address in enumerate(self._addresses):
            share = self.left() / (len(self._addresses) - number)
            try:
                stream = self._plain.connect_tcp(
                    str(address), port, share, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                fault = error
            else:
                return _Bounded(stream, self)
        raise fault

    def left(self) -> float:
        """Return the seconds that are left; raises when there are none."""
        left = self._until - clock.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout("it took too long")
        return left


class _Bounded(httpcore.NetworkStream):
    """A connection on which all reads and writes together have one time limit."""

    def __init__(self, stream: httpcore.NetworkStream, pinned: _Pinned) -> None:
        self._stream = stream
        self._pinned = pinned

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002
        """Read within what is left of the time."""
        return self._stream.read(max_bytes, self._pinned.left())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        """Write within what is left of the time, and remember that something left."""
        self._pinned.sent = True
        self._stream.write(buffer, self._pinned.left())

    def close(self) -> None:
        """Close the connection."""
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002
    ) -> httpcore.NetworkStream:
        """Speak TLS from here on, to the host of the URL and no other."""
        stream = self._stream.start_tls(ssl_context, server_hostname, self._pinned.left())
        return _Bounded(stream, self._pinned)

    def get_extra_info(self, info: str) -> object:
        """Return what is known of the connection."""
        return self._stream.get_extra_info(info)


def _first(chunks: Iterator[bytes], most: int) -> bytes:
    read = bytearray()
    for chunk in chunks:
        read += chunk
        if len(read) >= most:
            break
    return bytes(read[:most])


@contextmanager
def _told(target: Target, backend: _Pinned) -> Iterator[None]:
    """Say for people what the library found, without the path: it may hold a secret."""
    try:
        yield
    except httpcore.TimeoutException:
        raise Unanswered(f"{target.origin} did not answer in time", sent=backend.sent) from None
    except (httpcore.NetworkError, httpcore.ProtocolError, OSError) as error:
        what = "broke off" if backend.sent else "could not be connected to"
        reason = f"{target.origin} {what}: {error or type(error).__name__}"
        raise Unanswered(reason, sent=backend.sent) from None

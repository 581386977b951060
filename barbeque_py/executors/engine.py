"""The Docker engine's HTTP API over its unix socket, spoken with few words and little CPU."""

import json
import os
import select
import socket as sockets
import struct
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httptools

from barbeque_py import clock
from barbeque_py.errors import ExecutorUnavailable

_PIECE = 256 * 1024
_IDLE = 16
_MOMENT = 0.0005
"""Seconds to let the lines of a log gather: 60 times fewer reads, half the CPU, no less speed."""

_SERVER_ERROR = 500


@dataclass(frozen=True, slots=True)
class Answer:
    """What the engine answered to one call."""

    status: int
    body: bytes

    def json(self) -> Any:
        """Read the body as JSON."""
        return json.loads(self.body)

    def sentence(self) -> str:
        """Return the engine's own words about what went wrong."""
        try:
            return str(json.loads(self.body)["message"])
        except (ValueError, KeyError, TypeError):
            return self.body.decode(errors="replace").strip()


class _Response:
    """What httptools tells of one response while its bytes come in."""

    def __init__(self) -> None:
        self.parser = httptools.HttpResponseParser(self)
        self.pieces: list[bytes] = []
        self.headed = False
        self.complete = False
        self.lasts = False
        """Whether the connection may be used again."""

    def on_headers_complete(self) -> None:
        self.headed = True

    def on_body(self, piece: bytes) -> None:
        self.pieces.append(piece)

    def on_message_complete(self) -> None:
        self.complete = True
        self.lasts = self.parser.should_keep_alive()  # known only now


class _Connection:
    """One connection to the engine; closes itself when it is forgotten."""

    def __init__(self, path: str, silence: float) -> None:
        self._socket = sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM)
        try:
            self._socket.settimeout(silence)
            self._socket.connect(path)
        except OSError:
            self._socket.close()
            raise
        self._space = memoryview(bytearray(16 * 1024))

    def __del__(self) -> None:
        with suppress(AttributeError):  # the path was no string
            self._socket.close()

    def close(self) -> None:
        self._socket.close()

    def is_open(self) -> bool:
        """Tell whether the engine has neither closed an idle connection nor spoken on it."""
        return not select.select([self._socket], [], [], 0)[0]

    def send(self, head: bytes, body: bytes, silence: float) -> None:
        self._socket.settimeout(silence)
        self._socket.sendall(head + body if len(body) < _PIECE else head)
        if len(body) >= _PIECE:
            self._socket.sendall(body)

    def widen(self, silence: float) -> None:
        """Expect a long body, and wait that many seconds for each piece of it."""
        self._space = memoryview(bytearray(_PIECE))
        self._socket.settimeout(silence)

    def gather(self) -> None:
        """Wait for something, then a moment more: the engine writes a log line by line."""
        if not select.select([self._socket], [], [], self._socket.gettimeout())[0]:
            raise TimeoutError
        time.sleep(_MOMENT)

    def receive(self, response: _Response) -> None:
        """Feed the response what has come; raises `OSError` when the engine hung up."""
        count = self._socket.recv_into(self._space)
        if not count:
            raise ConnectionResetError("the connection was cut in the middle of an answer")
        response.parser.feed_data(self._space[:count])

    def peer(self) -> int:
        """Return the pid that listens on the socket, 0 where it can't be seen."""
        if not hasattr(sockets, "SO_PEERCRED"):
            return 0
        seen = self._socket.getsockopt(sockets.SOL_SOCKET, sockets.SO_PEERCRED, 12)
        return int(struct.unpack("3i", seen)[0])


class Stream:
    """An answer that is read while the engine is still writing it."""

    def __init__(self, engine: "Engine", connection: _Connection, response: _Response) -> None:
        self._engine = engine
        self._connection = connection
        self._response = response
        self.status = response.parser.get_status_code()

    @property
    def complete(self) -> bool:
        """Whether all is read and the engine said it was all; a cut connection never says so."""
        return self._response.complete and not self._response.pieces

    def read(self) -> list[bytes] | None:
        """Return what has come, None when nothing came for the stream's time of silence."""
        if not self._response.pieces and not self._response.complete:
            try:
                self._connection.gather()
                self._connection.receive(self._response)
            except TimeoutError:
                return None
            except (OSError, httptools.HttpParserError) as error:
                raise self._engine.unavailable(error) from error
        pieces = self._response.pieces
        self._response.pieces = []
        return pieces


class Engine:
    """A Docker engine behind a unix socket; safe for threads.

    Every call raises `ExecutorUnavailable` when the engine is away, cuts the connection, answers
    5xx, or is silent for `timeout` seconds: then what it did is unknown.
    """

    def __init__(self, socket: str, timeout: float) -> None:
        self.socket = socket
        self.timeout = timeout
        self._idle: deque[_Connection] = deque()
        self._away = False
        self._returned_at: datetime | None = None

    def close(self) -> None:
        """Close the connections that nobody uses."""
        while self._idle:
            self._idle.pop().close()

    def call(self, method: str, path: str, *, content: object = None) -> Answer:
        """Make one call; content is JSON, or bytes of a tar. 5xx raises `ExecutorUnavailable`."""
        answer = self.ask(method, path, content=content)
        if answer.status >= _SERVER_ERROR:
            raise self.unavailable(f"it answered {answer.status}: {answer.sentence()}")
        return answer

    def ask(self, method: str, path: str, *, content: object = None) -> Answer:
        """Make one call and return whatever the engine answers, 5xx too."""
        try:
            connection = self._take()
            response = _Response()
            connection.send(*_request(method, path, content), self.timeout)
            while not response.complete:
                connection.receive(response)
        except (OSError, httptools.HttpParserError) as error:
            raise self.unavailable(error) from error
        if response.lasts and len(self._idle) < _IDLE:
            self._idle.append(connection)
        return Answer(response.parser.get_status_code(), b"".join(response.pieces))

    @contextmanager
    def stream(self, method: str, path: str, *, silence: float) -> Iterator[Stream]:
        """Open a long answer on a connection of its own; `silence` is in seconds."""
        response = _Response()
        try:
            connection = self._connect()
            connection.send(*_request(method, path, None), self.timeout)
            while not response.headed:
                connection.receive(response)
            connection.widen(silence)
        except (OSError, httptools.HttpParserError) as error:
            raise self.unavailable(error) from error
        try:
            yield Stream(self, connection, response)
        finally:
            connection.close()

    def started_at(self) -> datetime | None:
        """Return the latest time at which the engine is known to have started."""
        known = [self._returned_at, self._process_start(), self._bridge_made_at()]
        return max((instant for instant in known if instant), default=None)

    def unavailable(self, cause: object) -> ExecutorUnavailable:
        """Make the error that names the socket, the cause and the cure."""
        cure = "start the engine, or set BARBEQUE_EXECUTOR=process:"
        if isinstance(cause, PermissionError):
            cure = "let this user use it (group docker), or set BARBEQUE_EXECUTOR=process:"
        if isinstance(cause, str):
            cure = "the engine's own log says more"
        if isinstance(cause, TimeoutError):
            cause = f"no answer within {self.timeout:g} s"
        return ExecutorUnavailable(
            f"The Docker engine at {self.socket} is not available ({cause}): {cure}"
        )

    def _take(self) -> _Connection:
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return self._connect()
            if connection.is_open():
                return connection
            connection.close()

    def _connect(self) -> _Connection:
        try:
            connection = _Connection(self.socket, self.timeout)
        except (ConnectionRefusedError, FileNotFoundError):
            self._away = True
            raise
        if self._away:
            self._returned_at = clock.now()
            self._away = False
        return connection

    def _process_start(self) -> datetime | None:
        """Ask the kernel when dockerd started; systemd or a proxy may listen in its place."""
        try:
            connection = self._connect()
            process = Path("/proc", str(connection.peer()))
            connection.close()
            name, _, rest = (process / "stat").read_text().partition("(")[2].rpartition(")")
            uptime = float(Path("/proc/uptime").read_text().split()[0])
        except OSError:
            return None
        if name != "dockerd":
            return None
        age = uptime - int(rest.split()[19]) / os.sysconf("SC_CLK_TCK")
        return clock.now() - timedelta(seconds=age)

    def _bridge_made_at(self) -> datetime | None:
        """Ask for the age of the default network, which an engine makes anew as it starts."""
        answer = self.call("GET", "/networks/bridge")
        return datetime.fromisoformat(answer.json()["Created"]) if answer.status == 200 else None  # noqa: PLR2004 - HTTP's OK


def engine_answers(socket: str, timeout: float = 2.0) -> bool:
    """Tell whether a Docker engine answers behind this socket within so many seconds."""
    engine = Engine(socket, timeout)
    try:
        return engine.call("GET", "/_ping").body == b"OK"
    except ExecutorUnavailable:
        return False
    finally:
        engine.close()


def _request(method: str, path: str, content: object) -> tuple[bytes, bytes]:
    """Write the head and the body of a request."""
    kind, body = "application/json", b""
    if isinstance(content, bytes):
        kind, body = "application/x-tar", content
    elif content is not None:
        body = json.dumps(content).encode()
    head = f"{method} {path} HTTP/1.1\r\nHost: docker\r\n"
    if body or method != "GET":
        head += f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
    return f"{head}\r\n".encode(), body

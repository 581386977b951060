"""One HTTP/1.1 connection to the cloud: requests in, answers out, in their order."""

import asyncio
import contextlib
import sys
import traceback
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import cast

import httptools

_FULL = 512 * 1024
"""Bytes of a body that may wait to be read before the client is made to wait."""

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Dropped(Exception):
    """The connection is to be closed without an answer."""


class Body:
    """A request's body as it comes in; a reader that lags makes the client wait."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._held: deque[bytes] = deque()
        self._size = 0
        self._news = asyncio.Event()
        self._paused = False
        self.streamed = False
        self.ended = False

    def feed(self, piece: bytes) -> None:
        """Take in what came."""
        self._held.append(piece)
        self._size += len(piece)
        self._news.set()
        if self.streamed and self._size > _FULL and not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def end(self) -> None:
        """Take in that no more comes."""
        self.ended = True
        self._news.set()

    def whole(self) -> bytes:
        """Return a body that has ended."""
        return b"".join(self._held)

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the body piece by piece as it comes."""
        while True:
            while self._held:
                piece = self._held.popleft()
                self._size -= len(piece)
                if self._paused and self._size <= _FULL and not self._transport.is_closing():
                    self._paused = False
                    self._transport.resume_reading()
                yield piece
            if self.ended:
                return
            self._news.clear()
            await self._news.wait()


@dataclass(slots=True)
class Request:
    """A request's head, and its body as it comes."""

    body: Body
    method: str = ""
    url: str = ""
    raw_headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    headers: dict[bytes, bytes] = field(default_factory=dict)
    """By name in small letters."""

    @property
    def expects(self) -> bool:
        """Tell whether the client waits for a word before it sends the body."""
        return self.headers.get(b"expect", b"").lower() == b"100-continue"


class Connection(asyncio.Protocol):
    """Reads requests and has each answered by `answer`, which writes; one after the other.

    `streams` tells whether a request is to be answered while its body still comes.
    """

    def __init__(
        self,
        answer: Callable[[Request, "Connection"], Awaitable[None]],
        streams: Callable[[Request], bool],
        open_ones: set["Connection"],
    ) -> None:
        self._answer = answer
        self._streams = streams
        self._open_ones = open_ones
        self._parser = httptools.HttpRequestParser(self)
        self._url = b""
        self._request: Request | None = None
        self._line: deque[Request] = deque()
        self._task: asyncio.Task[None] | None = None
        self._may_write = asyncio.Event()
        self._may_write.set()
        self._current: Request | None = None
        self.waiting = False
        """What is being answered is of no use once the client has gone."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        self._open_ones.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._open_ones.discard(self)
        self._may_write.set()
        cut = self._current is not None and not self._current.body.ended
        if self._task is not None and (self.waiting or cut):
            self._task.cancel()  # whatever arrived whole is done, as AWS does it

    def pause_writing(self) -> None:
        self._may_write.clear()

    def resume_writing(self) -> None:
        self._may_write.set()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.transport.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
            self.transport.close()

    def on_message_begin(self) -> None:
        self._url = b""
        self._request = Request(Body(self.transport))

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        assert self._request is not None
        self._request.raw_headers.append((name, value))
        self._request.headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        request = self._request
        assert request is not None
        request.method = self._parser.get_method().decode()
        request.url = self._url.decode("latin-1")
        request.body.streamed = self._streams(request)
        if request.body.streamed:
            self._take(request)
        elif request.expects:
            self.transport.write(CONTINUE)

    def on_body(self, piece: bytes) -> None:
        assert self._request is not None
        self._request.body.feed(piece)

    def on_message_complete(self) -> None:
        request = self._request
        assert request is not None
        request.body.end()
        if not request.body.streamed:
            self._take(request)

    async def write(self, piece: bytes) -> None:
        """Send, waiting while the client does not read; to nobody when it has gone."""
        if self.transport.is_closing():
            return
        self.transport.write(piece)
        if not self._may_write.is_set():
            await self._may_write.wait()

    async def close(self) -> None:
        """Close at once, and wait until nothing is being answered."""
        self.transport.abort()
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def _take(self, request: Request) -> None:
        self._line.append(request)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._answer_all())

    async def _answer_all(self) -> None:
        try:
            while self._line:
                self._current = request = self._line.popleft()
                await self._answer(request, self)
                if not request.body.ended:  # answered early: what still comes is not for us
                    self.transport.close()
        except Dropped:
            self.transport.abort()
        except Exception:  # noqa: BLE001 - one bad request must not end the cloud
            traceback.print_exc(file=sys.stderr)
            self.transport.abort()
        finally:
            self._task = self._current = None

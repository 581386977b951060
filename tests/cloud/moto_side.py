"""moto's server beside ours, and the way through to it, unchanged and in bounded memory.

moto closes the connection after every answer, so each request gets one of its own.
"""

import asyncio
import contextlib
import logging
import threading
from collections.abc import AsyncIterator

import httptools
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import make_server

from tests.cloud.moto_mends import mend_cloudformation
from tests.cloud.wire import CONTINUE, Connection, Dropped, Request

_PIECE = 256 * 1024
_OURS = {b"connection", b"expect", b"keep-alive", b"transfer-encoding"}
"""Headers that speak of one connection only."""


class _Handler(MotoRequestHandler):
    disable_nagle_algorithm = True
    wbufsize = -1


class Moto:
    """moto on a port of 127.0.0.1 of its own, in threads of this process."""

    def __init__(self) -> None:
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        mend_cloudformation()
        self._server = make_server(
            "127.0.0.1",
            0,
            DomainDispatcherApplication(create_backend_app),
            threaded=True,
            request_handler=_Handler,
        )
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def endpoint(self) -> str:
        """Where clients reach it."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """End it."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class Passage:
    """The way through to moto's port."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def relay(self, request: Request, client: Connection, *, lose: bool) -> None:
        """Pass the request on and the answer back; lost answers are read to their end."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port, limit=_PIECE)
        sending = asyncio.create_task(self._send(request, client, writer))
        try:
            async for piece in self._answer(request.method, reader):
                if not lose:
                    await client.write(piece)
            if lose:
                raise Dropped
        finally:
            sending.cancel()
            with contextlib.suppress(asyncio.CancelledError, ConnectionError):
                await sending
            writer.transport.abort()

    async def _send(
        self, request: Request, client: Connection, writer: asyncio.StreamWriter
    ) -> None:
        chunked = b"transfer-encoding" in request.headers
        lines = [f"{request.method} {request.url} HTTP/1.1".encode("latin-1")]
        lines += [
            name + b": " + value for name, value in request.raw_headers if name.lower() not in _OURS
        ]
        lines += [b"Transfer-Encoding: chunked"] if chunked else []
        writer.write(b"\r\n".join([*lines, b"Connection: close", b"", b""]))
        if request.expects and request.body.streamed:
            await client.write(CONTINUE)
        async for piece in request.body.pieces():
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
            await writer.drain()
        if chunked:
            writer.write(b"0\r\n\r\n")

    async def _answer(self, method: str, reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
        """Yield moto's answer as the client is to see it; raises `Dropped` when it breaks off."""
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError as error:
            raise Dropped from error
        end = _End()
        end.feed(head)
        lines = head.split(b"\r\n")
        yield b"\r\n".join(each for each in lines if not each.lower().startswith(b"connection:"))
        while not end.reached and method != "HEAD":
            piece = await reader.read(_PIECE)
            if not piece:
                raise Dropped
            end.feed(piece)
            yield piece


class _End:
    """Sees where an answer ends: moto closes only some time after it."""

    def __init__(self) -> None:
        self.reached = False
        self.feed = httptools.HttpResponseParser(self).feed_data

    def on_message_complete(self) -> None:
        self.reached = True

"""Bodies go through the front in bounded memory: whoever lags makes the other wait."""

import asyncio

from tests.cloud.moto_side import Passage
from tests.cloud.wire import Connection, Request

HUGE = 1 << 40
PLENTY = 64 * 1024 * 1024
HEAD = f"PUT /bucket/key HTTP/1.1\r\nContent-Length: {HUGE}\r\n\r\n".encode()


async def relay_between(upstream: asyncio.Server) -> tuple[asyncio.Server, set[Connection]]:
    """Start a front with a passage to the server given."""
    passage = Passage(upstream.sockets[0].getsockname()[1])

    async def answer(request: Request, client: Connection) -> None:
        await passage.relay(request, client, lose=False)

    connections: set[Connection] = set()
    loop = asyncio.get_running_loop()
    front = await loop.create_server(
        lambda: Connection(answer, lambda _: True, connections), "127.0.0.1", 0
    )
    return front, connections


async def push(port: int) -> int:
    """Send a body without end until no more is taken; return the bytes that were."""
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(HEAD)
    sent = 0
    try:
        while sent < 10 * PLENTY:
            writer.write(b"x" * 65_536)
            await asyncio.wait_for(writer.drain(), 2)
            sent += 65_536
    except TimeoutError:
        pass
    finally:
        writer.transport.abort()
    return sent


def test_a_store_that_does_not_read_makes_the_client_wait() -> None:
    async def play() -> int:
        async def ignore(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            ignored.append(writer)

        ignored: list[asyncio.StreamWriter] = []
        upstream = await asyncio.start_server(ignore, "127.0.0.1", 0, limit=1024)
        front, connections = await relay_between(upstream)
        async with upstream, front:
            sent = await push(front.sockets[0].getsockname()[1])
            for each in [*connections]:
                await each.close()
            for writer in ignored:
                writer.transport.abort()
        return sent

    assert asyncio.run(play()) < PLENTY


def test_a_client_that_does_not_read_makes_the_store_wait() -> None:
    async def play() -> int:
        written = 0
        stuck = asyncio.Event()

        async def gush(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal written
            await reader.readuntil(b"\r\n\r\n")
            writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {HUGE}\r\n\r\n".encode())
            try:
                while written < 10 * PLENTY:
                    writer.write(b"x" * 65_536)
                    await asyncio.wait_for(writer.drain(), 2)
                    written += 65_536
            except TimeoutError:
                pass
            finally:
                stuck.set()
                writer.transport.abort()

        upstream = await asyncio.start_server(gush, "127.0.0.1", 0)
        front, connections = await relay_between(upstream)
        async with upstream, front:
            port = front.sockets[0].getsockname()[1]
            _, client = await asyncio.open_connection("127.0.0.1", port, limit=1024)
            client.write(b"GET /bucket/key HTTP/1.1\r\n\r\n")
            await stuck.wait()
            client.transport.abort()
            for each in [*connections]:
                await each.close()
        return written

    assert asyncio.run(play()) < PLENTY

"""Loads one route with POSTs: by wrk where it is installed, else by a few lines of asyncio."""

import asyncio
import json
import re
import shutil
import subprocess
import tempfile
from urllib.parse import urlsplit

from barbeque_py import clock

PATH = "/v2/job_executions"


def loader() -> str:
    """Name what makes the load."""
    return "wrk" if shutil.which("wrk") else "our own client (no wrk here)"


def load_with(url: str, body: str, *, seconds: int, connections: int) -> int:
    """Post the body over so many connections for so long; return how many were answered 201.

    Raises `RuntimeError` when one was answered otherwise.
    """
    if shutil.which("wrk"):
        return _wrk(url, body, seconds=seconds, connections=connections)
    return asyncio.run(_post_over_all(url, body, seconds=seconds, connections=connections))


def _wrk(url: str, body: str, *, seconds: int, connections: int) -> int:
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(f"wrk.method = 'POST'\nwrk.body = [==[{body}]==]\n")
        script.write("wrk.headers['Content-Type'] = 'application/json'\n")
        script.flush()
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", script.name, url + PATH]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = re.search(r"(\d+) requests in", said)
    if found is None or "Non-2xx" in said or "Socket errors" in said:
        raise RuntimeError(said)
    return int(found[1])


async def _post_over_all(url: str, body: str, *, seconds: int, connections: int) -> int:
    until = clock.monotonic() + seconds
    return sum(await asyncio.gather(*(_post(url, body, until) for _ in range(connections))))


async def _post(url: str, body: str, until: float) -> int:
    target = urlsplit(url)
    reader, writer = await asyncio.open_connection(target.hostname, target.port)
    content = json.dumps(json.loads(body)).encode()
    head = f"POST {PATH} HTTP/1.1\r\nHost: {target.netloc}\r\nContent-Type: application/json\r\n"
    request = f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content
    answered = 0
    while clock.monotonic() < until:
        writer.write(request)
        answer = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", answer)
        if not answer.startswith(b"HTTP/1.1 201") or length is None:
            raise RuntimeError(answer.decode())
        await reader.readexactly(int(length[1]))
        answered += 1
    writer.close()
    await writer.wait_closed()
    return answered

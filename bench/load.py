"""Loads one route with POSTs: by wrk where it is installed, else by a few lines of asyncio."""

import asyncio
import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from barbeque_py import clock

PATH = "/v2/job_executions"


def loader() -> str:
    """Name what makes the load."""
    return "wrk" if shutil.which("wrk") else "our own client (no wrk here)"


def load_with(
    url: str,
    body: str,
    *,
    seconds: int,
    connections: int,
    path: str = PATH,
    headers: Mapping[str, str] | None = None,
) -> int:
    """Post the body over so many connections for so long; return how many were answered 201.

    Raises `RuntimeError` when one was answered otherwise.
    """
    request = _Request(url, path, body, {"Content-Type": "application/json"} | dict(headers or {}))
    if shutil.which("wrk"):
        return _wrk(request, seconds=seconds, connections=connections)
    return asyncio.run(_post_over_all(request, seconds=seconds, connections=connections))


@dataclass(frozen=True, slots=True)
class _Request:
    """What is posted, again and again."""

    url: str
    path: str
    body: str
    headers: dict[str, str]


def _wrk(request: _Request, *, seconds: int, connections: int) -> int:
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(f"wrk.method = 'POST'\nwrk.body = [==[{request.body}]==]\n")
        for name, value in request.headers.items():
            script.write(f"wrk.headers['{name}'] = '{value}'\n")
        script.flush()
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", script.name]
        command.append(request.url + request.path)
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = re.search(r"(\d+) requests in", said)
    if found is None or "Non-2xx" in said or "Socket errors" in said:
        raise RuntimeError(said)
    return int(found[1])


async def _post_over_all(request: _Request, *, seconds: int, connections: int) -> int:
    until = clock.monotonic() + seconds
    return sum(await asyncio.gather(*(_post(request, until) for _ in range(connections))))


async def _post(wanted: _Request, until: float) -> int:
    target = urlsplit(wanted.url)
    reader, writer = await asyncio.open_connection(target.hostname, target.port)
    content = json.dumps(json.loads(wanted.body)).encode()
    headers = wanted.headers | {"Host": target.netloc, "Content-Length": str(len(content))}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    request = f"POST {wanted.path} HTTP/1.1\r\n{lines}\r\n".encode() + content
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

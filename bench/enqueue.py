"""Enqueue requests per second and per CPU-second, against a bare FastAPI echo.

Ours: `barbeque api` on SQLite, one POST a job, answered after the commit (synchronous FULL). The
echo reads the same body with pydantic and answers. Both are one process of uvicorn with uvloop and
httptools. Rounds alternate; the load is wrk's with 32 connections, else our own client's.
"""

import http.client
import json
import statistics
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from barbeque_py import clock
from bench.load import load_with, loader
from bench.report import Report, read_options
from bench.site import APP, QUEUE, address_said_by, cpu_seconds, opened, running

BODY = json.dumps(
    {
        "application": APP,
        "job": "Thumbnail",
        "queue": QUEUE,
        "message": {"image": "s3://bucket/key.jpg", "sizes": [64, 128, 256], "user": 12345},
    }
)


@dataclass(frozen=True, slots=True)
class Server:
    """A server under load."""

    pid: int
    url: str


@dataclass(frozen=True, slots=True)
class Round:
    """What one server did in one round: per second, and per second of its CPU time."""

    rate: float
    per_cpu: float


def main(argv: Sequence[str] | None = None) -> None:
    given = read_options(argv, __doc__, rounds=5, seconds=4, connections=32)
    with ExitStack() as stack:
        site = stack.enter_context(opened(1, []))
        process, url = site.serve("api")
        echo = stack.enter_context(running([sys.executable, "-m", "bench.echo"], {}))
        servers = {
            "ours": Server(process.pid, url),
            "echo": Server(echo.pid, address_said_by(echo)),
        }
        rounds = _alternate(servers, given)
        alone = {name: _ask_one_by_one(server) for name, server in servers.items()}
    title = f"enqueue on SQLite, {given.connections} connections, load by {loader()}"
    report = Report(title, given.json)
    _tell(report, rounds)
    for name, seconds in alone.items():
        report.times(f"one request at a time, {name}", seconds, p50=5 if name == "ours" else None)
    report.show()


def _alternate(servers: dict[str, Server], given: Any) -> dict[str, list[Round]]:
    rounds: dict[str, list[Round]] = {name: [] for name in servers}
    for server in servers.values():
        load_with(server.url, BODY, seconds=1, connections=given.connections)
    for turn in range(given.rounds):
        for name in sorted(servers, reverse=bool(turn % 2)):
            rounds[name].append(_measure(servers[name], given))
    return rounds


def _measure(server: Server, given: Any) -> Round:
    cpu, began = cpu_seconds(server.pid), clock.monotonic()
    answered = load_with(server.url, BODY, seconds=given.seconds, connections=given.connections)
    took, spent = clock.monotonic() - began, cpu_seconds(server.pid) - cpu
    return Round(answered / took, answered / spent)


def _ask_one_by_one(server: Server, count: int = 200) -> list[float]:
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc)
    seconds = []
    for _ in range(count):
        began = clock.monotonic()
        connection.request("POST", "/v2/job_executions", BODY, {"Content-Type": "application/json"})
        connection.getresponse().read()
        seconds.append(clock.monotonic() - began)
    connection.close()
    return seconds


def _tell(report: Report, rounds: dict[str, list[Round]]) -> None:
    pairs = list(zip(rounds["ours"], rounds["echo"], strict=True))
    report.ratio(
        "requests per CPU-second against the echo",
        [own.per_cpu / bare.per_cpu for own, bare in pairs],
        at_least=0.6,
    )
    report.ratio("requests/s against the echo", [own.rate / bare.rate for own, bare in pairs])
    for name, each in rounds.items():
        rate = statistics.median(one.rate for one in each)
        per_cpu = statistics.median(one.per_cpu for one in each)
        report.number(f"requests/s, {name}", rate, "")
        report.number(f"requests per CPU-second, {name}", per_cpu, "")


if __name__ == "__main__":
    main()

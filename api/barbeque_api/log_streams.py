"""`/v2/job_executions/{id}/log/stream`: a log as it is written, as server-sent events."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response

from barbeque_api.attempt_logs import First, LogPlace, Number, Stream, find_place, line_facts
from barbeque_api.parts import Served
from barbeque_api.problems import refusal
from barbeque_api.rights import caller_of, needs
from barbeque_api.routes import Events
from barbeque_api.statuses import check_id
from barbeque_py.attempt_log import LogReader
from barbeque_py.followers import Batch, Followers
from barbeque_py.identity import Identity, Scope
from barbeque_py.logs import Page

_PATH = "/v2/job_executions/{message_id}/log/stream"
_LAST = re.compile(r"(\d{1,9})[.](\d{1,15})", re.ASCII)
_PAUSE = 1.0
_PAGE = 1000
_BEAT = b": nothing new\n\n"


@dataclass(frozen=True, slots=True)
class _Asked:
    message_id: str
    attempt: int | None
    first: int
    stream: str | None
    caller: Identity


class LogStreams:
    """Streams logs; one reader serves all who follow the same one."""

    def __init__(self, parts: Served) -> None:
        self._parts = parts
        self._reader = LogReader(parts.store, parts.logs, parts.watching)
        self._followers = Followers()

    def add_to(self, router: APIRouter) -> None:
        """Add the route."""
        router.add_api_route(
            _PATH,
            self.stream,
            methods=["GET"],
            response_class=Events,
            dependencies=[needs(Scope.LOGS)],
        )

    async def stream(
        self,
        message_id: str,
        request: Request,
        *,
        attempt: Number = None,
        first: First = 0,
        stream: Stream = None,
    ) -> Response:
        """Stream the attempt's lines, each as an event, until its log is complete.

        Without `attempt` the newest one's; waits for the first one. A client that was cut off sends
        the id of the last event it had in `Last-Event-ID` and goes on behind it.
        """
        check_id(message_id)
        attempt, first = _resumed(request.headers.get("last-event-id"), attempt, first)
        asked = _Asked(message_id, attempt, first, stream, caller_of(request))
        place = await run_in_threadpool(self._look, asked)
        return Events(self._events(asked, place), headers={"x-accel-buffering": "no"})

    def _look(self, asked: _Asked) -> LogPlace:
        return self._parts.store.read(
            lambda tx: find_place(tx, asked.caller, asked.message_id, asked.attempt)
        )

    async def _events(self, asked: _Asked, place: LogPlace) -> AsyncIterator[bytes]:
        while place.attempt is None and not place.ended:
            yield _BEAT
            await asyncio.sleep(_PAUSE)
            place = await run_in_threadpool(self._look, asked)
        if place.attempt is None:
            yield _event("end", None, {"attempt": None, "next": 0, "sealed": False})
            return
        known = replace(asked, attempt=place.attempt.number)
        async for batch in self._batches(known, str(place.attempt.id)):
            for event in _written(batch, place.attempt.number, asked.stream):
                yield event

    async def _batches(self, asked: _Asked, attempt: str) -> AsyncIterator[Batch]:
        async def read(first: int) -> tuple[Page, bool]:
            return await run_in_threadpool(self._read, asked, first)

        first = asked.first
        if first < 0:
            page, _ = await read(first)
            first = page.lines[0].number if page.lines else page.next
        async for batch in self._followers.follow(attempt, read, first):
            yield batch

    def _read(self, asked: _Asked, first: int) -> tuple[Page, bool]:
        place = self._look(asked)
        assert place.attempt is not None, "it was there before"
        page = self._reader.lines(place.execution, place.attempt, first=first, count=_PAGE)
        return page, place.ended


def _resumed(last: str | None, attempt: int | None, first: int) -> tuple[int | None, int]:
    """Return where to begin: behind the last event of before, if the client had one."""
    if not last:
        return attempt, first
    found = _LAST.fullmatch(last)
    if found is None or (attempt is not None and int(found[1]) != attempt):
        raise refusal(400, "Last-Event-ID is no id of an event of this log")
    return int(found[1]), int(found[2])


def _written(batch: Batch, attempt: int, stream: str | None) -> Iterator[bytes]:
    for line in batch.lines:
        if stream in (None, line.stream):
            yield _event(None, f"{attempt}.{line.number + 1}", line_facts(line))
    if batch.over:
        told = {"attempt": attempt, "next": batch.next, "sealed": batch.sealed}
        yield _event("end", f"{attempt}.{batch.next}", told)
    elif not batch.lines:
        yield _BEAT


def _event(kind: str | None, number: str | None, facts: Mapping[str, Any]) -> bytes:
    """Write one event; JSON has no newline in it."""
    head = f"event: {kind}\n" if kind else ""
    head += f"id: {number}\n" if number else ""
    return f"{head}data: {json.dumps(facts, ensure_ascii=False)}\n\n".encode("utf-8", "replace")

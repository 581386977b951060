"""A log as it grows, as server-sent events: each tells how long it is now, and its newest rows."""

import asyncio
import json
import re
from collections import OrderedDict
from collections.abc import AsyncIterator
from dataclasses import dataclass

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import Response, StreamingResponse

from barbeque_console import rights
from barbeque_console.log_lines import LogAddress, draw_rows
from barbeque_console.logs import AttemptLogs, Counted, Number, address_of
from barbeque_console.pages import Pages
from barbeque_console.parts import Shown
from barbeque_console.rights import Router, needs
from barbeque_py import clock
from barbeque_py.executions import AttemptState
from barbeque_py.followers import Batch, Followers
from barbeque_py.identity import Scope
from barbeque_py.logs import Page

MOST_ROWS = 200
"""Rows in one event: of a flood the page fetches what it comes to show."""

_PAGE = 1_000
_DRAWN = 64
"""Events that are kept, as all who watch a log get the same."""
_LAST = re.compile(r"(\d{1,9})[.](\d{1,15})", re.ASCII)
_BEAT = b": nothing new\n\n"
_LONGEST = 300.0
"""Seconds of one stream: the browser then asks anew, and whether it may is looked at anew."""


class LogEvents:
    """Streams logs to pages; one reader serves all who watch the same one."""

    def __init__(self, parts: Shown, pages: Pages) -> None:
        del pages
        self._logs = AttemptLogs(parts)
        self._followers = Followers()
        self._drawn: OrderedDict[tuple[LogAddress, int, int], bytes] = OrderedDict()

    def router(self) -> Router:
        """Return the route."""
        router = Router(prefix="/job_executions/{message_id}")
        reading = needs(Scope.LOGS, of=rights.execution)
        router.add_api_route("/log/stream", self.stream, methods=["GET"], **reading)
        return router

    async def stream(
        self, message_id: str, request: Request, attempt: Counted, first: Number = 0
    ) -> Response:
        """Stream what the attempt writes from line `first` (from 0) on, to its log's end.

        A browser that was cut off names its last event, and gets what came after it.
        """
        followed = _Followed(message_id, attempt, _resumed(request, attempt, first))
        execution, chosen = await run_in_threadpool(self._logs.find, message_id, attempt)
        address = address_of(request, execution, chosen)
        return StreamingResponse(
            self._events(followed, str(chosen.id), address),
            media_type="text/event-stream",
            headers={"x-accel-buffering": "no"},
        )

    async def _events(
        self, followed: "_Followed", attempt: str, address: LogAddress
    ) -> AsyncIterator[bytes]:
        async def read(first: int) -> tuple[Page, bool]:
            return await run_in_threadpool(self._read, followed, first)

        yield _BEAT
        until = clock.monotonic() + _LONGEST
        following = followed.first
        async for batch in self._followers.follow(attempt, read, followed.first):
            if batch.lines:
                yield self._draw(address, following, batch)
            elif not batch.over:
                yield _BEAT
            following = batch.next
            if batch.over:
                yield _event("end", followed, batch.next, {"next": batch.next})
            if clock.monotonic() > until:
                return
            await asyncio.sleep(0)  # one who is far behind leaves the others their turn

    def _read(self, followed: "_Followed", first: int) -> tuple[Page, bool]:
        execution, attempt = self._logs.find(followed.message_id, followed.attempt)
        page = self._logs.reader.lines(execution, attempt, first=first, count=_PAGE)
        return page, attempt.state is AttemptState.ENDED

    def _draw(self, address: LogAddress, following: int, batch: Batch) -> bytes:
        key = (address, following, batch.next)
        event = self._drawn.get(key)
        if event is None:
            lines = batch.lines[-MOST_ROWS:]
            facts = {"first": lines[0].number, "html": draw_rows(lines, address)}
            facts["next"] = batch.next
            text = json.dumps(facts, ensure_ascii=False)
            event = f"id: {address.attempt}.{batch.next}\ndata: {text}\n\n".encode()
            self._drawn[key] = event
            if len(self._drawn) > _DRAWN:
                self._drawn.popitem(last=False)
        return event


@dataclass(frozen=True, slots=True)
class _Followed:
    message_id: str
    attempt: int
    first: int


def _resumed(request: Request, attempt: int, first: int) -> int:
    """Return where to begin: behind the last event of before, if the browser had one."""
    last = request.headers.get("last-event-id")
    if not last:
        return first
    found = _LAST.fullmatch(last)
    if found is None or int(found[1]) != attempt:
        raise HTTPException(400, "Last-Event-ID is no id of an event of this log.")
    return int(found[2])


def _event(kind: str, followed: _Followed, number: int, facts: dict[str, int]) -> bytes:
    head = f"event: {kind}\nid: {followed.attempt}.{number}\n"
    return f"{head}data: {json.dumps(facts)}\n\n".encode()

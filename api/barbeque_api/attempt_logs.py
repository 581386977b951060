"""`/v2/job_executions/{id}/log`: an attempt's lines, page by page or as they come, and its file."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import PlainTextResponse, Response, StreamingResponse
from typing_extensions import TypedDict

from barbeque_api.parts import Served
from barbeque_api.problems import Answer, answer, refusal
from barbeque_api.rights import caller_of, needs
from barbeque_api.statuses import check_id
from barbeque_py import clock
from barbeque_py.acts import own_execution
from barbeque_py.attempt_log import LogReader
from barbeque_py.errors import UnknownExecution
from barbeque_py.executions import ENDED, AttemptState
from barbeque_py.identity import Identity, Scope
from barbeque_py.logs import Line, Page
from barbeque_py.store import Tx, attempts
from barbeque_py.store.attempts import Attempt
from barbeque_py.store.executions import Execution

MOST_LINES = 10_000
LONGEST_WAIT = 20.0
"""Seconds."""

_PATH = "/v2/job_executions/{message_id}/log"
_PAUSE = 0.25

Number = Annotated[int | None, Query(ge=1)]
First = Annotated[int, Query(ge=-MOST_LINES, le=1 << 53)]
Stream = Annotated[Literal["out", "err"] | None, Query()]


@dataclass(frozen=True, slots=True)
class LogPlace:
    """Whose log is read: no attempt where there is none yet."""

    execution: Execution
    attempt: Attempt | None

    @property
    def ended(self) -> bool:
        """Whether nothing is going to write any more."""
        if self.attempt is None:
            return self.execution.state in ENDED
        return self.attempt.state is AttemptState.ENDED


class LineFacts(TypedDict):
    """One line; `stream` is out, err or -, `newline` false where the job wrote none."""

    n: int
    at: str
    stream: str
    text: str
    newline: bool


class LogPage(TypedDict):
    """Lines of a log: go on at `next`, unless it is complete (`sealed`)."""

    attempt: int | None
    lines: list[LineFacts]
    next: int
    sealed: bool
    total: int | None
    ended: bool


class AttemptLogs:
    """Reads the logs of attempts."""

    def __init__(self, parts: Served) -> None:
        self._parts = parts
        self._reader = LogReader(parts.store, parts.logs, parts.watching)

    def add_to(self, router: APIRouter) -> None:
        """Add the routes."""
        rights: dict[str, Any] = {"dependencies": [needs(Scope.LOGS)]}
        router.add_api_route(_PATH, self.lines, methods=["GET"], **rights)
        router.add_api_route(
            f"{_PATH}/raw", self.raw, methods=["GET"], response_class=PlainTextResponse, **rights
        )

    async def lines(  # noqa: PLR0913 - the query's parameters
        self,
        message_id: str,
        request: Request,
        *,
        attempt: Number = None,
        first: First = 0,
        count: Annotated[int, Query(ge=1, le=MOST_LINES)] = 1000,
        stream: Stream = None,
        wait: Annotated[float, Query(ge=0, le=LONGEST_WAIT)] = 0,
    ) -> Answer[LogPage]:
        """Return lines from number `first` on, or the last ones when it is negative.

        Without `attempt` the newest one's. With `wait`, an answer without lines waits so many
        seconds for new ones, unless the log is complete. Go on at `next`.
        """
        check_id(message_id)
        until = clock.monotonic() + wait
        while True:
            place, page = await run_in_threadpool(
                self._look,
                caller_of(request),
                message_id,
                attempt,
                first=first,
                count=count,
                stream=stream,
            )
            if page.lines or page.sealed or clock.monotonic() >= until:
                return answer(_facts(place, page))
            if first >= 0:
                first = page.next  # what was read and had nothing for this stream
            if await request.is_disconnected():
                return answer(_facts(place, page))
            await asyncio.sleep(min(_PAUSE, max(0.0, until - clock.monotonic())))

    def raw(
        self,
        message_id: str,
        request: Request,
        attempt: Number = None,
        stream: Stream = None,
    ) -> Response:
        """Download what the attempt wrote, byte for byte."""
        check_id(message_id)
        place = self._parts.store.read(
            lambda tx: find_place(tx, caller_of(request), message_id, attempt)
        )
        if place.attempt is None:
            raise refusal(404, "no attempt at this execution has been made yet")
        chunks = self._reader.chunks(place.execution, place.attempt, stream=stream)
        name = f"{message_id}-{place.attempt.number}.log"
        return StreamingResponse(
            _begun(chunks),
            media_type="text/plain; charset=utf-8",
            headers={"content-disposition": f'attachment; filename="{name}"'},
        )

    def _look(
        self,
        who: Identity,
        message_id: str,
        attempt: int | None,
        *,
        first: int,
        count: int,
        stream: str | None,
    ) -> tuple[LogPlace, Page]:
        place = self._parts.store.read(lambda tx: find_place(tx, who, message_id, attempt))
        if place.attempt is None:
            return place, Page([], max(first, 0), sealed=place.ended, total=None)
        page = self._reader.lines(
            place.execution, place.attempt, first=first, count=count, stream=stream
        )
        return place, page


def _begun(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Read the first chunk now, so that a log that can't be read is an error and no short file."""
    return chain(list(islice(chunks, 1)), chunks)


def find_place(tx: Tx, who: Identity, message_id: str, number: int | None) -> LogPlace:
    """Return whose log is meant, the newest attempt's where no number is given.

    Raises `UnknownExecution`, also for an attempt that is not there.
    """
    execution = own_execution(tx, who, Scope.READ, message_id)
    tries = {each.number: each for each in attempts.of_execution(tx, execution.id)}
    if number is None and not tries:
        return LogPlace(execution, None)
    number = max(tries) if number is None else number
    if number not in tries:
        raise UnknownExecution(f"execution {message_id} has no attempt {number}")
    return LogPlace(execution, tries[number])


def _facts(place: LogPlace, page: Page) -> LogPage:
    return {
        "attempt": None if place.attempt is None else place.attempt.number,
        "lines": list(map(line_facts, page.lines)),
        "next": page.next,
        "sealed": page.sealed,
        "total": page.total,
        "ended": place.ended,
    }


def line_facts(line: Line) -> LineFacts:
    """Return the line as answers have it."""
    return {
        "n": line.number,
        "at": line.at,
        "stream": line.stream,
        "text": line.text,
        "newline": line.newline,
    }

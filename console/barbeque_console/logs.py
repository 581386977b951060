"""An attempt's log: a stretch of it on the page, what is new since, and all of it as a file."""

import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TypedDict

from starlette.responses import JSONResponse, Response, StreamingResponse

from barbeque_console import rights
from barbeque_console.pages import Pages
from barbeque_console.parts import Shown
from barbeque_console.rights import Router, needs
from barbeque_console.words import plain
from barbeque_py.attempt_log import LogReader, is_unshipped
from barbeque_py.errors import ExecutorUnavailable, LogStoreUnavailable, UnknownExecution
from barbeque_py.executions import OPEN, AttemptState
from barbeque_py.identity import Scope
from barbeque_py.logs import Line
from barbeque_py.store import Tx, attempts, reports
from barbeque_py.store import executions as rows
from barbeque_py.store.attempts import Attempt
from barbeque_py.store.executions import Execution
from barbeque_py.store.reports import Reported

log = logging.getLogger("barbeque.console")

LINES = 500
"""On one page, and in one answer to a follower."""

_SHOWN = 4_000
"""Characters of one line on the page."""
_AT = re.compile(r"\d{4}-\d\d-\d\dT(\d\d:\d\d:\d\d\.\d{3})\d*Z", re.ASCII)


class ShownLine(TypedDict):
    """One line, harmless to look at; `number` counts from 1, `cut` is how much is left out."""

    number: int
    at: str
    clock: str
    stream: str
    text: str
    cut: int


@dataclass(frozen=True, slots=True)
class LogView:
    """A stretch of an attempt's log; line numbers count from 1."""

    attempt: Attempt
    lines: Sequence[ShownLine]
    first: int
    """The number of the first line of the stretch."""
    next: int
    """How many lines there are up to the end of the stretch: where a follower goes on."""
    total: int | None
    tail: bool
    """Whether the stretch was asked for as the log's end."""
    live: bool
    """Whether lines may still come."""
    away: bool = False
    """Whether the log could not be read."""

    @property
    def unshipped(self) -> bool:
        """Whether it is read where the task writes it."""
        return is_unshipped(self.attempt)

    @property
    def earlier(self) -> int | None:
        """The first line of the stretch before, None at the log's beginning."""
        return max(1, self.first - LINES) if self.first > 1 else None

    @property
    def later(self) -> int | None:
        """The first line of the stretch behind, None at the log's end."""
        more = not self.tail and (self.total is None or self.next < self.total)
        return self.next + 1 if more and self.lines else None


def is_live(attempt: Attempt) -> bool:
    """Tell whether the attempt's log may still grow."""
    return attempt.state is not AttemptState.ENDED or attempt.log_sealed_at is None


def stamp(execution: Execution, known: Sequence[Attempt], told: Reported | None) -> str:
    """Return what differs whenever the page above the log has something new to say."""
    last = known[-1] if known else None
    ended = "" if last is None else f"{last.state}.{last.log_sealed_at is not None}"
    asked = execution.cancel_requested_at is not None
    said = "" if told is None else f"{told.told_at or ''}.{told.result_at or ''}"
    facts = (execution.state, execution.stage, execution.round, len(known), ended, asked, said)
    return ".".join(map(str, facts))


def reader_of(parts: Shown) -> LogReader:
    """Return what reads the logs of these parts."""
    return LogReader(parts.store, parts.logs, parts.watching)


def read_view(
    reader: LogReader, execution: Execution, attempt: Attempt, *, first: int | None
) -> LogView:
    """Return up to `LINES` lines from number `first` (from 0) on, without one the last lines.

    A log that can't be read leaves the view empty, and marked.
    """
    live = is_live(attempt)
    begin = -LINES if first is None else first
    try:
        page = reader.lines(execution, attempt, first=begin, count=LINES)
    except (LogStoreUnavailable, ExecutorUnavailable) as error:
        log.warning("a log can't be shown: %s", error)
        return LogView(attempt, [], 1, first or 0, None, first is None, live, away=True)
    begin = page.lines[0].number if page.lines else page.next
    return LogView(
        attempt=attempt,
        lines=[shown_line(line) for line in page.lines],
        first=begin + 1,
        next=page.next,
        total=page.total,
        tail=first is None,
        live=live,
    )


def shown_line(line: Line) -> ShownLine:
    """Return the line as people may safely look at it."""
    text = plain(line.text)
    clock = _AT.fullmatch(line.at)
    return {
        "number": line.number + 1,
        "at": line.at if clock else "",
        "clock": clock[1] if clock else "",
        "stream": line.stream if line.stream in ("out", "err") else "-",
        "text": text[:_SHOWN],
        "cut": max(0, len(text) - _SHOWN),
    }


class LogPages:
    """Hands out logs to followers and as files."""

    def __init__(self, parts: Shown, pages: Pages) -> None:
        del pages
        self._parts = parts
        self._reader = reader_of(parts)

    def router(self) -> Router:
        """Return the routes."""
        router = Router(prefix="/job_executions/{message_id}")
        reading = needs(Scope.LOGS, of=rights.execution)
        router.add_api_route("/log.json", self.show_new, methods=["GET"], **reading)
        router.add_api_route("/log.txt", self.download, methods=["GET"], **reading)
        return router

    def show_new(self, message_id: str, attempt: int = 0, first: int = 0) -> Response:
        """Answer with the lines behind the first `first` ones, and with how the execution stands.

        Attempt 0 is for a page that shows none yet.
        """

        def read(tx: Tx) -> tuple[Execution, list[Attempt], Reported | None]:
            execution = rows.by_message_id(tx, message_id)
            if execution is None:
                raise UnknownExecution("No worker has taken in a message with this id.")
            known = attempts.of_execution(tx, execution.id)
            told = reports.of_attempt(tx, known[-1].id) if known else None
            return execution, known, told

        execution, known, told = self._parts.store.read(read)
        facts = {
            "stamp": stamp(execution, known, told),
            "state": execution.state,
            "open": execution.state in OPEN,
            "attempts": len(known),
        }
        chosen = next((each for each in known if each.number == attempt), None)
        if chosen is None:
            nothing = {"lines": [], "next": 0, "live": execution.state in OPEN, "away": False}
            return JSONResponse({**facts, **nothing})
        view = read_view(self._reader, execution, chosen, first=min(max(first, 0), 1 << 60))
        return JSONResponse(
            {
                **facts,
                "lines": view.lines,
                "next": view.next,
                "live": view.live,
                "away": view.away,
            }
        )

    def download(self, message_id: str, attempt: int) -> Response:
        """Answer with all that the attempt wrote, as it wrote it."""

        def find(tx: Tx) -> tuple[Execution, Attempt]:
            execution = rows.by_message_id(tx, message_id)
            known = [] if execution is None else attempts.of_execution(tx, execution.id)
            chosen = next((each for each in known if each.number == attempt), None)
            if execution is None or chosen is None:
                raise UnknownExecution("There is no such attempt.")
            return execution, chosen

        execution, chosen = self._parts.store.read(find)
        chunks = _begun(self._reader.chunks(execution, chosen))
        name = f"{execution.message_id}-{chosen.number}.log"
        return StreamingResponse(
            chunks,
            media_type="text/plain; charset=utf-8",
            headers={"content-disposition": f'attachment; filename="{name}"'},
        )


def _begun(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Read the first chunk at once, so that a log store that is away is told as an error."""
    return chain([next(chunks, b"")], chunks)

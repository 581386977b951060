"""The page of a log, and what of a log stands on other pages; all of it works without scripts."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from fastapi import Request
from markupsafe import Markup
from starlette.responses import Response

from barbeque_console import rights
from barbeque_console.log_lines import LogAddress, draw_rows
from barbeque_console.logs import AttemptLogs, Sought, address_of, is_live, read_sought
from barbeque_console.pages import Pages
from barbeque_console.paging import read_number
from barbeque_console.parts import Shown
from barbeque_console.patience import Patience
from barbeque_console.rights import Router, needs
from barbeque_console.tongue import gettext
from barbeque_console.words import outcome
from barbeque_py.attempt_log import is_unshipped, prefix_of
from barbeque_py.errors import (
    BadPattern,
    ExecutorUnavailable,
    LogStoreUnavailable,
    UnknownExecution,
)
from barbeque_py.executions import AttemptState, State
from barbeque_py.identity import Scope
from barbeque_py.log_reading import Log
from barbeque_py.log_search import search
from barbeque_py.logs import LOG, Line
from barbeque_py.store import Tx, attempts
from barbeque_py.store import executions as rows
from barbeque_py.store.attempts import Attempt
from barbeque_py.store.executions import Execution

log = logging.getLogger("barbeque.console")

ROWS = 200
"""On one page, and in one step to Older or Newer."""
LAST = 20
"""Of what has failed, the last lines that stand beside why it failed."""
READ = ["GET", "HEAD"]
_ALL = Sought()


@dataclass(frozen=True, slots=True)
class LogView:
    """A stretch of an attempt's log; line numbers count from 1."""

    execution: Execution
    attempt: Attempt
    address: LogAddress
    now: datetime
    tries: Sequence[int] = ()
    """The numbers of all attempts."""
    rows: Markup | str = ""
    first: int = 1
    next: int = 0
    """How many lines there are up to the end of the stretch."""
    end: int = 0
    """How many lines there are, as far as is known."""
    sealed: bool = False
    """Whether it was found whole in the log store."""
    line: int | None = None
    """The line that was asked for, or the first error of a log that opens there."""
    sought: Sought = _ALL
    fault: str = ""
    """Why nothing can be looked for as it was asked."""
    full: bool = False
    """Whether more lines match than are shown."""
    away: bool = False
    """Whether the log could not be read."""
    keep: timedelta | None = None
    """How long logs are kept."""
    stored_at: str = ""
    """Where the log store keeps it, for people with a right of their own there."""

    @property
    def live(self) -> bool:
        """Whether lines may still come."""
        return is_live(self.attempt)

    @property
    def unshipped(self) -> bool:
        """Whether it is read where the task writes it."""
        return is_unshipped(self.attempt)

    @property
    def state(self) -> str:
        """Return one word for what there is to see."""
        if self.away:
            return "away"
        if self.end or self.sought.anything:
            return "shown"
        if self.live:
            return "waiting"
        return "none" if self.sealed else "gone"

    @property
    def is_starting(self) -> bool:
        """Whether its container is not known to run yet."""
        return self.attempt.state is AttemptState.STARTING

    @property
    def has_ended(self) -> bool:
        """Whether nothing is written any more."""
        return self.attempt.state is AttemptState.ENDED

    @property
    def kept_until(self) -> datetime | None:
        """When the log is deleted; None where that is not known."""
        ended = self.execution.finished_at
        return None if self.keep is None or ended is None else ended + self.keep

    @property
    def older(self) -> int | None:
        """The first line of the stretch before, None at the log's beginning."""
        return max(1, self.first - ROWS) if self.first > 1 and not self.sought.anything else None

    @property
    def newer(self) -> int | None:
        """The first line of the stretch behind, None at the log's end."""
        more = self.full if self.sought.anything else self.next < self.end
        return self.next + 1 if more else None

    def link(self, **query: Any) -> str:
        """Return the address of this log with this query; what is looked for stays."""
        sought = self.sought
        kept: dict[str, Any] = {"attempt": self.attempt.number, "q": sought.q}
        kept |= {"stream": sought.stream, "regex": sought.regex, "case": sought.case} | query
        known = {name: int(value) if value is True else value for name, value in kept.items()}
        return f"{self.address.path}?{urlencode({k: v for k, v in known.items() if v})}"


@dataclass(frozen=True, slots=True)
class LastLines:
    """The end of a log."""

    rows: Markup | str = ""
    away: bool = False
    """Whether the log could not be read."""


class LogViews:
    """Reads what of a log a page shows, and lets no page wait for a store that hangs."""

    def __init__(self, parts: Shown) -> None:
        self._parts = parts
        self._logs = AttemptLogs(parts)
        self._patience = Patience()

    def read(
        self, request: Request, execution: Execution, attempt: Attempt, tries: Sequence[int]
    ) -> LogView:
        """Return the stretch that the query asks for, else the first error or the end.

        A log that can't be read leaves the view empty, and marked.
        """
        sought = read_sought(request)
        query = request.query_params
        view = LogView(
            execution,
            attempt,
            address_of(request, execution, attempt),
            self._parts.store.read(lambda tx: tx.now),
            tries,
            sought=sought,
            keep=self._parts.keep_logs,
            stored_at=_stored_at(self._parts.logs_url, execution, attempt),
        )

        def read() -> LogView:
            with self._logs.reader.opened(execution, attempt) as found:
                if found is None:
                    return view
                if sought.anything:
                    start = read_number(query.get("from")) or 1
                    return _read_matching(found, view, start - 1)
                return _read_stretch(found, view, read_number(query.get("line")))

        try:
            # Whoever looks for something is ready to wait: a long log takes as long as it takes.
            return read() if sought.anything else self._patience.wait_for(read)
        except (LogStoreUnavailable, ExecutorUnavailable) as error:
            log.warning("a log can't be shown: %s", error)
            return replace(view, away=True)

    def read_last(self, request: Request, execution: Execution, attempt: Attempt) -> LastLines:
        """Return the last lines of a log; of one that can't be read none, and marked."""

        def read() -> LastLines:
            with self._logs.reader.opened(execution, attempt) as found:
                lines = found.page(-LAST, LAST, None).lines if found else []
            return LastLines(draw_rows(lines, address_of(request, execution, attempt)))

        try:
            return self._patience.wait_for(read)
        except (LogStoreUnavailable, ExecutorUnavailable) as error:
            log.warning("the end of a log can't be shown: %s", error)
            return LastLines(away=True)


class LogPages:
    """Shows logs on pages of their own."""

    def __init__(self, parts: Shown, pages: Pages) -> None:
        self._parts = parts
        self._pages = pages
        self._views = LogViews(parts)

    def router(self) -> Router:
        """Return the routes."""
        router = Router(prefix="/job_executions/{message_id}")
        reading = needs(Scope.LOGS, of=rights.execution)
        router.add_api_route("/log", self.show, methods=READ, **reading)
        router.add_api_route("/log/compare", self.compare, methods=READ, **reading)
        return router

    def show(self, request: Request, message_id: str) -> Response:
        """Show the log of one attempt, the last one's unless another is asked for."""
        execution, known = self._find(message_id)
        chosen = _choose(known, read_number(request.query_params.get("attempt")))
        tries = [each.number for each in known]
        return self._pages.render(
            request.scope,
            "log.html",
            it=execution,
            view=chosen and self._views.read(request, execution, chosen, tries),
        )

    def compare(self, request: Request, message_id: str) -> Response:
        """Show the logs of two attempts side by side: the last two unless others are asked for."""
        execution, known = self._find(message_id)
        query = request.query_params
        tries = [each.number for each in known]
        sides = [read_number(query.get(side)) for side in ("left", "right")]
        default = [*tries[-2:], *tries[-1:]][:2]
        chosen = [_choose(known, side or last) for side, last in zip(sides, default, strict=False)]
        return self._pages.render(
            request.scope,
            "log_compare.html",
            it=execution,
            known=known,
            views=[each and self._views.read(request, execution, each, tries) for each in chosen],
        )

    def _find(self, message_id: str) -> tuple[Execution, Sequence[Attempt]]:
        def look(tx: Tx) -> tuple[Execution, Sequence[Attempt]]:
            execution = rows.by_message_id(tx, message_id)
            if execution is None or execution.tombstone:
                raise UnknownExecution("There is no such execution, so there is no log of it.")
            return execution, attempts.of_execution(tx, execution.id)

        return self._parts.store.read(look)


def _choose(known: Sequence[Attempt], number: int | None) -> Attempt | None:
    if number is None:
        return known[-1] if known else None
    found = next((each for each in known if each.number == number), None)
    if found is None:
        raise UnknownExecution(gettext("It has no attempt %s.") % number)
    return found


def _stored_at(url: str, execution: Execution, attempt: Attempt) -> str:
    return f"{url}/{prefix_of(execution, attempt)}{LOG}" if url else ""


def _read_stretch(found: Log, view: LogView, line: int | None) -> LogView:
    """Read around the line, else around the first error of what failed, else at the end."""
    if line is None and outcome(view.attempt) == State.FAILED:
        errors = found.marks().errors
        line = errors[0] + 1 if errors else None
    start = -ROWS if line is None else max(0, line - 1 - ROWS // 2)
    page = found.page(start, ROWS, None)
    first = page.lines[0].number if page.lines else page.next
    end = page.total if page.total is not None else max(found.end(), page.next)
    return replace(
        view,
        rows=draw_rows(page.lines, view.address, anchor="L"),
        first=first + 1,
        next=page.next,
        end=end,
        sealed=page.sealed,
        line=line,
    )


def _read_matching(found: Log, view: LogView, start: int) -> LogView:
    """Read the lines that match, from line `start` (from 0) on."""
    try:
        pattern = view.sought.pattern()
    except BadPattern as error:
        return replace(view, fault=str(error))
    assert pattern is not None, "something is looked for"
    parts = list(search(found, pattern, first=start, most=ROWS, with_lines=True))
    lines = [line for part in parts for line in part.lines]
    return replace(
        view,
        rows=draw_rows(lines, view.address, anchor="L", pattern=pattern),
        first=_number(lines, 0, start),
        next=_number(lines, -1, start),
        end=found.end(),
        full=parts[-1].full,
    )


def _number(lines: Sequence[Line], place: int, otherwise: int) -> int:
    return lines[place].number + 1 if lines else otherwise + 1

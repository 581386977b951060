"""The list of executions, and the page of one: what it is, its attempts, its message, its log."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from fastapi import Request
from starlette.responses import PlainTextResponse, Response

from barbeque_console.events import TOPICS
from barbeque_console.log_pages import LastLines, LogView, LogViews
from barbeque_console.message_tree import Node, tree_of
from barbeque_console.pages import NOTICES, Pages, redirect
from barbeque_console.paging import read_number
from barbeque_console.parts import Shown
from barbeque_console.phases import phases_of, picture_of
from barbeque_console.rights import Router, execution, needs, visitor_of
from barbeque_console.standing import stamp
from barbeque_console.tongue import gettext
from barbeque_console.words import outcome
from barbeque_py.cancel import can_be_killed
from barbeque_py.errors import LogStoreUnavailable, NoSuchLog, UnknownExecution
from barbeque_py.executions import ENDED, State
from barbeque_py.identity import Scope
from barbeque_py.intake import WAITING_MARK
from barbeque_py.store import Tx, attempts, audit, failures, notices, reports, standings
from barbeque_py.store import executions as rows
from barbeque_py.store.attempts import Attempt
from barbeque_py.store.executions import Execution
from barbeque_py.store.failures import Group
from barbeque_py.store.notices import Kept
from barbeque_py.store.reports import Reported
from barbeque_py.waiting import Waiting, decide, explain_unseen

READ = ["GET", "HEAD"]

_DONE = 20
"""Acts of people on the page."""
_MESSAGE_SHOWN = 16 * 1024
"""Characters of a message on the page; the whole is behind a link."""


@dataclass(frozen=True, slots=True)
class Known:
    """One execution with its attempts, at one instant."""

    now: datetime
    execution: Execution
    attempts: Sequence[Attempt]
    waiting: Waiting | None
    """Why it does not run, where it could."""
    told: Reported | None = None
    """What the job of the last attempt has told of itself."""
    notices: Sequence[Kept] = ()
    """What people were told of it."""
    done: Sequence[audit.Entry] = ()
    """What people did to it, the newest first."""
    failures: Sequence[Group] = ()
    """The groups of failures that attempts of it are in."""

    @property
    def ended(self) -> bool:
        """Whether nothing more follows by itself."""
        return self.execution.state in ENDED

    @property
    def changes(self) -> bool:
        """Whether its page has more to tell by and by."""
        last = self.attempts[-1] if self.attempts else None
        unsealed = last is not None and last.log_sealed_at is None
        return not self.ended or unsealed or any(each.done_at is None for each in self.notices)

    @property
    def failed(self) -> Attempt | None:
        """The last attempt, if it is what has failed."""
        last = self.attempts[-1] if self.attempts else None
        if last is None or self.execution.state not in (State.FAILED, State.RETRYING):
            return None
        return last if outcome(last) == State.FAILED else None

    @property
    def killable(self) -> bool:
        """Whether what runs of it could be killed without its grace."""
        return bool(self.attempts) and can_be_killed(self.attempts[-1])

    def attempt(self, number: int | None) -> Attempt | None:
        """Return the attempt with this number, without one the last; None when there is none."""
        if number is None:
            return self.attempts[-1] if self.attempts else None
        return next((each for each in self.attempts if each.number == number), None)


@dataclass(frozen=True, slots=True)
class _Message:
    """The job's message as the page shows it."""

    text: str
    cut: bool = False
    fault: str = ""
    tree: Node | None = None


def find(tx: Tx, message_id: str) -> Known:
    """Return the execution with this id, or that of which it is a retry's id.

    Raises `UnknownExecution` with a sentence for people.
    """
    found = rows.by_message_id(tx, message_id)
    if found is None or found.tombstone:
        raise UnknownExecution(_why_unknown(tx, message_id, found))
    tries = attempts.of_execution(tx, found.id)
    return Known(
        now=tx.now,
        execution=found,
        attempts=tries,
        told=reports.of_attempt(tx, tries[-1].id) if tries else None,
        notices=notices.of_execution(tx, found.id),
        waiting=decide(standings.read(tx, found)),
        done=audit.newest(tx, audit.Wanted(subject=f"execution:{found.message_id}"), most=_DONE),
        failures=failures.of_execution(tx, found.id),
    )


def _why_unknown(tx: Tx, message_id: str, tombstone: Execution | None) -> str:
    if tombstone is not None:
        return "It was cancelled before a worker saw it; its message has not come yet."
    why = explain_unseen(standings.of_unseen(tx, message_id, mark=WAITING_MARK)).sentence
    return f"{why} If it was sent just now, reload this page in a moment."


class ExecutionPages:
    """Shows executions."""

    def __init__(self, parts: Shown, pages: Pages) -> None:
        self._parts = parts
        self._pages = pages
        self._views = LogViews(parts)

    def router(self) -> Router:
        """Return the routes."""
        router = Router()
        one = needs(Scope.READ, of=execution)
        router.add_api_route("/job_executions/{message_id}", self.show, methods=READ, **one)
        router.add_api_route(
            "/job_executions/{message_id}/message.txt", self.show_message, methods=READ, **one
        )
        return router

    def show(self, request: Request, message_id: str) -> Response:
        """Show one execution; other ids of it lead to its own page."""
        own = self._own_id(message_id)
        if own != message_id:
            return redirect(request.scope, f"/job_executions/{own}")
        known = self._parts.store.read(lambda tx: find(tx, message_id))
        asked = read_number(request.query_params.get("attempt"))
        attempt = known.attempt(asked)
        if asked is not None and attempt is None:
            raise UnknownExecution(gettext("It has no attempt %s.") % asked)
        may_read = visitor_of(request).person.may(Scope.LOGS, known.execution.app)
        log = self._log(request, known, attempt) if may_read else None
        return self._pages.render(
            request.scope,
            "execution.html",
            known=known,
            message=self._message(known.execution),
            log=log,
            last_lines=self._last_lines(request, known, log),
            may_read_log=may_read,
            attempt=attempt,
            before=known.attempt(attempt.number - 1) if attempt else None,
            asked=asked,
            phases=phases_of(known, attempt),
            picture=picture_of(known),
            notice=NOTICES.get(request.query_params.get("notice", "")),
        )

    def show_message(self, message_id: str) -> Response:
        """Show the whole message as it was sent."""
        found = self._parts.store.read(lambda tx: find(tx, message_id)).execution
        if found.message is not None:
            return PlainTextResponse(found.message)
        if found.message_key is None:
            raise UnknownExecution("Its message is no longer kept.")
        try:
            return PlainTextResponse(self._parts.logs.read(found.message_key))
        except NoSuchLog:
            raise UnknownExecution("Its message is no longer kept.") from None

    def _own_id(self, given: str) -> str:
        """Return the public id of a row's number or of a retry's id; any other is returned."""
        number = read_number(given)

        def find_own(tx: Tx) -> Execution | None:
            if number is not None:
                return rows.by_id(tx, number)
            return rows.by_message_id(tx, given)

        found = self._parts.store.read(find_own)
        return given if found is None else found.message_id

    def _message(self, found: Execution) -> _Message:
        if found.message is not None:
            return _pretty(found.message)
        if found.message_key is None:
            return _Message("", fault=gettext("It is no longer kept."))
        try:
            start = self._parts.logs.read(found.message_key, 0, _MESSAGE_SHOWN + 1)
        except NoSuchLog:
            return _Message("", fault=gettext("It is no longer kept."))
        except LogStoreUnavailable:
            return _Message(
                "", fault=gettext("The log store, which keeps it, can't be read right now.")
            )
        return _pretty(start.decode(errors="replace"))

    def _log(self, request: Request, known: Known, attempt: Attempt | None) -> LogView | None:
        if attempt is None:
            return None
        tries = [each.number for each in known.attempts]
        return self._views.read(request, known.execution, attempt, tries)

    def _last_lines(self, request: Request, known: Known, log: LogView | None) -> LastLines | None:
        """Read how the log of what has failed ends, unless that store is known to be away."""
        failed = known.failed
        if failed is None or log is None:
            return None
        if log.away:
            return LastLines(away=True)
        return self._views.read_last(request, known.execution, failed)


def _pretty(text: str) -> _Message:
    """Lay the message out over lines if it is small; a large one is cut."""
    if len(text) > _MESSAGE_SHOWN:
        return _Message(text[:_MESSAGE_SHOWN], cut=True)
    try:
        laid_out = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
        return _Message(laid_out, tree=tree_of(text))
    except (ValueError, RecursionError):
        return _Message(text)


TOPICS["execution"] = stamp

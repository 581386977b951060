"""The list of executions: as its conditions say, page by page, kept up to date, changed in bulk."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import parse_qsl

from fastapi import Request
from starlette.responses import Response

from barbeque_console.columns import COLUMNS, read_columns
from barbeque_console.conditions import NAMES, Conditions, Misread, from_query, from_text
from barbeque_console.events import TOPICS
from barbeque_console.executions import READ
from barbeque_console.pages import NOTICES, Pages, redirect
from barbeque_console.paging import Stretch, read_number, stretch
from barbeque_console.parts import Shown
from barbeque_console.rights import Router, asker, chosen_app, needs, visitor_of
from barbeque_py.executions import State
from barbeque_py.identity import Scope
from barbeque_py.ids import AttemptId, attempt_id
from barbeque_py.roles import Person
from barbeque_py.store import Tx, apps, attempts, lists, queries, views
from barbeque_py.store.attempts import Attempt
from barbeque_py.store.entries import Entry
from barbeque_py.store.filters import Filter
from barbeque_py.store.lists import Counted
from barbeque_py.store.pages import Page
from barbeque_py.store.queries import Counts
from barbeque_py.store.views import View

MOST_COUNTED = 10_000
"""Executions that a list counts; more are told as so many and more."""

_LATELY = timedelta(hours=1)
_MOST_NEW = 200
_MOST_WINDOWS = 20
"""Of the list, in which matching rows are counted; what is rare may reach back further."""

_FIRST_JOB = """\
cat > hello.yaml <<'END'
apps:
  - name: hello
    image: debian:bookworm-slim
    jobs:
      - {name: Greet, command: [sh, -c, 'echo "hello, $BARBEQUE_MESSAGE"']}
queues: [{name: default}]
END
barbeque apply -f hello.yaml
barbeque enqueue hello Greet '{"name": "world"}'
"""


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a link to the list says."""

    conditions: Conditions
    before: int | None
    after: int | None
    top: int | None
    """The newest row that is shown, while newer ones are only counted."""


@dataclass(frozen=True, slots=True)
class _List:
    """What the list's page shows."""

    now: datetime
    found: Stretch[Entry]
    latest: dict[AttemptId, Attempt]
    top: int | None
    """The newest row, where this is the newest page; else None."""
    new: int
    """How many rows have come above it since."""
    counts: Counts
    jobs: list[tuple[str, str]]
    queues: list[str]
    paused: list[str]
    views: Sequence[View]


class ListPages:
    """Shows executions, the newest first."""

    def __init__(self, parts: Shown, pages: Pages) -> None:
        self._parts = parts
        self._pages = pages

    def router(self) -> Router:
        """Return the routes."""
        router = Router()
        listed = needs(Scope.READ, of=chosen_app)
        router.add_api_route("/executions", self.show, methods=READ, **listed)
        router.add_api_route("/executions/count", self.count, methods=READ, **listed)
        router.add_api_route("/job_executions", self.move, methods=READ, **listed)
        return router

    def show(self, request: Request) -> Response:
        """Show a page of the list; what was typed becomes a link first."""
        typed = request.query_params.get("q")
        fault: Misread | None = None
        asked = _read_asked(request.url.query)
        person, only = visitor_of(request).person, asker(request).app
        try:
            if typed is not None:
                query = from_text(typed).query
                return redirect(request.scope, f"/executions?{query}" if query else "/executions")
            found = self._parts.store.read(lambda tx: _read_list(tx, asked, person, only))
        except Misread as error:
            fault = error
            nothing = _Asked(Conditions((("id", "0" * 36),)), None, None, None)
            found = self._parts.store.read(lambda tx: _read_list(tx, nothing, person, only))
        return self._pages.render(
            request.scope,
            "executions.html",
            status=400 if fault else 200,
            list=found,
            fault=fault,
            typed=typed if fault and typed is not None else asked.conditions.typed,
            chosen=asked.conditions,
            asked=asked,
            states=[*State],
            names=NAMES,
            columns=read_columns(request.scope),
            all_columns=COLUMNS,
            longest=views.LONGEST,
            attempt_id=attempt_id,
            most=queries.MOST_COUNTED,
            first_job=_FIRST_JOB,
            notice=NOTICES.get(request.query_params.get("notice", "")),
        )

    def count(self, request: Request) -> Response:
        """Show how many there are, up to so many: asked for when the list stands already."""
        asked = _read_asked(request.url.query)

        def count(tx: Tx) -> Counted:
            wanted = asked.conditions.filter(tx.now, app=asker(request).app)
            return lists.count_near(tx, wanted, most=MOST_COUNTED, windows=_MOST_WINDOWS)

        try:
            found: Counted | None = self._parts.store.read(count)
        except Misread:
            found = None
        return self._pages.render(
            request.scope, "executions_count.html", found=found, most=MOST_COUNTED
        )

    def move(self, request: Request) -> Response:
        """Lead the list's former address to where it is now."""
        query = request.url.query
        return redirect(request.scope, f"/executions?{query}" if query else "/executions")


def _read_asked(query: str) -> _Asked:
    pairs = parse_qsl(query)
    said = dict(pairs)
    return _Asked(
        from_query(pairs),
        read_number(said.get("before")),
        read_number(said.get("after")),
        read_number(said.get("top")),
    )


def _read_list(tx: Tx, asked: _Asked, person: Person, only: str | None) -> _List:
    """Read a stretch of the list, of no app but `only`, if that is set.

    Only apps that the person may see are named beside it.
    """
    own = person.apps(Scope.READ)
    wanted = asked.conditions.filter(tx.now, app=only)
    found = _read_stretch(tx, wanted, asked)
    first = found.newest is None
    top = asked.top if asked.top is not None else (found.rows[0].id if found.rows else 0)
    ids = [attempt_id(each.message_id, each.attempts) for each in found.rows if each.attempts]
    return _List(
        now=tx.now,
        found=found,
        latest=attempts.known(tx, ids),
        top=top if first else None,
        new=_count_new(tx, wanted, top) if first and asked.top is not None else 0,
        counts=queries.count_headlines(tx, lately=_LATELY),
        jobs=sorted(job for job in queries.job_names(tx) if own is None or job[0] in own),
        queues=apps.queue_names(tx),
        paused=sorted(apps.paused_queues(tx)),
        views=views.for_person(tx, person.name, own),
    )


def _read_stretch(tx: Tx, wanted: Filter, asked: _Asked) -> Stretch[Entry]:
    def older(before: int | None, most: int) -> Page[Entry]:
        if before is None and asked.top is not None:
            before = asked.top + 1
        return lists.newest(tx, wanted, before=before, most=most)

    return stretch(
        older,
        lambda number, most: lists.newer(tx, wanted, after=number, most=most),
        before=asked.before,
        after=asked.after,
        kept=list(asked.conditions.pairs),
    )


def _count_new(tx: Tx, wanted: Filter, top: int) -> int:
    return len(lists.newer(tx, wanted, after=top, most=_MOST_NEW).rows)


def _stamp(tx: Tx, query: str) -> str:
    """Return what differs when a row that is shown, or the list's beginning, is another one."""
    asked = _read_asked(query)
    wanted = asked.conditions.filter(tx.now)
    shown: Sequence[Entry] = _read_stretch(tx, wanted, asked).rows
    newest = [each.id for each in lists.newest(tx, wanted, most=1).rows]
    return repr([newest, *((e.id, e.state, e.stage, e.attempts) for e in shown)])


TOPICS["executions"] = _stamp

"""The search box: whatever is pasted there leads straight to its page."""

import re
from urllib.parse import urlencode

from fastapi import Request
from starlette.responses import Response

from barbeque_console.executions import READ
from barbeque_console.pages import Pages, redirect, segment
from barbeque_console.parts import Shown
from barbeque_console.rights import Router, needs, theirs, visitor_of
from barbeque_console.tongue import mark
from barbeque_py.identity import Scope
from barbeque_py.ids import message_id_of
from barbeque_py.roles import Person
from barbeque_py.store import Tx, apps, finding, lists, queries
from barbeque_py.store import executions as rows
from barbeque_py.store.filters import Filter

_MOST = 200
"""Characters that are looked for."""
_SHOWN = 100
_ID = re.compile(r"([a-f\d]{8}-(?:[a-f\d]{4}-){3}[a-f\d]{12})(?:-(\d{1,9}))?", re.ASCII)
_PREFIX = re.compile(r"[a-f\d]{8}-[a-f\d-]{0,27}", re.ASCII)
_NUMBER = re.compile(r"\d{1,18}", re.ASCII)

_Candidate = tuple[str, str, str]
"""A page of ours, what kind of thing it shows, and that thing's name."""


class SearchPages:
    """Finds what people paste: ids of executions, tasks and containers; names of all kinds."""

    def __init__(self, parts: Shown, pages: Pages) -> None:
        self._parts = parts
        self._pages = pages

    def router(self) -> Router:
        """Return the routes."""
        router = Router()
        router.add_api_route("/search", self.search, methods=READ, **needs(Scope.READ, of=theirs))
        return router

    def search(self, request: Request) -> Response:
        """Go to what the text means; where it may mean more, show all of it."""
        text = request.query_params.get("q", "").strip()[:_MOST]
        who = visitor_of(request).person
        straight, candidates = self._parts.store.read(lambda tx: _look_for(tx, text, who))
        if straight is not None:
            return redirect(request.scope, straight)
        return self._pages.render(
            request.scope, "search.html", searched=text, candidates=candidates
        )


def _look_for(tx: Tx, text: str, who: Person) -> tuple[str | None, list[_Candidate]]:
    """Return the one page that is meant, else every page that may be."""
    if not text:
        return None, []
    link = _by_id(tx, text.lower(), who) or _by_handle(tx, text)
    if link is not None:
        return link, []
    named = _by_name(tx, text.lower(), who)
    exact = [link for link, _, name in named if name.lower() == text.lower()]
    if len(exact) == 1:
        return exact[0], []
    return (named[0][0], []) if len(named) == 1 else (None, named)


def _by_id(tx: Tx, text: str, who: Person) -> str | None:
    found = _ID.fullmatch(text)
    if found:
        known = rows.by_message_id(tx, found[1])
        attempt = f"?attempt={found[2]}" if found[2] else ""
        own = known is not None and who.may(Scope.READ, known.app)
        return f"/job_executions/{known.message_id if known and own else found[1]}{attempt}"
    if _NUMBER.fullmatch(text):
        numbered = rows.by_id(tx, int(text))
        if numbered is None or not who.may(Scope.READ, numbered.app):
            return None
        return f"/job_executions/{numbered.message_id}"
    if not _PREFIX.fullmatch(text):
        return None
    begun = lists.newest(tx, Filter(prefix=text), most=1).rows
    if not begun or not who.may(Scope.READ, begun[0].app):
        return None
    return f"/job_executions/{begun[0].message_id}"


def _by_handle(tx: Tx, text: str) -> str | None:
    attempt = finding.by_handle(tx, text)
    if attempt is None:
        return None
    return f"/job_executions/{message_id_of(attempt)}?attempt={attempt.rpartition('-')[2]}"


def _by_name(tx: Tx, text: str, who: Person) -> list[_Candidate]:
    jobs = [job for job in queries.job_names(tx) if who.may(Scope.READ, job[0])]
    known = [
        (f"/apps/{segment(app.name)}", mark("app"), app.name)
        for app in apps.all_apps(tx)
        if who.may(Scope.READ, app.name)
    ]
    found = [(mark("job"), f"{app}/{job}", {"app": app, "job": job}) for app, job in jobs]
    if who.may(Scope.READ):
        found += [(mark("queue"), queue, {"queue": queue}) for queue in apps.queue_names(tx)]
    known += [(f"/executions?{urlencode(query)}", kind, name) for kind, name, query in found]
    exact_jobs = [each for each in known if each[2].lower().partition("/")[2] == text]
    if exact_jobs:
        return exact_jobs
    return [each for each in known if text in each[2].lower()][:_SHOWN]

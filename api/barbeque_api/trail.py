"""`GET /v2/audit`: who changed what, and when."""

import json
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from typing_extensions import TypedDict

from barbeque_api.parts import Served
from barbeque_api.problems import Answer, answer, refusal
from barbeque_api.rights import caller_of, needs
from barbeque_api.times import Instant, written
from barbeque_py.identity import Scope
from barbeque_py.store import audit
from barbeque_py.store.audit import Entry, Wanted

MOST = 200
_LARGEST_ID = (1 << 63) - 1

_Text = Annotated[str | None, Query(max_length=300)]


class AuditRow(TypedDict):
    """Who changed what, and when; `before` and `after` are facts of what was changed."""

    id: int
    at: Instant
    actor: str
    origin: str
    action: str
    subject: str
    app: str | None
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class AuditPage(TypedDict):
    """Changes; `next` is the `before` of the page that follows."""

    audit: list[AuditRow]
    next: int | None


class Trail:
    """Shows the audit trail."""

    def __init__(self, parts: Served) -> None:
        self._parts = parts

    def add_to(self, router: APIRouter) -> None:
        """Add the route."""
        router.add_api_route(
            "/v2/audit", self.newest, methods=["GET"], dependencies=[needs(Scope.DEPLOY)]
        )

    def newest(  # noqa: PLR0913 - the query's parameters
        self,
        request: Request,
        *,
        app: _Text = None,
        subject: _Text = None,
        actor: _Text = None,
        action: _Text = None,
        before: Annotated[int | None, Query(ge=1, le=_LARGEST_ID)] = None,
        limit: Annotated[int, Query(ge=1, le=MOST)] = 50,
    ) -> Answer[AuditPage]:
        """List changes, the newest first; `next` is the `before` of the page that follows.

        A token of one app shows what was done to that app.
        """
        who = caller_of(request)
        if who.app is None and not who.may(Scope.ADMIN):
            raise refusal(403, "this needs the scope admin, or a token of one app")
        if app is not None and not who.may(Scope.DEPLOY, app):
            nothing: AuditPage = {"audit": [], "next": None}
            return answer(nothing)
        wanted = Wanted(app or who.app, subject, actor, action)
        found = self._parts.store.read(
            lambda tx: audit.newest(tx, wanted, before=before, most=limit)
        )
        following = found[-1].id if len(found) == limit else None
        return answer({"audit": list(map(_shown, found)), "next": following})


def _shown(entry: Entry) -> AuditRow:
    return {
        "id": entry.id,
        "at": written(entry.at),
        "actor": entry.actor,
        "origin": entry.origin,
        "action": entry.action,
        "subject": entry.subject,
        "app": entry.app,
        "before": None if entry.before is None else json.loads(entry.before),
        "after": None if entry.after is None else json.loads(entry.after),
    }

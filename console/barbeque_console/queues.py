"""The queues, and the messages that could not become executions."""

from fastapi import Request
from starlette.responses import Response

from barbeque_console.events import TOPICS
from barbeque_console.executions import READ
from barbeque_console.pages import NOTICES, Pages
from barbeque_console.paging import read_number, stretch
from barbeque_console.parts import Shown
from barbeque_console.rights import Router, needs
from barbeque_py.identity import Scope
from barbeque_py.resend import can_be_sent
from barbeque_py.store import Tx, dead, queries
from barbeque_py.store.dead import DeadMessage
from barbeque_py.store.pages import Page

_BODY_SHOWN = 2_000
"""Characters of a dead message's body on the page."""


class QueuePages:
    """Shows queues and dead messages."""

    def __init__(self, parts: Shown, pages: Pages) -> None:
        self._parts = parts
        self._pages = pages

    def router(self) -> Router:
        """Return the routes."""
        router = Router()
        router.add_api_route("/queues", self.show_queues, methods=READ, **needs(Scope.READ))
        router.add_api_route("/dead_messages", self.show_dead, methods=READ, **needs(Scope.READ))
        return router

    def show_queues(self, request: Request) -> Response:
        """Show every queue and what is on it."""
        now, found = self._parts.store.read(lambda tx: (tx.now, queries.queue_states(tx)))
        return self._pages.render(
            request.scope, "queues.html", now=now, queues=found, notice=_notice(request)
        )

    def show_dead(self, request: Request) -> Response:
        """Show the dead messages, the newest first."""
        before = read_number(request.query_params.get("before"))
        now, found = self._parts.store.read(
            lambda tx: (
                tx.now,
                stretch(
                    lambda number, most: _dead_page(tx, number, most),
                    None,
                    before=before,
                    after=None,
                    kept=(),
                ),
            )
        )
        return self._pages.render(
            request.scope,
            "dead_messages.html",
            now=now,
            found=found,
            shown=_BODY_SHOWN,
            can_be_sent=can_be_sent,
            notice=_notice(request),
        )


def _dead_page(tx: Tx, before: int | None, most: int) -> Page[DeadMessage]:
    found = dead.newest(tx, before=before, most=most + 1)
    return Page(found[:most], found[most - 1].id if len(found) > most else None)


def _notice(request: Request) -> str | None:
    return NOTICES.get(request.query_params.get("notice", ""))


def _stamp(tx: Tx, _: str) -> str:
    return repr(queries.queue_states(tx))


TOPICS["queues"] = _stamp

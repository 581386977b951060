"""Who is at work, what each worker holds, and what is held back for want of room."""

from fastapi import Request
from starlette.responses import Response

from barbeque_console.events import TOPICS
from barbeque_console.executions import READ
from barbeque_console.pages import NOTICES, Pages, redirect
from barbeque_console.parts import Shown
from barbeque_console.rights import Router, asker, needs
from barbeque_py.acts import drain_worker
from barbeque_py.errors import UnknownWorker
from barbeque_py.identity import Scope
from barbeque_py.store import Tx, crew, pauses

_BEAT = 10
"""Seconds after which the page shows heartbeats anew."""


class WorkerPages:
    """Shows workers, and drains them."""

    def __init__(self, parts: Shown, pages: Pages) -> None:
        self._parts = parts
        self._pages = pages

    def router(self) -> Router:
        """Return the routes."""
        router = Router()
        router.add_api_route("/workers", self.show, methods=READ, **needs(Scope.READ))
        for verb, act in (("drain", self.drain), ("undrain", self.undrain)):
            path = f"/workers/{{worker}}/{verb}"
            router.add_api_route(path, act, methods=["POST"], **needs(Scope.ADMIN))
        return router

    def show(self, request: Request) -> Response:
        """Show every worker that has not left, and every place."""
        found = self._parts.store.read(crew.read)
        return self._pages.render(
            request.scope,
            "workers.html",
            found=found,
            where=pauses.where,
            notice=NOTICES.get(request.query_params.get("notice", "")),
        )

    def drain(self, request: Request, worker: str) -> Response:
        """Let the worker take nothing new."""
        return self._switch(request, worker, draining=True)

    def undrain(self, request: Request, worker: str) -> Response:
        """Let the worker take again."""
        return self._switch(request, worker, draining=False)

    def _switch(self, request: Request, name: str, *, draining: bool) -> Response:
        who = asker(request)
        try:
            self._parts.store.write(lambda tx: drain_worker(tx, who, name, draining=draining))
        except UnknownWorker:
            raise UnknownWorker("This worker has left, or there never was one.") from None
        self._parts.bell.ring()
        return redirect(request.scope, f"/workers?notice={'draining' if draining else 'undrained'}")


def _stamp(tx: Tx, _: str) -> str:
    found = crew.read(tx)
    members = [
        (each.worker.id, each.standing, each.starting, each.running) for each in found.members
    ]
    held = [(each.scope, each.probing) for each in found.pauses]
    used = [(each.scope, each.max, each.used) for each in found.places.values()]
    empty = [each.name for each in found.levels if each.empty]
    return repr((members, held, used, empty, int(tx.now.timestamp()) // _BEAT))


TOPICS["workers"] = _stamp

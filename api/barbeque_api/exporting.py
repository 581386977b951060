"""`GET /v2/export`: what there is, as the file that makes it."""

from collections.abc import Collection
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from barbeque_api.bodies import shown
from barbeque_api.document import answers
from barbeque_api.parts import Served
from barbeque_api.rights import caller_of, needs
from barbeque_api.routes import AN_APPLY_FILE, Yaml
from barbeque_py.apps import Queue
from barbeque_py.errors import UnknownApp
from barbeque_py.identity import Identity, Scope
from barbeque_py.manifest import Manifest, dump
from barbeque_py.store import Tx, apps, schedules, subscriptions


class Exporting:
    """Writes apply files."""

    def __init__(self, parts: Served) -> None:
        self._parts = parts

    def add_to(self, router: APIRouter) -> None:
        """Add the route."""
        router.add_api_route(
            "/v2/export",
            self.export,
            methods=["GET"],
            dependencies=[needs(Scope.DEPLOY)],
            response_class=Yaml,
            responses=answers(404) | {200: AN_APPLY_FILE},
        )

    def export(
        self, request: Request, app: Annotated[list[str] | None, Query()] = None
    ) -> Response:
        """Write apps, jobs, queues and all of theirs as YAML; applying it changes nothing.

        `app`, which may be given more than once, narrows it to these apps and the queues of their
        jobs. Values of environment variables are in it.
        """
        who = caller_of(request)
        manifest = self._parts.store.read(lambda tx: _read(tx, who, app))
        return Yaml(dump(manifest))


def _read(tx: Tx, who: Identity, wanted: Collection[str] | None) -> Manifest:
    found = [app for app in apps.all_apps(tx) if who.may(Scope.DEPLOY, app.name)]
    names = {app.name for app in found}
    if wanted is not None:
        if strangers := set(wanted) - names:
            raise UnknownApp(f"no app is called {shown(min(strangers))}")
        names = set(wanted)
    jobs = [job for job in apps.all_jobs(tx) if job.app in names]
    heard = [each for each in subscriptions.everything(tx) if each.removed_at is None]
    topics = [each.wanted for each in heard if each.app in names]
    timed = [each.schedule for each in schedules.everything(tx) if each.schedule.app in names]
    used = {job.queue for job in jobs} | {each.queue for each in topics}
    used |= {each.queue for each in timed if each.queue is not None}
    everything = wanted is None and who.app is None
    queues = [name for name in apps.queue_names(tx) if everything or name in used]
    return Manifest(
        tuple(app for app in found if app.name in names),
        tuple(jobs),
        tuple(apps.get_queue(tx, name) or Queue(name) for name in queues),
        tuple(topics),
        tuple(timed),
    )

"""Removing jobs and apps, after a question; what they ran stays listed."""

from fastapi import Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from barbeque_console.definitions import NOT_THERE, Part
from barbeque_console.executions import READ
from barbeque_console.forms import Form, require_typed
from barbeque_console.pages import Pages, redirect, segment
from barbeque_console.parts import Shown
from barbeque_console.rights import Router, app_of_path, asker, needs
from barbeque_console.tongue import gettext
from barbeque_py.apply import Applying, Wish
from barbeque_py.editing import part_of, section_of, without_job
from barbeque_py.errors import Outrun
from barbeque_py.identity import Scope
from barbeque_py.manifest import ManifestError
from barbeque_py.store import Tx
from barbeque_py.store.editions import CONSOLE


class RemovalPages:
    """Removes what is defined."""

    def __init__(self, parts: Shown, pages: Pages) -> None:
        self._parts = parts
        self._pages = pages
        self._applying = Applying(parts.store, parts.sources, parts.queues, parts.topics)

    def router(self) -> Router:
        """Return the routes."""
        router = Router()
        deploy, admin = needs(Scope.DEPLOY, of=app_of_path), needs(Scope.ADMIN)
        job, app = "/jobs/{app}/{job}/remove", "/apps/{app}/remove"
        router.add_api_route(job, self.ask_away, methods=READ, **deploy)
        router.add_api_route(job, self.remove, methods=["POST"], **deploy)
        router.add_api_route(app, self.ask_app_away, methods=READ, **admin)
        router.add_api_route(app, self.remove_app, methods=["POST"], **admin)
        return router

    def ask_away(self, request: Request, app: str, job: str) -> Response:
        """Ask before the job is removed."""
        part = Part(app, job)
        self._check(part)
        return self._pages.confirm(
            request.scope,
            title=gettext("Remove the job %(name)s?") % {"name": part.name},
            question=gettext(
                "Nobody can enqueue it any more, its schedules and subscriptions go, and what "
                "waits of it can't be started. What it ran stays listed, and so do the editions "
                "of its definition: it can be brought back."
            ),
            answer=gettext("Remove"),
            action=f"{part.path}/remove",
            typed=part.job,
            cancel=part.path,
        )

    def remove(self, request: Request, app: str, job: str, form: Form) -> Response:
        """Remove the job; what it ran stays."""
        part = Part(app, job)
        require_typed(form, part.job)
        section, file = self._parts.store.read(
            lambda tx: (section_of(tx, app), without_job(tx, app, job))
        )
        if part_of(section, job) is None:
            raise HTTPException(404, NOT_THERE)

        def still(tx: Tx) -> bool:
            return section_of(tx, app) == section

        wish = Wish(asker(request), file, prune=True, still=still, made_with=CONSOLE)
        try:
            self._applying.make(wish)
        except Outrun:
            raise HTTPException(409, "The app has changed meanwhile: nothing is removed.") from None
        except ManifestError as error:
            raise HTTPException(422, gettext("Nothing is removed: %s.") % error) from None
        self._parts.bell.ring()
        return redirect(request.scope, f"/apps/{segment(app)}?notice=removed")

    def ask_app_away(self, request: Request, app: str) -> Response:
        """Ask before the app is removed."""
        part = Part(app, "")
        self._check(part)
        return self._pages.confirm(
            request.scope,
            title=gettext("Remove the app %(name)s?") % {"name": app},
            question=gettext(
                "All its jobs go with it, their schedules and subscriptions, too; what waits of "
                "them can't be started. What they ran stays listed."
            ),
            answer=gettext("Remove"),
            action=f"{part.path}/remove",
            typed=app,
            cancel=part.path,
        )

    def remove_app(self, request: Request, app: str, form: Form) -> Response:
        """Remove the app with its jobs; what they ran stays."""
        require_typed(form, app)
        self._applying.remove_app(asker(request), app)
        self._parts.bell.ring()
        return redirect(request.scope, "/apps?notice=app-removed")

    def _check(self, part: Part) -> None:
        """Raise `HTTPException` unless there is such a definition."""
        section = self._parts.store.read(lambda tx: section_of(tx, part.app))
        if part_of(section, part.job) is None:
            raise HTTPException(404, NOT_THERE)

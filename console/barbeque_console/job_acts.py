"""What people do with one job, beside running it: let its schedules rest, and test its notices."""

from fastapi import Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from barbeque_console.forms import Form
from barbeque_console.pages import Pages, redirect, segment
from barbeque_console.parts import Shown
from barbeque_console.rights import Router, app_of_path, asker, needs
from barbeque_py.acts import send_test_notices
from barbeque_py.errors import NoAddress
from barbeque_py.identity import Scope
from barbeque_py.store import Tx, apps, schedules
from barbeque_py.suspend import resume, suspend


class JobActs:
    """Acts on one job."""

    def __init__(self, parts: Shown, pages: Pages) -> None:
        del pages
        self._parts = parts

    def router(self) -> Router:
        """Return the routes."""
        router = Router()
        deploy = needs(Scope.DEPLOY, of=app_of_path)
        one = "/jobs/{app}/{job}"
        for path, act in (
            ("schedules/suspend", self.suspend),
            ("schedules/resume", self.resume),
            ("test_notice", self.test_notice),
        ):
            router.add_api_route(f"{one}/{path}", act, methods=["POST"], **deploy)
        return router

    def suspend(self, request: Request, app: str, job: str, form: Form) -> Response:
        """Let the schedule that is named, or all of the job, start nothing."""
        return self._switch(request, (app, job), form.get("name"), on=False)

    def resume(self, request: Request, app: str, job: str, form: Form) -> Response:
        """Let the schedule that is named, or all of the job, go on."""
        return self._switch(request, (app, job), form.get("name"), on=True)

    def _switch(
        self, request: Request, job: tuple[str, str], name: str | None, *, on: bool
    ) -> Response:
        who = asker(request)

        def switch(tx: Tx) -> None:
            found = schedules.of_job(tx, *job, lock=True)
            chosen = [each for each in found if name in (None, each.schedule.name)]
            if not chosen:
                raise HTTPException(404, "This job has no such schedule.")
            for each in chosen:
                (resume if on else suspend)(tx, who, each)

        self._parts.store.write(switch)
        self._parts.bell.ring()
        return _back(request, job, "timed-again" if on else "suspended")

    def test_notice(self, request: Request, app: str, job: str) -> Response:
        """Send a test to all whom the job and its app name."""
        who = asker(request)

        def send(tx: Tx) -> None:
            if apps.get_job(tx, app, job) is None:
                raise HTTPException(404, "No such job is defined.")
            send_test_notices(tx, who, app, job, [])

        try:
            self._parts.store.write(send)
        except NoAddress:
            raise HTTPException(409, "There is nobody to tell: `notify:` names people.") from None
        self._parts.bell.ring()
        return _back(request, (app, job), "told")


def _back(request: Request, job: tuple[str, str], notice: str) -> Response:
    path = "/".join(map(segment, job))
    return redirect(request.scope, f"/jobs/{path}?notice={notice}")

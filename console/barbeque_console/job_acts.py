"""What people do with one job, beside running it: let its schedules rest, and test its notices."""

from collections.abc import Callable

from fastapi import Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from barbeque_console import rests
from barbeque_console.executions import READ
from barbeque_console.forms import Form
from barbeque_console.pages import Pages, redirect, segment
from barbeque_console.parts import Shown
from barbeque_console.rights import Router, app_of_path, asker, needs
from barbeque_console.tongue import gettext
from barbeque_py.acts import send_test_notices
from barbeque_py.errors import NoAddress
from barbeque_py.identity import Scope
from barbeque_py.store import Tx, apps, schedules
from barbeque_py.store.schedules import Scheduled
from barbeque_py.suspend import resume, suspend


class JobActs:
    """Acts on one job."""

    def __init__(self, parts: Shown, pages: Pages) -> None:
        self._parts = parts
        self._pages = pages

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
        router.add_api_route(f"{one}/schedules/suspend", self.ask_suspend, methods=READ, **deploy)
        return router

    def ask_suspend(self, request: Request, app: str, job: str) -> Response:
        """Ask why the schedule that is named, or all of the job, is to rest, and for how long."""
        name = request.query_params.get("name") or None
        self._parts.store.read(lambda tx: _chosen(tx, (app, job), name))
        own = f"/jobs/{segment(app)}/{segment(job)}"
        called = name or gettext("all schedules of %(job)s") % {"job": job}
        return rests.ask(
            self._pages,
            request.scope,
            title=gettext("Suspend %(name)s") % {"name": called},
            meaning=gettext(rests.SUSPENDED),
            answer=gettext("Suspend it"),
            action=f"{own}/schedules/suspend",
            cancel=own,
            fields={} if name is None else {"name": name},
        )

    def suspend(self, request: Request, app: str, job: str, form: Form) -> Response:
        """Let the schedule that is named, or all of the job, start nothing."""
        who, rest = asker(request), rests.read(form)

        def rest_all(tx: Tx) -> None:
            for each in _chosen(tx, (app, job), form.get("name"), lock=True):
                suspend(tx, who, each, rest)

        return self._act(request, (app, job), rest_all, "suspended")

    def resume(self, request: Request, app: str, job: str, form: Form) -> Response:
        """Let the schedule that is named, or all of the job, go on."""
        who = asker(request)

        def resume_all(tx: Tx) -> None:
            for each in _chosen(tx, (app, job), form.get("name"), lock=True):
                resume(tx, who, each)

        return self._act(request, (app, job), resume_all, "timed-again")

    def _act(
        self, request: Request, job: tuple[str, str], act: Callable[[Tx], None], notice: str
    ) -> Response:
        self._parts.store.write(act)
        self._parts.bell.ring()
        return _back(request, job, notice)

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


def _chosen(
    tx: Tx, job: tuple[str, str], name: str | None, *, lock: bool = False
) -> list[Scheduled]:
    found = schedules.of_job(tx, *job, lock=lock)
    chosen = [each for each in found if name in (None, each.schedule.name)]
    if not chosen:
        raise HTTPException(404, "This job has no such schedule.")
    return chosen


def _back(request: Request, job: tuple[str, str], notice: str) -> Response:
    path = "/".join(map(segment, job))
    return redirect(request.scope, f"/jobs/{path}?notice={notice}")

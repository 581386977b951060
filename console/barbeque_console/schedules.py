"""What runs by the clock: when next, how it went, suspend, resume, run now."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from fastapi import Request
from starlette.responses import Response

from barbeque_console import rests
from barbeque_console.ad_hoc import send_and_show
from barbeque_console.events import TOPICS
from barbeque_console.executions import READ
from barbeque_console.forms import Form
from barbeque_console.pages import NOTICES, Pages, redirect, segment
from barbeque_console.parts import Shown
from barbeque_console.rights import Router, app_of_path, asker, chosen_app, jobs_seen, needs
from barbeque_console.tongue import gettext
from barbeque_py.acts import resume_schedule, run_schedule, suspend_schedule
from barbeque_py.errors import UnknownSchedule
from barbeque_py.identity import Scope
from barbeque_py.schedules import times_after
from barbeque_py.store import Tx, lists
from barbeque_py.store import schedules as rows
from barbeque_py.store.entries import Entry
from barbeque_py.store.filters import Filter
from barbeque_py.store.schedules import Scheduled

_LISTED, _SHOWN = 3, 10
"""How many runs, to come and gone, are shown in the list and on a page."""

Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Line:
    """A schedule with its next times and its newest runs."""

    row: Scheduled
    coming: Sequence[datetime]
    runs: Sequence[Entry]


class SchedulePages:
    """Shows schedules, suspends and resumes them, and runs their jobs out of turn."""

    def __init__(self, parts: Shown, pages: Pages) -> None:
        self._parts = parts
        self._pages = pages

    def router(self) -> Router:
        """Return the routes."""
        router = Router()
        one = "/schedules/{app}/{job}/{name}"
        listed, seen = (needs(Scope.READ, of=owner) for owner in (chosen_app, app_of_path))
        router.add_api_route("/schedules", self.show_list, methods=READ, **listed)
        router.add_api_route(one, self.show, methods=READ, **seen)
        for verb, act, scope in (
            ("suspend", self.suspend, Scope.DEPLOY),
            ("resume", self.resume, Scope.DEPLOY),
            ("run", self.run, Scope.ENQUEUE),
        ):
            declared = needs(scope, of=app_of_path)
            router.add_api_route(f"{one}/{verb}", act, methods=["POST"], **declared)
        asking = needs(Scope.DEPLOY, of=app_of_path)
        router.add_api_route(f"{one}/suspend", self.ask_suspend, methods=READ, **asking)
        return router

    def show_list(self, request: Request) -> Response:
        """Show every schedule, or those of one app."""
        app = request.query_params.get("app") or None
        now, found, jobs = self._parts.store.read(
            lambda tx: (
                tx.now,
                [_line(tx, each, _LISTED) for each in rows.everything(tx, app)],
                jobs_seen(tx, request),
            )
        )
        return self._pages.render(
            request.scope,
            "schedules.html",
            now=now,
            found=found,
            app=app,
            apps=sorted({name for name, _job in jobs}),
            notice=_notice(request.query_params),
        )

    def show(self, request: Request, app: str, job: str, name: str) -> Response:
        """Show one schedule."""
        now, found = self._parts.store.read(
            lambda tx: (tx.now, _line(tx, _get(tx, (app, job, name)), _SHOWN))
        )
        return self._pages.render(
            request.scope,
            "schedule.html",
            now=now,
            found=found,
            notice=_notice(request.query_params),
        )

    def ask_suspend(self, request: Request, app: str, job: str, name: str) -> Response:
        """Ask why it is to rest, and for how long."""
        key = (app, job, name)
        self._parts.store.read(lambda tx: _get(tx, key))
        own = f"/schedules/{'/'.join(map(segment, key))}"
        return rests.ask(
            self._pages,
            request.scope,
            title=gettext("Suspend %(name)s") % {"name": name},
            meaning=gettext(rests.SUSPENDED),
            answer=gettext("Suspend it"),
            action=f"{own}/suspend",
            cancel=own,
        )

    def suspend(self, request: Request, app: str, job: str, name: str, form: Form) -> Response:
        """Let it start nothing until it is resumed, or its rest is over."""
        who, rest, key = asker(request), rests.read(form), (app, job, name)
        return self._switch(request, lambda tx: suspend_schedule(tx, who, key, rest), "suspended")

    def resume(self, request: Request, app: str, job: str, name: str) -> Response:
        """Let it start its job again."""
        who, key = asker(request), (app, job, name)
        return self._switch(request, lambda tx: resume_schedule(tx, who, key), "timed-again")

    def run(self, request: Request, app: str, job: str, name: str) -> Response:
        """Run its job once now, whatever its times and rules say."""
        who = asker(request)
        asked = self._parts.store.write(lambda tx: run_schedule(tx, who, (app, job, name)))
        return send_and_show(self._parts, request.scope, asked)

    def _switch(self, request: Request, act: Callable[[Tx], Scheduled], notice: str) -> Response:
        self._parts.store.write(act)
        self._parts.bell.ring()
        path = request.url.path.rpartition("/")[0].removeprefix(request.scope.get("root_path", ""))
        return redirect(request.scope, f"{path}?notice={notice}")


def _line(tx: Tx, found: Scheduled, most: int) -> Line:
    schedule = found.schedule
    coming = times_after(schedule, max(found.until, tx.now))
    wanted = Filter(app=schedule.app, job=schedule.job, tags=(("schedule", schedule.name),))
    runs = lists.newest(tx, wanted, most=most).rows
    return Line(found, [] if found.suspended_at else list(islice(coming, most)), runs)


def _get(tx: Tx, key: Key) -> Scheduled:
    found = rows.get(tx, *key)
    if found is None:
        raise UnknownSchedule("There is no such schedule: the apply file says what there is.")
    return found


def _notice(query: Mapping[str, str]) -> str | None:
    return NOTICES.get(query.get("notice", ""))


def _stamp(tx: Tx, app: str) -> str:
    found = [_line(tx, each, _LISTED) for each in rows.everything(tx, app or None)]
    return repr([(each.row, each.coming, [run.state for run in each.runs]) for each in found])


TOPICS["schedules"] = _stamp

"""`/v2/schedules`: what runs by the clock, and when next; suspend, resume, run now."""

from collections.abc import Callable
from datetime import datetime
from itertools import islice
from typing import Any

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from typing_extensions import TypedDict

from barbeque_api import schemas
from barbeque_api.bodies import read_rest
from barbeque_api.enqueue import Accepted, accepted
from barbeque_api.parts import Served
from barbeque_api.problems import Answer, answer
from barbeque_api.rights import caller_of, needs
from barbeque_api.times import Instant, written
from barbeque_py import clock, strict_json
from barbeque_py.acts import resume_schedule, run_schedule, suspend_schedule
from barbeque_py.enqueue import enqueue
from barbeque_py.identity import Identity, Scope
from barbeque_py.schedules import CatchUp, Overlap, times_after
from barbeque_py.store import Tx
from barbeque_py.store import schedules as rows
from barbeque_py.store.schedules import Scheduled

_SHOWN = 5
"""How many of the next times are shown."""


class ScheduleFacts(TypedDict):
    """A job that runs by the clock, and when next."""

    app: str
    job: str
    name: str
    cron: str
    timezone: str
    message: Any
    queue: str | None
    overlap: Overlap
    catch_up: CatchUp
    catch_up_limit: int
    suspended_at: Instant | None
    suspended_until: Instant | None
    suspend_reason: str | None
    waiting: Instant | None
    last_at: Instant | None
    last_message_id: str | None
    next: list[Instant]


class ScheduleList(TypedDict):
    """The schedules."""

    schedules: list[ScheduleFacts]


class Schedules:
    """Shows schedules, suspends and resumes them, and runs their jobs out of turn."""

    def __init__(self, parts: Served) -> None:
        self._parts = parts

    def add_to(self, router: APIRouter) -> None:
        """Add the routes."""
        path = "/v2/schedules"
        router.add_api_route(path, self.all, methods=["GET"], dependencies=[needs(Scope.READ)])
        one = f"{path}/{{app}}/{{job}}/{{name}}"
        for verb, endpoint, scope, status in (
            ("suspend", self.suspend, Scope.DEPLOY, 200),
            ("resume", self.resume, Scope.DEPLOY, 200),
            ("run", self.run, Scope.ENQUEUE, 201),
        ):
            said = schemas.body(schemas.REST, required=False) if verb == "suspend" else None
            router.add_api_route(
                f"{one}/{verb}",
                endpoint,
                methods=["POST"],
                status_code=status,
                dependencies=[needs(scope)],
                openapi_extra=said,
            )

    def all(self, request: Request, app: str | None = None) -> Answer[ScheduleList]:
        """List the schedules with their next times."""
        caller = caller_of(request)
        found, now = self._parts.store.read(lambda tx: (rows.everything(tx, app), tx.now))
        shown = [_shown(each, now) for each in found if caller.may(Scope.READ, each.schedule.app)]
        return answer({"schedules": shown})

    async def suspend(
        self, app: str, job: str, name: str, request: Request
    ) -> Answer[ScheduleFacts]:
        """Let it start nothing until it is resumed; the same again changes nothing.

        `reason` is shown where it is looked for; with `lasts`, a duration, it goes on by itself.
        """
        rest = await read_rest(request, self._parts.max_body)
        who, key = caller_of(request), (app, job, name)
        return await run_in_threadpool(
            self._switch, lambda tx: suspend_schedule(tx, who, key, rest)
        )

    def resume(self, app: str, job: str, name: str, request: Request) -> Answer[ScheduleFacts]:
        """Let it start its job again; what passed meanwhile is not caught up."""
        who, key = caller_of(request), (app, job, name)
        return self._switch(lambda tx: resume_schedule(tx, who, key))

    async def run(self, app: str, job: str, name: str, request: Request) -> Answer[Accepted]:
        """Run its job once now, whatever its times and rules say, and also when suspended."""
        caller = caller_of(request)
        message_id = await run_in_threadpool(self._run, caller, (app, job, name))
        return answer(accepted(message_id), status=201)

    def _switch(self, act: Callable[[Tx], Scheduled]) -> Answer[ScheduleFacts]:
        found, now = self._parts.store.write(lambda tx: (act(tx), tx.now))
        self._parts.bell.ring()
        return answer(_shown(found, now))

    def _run(self, caller: Identity, key: tuple[str, str, str]) -> str:
        request = self._parts.store.write(lambda tx: run_schedule(tx, caller, key))
        enqueue(self._parts.broker, self._parts.logs, [request])
        self._parts.bell.ring()
        return request.job.message_id


def _shown(found: Scheduled, now: datetime) -> ScheduleFacts:
    schedule = found.schedule
    coming = islice(times_after(schedule, max(found.until, now)), _SHOWN)
    return {
        "app": schedule.app,
        "job": schedule.job,
        "name": schedule.name,
        "cron": schedule.cron,
        "timezone": schedule.timezone,
        "message": strict_json.loads(schedule.message.encode()),
        "queue": schedule.queue,
        "overlap": schedule.overlap,
        "catch_up": schedule.catch_up,
        "catch_up_limit": schedule.catch_up_limit,
        "suspended_at": written(found.suspended_at),
        "suspended_until": written(found.suspended_until),
        "suspend_reason": found.suspend_reason,
        "waiting": written(found.waiting),
        "last_at": written(found.last_at),
        "last_message_id": found.last_message_id,
        "next": [] if found.suspended_at else list(map(clock.rfc3339, coming)),
    }

"""The apps, and the page of one: which image it runs since when, and what was released before."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from fastapi import Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from barbeque_console.events import TOPICS
from barbeque_console.executions import READ
from barbeque_console.pages import NOTICES, Pages
from barbeque_console.paging import read_number
from barbeque_console.parts import Shown
from barbeque_console.rights import Router, app_of_path, needs, theirs, visitor_of
from barbeque_py.addresses import hide
from barbeque_py.apps import App, JobDefinition, Revision
from barbeque_py.differences import flat
from barbeque_py.identity import Scope
from barbeque_py.manifest import facts_of
from barbeque_py.roles import Grant, write_grants
from barbeque_py.store import Tx, apps, queries, revisions, rollups, users
from barbeque_py.store.rollups import ALL, Span, Sums, start_of
from barbeque_py.verdicts import Outcomes, Verdict, judge

WATCHED = 100
"""So many of a release's first executions are compared with the newest ones on the one before."""
_DAY = timedelta(days=1)
_RELEASES = 10
_SHOWN_ELSEWHERE = ("image", "description", "notify", "env")


@dataclass(frozen=True, slots=True)
class Row:
    """One app in the list."""

    app: App
    current: Revision | None
    jobs: int
    running: int
    day: Sums


@dataclass(frozen=True, slots=True)
class Release:
    """One revision, with what it changed and how executions fared on it."""

    revision: Revision
    former: Revision | None
    outcomes: Outcomes
    """Of its first executions."""
    running: int

    @property
    def change(self) -> str:
        """What is other than before: `first`, `image`, `digest`, `nothing`, or `unknown`."""
        old, new = self.former, self.revision
        if old is None:
            return "first"
        if old.image != new.image:
            return "image"
        if old.pinned is None or new.pinned is None:
            return "unknown"
        return "digest" if old.pinned != new.pinned else "nothing"


@dataclass(frozen=True, slots=True)
class Fared:
    """How a release does, beside the one before."""

    new: Outcomes
    old: Outcomes
    """Of the newest executions on the one before."""
    verdict: Verdict
    """As far as is known by now."""


@dataclass(frozen=True, slots=True)
class Opened:
    """One app on its page."""

    now: datetime
    app: App
    jobs: Sequence[JobDefinition]
    releases: Sequence[Release]
    current: Release | None
    fared: Fared | None
    older: int | None
    day: Sums
    people: Sequence[tuple[str, str]]
    """Who may do what to it: their address, and their roles."""
    others: Mapping[int, int]
    """How many containers still run other revisions, by number."""


class AppPages:
    """Shows apps."""

    def __init__(self, parts: Shown, pages: Pages) -> None:
        self._parts = parts
        self._pages = pages

    def router(self) -> Router:
        """Return the routes."""
        router = Router()
        router.add_api_route("/apps", self.show_list, methods=READ, **needs(Scope.READ, of=theirs))
        router.add_api_route(
            "/apps/{app}", self.show, methods=READ, **needs(Scope.READ, of=app_of_path)
        )
        return router

    def show_list(self, request: Request) -> Response:
        """Show the apps that who asks may see."""
        own = visitor_of(request).person.apps(Scope.READ)
        now, found = self._parts.store.read(lambda tx: (tx.now, _read_list(tx, own)))
        notice = NOTICES.get(request.query_params.get("notice", ""))
        return self._pages.render(request.scope, "apps.html", now=now, found=found, notice=notice)

    def show(self, request: Request, app: str) -> Response:
        """Show one app."""
        before = read_number(request.query_params.get("before"))
        found = self._parts.store.read(lambda tx: read(tx, app, before))
        return self._pages.render(
            request.scope,
            "app.html",
            found=found,
            settings=settings_of(found.app),
            notify=told_of(found.app.notify),
            notice=NOTICES.get(request.query_params.get("notice", "")),
        )


def find_app(tx: Tx, name: str) -> App:
    """Return the app; raises `HTTPException`."""
    found = apps.get_app(tx, name)
    if found is None:
        raise HTTPException(404, "There is no such app; what its jobs ran may still be listed.")
    return found


def settings_of(app: App) -> list[tuple[str, str]]:
    """Return what the apply file says of it and no other part of the page shows."""
    facts = facts_of(app)
    kept = {name: facts[name] for name in facts if name not in _SHOWN_ELSEWHERE}
    found = [(key, _written(value)) for key, value in flat(kept)]
    return [*found, *((f"env.{name}", "***") for name in sorted(app.env))]


def told_of(notify: Mapping[str, object]) -> list[tuple[str, str]]:
    """Return who is told of what; of an address that may be a secret, the host."""
    facts = {name: value for name, value in notify.items() if name != "templates"}
    return [(name, hide(_written(value))) for name, value in facts.items()]


def _written(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def release_of(tx: Tx, revision: Revision, running: Mapping[tuple[str, int], int]) -> Release:
    """Return the revision with the one before and how its first executions fared."""
    return Release(
        revision,
        revisions.get(tx, revision.app, revision.number - 1),
        revisions.outcomes(tx, revision.id, most=WATCHED, newest=False),
        running.get((revision.app, revision.number), 0),
    )


def fared(tx: Tx, release: Release) -> Fared | None:
    """Compare the release with the one before; None of the first one."""
    if release.former is None:
        return None
    old = revisions.outcomes(tx, release.former.id, most=WATCHED, newest=True)
    verdict = judge(release.outcomes, old, most=WATCHED, allowed=None, over=True)
    assert verdict is not None, "it is asked now"
    return Fared(release.outcomes, old, verdict)


def read(tx: Tx, name: str, before: int | None) -> Opened:
    """Read what the page shows."""
    app = find_app(tx, name)
    running = revisions.running(tx)
    listed = revisions.history(tx, name, before=before, most=_RELEASES + 1)
    now = revisions.current(tx, name)
    current = None if now is None else release_of(tx, now, running)
    others = {number: many for (owner, number), many in running.items() if owner == name}
    return Opened(
        now=tx.now,
        app=app,
        jobs=apps.jobs_of(tx, name),
        releases=[release_of(tx, each, running) for each in listed[:_RELEASES]],
        current=current,
        fared=None if current is None else fared(tx, current),
        older=listed[_RELEASES - 1].number if len(listed) > _RELEASES else None,
        day=_day(tx, name),
        people=_people(tx, name),
        others={number: others[number] for number in others if now and number != now.number},
    )


def _read_list(tx: Tx, own: Collection[str] | None) -> list[Row]:
    current, running = revisions.all_current(tx), revisions.running(tx)
    jobs = [app for app, _ in queries.job_names(tx)]
    return [
        Row(
            each,
            current.get(each.name),
            jobs.count(each.name),
            sum(many for (app, _), many in running.items() if app == each.name),
            _day(tx, each.name),
        )
        for each in apps.all_apps(tx)
        if own is None or each.name in own
    ]


def _day(tx: Tx, app: str) -> Sums:
    until = start_of(Span.HOUR, tx.now) + timedelta(hours=1)
    return rollups.total(rollups.of_one(tx, app, ALL, Span.HOUR, until - _DAY, until).values())


def _people(tx: Tx, app: str) -> list[tuple[str, str]]:
    found = []
    for each in users.everybody(tx):
        grants = frozenset(Grant(own.role) for own in each.grants if own.app in (None, app))
        if grants and each.disabled_at is None:
            found.append((each.email, write_grants(grants)))
    return found


def _stamp(tx: Tx, app: str) -> str:
    current = revisions.current(tx, app)
    if current is None:
        return ""
    return repr((current, revisions.outcomes(tx, current.id, most=WATCHED, newest=False)))


TOPICS["app"] = _stamp

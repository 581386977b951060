"""Failures by what is the same about them: the list, one group, and what people make of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from fastapi import Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from barbeque_console.executions import READ
from barbeque_console.forms import Form
from barbeque_console.pages import NOTICES, Pages, redirect
from barbeque_console.paging import read_number
from barbeque_console.parts import Shown
from barbeque_console.refusals import Nowhere
from barbeque_console.rights import Router, asker, chosen_app, jobs_seen, needs
from barbeque_console.tongue import gettext
from barbeque_console.visitor import Visitor
from barbeque_py import clock
from barbeque_py.bulk import MOST, Action, begin, step, subject_to
from barbeque_py.executions import State
from barbeque_py.identity import Identity, Scope
from barbeque_py.store import Tx, audit, bulk_changes, failures, lists
from barbeque_py.store import attempts as tries
from barbeque_py.store.entries import Entry
from barbeque_py.store.failures import Group, Standing
from barbeque_py.store.filters import Filter
from barbeque_py.store.rollups import Span, start_of

_HOURS = 48
_TURN = 2.0
"""Seconds that one request retries; what is left is done by the next one."""
_GONE = "There is no such group of failures: what came last long ago is forgotten."


@dataclass(frozen=True, slots=True)
class Listed:
    """One group in the list, and how often it came in each of the last hours."""

    group: Group
    hours: list[int]


@dataclass(frozen=True, slots=True)
class Opened:
    """One group on its page."""

    now: datetime
    group: Group
    hours: list[int]
    failed: int
    """How many of its executions have failed for good and not been tried again."""
    members: list[Entry]
    sample: tries.Attempt | None


class FailurePages:
    """Shows what failed, and changes what people make of it."""

    def __init__(self, parts: Shown, pages: Pages) -> None:
        self._parts = parts
        self._pages = pages

    def router(self) -> Router:
        """Return the routes."""
        router = Router()
        one = "/failures/{failure:number}"
        seen, run = needs(Scope.READ, of=group_app), needs(Scope.ENQUEUE, of=group_app)
        router.add_api_route(
            "/failures", self.show_list, methods=READ, **needs(Scope.READ, of=chosen_app)
        )
        router.add_api_route(one, self.show, methods=READ, **seen)
        router.add_api_route(f"{one}/judge", self.judge, methods=["POST"], **run)
        router.add_api_route(f"{one}/retry", self.ask_retry, methods=READ, **run)
        router.add_api_route(f"{one}/retry", self.retry, methods=["POST"], **run)
        return router

    def show_list(self, request: Request) -> Response:
        """Show groups, those that came last first."""
        query = request.query_params
        chosen = {name: query[name] for name in ("app", "job", "state") if query.get(name)}
        if chosen.get("state") not in [*Standing]:
            chosen.pop("state", None)
        before = _read_before(query.get("before"))

        def read(tx: Tx) -> tuple[datetime, list[Listed], Group | None, list[tuple[str, str]]]:
            state = Standing(chosen["state"]) if "state" in chosen else None
            page = failures.newest(
                tx, app=chosen.get("app"), job=chosen.get("job"), state=state, before=before
            )
            last = page.rows[-1] if page.next is not None else None
            return tx.now, _with_hours(tx, page.rows), last, jobs_seen(tx, request)

        now, found, last, jobs = self._parts.store.read(read)
        older = None
        if last is not None:
            older = "?" + urlencode(chosen | {"before": f"{last.last_at.isoformat()}~{last.id}"})
        return self._pages.render(
            request.scope,
            "failures.html",
            now=now,
            found=found,
            older=older,
            newest="?" + urlencode(chosen) if before else None,
            chosen=chosen,
            jobs=jobs,
            states=[*Standing],
        )

    def show(self, request: Request, failure: int) -> Response:
        """Show one group."""
        found = self._parts.store.read(lambda tx: _read(tx, failure))
        return self._pages.render(
            request.scope,
            "failure.html",
            found=found,
            states=[*Standing],
            notice=NOTICES.get(request.query_params.get("notice", "")),
        )

    def judge(self, request: Request, failure: int, form: Form) -> Response:
        """Keep what somebody makes of the group, and whose it is."""
        state, owner = form.get("state", ""), form.get("owner", "").strip()[:200] or None
        if state not in [*Standing]:
            raise HTTPException(422, "This is no state of a group.")

        def change(tx: Tx) -> None:
            group = _find(tx, failure, lock=True)
            failures.judge(tx, failure, Standing(state), owner)
            subject, who = f"failure:{failure}", asker(request)
            before = {"state": group.state, "owner": group.owner}
            after = {"state": state, "owner": owner}
            audit.record(
                tx, who, "failure.judge", subject, app=group.app, before=before, after=after
            )

        self._parts.store.write(change)
        return redirect(request.scope, f"/failures/{failure}?notice=kept")

    def ask_retry(self, request: Request, failure: int) -> Response:
        """Ask before all of the group are retried: it says how many."""
        found = self._parts.store.read(lambda tx: _read(tx, failure))
        return self._pages.render(request.scope, "failure_retry.html", found=found)

    def retry(self, request: Request, failure: int, form: Form) -> Response:
        """Retry all of the group that have failed, for some seconds; the page says what is left."""
        wanted = subject_to(Action.RETRY, _failed_of(failure))
        expected = read_number(form.get("expected")) or 0
        going = read_number(form.get("bulk"))
        bulk = self._parts.store.write(
            lambda tx: (
                _begin(tx, asker(request), failure, wanted, expected)
                if going is None
                else _go_on(tx, going, failure)
            )
        )
        until = clock.monotonic() + _TURN
        change = step(self._parts.store, self._parts.logs, bulk, wanted)
        while change.top is not None and clock.monotonic() < until:
            change = step(self._parts.store, self._parts.logs, bulk, wanted)
        self._parts.bell.ring()
        return self._pages.render(
            request.scope, "failure_retried.html", change=change, number=failure
        )


def group_app(request: Request, visitor: Visitor, scope: Scope) -> str | None:
    """Return the app of the group that the path names."""
    number = read_number(str(request.path_params["failure"]))
    found = None
    if number is not None:
        found = visitor.store.read(lambda tx: failures.get(tx, number))
    if found is None or not visitor.person.may(scope, found.app):
        raise Nowhere
    return found.app


def _failed_of(number: int) -> Filter:
    return Filter(failure=number, state=State.FAILED)


def _asked(number: int) -> dict[str, Any]:
    return {"filter": {"failure": number}, "image": "same"}


def _go_on(tx: Tx, bulk: int, number: int) -> int:
    """Return the bulk change again, which must be the one that this group's page began."""
    change = bulk_changes.get(tx, bulk)
    if change is None or change.action != Action.RETRY or change.wanted != _asked(number):
        raise Nowhere
    return bulk


def _begin(tx: Tx, who: Identity, number: int, wanted: Filter, expected: int) -> int:
    group = _find(tx, number)
    found = lists.count(tx, wanted, most=MOST)
    if found > expected:
        sentence = gettext("%(now)s have failed by now, not %(counted)s: look again.")
        raise HTTPException(409, sentence % {"now": found, "counted": expected})
    return begin(tx, who, Action.RETRY, _asked(number), app=group.app, found=found)


def _find(tx: Tx, number: int, *, lock: bool = False) -> Group:
    found = failures.get(tx, number, lock=lock)
    if found is None:
        raise HTTPException(404, _GONE)
    return found


def _read(tx: Tx, number: int) -> Opened:
    group = _find(tx, number)
    return Opened(
        now=tx.now,
        group=group,
        hours=_with_hours(tx, [group])[0].hours,
        failed=lists.count(tx, _failed_of(number), most=MOST),
        members=list(lists.newest(tx, Filter(failure=number), most=20).rows),
        sample=tries.get(tx, group.sample),
    )


def _with_hours(tx: Tx, groups: Sequence[Group]) -> list[Listed]:
    rows = list(groups)
    last = start_of(Span.HOUR, tx.now)
    starts = [last - timedelta(hours=each) for each in reversed(range(_HOURS))]
    found = failures.hours_of(tx, [each.id for each in rows], starts[0])
    return [Listed(each, [found[each.id].get(at, 0) for at in starts]) for each in rows]


def _read_before(text: str | None) -> tuple[datetime, int] | None:
    at, _, number = (text or "").partition("~")
    try:
        return datetime.fromisoformat(at), int(number)
    except ValueError:
        return None

"""Many executions at once: chosen ones, or all that match; counted before, told after."""

from collections.abc import Callable, Mapping

from fastapi import Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from barbeque_console.conditions import Conditions, Misread, from_filter, from_form
from barbeque_console.executions import READ
from barbeque_console.forms import Form
from barbeque_console.pages import Pages, redirect
from barbeque_console.paging import read_number
from barbeque_console.parts import Shown
from barbeque_console.rights import Router, asker, chosen_app, needs
from barbeque_console.tagging import read_lines
from barbeque_console.tongue import gettext
from barbeque_py import clock
from barbeque_py.acts import cancel_execution, retry_execution, tag_execution
from barbeque_py.bulk import MOST, Action, begin, step, subject_to
from barbeque_py.cancel import Cancelled
from barbeque_py.errors import BadTags, StillOpen, UnknownExecution
from barbeque_py.identity import Identity, Scope
from barbeque_py.ids import is_message_id, new_message_id
from barbeque_py.store import Tx, bulk_changes, lists
from barbeque_py.store.bulk_changes import BulkChange
from barbeque_py.tag import Tagging

Act = Callable[[Tx, str], bool]

_TURN = 2.0
"""Seconds that one request works; what is left is done by the next one."""
_CHOSEN = "row-"
_NAMED_FROM = 100
"""From so many on, the action has to be typed."""


class BulkPages:
    """Asks, changes, and tells how far it has come."""

    def __init__(self, parts: Shown, pages: Pages) -> None:
        self._parts = parts
        self._pages = pages

    def router(self) -> Router:
        """Return the routes."""
        router = Router()
        act = needs(Scope.ENQUEUE, of=chosen_app)
        router.add_api_route("/executions/bulk", self.ask, methods=["POST"], **act)
        router.add_api_route("/executions/bulk/begin", self.begin, methods=["POST"], **act)
        router.add_api_route("/executions/bulk/{number:number}", self.show, methods=READ, **act)
        router.add_api_route(
            "/executions/bulk/{number:number}", self.go_on, methods=["POST"], **act
        )
        return router

    def ask(self, request: Request, form: Form) -> Response:
        """Count what would be changed, and ask: nothing is changed here."""
        action = _action(form)
        chosen = _chosen(form)
        everything = form.get("which") == "all"
        conditions = from_form(form)
        if everything:
            found = self._count(request, action, conditions)
        elif chosen:
            found = len(chosen)
        else:
            raise HTTPException(422, "Choose executions first, or “all that match”.")
        return self._pages.render(
            request.scope,
            "bulk_ask.html",
            action=action,
            found=found,
            most=MOST,
            everything=everything,
            chosen=chosen,
            conditions=conditions,
            typed=action if found >= _NAMED_FROM else None,
            app=asker(request).app,
        )

    def begin(self, request: Request, form: Form) -> Response:
        """Change them, if there are no more than were counted."""
        action, who = _action(form), asker(request)
        expected = read_number(form.get("found")) or 0
        if expected >= _NAMED_FROM and form.get("typed", "").strip() != action:
            sentence = gettext("Nothing was changed: type “%s” to go on.")
            raise HTTPException(422, sentence % action)
        if form.get("which") != "all":
            return self._change_chosen(request, who, action, form)
        conditions = from_form(form)
        found = self._count(request, action, conditions)
        if found > expected:
            sentence = gettext("%(now)s match now, and %(counted)s were counted: look again.")
            counts = {"now": f"{found:,}", "counted": f"{expected:,}"}
            raise HTTPException(409, sentence % counts)

        tags = {"tags": _tagging(form).to_json()} if action is Action.TAG else {}

        def record(tx: Tx) -> int:
            wanted = {"filter": conditions.fixed(tx.now), "image": form.get("image") or "same"}
            wanted |= tags
            return begin(tx, who, action, wanted, app=_app_of(who, conditions), found=found)

        number = self._parts.store.write(record)
        return redirect(request.scope, _link(number, who))

    def _change_chosen(
        self, request: Request, who: Identity, action: Action, form: Mapping[str, str]
    ) -> Response:
        """Change those that were chosen, each in a transaction of its own."""
        chosen = _chosen(form)
        act = _act_of(who, action, form)
        changed = sum(self._change(act, each) for each in chosen)
        self._parts.bell.ring()
        return self._pages.render(
            request.scope,
            "bulk_done.html",
            action=action,
            found=len(chosen),
            changed=changed,
            left_alone=len(chosen) - changed,
            conditions=from_form(form),
        )

    def _change(self, act: Act, message_id: str) -> bool:
        try:
            return self._parts.store.write(lambda tx: act(tx, message_id))
        except (BadTags, StillOpen, UnknownExecution):
            return False

    def show(self, request: Request, number: int) -> Response:
        """Tell how far it has come."""
        return self._tell(request, self._find(request, number))

    def go_on(self, request: Request, number: int) -> Response:
        """Go on with what is left, for a moment."""
        change = self._find(request, number)
        conditions = from_filter(change.wanted["filter"])
        store, logs = self._parts.store, self._parts.logs
        wanted = conditions.filter(store.read(lambda tx: tx.now), app=change.app)
        until = clock.monotonic() + _TURN
        change = step(store, logs, number, wanted)
        while change.top is not None and clock.monotonic() < until:
            change = step(store, logs, number, wanted)
        self._parts.bell.ring()
        return self._tell(request, change)

    def _find(self, request: Request, number: int) -> BulkChange:
        change = self._parts.store.read(lambda tx: bulk_changes.get(tx, number))
        own = asker(request).app
        if change is None or (own is not None and change.app != own):
            raise HTTPException(404, "There is no such change.")
        if change.action == Action.DELETE:
            raise HTTPException(404, "This change was asked for through the API: it goes on there.")
        return change

    def _tell(self, request: Request, change: BulkChange) -> Response:
        return self._pages.render(
            request.scope,
            "bulk.html",
            change=change,
            conditions=from_filter(change.wanted["filter"]),
            link=_link(change.id, asker(request)),
        )

    def _count(self, request: Request, action: Action, conditions: Conditions) -> int:
        own = asker(request).app

        def count(tx: Tx) -> int:
            wanted = subject_to(action, conditions.filter(tx.now, app=own))
            return lists.count(tx, wanted, most=MOST)

        if not conditions:
            raise HTTPException(422, "Say which first: without a condition it would be all.")
        try:
            found = self._parts.store.read(count)
        except Misread as error:
            raise HTTPException(422, str(error)) from None
        if found > MOST:
            sentence = gettext("More than %s match: narrow it, by time for example.")
            raise HTTPException(422, sentence % f"{MOST:,}")
        return found


def _act_of(who: Identity, action: Action, form: Mapping[str, str]) -> Act:
    """Return what is done to each; it tells whether that changed anything."""
    current = form.get("image") == "current"

    def again(tx: Tx, each: str) -> bool:
        retry_execution(tx, who, each, retry_id=new_message_id(), current_image=current)
        return True

    if action is Action.CANCEL:
        return lambda tx, each: cancel_execution(tx, who, each) is not Cancelled.TOO_LATE
    if action is Action.TAG:
        tagging = _tagging(form)
        return lambda tx, each: tag_execution(tx, who, each, tagging)
    return again


def _tagging(form: Mapping[str, str]) -> Tagging:
    """Return what the form says of tags. Raises `HTTPException`."""
    put, taken = read_lines(form.get("put", "")), form.get("taken", "").split()
    if not put and not taken:
        raise HTTPException(422, "Nothing was changed: name a tag to put on, or one to take off.")
    try:
        Tagging(put).of({})
    except BadTags as error:
        raise HTTPException(422, gettext("Nothing was changed: %s.") % error) from None
    return Tagging(put, frozenset(taken))


def _action(form: Mapping[str, str]) -> Action:
    if form.get("action") not in (Action.RETRY, Action.CANCEL, Action.TAG):
        raise HTTPException(422, "Say what is to be done: retry, cancel or tag.")
    return Action(form["action"])


def _chosen(form: Mapping[str, str]) -> list[str]:
    names = (name.removeprefix(_CHOSEN) for name in form if name.startswith(_CHOSEN))
    return [name for name in names if is_message_id(name)]


def _app_of(who: Identity, conditions: Conditions) -> str | None:
    return who.app or conditions.get("app")


def _link(number: int, who: Identity) -> str:
    return f"/executions/bulk/{number}" + (f"?app={who.app}" if who.app else "")

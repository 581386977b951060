"""Views of the list of executions: kept under a name, shared, renamed, removed; and its columns."""

from collections.abc import Mapping

from fastapi import Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from barbeque_console.columns import keep_columns
from barbeque_console.conditions import Conditions, from_form
from barbeque_console.executions import READ
from barbeque_console.forms import Form
from barbeque_console.pages import NOTICES, Pages, redirect
from barbeque_console.parts import Shown
from barbeque_console.rights import Router, asker, needs, open_to_all, theirs, visitor_of
from barbeque_console.tongue import gettext
from barbeque_py.identity import Scope
from barbeque_py.store import Tx, audit, views
from barbeque_py.store.views import View

_GONE = "There is no such view of yours."


class ViewPages:
    """Keeps what people look for."""

    def __init__(self, parts: Shown, pages: Pages) -> None:
        self._parts = parts
        self._pages = pages

    def router(self) -> Router:
        """Return the routes."""
        router = Router()
        own = needs(Scope.READ, of=theirs)
        router.add_api_route("/executions/views", self.show, methods=READ, **own)
        router.add_api_route("/executions/views", self.keep, methods=["POST"], **own)
        router.add_api_route("/executions/views/{view}", self.change, methods=["POST"], **own)
        router.add_api_route(
            "/executions/columns", self.choose_columns, methods=["POST"], **open_to_all()
        )
        return router

    def show(self, request: Request) -> Response:
        """Show the views that this person has, and those that others share."""
        person = visitor_of(request).person
        found = self._parts.store.read(
            lambda tx: views.for_person(tx, person.name, person.apps(Scope.READ))
        )
        return self._pages.render(
            request.scope,
            "views.html",
            own=[each for each in found if each.person == person.name],
            others=[each for each in found if each.person != person.name],
            longest=views.LONGEST,
            notice=NOTICES.get(request.query_params.get("notice", "")),
        )

    def keep(self, request: Request, form: Form) -> Response:
        """Keep the form's conditions under its name, in place of what that meant."""
        name, chosen = _name(form), from_form(form)
        if not chosen:
            raise HTTPException(422, "Say first what to look for: a view is of some conditions.")
        shared, app = _shared(request, form, chosen.get("app")), chosen.get("app")
        person = visitor_of(request).person.name

        def put(tx: Tx) -> bool:
            before = views.named(tx, person, name)
            kept = views.put(tx, person, name, chosen.query, app=app, shared=shared)
            if shared or (before and before.shared):
                _audit(tx, request, name, app, before, chosen.query if shared else None)
            return kept

        if not self._parts.store.write(put):
            raise HTTPException(
                422, gettext("%s views are the most: remove one first.") % views.MOST
            )
        return redirect(request.scope, f"/executions?{chosen.query}&notice=view-kept")

    def change(self, request: Request, view: int, form: Form) -> Response:
        """Rename the view, share it or not; or remove it."""
        person = visitor_of(request).person.name

        def act(tx: Tx) -> None:
            found = views.get(tx, view)
            if found is None or found.person != person:
                raise HTTPException(404, _GONE)
            removed = form.get("action") == "remove"
            name = found.name if removed else _name(form)
            shared = not removed and _shared(request, form, found.app)
            other = views.named(tx, person, name)
            if other is not None and other.id != view:
                raise HTTPException(409, "Another view of yours has this name.")
            if removed:
                views.remove(tx, view)
            else:
                views.change(tx, view, name=name, shared=shared)
            if shared or found.shared:
                _audit(tx, request, name, found.app, found, found.query if shared else None)

        self._parts.store.write(act)
        return redirect(request.scope, "/executions/views?notice=kept")

    def choose_columns(self, request: Request, form: Form) -> Response:
        """Keep which columns the list has, and show it again."""
        chosen: Conditions = from_form(form)
        back = f"/executions?{chosen.query}" if chosen else "/executions"
        return keep_columns(request.scope, form, redirect(request.scope, back))


def _name(form: Mapping[str, str]) -> str:
    name = " ".join(form.get("name", "").split())
    if not name or len(name) > views.LONGEST:
        raise HTTPException(
            422, gettext("Give the view a name of up to %s characters.") % views.LONGEST
        )
    return name


def _shared(request: Request, form: Mapping[str, str], app: str | None) -> bool:
    """Tell whether others are to see it: what everybody is shown is not for everybody to say."""
    asked = bool(form.get("shared"))
    if asked and not visitor_of(request).person.may(Scope.ENQUEUE, app):
        raise HTTPException(403, "Views are shared by operators of what they show.")
    return asked


def _audit(
    tx: Tx,
    request: Request,
    name: str,
    app: str | None,
    before: View | None,
    query: str | None,
) -> None:
    audit.record(
        tx,
        asker(request),
        "view.share" if query is not None else "view.unshare",
        f"view:{name}",
        app=app,
        before={"query": before.query} if before and before.shared else None,
        after=None if query is None else {"query": query},
    )

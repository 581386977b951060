"""Settings: tokens, members with their roles, and what is known of this installation."""

import platform
from datetime import timedelta
from importlib.metadata import version
from typing import Any

from fastapi import Request
from starlette.responses import Response

from barbeque_console.executions import READ
from barbeque_console.forms import Form
from barbeque_console.pages import NOTICES, Pages, redirect
from barbeque_console.parts import Shown
from barbeque_console.rights import Router, asker, known, needs, visitor_of
from barbeque_py import issue, members
from barbeque_py.errors import RequestError, UnknownUser
from barbeque_py.identity import Scope
from barbeque_py.issue import SpentToken, Wish
from barbeque_py.roles import MEANINGS, Grant, Grants, Role, read_grants
from barbeque_py.store import Tx, apps, sessions, tokens, users, workers
from barbeque_py.store.revision import newest_revision

_LIFETIMES = (30, 90, 365)
"""Days that a token may be asked for here."""
_RANKS = (Role.VIEWER, Role.OPERATOR, Role.DEPLOYER)
SCOPES = {
    Scope.ENQUEUE: "enqueue, retry and cancel",
    Scope.READ: "read executions, definitions and queues",
    Scope.LOGS: "read logs",
    Scope.DEPLOY: "change what its app runs",
    Scope.METRICS: "read the metrics of the whole installation; never with an app",
    Scope.ADMIN: "everything of everybody; never with an app",
}


class SettingsPages:
    """Shows and changes who may do what."""

    def __init__(self, parts: Shown, pages: Pages) -> None:
        self._parts = parts
        self._pages = pages

    def router(self) -> Router:
        """Return the routes."""
        router = Router()
        admin = needs(Scope.ADMIN)
        router.add_api_route("/settings", self.begin, methods=READ, **known())
        router.add_api_route("/settings/about", self.about, methods=READ, **known())
        for path, act in (
            ("/settings/tokens", self.show_tokens),
            ("/settings/members", self.show_members),
            ("/settings/members/{user:number}", self.show_member),
        ):
            router.add_api_route(path, act, methods=READ, **admin)
        for path, change in (
            ("/settings/tokens", self.make_token),
            ("/settings/tokens/{token_id}/rotate", self.rotate_token),
            ("/settings/tokens/{token_id}/revoke", self.revoke_token),
            ("/settings/members", self.add_member),
            ("/settings/members/{user:number}/roles", self.set_roles),
            ("/settings/members/{user:number}/link", self.invite),
            ("/settings/members/{user:number}/disable", self.disable),
            ("/settings/members/{user:number}/enable", self.enable),
        ):
            router.add_api_route(path, change, methods=["POST"], **admin)
        return router

    def begin(self, request: Request) -> Response:
        """Lead to the first page of settings that is for them."""
        first = "tokens" if visitor_of(request).person.may(Scope.ADMIN) else "about"
        return redirect(request.scope, f"/settings/{first}")

    def show_tokens(self, request: Request) -> Response:
        """Show who may ask the API for what."""
        return self._tokens(request)

    def make_token(self, request: Request, form: Form) -> Response:
        """Make a token and show it, this once."""
        try:
            wish = Wish(
                name=form.get("name", "").strip(),
                scopes=issue.read_scopes([each for each in Scope if form.get(f"scope.{each}")]),
                app=form.get("app") or None,
                lifetime=_lifetime(form.get("days", "")),
            )
            made, text = self._parts.store.write(lambda tx: issue.issue(tx, asker(request), wish))
        except RequestError as error:
            return self._tokens(request, fault=str(error))
        return self._pages.render(request.scope, "secret.html", made=made, token=text, link=None)

    def rotate_token(self, request: Request, token_id: str) -> Response:
        """Make a token that takes this one's place, and show it, this once."""
        caller = asker(request)
        try:
            made, text = self._parts.store.write(lambda tx: issue.rotate(tx, caller, token_id))
        except SpentToken as error:
            return self._tokens(request, fault=f"The {error}.")
        return self._pages.render(request.scope, "secret.html", made=made, token=text, link=None)

    def revoke_token(self, request: Request, token_id: str) -> Response:
        """Make the token good for nothing."""
        caller = asker(request)
        self._parts.store.write(lambda tx: issue.revoke(tx, caller, token_id))
        return redirect(request.scope, "/settings/tokens?notice=revoked")

    def _tokens(self, request: Request, *, fault: str = "") -> Response:
        now, found, names = self._parts.store.read(
            lambda tx: (tx.now, tokens.everything(tx), [each.name for each in apps.all_apps(tx)])
        )
        return self._pages.render(
            request.scope,
            "tokens.html",
            status=400 if fault else 200,
            now=now,
            tokens=found,
            apps=sorted(names),
            scopes=SCOPES,
            lifetimes=_LIFETIMES,
            fault=fault,
            notice=_notice(request),
        )

    def show_members(self, request: Request) -> Response:
        """Show who may use the console."""
        return self._members(request)

    def add_member(self, request: Request, form: Form) -> Response:
        """Make somebody a member, and show the link by which they come in, this once."""
        caller, email = asker(request), form.get("email", "")

        def add(tx: Tx) -> str:
            grants = _read(form, [])
            made = members.add(tx, caller, email, grants, name=form.get("name", ""))
            return members.invite(tx, caller, made.id)

        try:
            key = self._parts.store.write(add)
        except RequestError as error:
            return self._members(request, fault=f"{error}.")
        return self._show_link(request, email, key)

    def invite(self, request: Request, user: int) -> Response:
        """Show a link by which the member comes in, once."""
        caller = asker(request)

        def make(tx: Tx) -> tuple[str, str]:
            return members.get(tx, user).email, members.invite(tx, caller, user)

        return self._show_link(request, *self._parts.store.write(make))

    def _show_link(self, request: Request, email: str, key: str) -> Response:
        base = self._parts.host_url or str(request.base_url).rstrip("/")
        link = f"{base.rstrip('/')}/login/link?key={key}"
        return self._pages.render(
            request.scope, "secret.html", made=None, token=None, link=link, email=email
        )

    def _members(self, request: Request, *, fault: str = "") -> Response:
        now, found = self._parts.store.read(lambda tx: (tx.now, users.everybody(tx)))
        return self._pages.render(
            request.scope,
            "members.html",
            status=400 if fault else 200,
            now=now,
            members=found,
            ranks=_RANKS,
            meanings=MEANINGS,
            ways=self._parts.entrance.ways if self._parts.entrance else frozenset(),
            fault=fault,
            notice=_notice(request),
        )

    def show_member(self, request: Request, user: int) -> Response:
        """Show one member and their roles, app by app."""

        def read(tx: Tx) -> dict[str, Any]:
            found = users.get(tx, user)
            if found is None:
                raise UnknownUser("There is no such member.")
            names = {each.name for each in apps.all_apps(tx)}
            names |= {each.app for each in found.grants if each.app}
            open_ = sessions.of_user(tx, user)
            return {"now": tx.now, "member": found, "apps": sorted(names), "sessions": open_}

        return self._pages.render(
            request.scope,
            "member.html",
            **self._parts.store.read(read),
            ranks=_RANKS,
            meanings=MEANINGS,
            own=visitor_of(request).person.user == user,
            notice=_notice(request),
        )

    def set_roles(self, request: Request, user: int, form: Form) -> Response:
        """Let the member have these roles and no others."""
        caller, own = asker(request), visitor_of(request).person.user == user

        def change(tx: Tx) -> None:
            names = [each.name for each in apps.all_apps(tx)]
            grants = _read(form, names)
            if own and Grant(Role.ADMIN) not in grants:
                raise UnknownUser("Nobody takes the role admin from themselves.")
            members.set_roles(tx, caller, user, grants)

        self._parts.store.write(change)
        return redirect(request.scope, f"/settings/members/{user}?notice=roles")

    def disable(self, request: Request, user: int) -> Response:
        """Keep the member out, at once."""
        if visitor_of(request).person.user == user:
            raise UnknownUser("Nobody keeps themselves out.")
        return self._set_disabled(request, user, disabled=True)

    def enable(self, request: Request, user: int) -> Response:
        """Let the member in again."""
        return self._set_disabled(request, user, disabled=False)

    def _set_disabled(self, request: Request, user: int, *, disabled: bool) -> Response:
        caller = asker(request)
        self._parts.store.write(
            lambda tx: members.set_disabled(tx, caller, user, disabled=disabled)
        )
        word = "disabled" if disabled else "enabled"
        return redirect(request.scope, f"/settings/members/{user}?notice={word}")

    def about(self, request: Request) -> Response:
        """Show what this installation is, in a form that can be copied into a report."""
        store = self._parts.store
        name, alive = store.read(lambda tx: (apps.installation_name(tx), workers.alive(tx)))
        facts = {
            "barbeque_py": version("barbeque-py"),
            "installation": name,
            "schema": newest_revision(),
            "database": "SQLite" if store.sqlite else store.engine.dialect.name,
            "workers": f"{len(alive)} alive",
            "Python": platform.python_version(),
            "system": platform.platform(),
        }
        libraries = {each: version(each) for each in _LIBRARIES}
        lines = [f"{name}: {value}" for name, value in (facts | libraries).items()]
        return self._pages.render(
            request.scope,
            "about.html",
            facts=facts,
            libraries=libraries,
            diagnostics="\n".join(lines),
        )


_LIBRARIES = ("fastapi", "starlette", "uvicorn", "sqlalchemy", "jinja2", "authlib", "boto3")


def _lifetime(text: str) -> timedelta:
    if text not in map(str, _LIFETIMES):
        raise RequestError("the lifetime is one of those that are offered")
    return timedelta(days=int(text))


def _read(form: Form, names: list[str]) -> Grants:
    """Return the roles that a form gives: to all apps, and to each of these."""
    words = []
    for app in ("", *names):
        mark = f"@{app}" if app else ""
        if form.get(f"role{mark}"):
            words.append(form[f"role{mark}"] + mark)
        if form.get(f"logs{mark}"):
            words.append(Role.LOGS + mark)
    try:
        return read_grants(words)
    except ValueError as error:
        raise RequestError(str(error)) from None


def _notice(request: Request) -> str | None:
    return NOTICES.get(request.query_params.get("notice", ""))

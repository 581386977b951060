"""Coming in and leaving: the login page and its ways, and the page about oneself."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fastapi import Request
from starlette.responses import RedirectResponse, Response

from barbeque_console.door import VIEWER, cookie_path
from barbeque_console.forms import Form
from barbeque_console.pages import NOTICES, Pages, redirect
from barbeque_console.parts import Shown
from barbeque_console.refusals import Closed, Refusal
from barbeque_console.rights import Router, asker, door_of, known, open_to_all, visitor_of
from barbeque_py import members
from barbeque_py.entrance import LINK, OIDC, PROXY, USERS, Provider
from barbeque_py.errors import RequestError
from barbeque_py.passwords import is_right
from barbeque_py.store import sessions
from barbeque_py.visits import (
    NotLetIn,
    TooManyTries,
    Visit,
    follow_link,
    leave,
    log_in,
    welcome,
)

if TYPE_CHECKING:
    from barbeque_console.oidc import OpenIdConnect

READ = ["GET", "HEAD"]
_CALLBACK = "/login/oidc/callback"
_KEEPER = "barbeque_sign_in"
_LONGEST_NEXT = 2000


class LoginPages:
    """Lets people in and out."""

    def __init__(self, parts: Shown, pages: Pages) -> None:
        self._store = parts.store
        self._pages = pages
        self._ways = frozenset() if parts.entrance is None else parts.entrance.ways
        provider = parts.entrance.provider if parts.entrance else None
        callback = (parts.host_url or "").rstrip("/") + _CALLBACK
        self._oidc = None if provider is None else _ask_of(provider, callback)

    def router(self) -> Router:
        """Return the routes."""
        router = Router()
        routes: tuple[tuple[str, list[str], Callable[..., Any], Any], ...] = (
            ("/login", READ, self.show, open_to_all()),
            ("/login", ["POST"], self.log_in, open_to_all()),
            ("/login/link", READ, self.show_link, open_to_all()),
            ("/login/link", ["POST"], self.follow_link, open_to_all()),
            ("/login/oidc", READ, self.ask_provider, open_to_all()),
            (_CALLBACK, READ, self.hear_provider, open_to_all()),
            ("/logout", ["POST"], self.leave, known()),
            ("/logout/everywhere", ["POST"], self.leave_everywhere, known()),
            ("/account", READ, self.show_account, known()),
            ("/account/password", ["POST"], self.set_password, known()),
        )
        for path, methods, act, declared in routes:
            router.add_api_route(path, act, methods=methods, **declared)
        return router

    def show(self, request: Request) -> Response:
        """Show the ways in."""
        following = local(request.query_params.get("next"))
        if request.scope[VIEWER] is not None:
            return redirect(request.scope, following)
        return self._page(request, following)

    def log_in(self, request: Request, form: Form) -> Response:
        """Let in who has the password."""
        self._offer(USERS)
        email, password, following = (form.get(name, "") for name in ("email", "password", "next"))
        browser = door_of(request).browser(request)
        try:
            key = log_in(self._store, email, password, browser)
        except NotLetIn as error:
            status = 429 if isinstance(error, TooManyTries) else 403
            return self._page(request, local(following), str(error), email=email, status=status)
        return self._come_in(request, key, local(following))

    def show_link(self, request: Request) -> Response:
        """Ask before the link is used up: programs that look at links would use it, too."""
        key = request.query_params.get("key", "")[:100]
        link = self._store.read(lambda tx: sessions.get_link(tx, members.digest_of(key)))
        if link is None:
            return self._page(request, "/", "This link was used already, or its time is over.")
        return self._pages.render(request.scope, "login_link.html", key=key, name=link.name)

    def follow_link(self, request: Request, form: Form) -> Response:
        """Let in who has the link."""
        key, browser = form.get("key", "")[:100], door_of(request).browser(request)
        try:
            own = self._store.write(lambda tx: follow_link(tx, key, browser))
        except NotLetIn as error:
            return self._page(request, "/", str(error), status=403)
        return self._come_in(request, own, "/")

    def ask_provider(self, request: Request) -> Response:
        """Send the browser to the provider."""
        self._offer(OIDC)
        assert self._oidc is not None
        following = local(request.query_params.get("next"))
        try:
            begun = self._oidc.begin(following, secret=door_of(request).secret_for("sign-in"))
        except NotLetIn as error:
            return self._page(request, following, str(error), status=503)
        response = RedirectResponse(begun.url, 303)
        self._keep(request, response, begun.kept, begun.lasts)
        return response

    def hear_provider(self, request: Request) -> Response:
        """Let in whom the provider vouches for."""
        self._offer(OIDC)
        assert self._oidc is not None
        kept = request.cookies.get(self._keeper(request), "")
        door = door_of(request)
        browser, rules, secret = (
            door.browser(request),
            door.entrance.rules,
            door.secret_for("sign-in"),
        )
        try:
            who, following = self._oidc.finish(dict(request.query_params), kept, secret=secret)
            key = self._store.write(lambda tx: welcome(tx, who, rules, browser))
        except NotLetIn as error:
            response: Response = self._page(request, "/", str(error), status=403)
        else:
            response = self._come_in(request, key, local(following))
        self._keep(request, response, "", 0)
        return response

    def leave(self, request: Request) -> Response:
        """End this visit."""
        return self._leave(request, everywhere=False)

    def leave_everywhere(self, request: Request) -> Response:
        """End every visit of this person."""
        return self._leave(request, everywhere=True)

    def show_account(self, request: Request) -> Response:
        """Show people who they are here, and where they are logged in."""
        return self._account(request)

    def _account(self, request: Request, *, fault: str = "", status: int = 200) -> Response:
        visitor = visitor_of(request)
        user = visitor.visit.user if visitor.visit else None
        now, found = self._store.read(
            lambda tx: (tx.now, [] if user is None else sessions.of_user(tx, user.id))
        )
        return self._pages.render(
            request.scope,
            "account.html",
            status=status,
            now=now,
            visit=visitor.visit,
            user=user,
            sessions=found,
            by_password=USERS in self._ways and user is not None,
            notice=NOTICES.get(request.query_params.get("notice", "")),
            fault=fault,
        )

    def set_password(self, request: Request, form: Form) -> Response:
        """Give oneself another password; every other session ends."""
        self._offer(USERS)
        visit = visitor_of(request).visit
        if visit is None or visit.user is None:
            raise Refusal("You have no password here.")
        try:
            self._change_password(request, visit, form)
        except RequestError as error:
            return self._account(request, fault=str(error), status=400)
        return redirect(request.scope, "/account?notice=password")

    def _change_password(self, request: Request, visit: Visit, form: Form) -> None:
        user = visit.user
        assert user is not None
        if visit.way_is_password and not is_right(user.password, form.get("old", "")):
            raise RequestError("Your present password is another one.")
        kept, caller = members.fit_password(user, form.get("new", "")), asker(request)
        own = visit.session.digest
        self._store.write(lambda tx: members.set_password(tx, caller, user.id, kept, but=own))

    def _leave(self, request: Request, *, everywhere: bool) -> Response:
        visit = visitor_of(request).visit
        if visit is None:
            raise Refusal(
                "There is nothing to leave: this console asks nobody, or a proxy lets you in.",
                "Log out where the proxy sends you to.",
            )
        self._store.write(lambda tx: leave(tx, visit, everywhere=everywhere))
        response = redirect(request.scope, "/login?left=1")
        door_of(request).close(request, response)
        return response

    def _come_in(self, request: Request, key: str, following: str) -> Response:
        response = redirect(request.scope, following)
        door_of(request).open(request, response, key)
        return response

    def _offer(self, way: str) -> None:
        if way not in self._ways:
            raise Closed

    def _page(
        self,
        request: Request,
        following: str,
        fault: str = "",
        *,
        email: str = "",
        status: int = 200,
    ) -> Response:
        return self._pages.render(
            request.scope,
            "login.html",
            status=status,
            following=following,
            fault=fault,
            email=email,
            left="left" in request.query_params,
            by_password=USERS in self._ways,
            by_link=LINK in self._ways,
            by_proxy=PROXY in self._ways,
            provider=self._oidc.name if self._oidc else None,
        )

    def _keeper(self, request: Request) -> str:
        return f"__Host-{_KEEPER}" if door_of(request).is_secure(request) else _KEEPER

    def _keep(self, request: Request, response: Response, kept: str, seconds: int) -> None:
        secure = door_of(request).is_secure(request)
        response.set_cookie(
            self._keeper(request),
            kept,
            max_age=seconds,
            path=cookie_path(request, secure=secure),
            secure=secure,
            httponly=True,
            samesite="lax",
        )


def _ask_of(provider: Provider, callback: str) -> "OpenIdConnect":
    from barbeque_console.oidc import OpenIdConnect  # noqa: PLC0415 - most have no provider

    return OpenIdConnect(provider, callback=callback)


def local(path: str | None) -> str:
    """Return the path if it leads to a page of ours, else that of the first page."""
    if not path or len(path) > _LONGEST_NEXT or not path.isprintable() or "\\" in path:
        return "/"
    return path if path.startswith("/") and not path.startswith("//") else "/"

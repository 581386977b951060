"""The door: finds out who asks for a page, and whether a form is one of ours."""

import hashlib
import hmac
import ipaddress
from functools import cached_property

from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection
from starlette.responses import Response

from barbeque_console.forms import read_form
from barbeque_console.refusals import ForeignForm, LoginNeeded, ReadOnly, Refusal
from barbeque_console.visitor import Visitor
from barbeque_py.addresses import EMAIL
from barbeque_py.entrance import PROXY, Entrance
from barbeque_py.identity import EVERYBODY
from barbeque_py.roles import ADMIN, Person
from barbeque_py.store import Store, Tx, apps, sessions
from barbeque_py.store.sessions import LONGEST
from barbeque_py.visits import Browser, NotLetIn, Visit, Vouched, is_news, resume, vouched

READING = frozenset({"GET", "HEAD"})
FORM_KEY = "form_key"
"""The field of every form that says it is one of ours; scripts send `X-Form-Key`."""
PEER = "barbeque.peer"
"""Where the server puts the address that a request came from, before it believes any proxy."""

VIEWER = "barbeque.viewer"
"""Where pages find who looks at them."""

_PURPOSE = b"barbeque form "
_LONGEST_KEY = 100


class Door:
    """Knows whoever has come in, and lets nobody send forms in their name."""

    def __init__(
        self, store: Store, entrance: Entrance | None, *, read_only: bool, host_url: str | None
    ) -> None:
        self.store = store
        self.entrance = entrance or Entrance(frozenset())
        self.read_only = read_only
        self._host_url = host_url or ""

    async def look(self, request: Request) -> Visitor | None:
        """Find out who asks, and keep it for the page."""
        visitor = await run_in_threadpool(self._find, request)
        request.scope[VIEWER] = visitor
        return visitor

    async def admit(self, request: Request, *, changes: bool = True) -> Visitor:
        """Return who asks. Raises a `Refusal`: they are unknown, or the form is not ours.

        `changes` tells whether a form that is sent there changes more than the visit itself.
        """
        visitor = await self.look(request)
        if visitor is None:
            raise LoginNeeded
        if request.method not in READING:
            await self._check_form(request, visitor)
            if changes and self.read_only:
                raise ReadOnly
        return visitor

    async def _check_form(self, request: Request, visitor: Visitor) -> None:
        if not visitor.form_key:
            return  # nobody is asked here; where the form comes from was looked at before
        shown = request.headers.get("x-form-key")
        if shown is None:
            shown = (await read_form(request)).get(FORM_KEY, "")
        if not hmac.compare_digest(shown.encode(), visitor.form_key.encode()):
            raise ForeignForm("This form is not one of this visit's.")

    def _find(self, request: HTTPConnection) -> Visitor | None:
        origin = origin_of(request)
        if not self.entrance.ways:
            return self._visitor(Person(EVERYBODY.name, ADMIN, origin), None, "")
        if PROXY in self.entrance.ways:
            person = self._vouched(request, origin)
            if person is not None:
                return self._visitor(person, None, f"proxy:{person.name}")
        key = self.key_of(request)
        if not key:
            return None
        found, news = self.store.read(lambda tx: _resumed(tx, key, origin))
        if found is None:
            return None
        digest = found.session.digest
        if news:
            self.store.write(lambda tx: sessions.see(tx, digest))
        return self._visitor(found.person, found, digest)

    def _visitor(self, person: Person, visit: Visit | None, subject: str) -> Visitor:
        key = self._form_key(subject) if subject else ""
        return Visitor(person, self.store, key, visit, self.read_only)

    def _vouched(self, request: HTTPConnection, origin: str) -> Person | None:
        """Return whom the proxy names, if it is the proxy. Raises `Refusal`."""
        email = request.headers.get("x-forwarded-email", "")
        if not email:
            return None
        secret = request.headers.get("x-barbeque-proxy-secret", "")
        right = hmac.compare_digest(secret.encode(), self.entrance.proxy_secret.encode())
        if not right or not self._is_peer(request):
            raise Refusal("Who comes through a proxy is let in if it is the one that is set.")
        if not EMAIL.fullmatch(email):
            raise Refusal("The proxy vouches for somebody without an address.")
        groups = request.headers.get("x-forwarded-groups", "").split(",")
        who = Vouched(email, [each.strip() for each in groups])
        rules = self.entrance.rules
        try:
            return self.store.read(lambda tx: vouched(tx, who, rules, origin))
        except NotLetIn as error:
            raise Refusal(str(error)) from None

    def _is_peer(self, request: HTTPConnection) -> bool:
        client = request.scope.get("client")
        peer = request.scope.get(PEER) or (client[0] if client else "")
        try:
            address = ipaddress.ip_address(peer)
        except ValueError:
            return False
        return any(address in network for network in self.entrance.peers)

    def browser(self, request: Request) -> Browser:
        """Return where somebody comes from who is about to come in."""
        agent = request.headers.get("user-agent", "")
        return Browser(origin_of(request), agent, self.key_of(request))

    def key_of(self, request: HTTPConnection) -> str:
        """Return what the browser shows of its session."""
        shown = request.cookies.get(self._cookie(request), "")
        return shown if len(shown) <= _LONGEST_KEY else ""

    def open(self, request: Request, response: Response, key: str) -> None:
        """Give the browser what it is to show from now on."""
        response.set_cookie(
            self._cookie(request),
            key,
            max_age=int(LONGEST.total_seconds()),
            path=cookie_path(request, secure=self.is_secure(request)),
            secure=self.is_secure(request),
            httponly=True,
            samesite="lax",
        )

    def close(self, request: Request, response: Response) -> None:
        """Let the browser forget it."""
        response.delete_cookie(
            self._cookie(request),
            path=cookie_path(request, secure=self.is_secure(request)),
            secure=self.is_secure(request),
            httponly=True,
            samesite="lax",
        )

    def is_secure(self, request: HTTPConnection) -> bool:
        """Tell whether the browser speaks https, be it to a proxy before us."""
        return request.url.scheme == "https" or self._host_url.startswith("https://")

    def _cookie(self, request: HTTPConnection) -> str:
        """Return its name: ports share cookies, so it names the installation, too."""
        prefix = "__Host-" if self.is_secure(request) else ""
        return f"{prefix}barbeque_{self._keys[0]}"

    def _form_key(self, subject: str) -> str:
        message = _PURPOSE + subject.encode()
        return hmac.new(self._keys[1], message, hashlib.sha256).hexdigest()

    @cached_property
    def _keys(self) -> tuple[str, bytes]:
        return self.store.read(
            lambda tx: (apps.installation_name(tx), apps.installation_secret(tx))
        )

    def secret_for(self, purpose: str) -> str:
        """Return a key that is good for this purpose alone."""
        return hmac.new(self._keys[1], f"barbeque {purpose}".encode(), hashlib.sha256).hexdigest()


def origin_of(request: HTTPConnection) -> str:
    """Return the address that the request came from."""
    return request.client.host if request.client else ""


def cookie_path(request: HTTPConnection, *, secure: bool) -> str:
    """Return for which addresses a cookie of ours is; a `__Host-` one is for all of the host."""
    return "/" if secure else str(request.scope.get("root_path", "")).rstrip("/") or "/"


def _resumed(tx: Tx, key: str, origin: str) -> tuple[Visit | None, bool]:
    found = resume(tx, key, origin)
    return found, found is not None and is_news(found, tx)

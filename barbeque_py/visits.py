"""Visits to the console: somebody comes in, is known while they stay, and leaves."""

import hashlib
import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from barbeque_py import passwords
from barbeque_py.errors import RequestError
from barbeque_py.identity import Identity
from barbeque_py.members import digest_of, new_key
from barbeque_py.roles import ADMIN, Grants, Person, Rule, grants_by
from barbeque_py.store import Store, Tx, audit, login_failures, sessions, users
from barbeque_py.store.sessions import LONGEST, SEEN_KEPT, Link, Session
from barbeque_py.store.users import User

log = logging.getLogger("barbeque.console")

TRIES_OF_ACCOUNT = 5
TRIES_OF_ORIGIN = 50
"""Logins that may fail within `login_failures.WINDOW`."""
_LONGEST_EMAIL = 254


class Way(StrEnum):
    """How somebody came in."""

    PASSWORD = "password"  # noqa: S105 - a word
    LINK = "link"
    OIDC = "oidc"
    PROXY = "proxy"


class NotLetIn(RequestError):
    """Whoever asks is not let in; the message says no more than they may know."""


class TooManyTries(NotLetIn):
    """Too many logins have failed; `wait` is for how long the next is refused."""

    def __init__(self, wait: timedelta) -> None:
        minutes = max(1, -(-int(wait.total_seconds()) // 60))
        super().__init__(f"Too many logins have failed: try again in {minutes} min.")
        self.wait = wait


@dataclass(frozen=True, slots=True)
class Browser:
    """Where somebody comes from, and the key of the session they had there."""

    origin: str
    agent: str
    former: str = ""


@dataclass(frozen=True, slots=True)
class Visit:
    """Somebody who is known, and the session they are known by."""

    person: Person
    session: Session
    user: User | None

    @property
    def way_is_password(self) -> bool:
        """Whether they have shown their password to come in."""
        return self.session.way == Way.PASSWORD


def log_in(store: Store, email: str, password: str, browser: Browser) -> str:
    """Let the member in who has this password; return the new session's key.

    Takes as long for who is unknown as for who is known. Raises `NotLetIn`.
    """
    email = email.strip().lower()[:_LONGEST_EMAIL]
    account, origin = _scope("account", email), _scope("origin", browser.origin)
    waits = store.write(lambda tx: _spend(tx, account, origin))
    if waits is not None:
        log.warning("a login of %s from %s: too many have failed", _shown(email), browser.origin)
        raise TooManyTries(waits)
    user = store.read(lambda tx: users.by_email(tx, email))
    right = passwords.is_right(None if user is None else user.password, password)
    if user is None or not right or user.disabled_at is not None:
        log.warning("a login of %s from %s failed", _shown(email), browser.origin)
        raise NotLetIn("Address or password is wrong.")
    assert user.password is not None
    anew = passwords.digest(password) if passwords.is_outdated(user.password) else None
    number = user.id

    def come_in(tx: Tx) -> str:
        known = users.get(tx, number)
        if known is None or known.disabled_at is not None:
            raise NotLetIn("Address or password is wrong.")
        login_failures.forget(tx, account)
        login_failures.forgive(tx, origin)
        if anew is not None:
            users.set_password(tx, number, anew)
        return _begin(tx, Way.PASSWORD, browser, known, frozenset())

    return store.write(come_in)


def follow_link(tx: Tx, key: str, browser: Browser) -> str:
    """Let in whoever has the link with this key, once; return the new session's key.

    Raises `NotLetIn`.
    """
    link = sessions.take_link(tx, digest_of(key))
    if link is None:
        raise NotLetIn("This link was used already, or its time is over.")
    if link.user is None:
        return _begin_here(tx, link, browser)
    user = users.get(tx, link.user)
    if user is None or user.disabled_at is not None:
        raise NotLetIn("This link is for nobody who may come in.")
    return _begin(tx, Way.LINK, browser, user, frozenset())


@dataclass(frozen=True, slots=True)
class Vouched:
    """Somebody whom a provider of identities, or a proxy, knows."""

    email: str
    groups: Collection[str] = ()
    name: str = ""


def welcome(tx: Tx, who: Vouched, rules: Sequence[Rule], browser: Browser) -> str:
    """Let in whom a provider vouches for, if a rule or their membership gives them a role.

    Who is no member yet becomes one, without roles of their own. Raises `NotLetIn`.
    """
    email = who.email.lower()
    grants = grants_by(rules, email, who.groups)
    user = users.by_email(tx, email)
    _check_welcome(user, grants)
    if user is None:
        user = users.add(tx, email, who.name[:100], frozenset(), made_by="OpenID Connect")
    return _begin(tx, Way.OIDC, browser, user, grants)


def vouched(tx: Tx, who: Vouched, rules: Sequence[Rule], origin: str) -> Person:
    """Return whom a proxy vouches for with each request. Raises `NotLetIn`."""
    email = who.email.lower()
    grants = grants_by(rules, email, who.groups)
    user = users.by_email(tx, email)
    _check_welcome(user, grants)
    own = frozenset() if user is None else user.grants
    return Person(email, own | grants, origin, None if user is None else user.id)


def resume(tx: Tx, key: str, origin: str) -> Visit | None:
    """Return whose session this is; None when it is nobody's, over, or its owner is kept out."""
    session = sessions.get(tx, digest_of(key))
    if session is None or not session.is_live(tx.now):
        return None
    if session.user is None:
        return Visit(Person(session.name, session.grants, origin), session, None)
    user = users.get(tx, session.user)
    if user is None or user.disabled_at is not None:
        return None
    grants = user.grants | session.grants
    return Visit(Person(user.email, grants, origin, user.id), session, user)


def is_news(visit: Visit, tx: Tx) -> bool:
    """Tell whether it is to be kept that the session is in use."""
    return tx.now - visit.session.seen_at > SEEN_KEPT


def leave(tx: Tx, visit: Visit, *, everywhere: bool = False) -> None:
    """End the session; with `everywhere` all that this person has, whatever browser they are in."""
    session, caller = visit.session, visit.person.on(None)
    if everywhere and session.user is not None:
        sessions.end_all(tx, session.user)
        sessions.drop_links(tx, session.user)
    elif everywhere:
        sessions.end_named(tx, session.name)
    else:
        sessions.end(tx, session.digest)
    after = {"everywhere": everywhere}
    audit.record(tx, caller, "session.end", f"session:{session.digest[:12]}", after=after)


def _check_welcome(user: User | None, grants: Grants) -> None:
    if user is not None and user.disabled_at is not None:
        raise NotLetIn("This account is disabled: ask an admin.")
    if not grants and (user is None or not user.grants):
        raise NotLetIn("This account has no role here: ask an admin to make it a member.")


def _begin(tx: Tx, way: Way, browser: Browser, user: User, grants: Grants) -> str:
    users.note_login(tx, user.id)
    who = Person(user.email, user.grants | grants, browser.origin, user.id)
    return _open(tx, way, browser, who.on(None), user=user.id, grants=grants)


def _begin_here(tx: Tx, link: Link, browser: Browser) -> str:
    who = Identity(link.name, frozenset(), None, browser.origin)
    return _open(tx, Way.LINK, browser, who, user=None, grants=ADMIN)


def _open(
    tx: Tx, way: Way, browser: Browser, who: Identity, *, user: int | None, grants: Grants
) -> str:
    """Begin a session; the one that this browser had before ends, so none is ever taken over."""
    if browser.former:
        sessions.end(tx, digest_of(browser.former))
    key = new_key()
    session = Session(
        digest=digest_of(key),
        user=user,
        name=who.name,
        grants=grants,
        way=way,
        origin=browser.origin[:100],
        browser=browser.agent[:200],
        made_at=tx.now,
        seen_at=tx.now,
        expires_at=tx.now + LONGEST,
    )
    sessions.add(tx, session)
    subject = f"session:{session.digest[:12]}"
    audit.record(tx, who, "session.begin", subject, after={"way": way})
    return key


def _spend(tx: Tx, account: str, origin: str) -> timedelta | None:
    """Count the try at both; return for how long they have to wait, if they have."""
    waits = (
        login_failures.spend(tx, account, most=TRIES_OF_ACCOUNT),
        login_failures.spend(tx, origin, most=TRIES_OF_ORIGIN),
    )
    return max((each for each in waits if each is not None), default=None)


def _scope(kind: str, name: str) -> str:
    """Return what tries are counted by: addresses that somebody typed are not kept."""
    return f"{kind}:{hashlib.sha256(name.encode()).hexdigest()[:40]}"


def _shown(email: str) -> str:
    return ascii(email)[1:-1][:80]

"""Members: who may use the console. Each change leaves its row of the audit trail."""

import hashlib
import secrets
from datetime import timedelta
from typing import Any

from barbeque_py.addresses import AN_EMAIL, EMAIL
from barbeque_py.errors import RequestError, UnknownApp, UnknownUser
from barbeque_py.identity import Identity
from barbeque_py.passwords import UnfitPassword, check, digest
from barbeque_py.roles import Grants, write_grants
from barbeque_py.store import Tx, apps, audit, sessions, users
from barbeque_py.store.sessions import Link
from barbeque_py.store.users import User

LONGEST_NAME = 100
"""Characters."""
INVITED_FOR = timedelta(days=1)
"""How long the link is good by which a member comes in for the first time, or again."""
HERE_FOR = timedelta(minutes=15)
"""How long the link is good that this machine's own people get."""


class MemberExists(RequestError):
    """Somebody has this address already."""


def new_key() -> str:
    """Return what lets somebody in: 256 random bits."""
    return secrets.token_urlsafe(32)


def digest_of(key: str) -> str:
    """Return what is kept of a key: SHA-256, enough for what is random."""
    return hashlib.sha256(key.encode()).hexdigest()


def read_email(text: str) -> str:
    """Return the address as it is kept, in lower case. Raises `RequestError`."""
    email = text.strip().lower()
    if not EMAIL.fullmatch(email):
        raise RequestError(f"email: write {AN_EMAIL}")
    return email


def add(tx: Tx, caller: Identity, email: str, grants: Grants, *, name: str = "") -> User:
    """Make somebody a member. Raises `MemberExists`, `UnknownApp`, `RequestError`."""
    email, name = read_email(email), name.strip()
    if len(name) > LONGEST_NAME or not name.isprintable():
        raise RequestError(f"name: write up to {LONGEST_NAME} printable characters")
    _check_apps(tx, grants)
    if users.by_email(tx, email) is not None:
        raise MemberExists(f"{email} is a member already")
    user = users.add(tx, email, name, grants, made_by=caller.name)
    audit.record(tx, caller, "user.create", f"user:{email}", after=facts(user))
    return user


def find(tx: Tx, email: str) -> User:
    """Return the member with this address. Raises `UnknownUser`."""
    found = users.by_email(tx, email.strip().lower())
    if found is None:
        raise UnknownUser(f"nobody here has the address {email[:80]!r}")
    return found


def get(tx: Tx, number: int) -> User:
    """Return the member with this number, whom nobody else changes meanwhile."""
    found = users.get(tx, number, lock=not tx.sqlite)
    if found is None:
        raise UnknownUser("there is no such member")
    return found


def set_roles(tx: Tx, caller: Identity, number: int, grants: Grants) -> User:
    """Let the member have these roles and no others; raises `UnknownUser`, `UnknownApp`."""
    old = get(tx, number)
    _check_apps(tx, grants - old.grants)
    users.set_grants(tx, number, grants)
    return _recorded(tx, caller, "user.roles", old)


def set_disabled(tx: Tx, caller: Identity, number: int, *, disabled: bool) -> User:
    """Keep the member out, at once and wherever they are, or let them in again."""
    old = get(tx, number)
    users.set_disabled(tx, number, disabled=disabled)
    if disabled:
        sessions.end_all(tx, number)
        sessions.drop_links(tx, number)
    return _recorded(tx, caller, "user.disable" if disabled else "user.enable", old)


def fit_password(user: User, password: str) -> str:
    """Return what is to be kept of the password; takes a while. Raises `RequestError`."""
    try:
        check(password, names=(user.email, user.name))
    except UnfitPassword as error:
        raise RequestError(str(error)) from None
    return digest(password)


def set_password(tx: Tx, caller: Identity, number: int, kept: str, *, but: str = "") -> User:
    """Give the member another password; their sessions end, but perhaps one, and their links."""
    old = get(tx, number)
    users.set_password(tx, number, kept)
    sessions.end_all(tx, number, but=but)
    sessions.drop_links(tx, number)
    return _recorded(tx, caller, "user.password", old)


def invite(tx: Tx, caller: Identity, number: int) -> str:
    """Return the key of a link by which the member comes in, once; it takes a password's place."""
    user = get(tx, number)
    if user.disabled_at is not None:
        raise RequestError(f"{user.email} is disabled: enable them first")
    key = new_key()
    link = Link(digest_of(key), user.id, user.email, tx.now + INVITED_FOR)
    sessions.add_link(tx, link)
    audit.record(
        tx, caller, "user.link", f"user:{user.email}", after={"until": link.expires_at.isoformat()}
    )
    return key


def let_in(tx: Tx, caller: Identity) -> str:
    """Return the key of a link by which this machine's own people come in, once, as admins."""
    key = new_key()
    link = Link(digest_of(key), None, caller.name[:200], tx.now + HERE_FOR)
    sessions.add_link(tx, link)
    audit.record(tx, caller, "link.create", "console", after={"until": link.expires_at.isoformat()})
    return key


def facts(user: User) -> dict[str, Any]:
    """Return what may be told of a member."""
    return {
        "email": user.email,
        "name": user.name,
        "roles": write_grants(user.grants).split(),
        "has_password": user.password is not None,
        "disabled": user.disabled_at is not None,
    }


def _recorded(tx: Tx, caller: Identity, action: str, old: User) -> User:
    new = users.get(tx, old.id)
    assert new is not None
    before, after = facts(old), facts(new)
    audit.record(tx, caller, action, f"user:{old.email}", before=before, after=after)
    return new


def _check_apps(tx: Tx, grants: Grants) -> None:
    for app in sorted({each.app for each in grants if each.app is not None}):
        if apps.get_app(tx, app) is None:
            raise UnknownApp(f"no app is called {app[:128]!r}")

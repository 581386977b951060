"""Make, rotate and revoke tokens; each change leaves its row of the audit trail."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from barbeque_py.errors import RequestError, UnknownApp, UnknownToken
from barbeque_py.identity import FOR_EVERY_APP, Identity, Scope
from barbeque_py.store import Tx, apps, audit, tokens
from barbeque_py.store.tokens import Token
from barbeque_py.tokens import digest, new_token

LIFETIME = timedelta(days=365)
LONGEST_LIFETIME = timedelta(days=3650)
OVERLAP = timedelta(days=1)
"""How long a rotated token stays good beside its successor."""
LONGEST_OVERLAP = timedelta(days=90)
LONGEST_NAME = 100
"""Characters."""


class SpentToken(RequestError):
    """The token is not good any more, or another one has taken its place."""


@dataclass(frozen=True, slots=True)
class Wish:
    """The token that somebody wants."""

    name: str
    """What people call it; it stands in the audit trail."""
    scopes: frozenset[Scope]
    app: str | None = None
    """The only app it is for; None is all of them."""
    lifetime: timedelta = LIFETIME


def read_scopes(words: Collection[object]) -> frozenset[Scope]:
    """Return the scopes with these names; raises `RequestError`."""
    known = [str(scope) for scope in Scope]
    strange = [word for word in words if word not in known]
    if strange or not words:
        told = f"{str(strange[0])[:60]!r} is not a scope" if strange else "none is named"
        raise RequestError(f"scopes: {told}; there are {', '.join(known)}")
    return frozenset(Scope(str(word)) for word in words)


def issue(tx: Tx, caller: Identity, wish: Wish) -> tuple[Token, str]:
    """Make a token; return it, and its text, which nobody can ever show again.

    Raises `UnknownApp`, and `RequestError` for what no token may be.
    """
    _check(tx, wish)
    token, text = _new(tx, caller, wish)
    tokens.add(tx, token)
    audit.record(tx, caller, "token.create", f"token:{token.id}", app=token.app, after=facts(token))
    return token, text


def rotate(
    tx: Tx, caller: Identity, token_id: str, *, overlap: timedelta = OVERLAP
) -> tuple[Token, str]:
    """Make a token that takes this one's place; both are good for `overlap`.

    It has the same name, app, scopes and lifetime. A token whose place this one took expires now.
    Raises `UnknownToken`, `SpentToken`.
    """
    old = _get(tx, token_id)
    wish = Wish(old.name, old.scopes, old.app, old.expires_at - old.made_at)
    token, text = _new(tx, caller, wish)
    until = min(old.expires_at, tx.now + overlap)
    if not tokens.replace(tx, old.id, by=token.id, until=until):
        raise SpentToken(f"token {old.id} {_why_spent(old)}")
    tokens.add(tx, token)
    after = facts(token) | {"replaces": old.id, "both_until": until.isoformat()}
    audit.record(tx, caller, "token.rotate", f"token:{old.id}", app=old.app, after=after)
    return token, text


def revoke(tx: Tx, caller: Identity, token_id: str) -> Token:
    """Make the token good for nothing; one that is already stays as it is.

    Raises `UnknownToken`.
    """
    old = _get(tx, token_id)
    if tokens.revoke(tx, token_id):
        subject = f"token:{old.id}"
        audit.record(tx, caller, "token.revoke", subject, app=old.app, before=facts(old))
    return _get(tx, token_id)


def facts(token: Token) -> dict[str, Any]:
    """Return what may be told of a token."""
    return {
        "id": token.id,
        "name": token.name,
        "app": token.app,
        "scopes": sorted(token.scopes),
        "expires_at": token.expires_at.isoformat(),
    }


def _check(tx: Tx, wish: Wish) -> None:
    name = wish.name
    if not name or len(name) > LONGEST_NAME or not name.isprintable() or name != name.strip():
        raise RequestError(f"name: write 1 to {LONGEST_NAME} printable characters")
    if not timedelta(0) < wish.lifetime <= LONGEST_LIFETIME:
        raise RequestError(f"the lifetime is at most {LONGEST_LIFETIME.days} days")
    if wish.app is None:
        return
    for scope in FOR_EVERY_APP:
        if scope in wish.scopes:
            raise RequestError(f"the scope {scope} is for every app: leave the app out")
    if apps.get_app(tx, wish.app) is None:
        raise UnknownApp(f"no app is called {wish.app!r}")


def _new(tx: Tx, caller: Identity, wish: Wish) -> tuple[Token, str]:
    token_id, text = new_token()
    token = Token(
        id=token_id,
        digest=digest(text),
        name=wish.name,
        app=wish.app,
        scopes=wish.scopes,
        made_by=caller.name[:200],
        made_at=tx.now,
        expires_at=tx.now + wish.lifetime,
        revoked_at=None,
        last_used_at=None,
        replaced_by=None,
    )
    return token, text


def _get(tx: Tx, token_id: str) -> Token:
    found = tokens.get(tx, token_id)
    if found is None:
        raise UnknownToken(f"no token has the id {token_id[:60]!r}")
    return found


def _why_spent(token: Token) -> str:
    if token.replaced_by is not None:
        return f"was rotated already, to {token.replaced_by}"
    return "is revoked" if token.revoked_at is not None else "has expired"

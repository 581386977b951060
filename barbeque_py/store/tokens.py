"""Tokens as rows: whose they are, what they may do, and until when; never their text."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import insert, or_, select, update

from barbeque_py.identity import Identity, Scope
from barbeque_py.store.database import Tx
from barbeque_py.store.tables.people import tokens

USE_KEPT = timedelta(minutes=1)
"""How exactly the time of a token's last use is kept."""


@dataclass(frozen=True, slots=True)
class Token:
    """A token: who shows it may do what its scopes say, to its app or, without one, to all."""

    id: str
    digest: str
    name: str
    app: str | None
    scopes: frozenset[Scope]
    made_by: str
    made_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    last_used_at: datetime | None
    """To the minute."""
    replaced_by: str | None
    """The token that is to take its place; both are good until this one expires."""

    @property
    def identity(self) -> Identity:
        """Who shows it."""
        return Identity(f"{self.name} (token {self.id})", self.scopes, self.app)

    def is_live(self, now: datetime) -> bool:
        """Tell whether it is good."""
        return self.revoked_at is None and now < self.expires_at


def add(tx: Tx, token: Token) -> None:
    """Keep a new token."""
    values = {name: getattr(token, name) for name in Token.__slots__}
    tx.execute(insert(tokens).values(values | {"scopes": " ".join(sorted(token.scopes))}))


def get(tx: Tx, token_id: str) -> Token | None:
    """Return the token with this public id."""
    row = tx.execute(select(tokens).where(tokens.c.id == token_id)).one_or_none()
    return None if row is None else _token(row)


def everything(tx: Tx) -> list[Token]:
    """Return every token, the newest first; those that are no longer good, too."""
    query = select(tokens).order_by(tokens.c.made_at.desc(), tokens.c.id)
    return [_token(row) for row in tx.execute(query)]


def live(tx: Tx) -> list[Token]:
    """Return the tokens that are good now."""
    query = select(tokens).where(tokens.c.revoked_at.is_(None), tokens.c.expires_at > tx.now)
    return [_token(row) for row in tx.execute(query)]


def revoke(tx: Tx, token_id: str) -> bool:
    """Make the token no longer good; False when it was not."""
    changed = tx.execute(
        update(tokens)
        .where(tokens.c.id == token_id, tokens.c.revoked_at.is_(None), tokens.c.expires_at > tx.now)
        .values(revoked_at=tx.now)
    )
    return changed.rowcount == 1


def replace(tx: Tx, token_id: str, *, by: str, until: datetime) -> bool:
    """Let another take the token's place, and let it expire; False when one did, or it is not good.

    What it took the place of itself expires now: two of a line are good at once, never three.
    """
    changed = tx.execute(
        update(tokens)
        .where(
            tokens.c.id == token_id,
            tokens.c.revoked_at.is_(None),
            tokens.c.replaced_by.is_(None),
            tokens.c.expires_at > tx.now,
        )
        .values(replaced_by=by, expires_at=until)
    )
    if changed.rowcount == 0:
        return False
    tx.execute(
        update(tokens)
        .where(tokens.c.replaced_by == token_id, tokens.c.expires_at > tx.now)
        .values(expires_at=tx.now)
    )
    return True


def note_uses(tx: Tx, seen: Mapping[str, datetime]) -> None:
    """Keep when these tokens were last used, unless that is known to the minute."""
    for token_id, at in seen.items():
        known = tokens.c.last_used_at
        tx.execute(
            update(tokens)
            .where(tokens.c.id == token_id, or_(known.is_(None), known < at - USE_KEPT))
            .values(last_used_at=at)
        )


def _token(row: Any) -> Token:
    facts = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it
    scopes = frozenset(Scope(word) for word in facts["scopes"].split())
    return Token(**facts | {"scopes": scopes})

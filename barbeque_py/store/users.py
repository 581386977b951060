"""Users as rows: who they are, what they may do; of their password what argon2id made of it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, insert, select, update

from barbeque_py.roles import Grants, read_grants, write_grants
from barbeque_py.store.database import Tx
from barbeque_py.store.tables.people import users


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who may use the console."""

    id: int
    email: str
    name: str
    password: str | None
    """What is kept of it; None for those who come another way."""
    grants: Grants
    made_by: str
    made_at: datetime
    disabled_at: datetime | None
    last_login_at: datetime | None


def add(tx: Tx, email: str, name: str, grants: Grants, *, made_by: str) -> User:
    """Keep a new user; the address must be nobody's."""
    values = {"email": email, "name": name, "roles": write_grants(grants)}
    tx.execute(insert(users).values(values | {"made_by": made_by[:200], "made_at": tx.now}))
    found = by_email(tx, email)
    assert found is not None
    return found


def get(tx: Tx, number: int, *, lock: bool = False) -> User | None:
    """Return the user with this number; with `lock` nobody else changes the row meanwhile."""
    query = select(users).where(users.c.id == number)
    row = tx.execute(query.with_for_update() if lock else query).one_or_none()
    return None if row is None else read_user(dict(row._mapping))  # noqa: SLF001 - public name


def by_email(tx: Tx, email: str) -> User | None:
    """Return the user with this address."""
    row = tx.execute(select(users).where(users.c.email == email)).one_or_none()
    return None if row is None else read_user(dict(row._mapping))  # noqa: SLF001 - public name


def everybody(tx: Tx) -> list[User]:
    """Return all users by their addresses."""
    rows = tx.execute(select(users).order_by(users.c.email))
    return [read_user(dict(row._mapping)) for row in rows]  # noqa: SLF001 - public name


def count(tx: Tx) -> int:
    """Return how many users are not disabled."""
    query = select(func.count()).select_from(users).where(users.c.disabled_at.is_(None))
    return int(tx.execute(query).scalar_one())


def set_grants(tx: Tx, number: int, grants: Grants) -> None:
    """Let the user have these roles and no others."""
    _change(tx, number, roles=write_grants(grants))


def set_password(tx: Tx, number: int, digest: str) -> None:
    """Let this be what is kept of the user's password."""
    _change(tx, number, password=digest)


def set_disabled(tx: Tx, number: int, *, disabled: bool) -> None:
    """Keep the user out, or let them in again."""
    _change(tx, number, disabled_at=tx.now if disabled else None)


def note_login(tx: Tx, number: int) -> None:
    """Keep when the user last came in."""
    _change(tx, number, last_login_at=tx.now)


def _change(tx: Tx, number: int, **values: Any) -> None:
    tx.execute(update(users).where(users.c.id == number).values(values))


def read_user(facts: dict[str, Any]) -> User:
    """Return the user whose columns these are."""
    return User(grants=read_grants(facts.pop("roles").split()), **facts)

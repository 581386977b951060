"""The address books: whom each app knows, as rows."""

import json
from typing import Any

from sqlalchemy import delete, insert, select, update

from barbeque_py.notices import Hear, User
from barbeque_py.store.database import Tx
from barbeque_py.store.tables.posts import address_book


def get(tx: Tx, app: str, user_id: str) -> User | None:
    """Return the app's user with this id."""
    query = select(address_book).where(address_book.c.app == app, address_book.c.user_id == user_id)
    row = tx.execute(query).one_or_none()
    return None if row is None else _user(row)


def put(tx: Tx, user: User) -> bool:
    """Make or replace the user; True when there was none."""
    spec = {
        "emails": user.emails,
        "slack": user.slack,
        "locale": user.locale,
        "time_zone": user.time_zone,
        "hears": sorted(user.hears),
    }
    values = {"spec": json.dumps(spec), "changed_at": tx.now}
    one = (address_book.c.app == user.app, address_book.c.user_id == user.user_id)
    changed = tx.execute(update(address_book).where(*one).values(values))
    if changed.rowcount == 0:
        tx.execute(insert(address_book).values(app=user.app, user_id=user.user_id, **values))
    return changed.rowcount == 0


def remove(tx: Tx, app: str, user_id: str) -> bool:
    """Forget the user; False when there was none."""
    one = (address_book.c.app == app, address_book.c.user_id == user_id)
    return tx.execute(delete(address_book).where(*one)).rowcount == 1


def _user(row: Any) -> User:
    spec = json.loads(row.spec)
    spec["emails"] = tuple(spec["emails"])
    spec["hears"] = frozenset(map(Hear, spec["hears"]))
    return User(row.app, row.user_id, **spec)

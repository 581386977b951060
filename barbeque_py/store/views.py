"""Views: conditions of the list of executions that a person keeps under a name, or shares."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import ColumnElement, Row, delete, func, insert, select, update

from barbeque_py.store.database import Tx
from barbeque_py.store.tables.people import views

MOST = 50
"""Views that one person keeps, and shared ones that one is shown."""

LONGEST = 60
"""Characters of a name."""


@dataclass(frozen=True, slots=True)
class View:
    """What one person looks for, and calls so."""

    id: int
    person: str
    name: str
    query: str
    """The conditions, as a link to the list names them."""
    app: str | None
    """The only app it shows; None: it shows all of them."""
    shared: bool
    """Whether others are shown it, too."""


_COLUMNS = [views.c[each.name] for each in fields(View)]


def for_person(tx: Tx, person: str, apps: frozenset[str] | None) -> Sequence[View]:
    """Return the person's views, then those that others share; each by name.

    `apps` are those that the person may see, None is all: a view names its app.
    """
    seen: list[ColumnElement[bool]] = [views.c.shared.is_(True), views.c.person != person]
    if apps is not None:
        seen.append(views.c.app.in_(sorted(apps)))
    own = _select().where(views.c.person == person).limit(MOST)
    others = _select().where(*seen).limit(MOST)
    return [_read(row) for query in (own, others) for row in tx.execute(query)]


def get(tx: Tx, number: int) -> View | None:
    """Return the view with this number."""
    row = tx.execute(select(*_COLUMNS).where(views.c.id == number)).one_or_none()
    return None if row is None else _read(row)


def named(tx: Tx, person: str, name: str) -> View | None:
    """Return what the person calls so."""
    own = (views.c.person == person, views.c.name == name)
    row = tx.execute(select(*_COLUMNS).where(*own)).one_or_none()
    return None if row is None else _read(row)


def put(tx: Tx, person: str, name: str, query: str, *, app: str | None, shared: bool) -> bool:
    """Keep the conditions under the name, in place of what it meant; False: there are too many."""
    facts: dict[str, Any] = {"query": query, "app": app, "shared": shared}
    own = (views.c.person == person, views.c.name == name)
    if tx.execute(update(views).where(*own).values(facts)).rowcount or named(tx, person, name):
        return True
    kept = select(func.count()).where(views.c.person == person)
    if tx.execute(kept).scalar_one() >= MOST:
        return False
    tx.execute(insert(views).values(facts | {"person": person, "name": name}))
    return True


def change(tx: Tx, number: int, *, name: str, shared: bool) -> None:
    """Call the view so, and share it or don't."""
    tx.execute(update(views).where(views.c.id == number).values(name=name, shared=shared))


def remove(tx: Tx, number: int) -> None:
    """Forget the view."""
    tx.execute(delete(views).where(views.c.id == number))


def _select() -> Any:
    return select(*_COLUMNS).order_by(views.c.name, views.c.id)


def _read(row: Row[Any]) -> View:
    return View(**row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it

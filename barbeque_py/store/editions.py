"""Editions as rows: what apps and jobs were defined as, one after the other, and by whom."""

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, func, insert, select

from barbeque_py.store.database import Tx
from barbeque_py.store.tables.definitions import editions

APPLY, CONSOLE = "apply", "console"
"""How a definition is changed."""


@dataclass(frozen=True, slots=True)
class Edition:
    """A definition as it was from then on."""

    app: str
    job: str
    """Empty for the definition of the app itself."""
    number: int
    """Counts the editions of this definition from 1."""
    text: str | None
    """What an apply file says of it, without its name; None where it was removed."""
    made_with: str
    """`apply` or `console`; empty for what there was before editions were kept."""
    made_by: str
    made_at: datetime
    note: str | None


_COLUMNS = [editions.c[each.name] for each in fields(Edition)]


def add(  # noqa: PLR0913 - a row has what a row has
    tx: Tx,
    app: str,
    job: str,
    text: str | None,
    *,
    made_with: str,
    made_by: str,
    note: str | None = None,
) -> int:
    """Keep the text as the newest edition, and return its number; the app must be locked."""
    newest = tx.execute(select(func.max(editions.c.number)).where(_is(app, job))).scalar_one()
    number = (newest or 0) + 1
    facts: dict[str, Any] = {
        "app": app,
        "job": job,
        "number": number,
        "text": text,
        "made_with": made_with,
    }
    facts |= {"made_by": made_by[:200], "made_at": tx.now, "note": note}
    tx.execute(insert(editions).values(facts))
    return number


def get(tx: Tx, app: str, job: str, number: int) -> Edition | None:
    """Return the edition with this number."""
    query = select(*_COLUMNS).where(_is(app, job), editions.c.number == number)
    row = tx.execute(query).one_or_none()
    return None if row is None else _read(row)


def history(
    tx: Tx, app: str, job: str, *, before: int | None = None, most: int = 50
) -> list[Edition]:
    """Return the editions, the newest first, from below the number `before`."""
    query = select(*_COLUMNS).where(_is(app, job)).order_by(editions.c.number.desc()).limit(most)
    if before is not None:
        query = query.where(editions.c.number < before)
    return [_read(row) for row in tx.execute(query)]


def newest(tx: Tx, app: str, job: str, *, made_with: str | None = None) -> Edition | None:
    """Return the newest edition, or the newest that was made so."""
    query = select(*_COLUMNS).where(_is(app, job)).order_by(editions.c.number.desc()).limit(1)
    if made_with is not None:
        query = query.where(editions.c.made_with == made_with)
    row = tx.execute(query).one_or_none()
    return None if row is None else _read(row)


def _is(app: str, job: str) -> ColumnElement[bool]:
    return and_(editions.c.app == app, editions.c.job == job)


def _read(row: Row[Any]) -> Edition:
    return Edition(**row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it

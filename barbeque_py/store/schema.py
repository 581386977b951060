"""Makes the tables and brings them up to date; safe when several do it at once."""

import secrets
import string
from collections.abc import Iterator
from contextlib import contextmanager

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, insert, select, text, update
from sqlalchemy.exc import SQLAlchemyError

from barbeque_py.errors import ConfigurationError, StoreUnavailable
from barbeque_py.store.database import Store, translated
from barbeque_py.store.revision import MIGRATIONS
from barbeque_py.store.tables.definitions import installation

_LOCK = "barbeque-migrate"
_PATIENCE = 50
"""Seconds to wait for another migration to end: less than a connection waits for an answer."""


def migrate(store: Store, *, name: str | None = None) -> str:
    """Create or update the tables and return the installation's name.

    The first one to migrate names the installation: `name`, or one made up. Raises
    `ConfigurationError` when `name` differs from the stored one, `StoreUnavailable`.
    """
    try:
        with alone(store) as connection:
            command.upgrade(config(connection), "head")
            return _settle_name(connection, name)
    except SQLAlchemyError as error:
        raise translated(error, store.shown_url) from error


def _settle_name(connection: Connection, wanted: str | None) -> str:
    found = connection.execute(select(installation.c.name)).scalar_one_or_none()
    if found is None:
        found = wanted or _new_name()
        connection.execute(insert(installation).values(id=1, name=found))
    connection.execute(
        update(installation)
        .where(installation.c.secret.is_(None))
        .values(secret=secrets.token_hex(32))
    )
    connection.commit()
    if wanted is not None and wanted != found:
        raise ConfigurationError(
            f"BARBEQUE_INSTALLATION is {wanted}, but this database belongs to the installation "
            f"{found}: unset it, or name another BARBEQUE_DATABASE"
        )
    return str(found)


def _new_name() -> str:
    letters = string.ascii_lowercase + string.digits
    return "".join(secrets.choice(letters) for _ in range(6))


@contextmanager
def alone(store: Store) -> Iterator[Connection]:
    """Hand out a connection while no other process migrates.

    SQLite's write lock does it; MySQL commits with every statement of DDL, so it takes a lock of
    its own, on a second connection that outlives those commits.
    """
    if store.sqlite:
        with store.engine.connect() as connection:
            yield connection
        return
    with store.engine.connect() as guard, store.engine.connect() as connection:
        locked = guard.execute(text("SELECT GET_LOCK(:name, :wait)"), _lock_of(store)).scalar_one()
        if not locked:
            raise StoreUnavailable(
                f"another migration has held the database for {_PATIENCE} s: wait for it to end"
            )
        try:
            yield connection
        finally:
            guard.execute(text("SELECT RELEASE_LOCK(:name)"), {"name": _lock_of(store)["name"]})


def _lock_of(store: Store) -> dict[str, object]:
    return {"name": f"{_LOCK}-{store.url.database}"[:64], "wait": _PATIENCE}


def config(connection: Connection) -> Config:
    """Return what Alembic works with, over this connection."""
    found = Config()
    found.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    found.attributes["connection"] = connection
    return found

"""Which schema a database has, and whether this version of the program works with it."""

import re
from pathlib import Path

from sqlalchemy import Connection, column, select, table
from sqlalchemy.exc import SQLAlchemyError

from barbeque_py.errors import StoreUnavailable
from barbeque_py.store.database import Store, translated

MIGRATIONS = Path(__file__).parent / "migrations"

_REVISION = re.compile(r'^((?:down_)?revision) = "(\w+)"$', re.MULTILINE)
_VERSIONS = table("alembic_version", column("version_num"))
"""Alembic's own."""


def newest_revision() -> str:
    """Return the schema revision that this version of the program works with."""
    known = known_revisions()
    (newest,) = known.keys() - set(known.values())
    return newest


def known_revisions() -> dict[str, str]:
    """Return the schema revisions that this version knows, with the one before: "" for none.

    Read from the files' text: Alembic, which would run them, takes an eighth of a worker's start.
    """
    found = {}
    for path in sorted(MIGRATIONS.glob("versions/*.py")):
        said = dict(_REVISION.findall(path.read_text()))
        found[said["revision"]] = said.get("down_revision", "")
    return found


def revision_of(store: Store) -> str | None:
    """Return the schema's revision, None where there are no tables of ours."""
    try:
        with store.engine.connect() as connection:
            return _revision_of(connection)
    except SQLAlchemyError as error:
        raise translated(error, store.shown_url) from error


def check_schema(store: Store) -> None:
    """Raise `StoreUnavailable` unless the database has a schema that this version works with."""
    found = revision_of(store)
    if found is None:
        raise StoreUnavailable(
            f"BARBEQUE_DATABASE {store.shown_url} has no tables of ours yet: "
            "run `barbeque migrate` (or `barbeque up`, which does it by itself)"
        )
    if found != newest_revision() and found in known_revisions():
        raise StoreUnavailable(
            f"BARBEQUE_DATABASE {store.shown_url} has schema {found}, this version needs "
            f"{newest_revision()}: run `barbeque migrate`"
        )


def _revision_of(connection: Connection) -> str | None:
    if not connection.dialect.has_table(connection, _VERSIONS.name):
        return None
    return connection.execute(select(_VERSIONS.c.version_num)).scalar_one_or_none()

"""A whole database as rows: read in one snapshot, and written into an empty one.

Rows are lists of JSON values, so that they fit SQLite and MySQL alike; instants are text.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from alembic import command
from alembic.migration import MigrationContext
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    DateTime,
    Double,
    Float,
    Integer,
    MetaData,
    Table,
    Text,
    delete,
    insert,
    inspect,
    select,
    text,
)
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.types import TypeEngine

from barbeque_py import clock
from barbeque_py.errors import NotEmpty
from barbeque_py.store.database import Store, translated
from barbeque_py.store.revision import known_revisions
from barbeque_py.store.schema import alone, config
from barbeque_py.store.tables import metadata
from barbeque_py.store.tables.columns import Instant
from barbeque_py.store.tables.definitions import installation

_BUFFER = 50
"""Rows that a MySQL server sends at once: one may have 16 MiB."""

LEFT_OUT = frozenset({"login_failures", "login_links", "sessions", "workers"})
"""Tables of what is going on just now: nobody is logged in by a backup."""

_OF_NO_WEIGHT = LEFT_OUT | {"alembic_version", "duties", "installation"}
"""Tables that may have rows where nothing was ever done."""

_TYPES: dict[str, type[TypeEngine[Any]]] = {
    "instant": Instant,
    "boolean": Boolean,
    "integer": BigInteger,
    "number": Double,
    "text": Text,
}


@dataclass(frozen=True, slots=True)
class Shape:
    """A table's columns, each with the name of its type."""

    table: str
    columns: tuple[tuple[str, str], ...]

    def __post_init__(self) -> None:
        """Refuse types that nobody knows; raises `ValueError`."""
        unknown = {kind for _, kind in self.columns} - _TYPES.keys()
        if unknown:
            raise ValueError(f"table {self.table} has columns of unknown type {sorted(unknown)}")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The database at one instant."""

    connection: Connection
    schema: str
    installation: str

    def shapes(self) -> list[Shape]:
        """Return the tables that are worth keeping."""
        kept = [table for table in metadata.sorted_tables if table.name not in LEFT_OUT]
        return [
            Shape(table.name, tuple((each.name, _kind(each)) for each in table.columns))
            for table in kept
        ]

    def rows(self, shape: Shape) -> Iterator[list[Any]]:
        """Yield the table's rows in the order of the primary key, few of them in memory."""
        table = metadata.tables[shape.table]
        query = select(table).order_by(*table.primary_key.columns)
        options = {"stream_results": True, "max_row_buffer": _BUFFER}
        for row in self.connection.execute(query, execution_options=options):
            yield [_plain(value) for value in row]


@contextmanager
def snapshot(store: Store) -> Iterator[Snapshot]:
    """Hand out the database as it is now, whatever is written meanwhile.

    Raises `StoreUnavailable`. The schema must be the newest that this version knows.
    """
    try:
        with store.engine_of_reads.connect() as connection:
            if not store.sqlite:
                connection.execution_options(isolation_level="REPEATABLE READ")
            with connection.begin():
                revision = MigrationContext.configure(connection).get_current_revision()
                name = connection.execute(select(installation.c.name)).scalar_one()
                yield Snapshot(connection, str(revision), str(name))
    except SQLAlchemyError as error:
        raise translated(error, store.shown_url) from error


def is_known(schema: str) -> bool:
    """Tell whether a database of this schema can be brought up to date by this version."""
    return schema in known_revisions()


def check_empty(store: Store) -> None:
    """Raise `NotEmpty` where something was ever done in the database."""
    try:
        with store.engine_of_reads.connect() as connection:
            _check_empty(connection, store.shown_url)
    except SQLAlchemyError as error:
        raise translated(error, store.shown_url) from error


def _check_empty(connection: Connection, url: str) -> None:
    there = set(inspect(connection).get_table_names())
    if _is_unfinished(connection, there):
        return
    for name in sorted(there - _OF_NO_WEIGHT):
        quoted = connection.dialect.identifier_preparer.quote(name)
        if connection.execute(text(f"SELECT 1 FROM {quoted} LIMIT 1")).first():  # noqa: S608 - a name that the database told
            raise NotEmpty(
                f"BARBEQUE_DATABASE {url} is not empty, its table {name} has rows: nothing was "
                "changed; name an empty database"
            )


def _is_unfinished(connection: Connection, there: set[str]) -> bool:
    """Tell whether a restore began here and did not end: tables of ours, and no revision."""
    if not {"alembic_version", "executions"} <= there:
        return False
    return MigrationContext.configure(connection).get_current_revision() is None


def fill(
    store: Store,
    schema: str,
    shapes: Sequence[Shape],
    parts: Iterable[tuple[str, Sequence[Sequence[Any]]]],
) -> None:
    """Make the tables of that schema, and write the rows of each part into its table.

    On SQLite in one transaction. Elsewhere, until all is done the database has no revision: nothing
    works with it, and the next call begins anew. Raises `NotEmpty` where something was done there,
    `StoreUnavailable`.
    """
    try:
        with alone(store) as connection:
            _check_empty(connection, store.shown_url)
            _drop(connection)
            command.upgrade(config(connection), schema)
            command.stamp(config(connection), "base")
            _commit(connection)
            loads = {shape.table: _Load(shape) for shape in shapes}
            for load in loads.values():
                connection.execute(delete(load.table))
            for table, rows in parts:
                loads[table].write(connection, rows)
                _commit(connection)
            command.stamp(config(connection), schema)
            connection.commit()
    except SQLAlchemyError as error:
        raise translated(error, store.shown_url) from error


def _drop(connection: Connection) -> None:
    found = MetaData()
    found.reflect(connection)
    found.drop_all(connection)
    _commit(connection)


def _commit(connection: Connection) -> None:
    """Commit, but for SQLite: there another process would come in between."""
    if connection.dialect.name != "sqlite":
        connection.commit()


class _Load:
    """Writes rows of one shape into the table as it was when they were read."""

    def __init__(self, shape: Shape) -> None:
        columns = [Column(name, _TYPES[kind]) for name, kind in shape.columns]
        self.table = Table(shape.table, MetaData(), *columns)
        self._names = [name for name, _ in shape.columns]
        self._instants = [name for name, kind in shape.columns if kind == "instant"]

    def write(self, connection: Connection, rows: Sequence[Sequence[Any]]) -> None:
        """Insert the rows."""
        found = [dict(zip(self._names, row, strict=True)) for row in rows]
        for row in found:
            for name in self._instants:
                row[name] = _instant(row[name])
        connection.execute(insert(self.table), found)


def _kind(column: Column[Any]) -> str:
    match column.type:
        case Instant() | DateTime():
            return "instant"
        case Boolean():
            return "boolean"
        case Integer():
            return "integer"
        case Float():
            return "number"
        case _:
            return "text"


def _plain(value: Any) -> Any:
    return clock.rfc3339(value) if isinstance(value, datetime) else value


def _instant(value: str | None) -> datetime | None:
    return None if value is None else datetime.fromisoformat(value)

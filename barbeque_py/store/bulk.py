"""Many rows in one statement, each with values of its own.

Written as SQL text, because building and recognising a statement of so many values takes
SQLAlchemy longer than the database takes to carry it out. Values that can't be mistaken for
anything else stand in the text themselves, which takes a third of the time that the driver takes
to write them; all others are left to the driver.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Table

from barbeque_py.store.database import Tx

Columns = Mapping[str, Any]

_writers: dict[tuple[str, str, str], Callable[[Any], Any] | None] = {}

_PLAIN = re.compile(r"[A-Za-z0-9 _./:+-]*")
"""Text that means itself in every dialect: nothing in it ends a string, escapes or is a mark."""

_SAID = object()
"""Stands for a value that the text says itself."""


def insert_each(
    tx: Tx, table: Table, rows: Sequence[Columns], *, once_per: str | None = None
) -> None:
    """Insert the rows; those whose unique `once_per` is there already are left alone.

    All rows name the same columns. Any error but that repeated value is raised.
    """
    words = _Words(tx, table)
    named = [name for name in rows[0] if any(row[name] is not None for row in rows)]
    columns = [words.column(name, [row[name] for row in rows]) for name in named]
    lines = zip(*(texts for texts, _ in columns), strict=True)
    values = ", ".join([f"({', '.join(line)})" for line in lines])
    given = [
        value
        for line in zip(*(each for _, each in columns), strict=True)
        for value in line
        if value is not _SAID
    ]
    names = ", ".join(words.name(name) for name in named)
    statement = f"INSERT INTO {table.name} ({names}) VALUES {values}"  # noqa: S608 - our words
    tx.execute_text(statement + words.unless_there(once_per), tuple(given))


def change_each(tx: Tx, table: Table, changes: Mapping[Any, Columns]) -> int:
    """Set the columns of the rows with these primary keys; return how many rows there were.

    All changes name the same columns.
    """
    if not changes:
        return 0
    keys = list(changes)
    words = _Words(tx, table)
    settings = [
        words.setting(column, {key: changes[key][column] for key in keys})
        for column in next(iter(changes.values()))
    ]
    return words.update(", ".join(settings), keys)


def add_each(tx: Tx, table: Table, column: str, amounts: Mapping[Any, int]) -> int:
    """Add to a column of the rows with these primary keys, but never below nothing."""
    if not amounts:
        return 0
    keys, words = list(amounts), _Words(tx, table)
    name = words.name(column)
    below = f"{name} + {words.choice(column, amounts)} < 0"
    total = f"{name} + {words.choice(column, amounts)}"
    setting = f"{name} = CASE WHEN {below} THEN 0 ELSE {total} END"
    return words.update(setting, keys)


class _Words:
    """The words of one statement, and those of its values that are left to the driver, in order."""

    def __init__(self, tx: Tx, table: Table) -> None:
        self._tx = tx
        self._table = table
        self._key = next(iter(table.primary_key.columns)).name
        self._quote = tx.dialect.identifier_preparer.quote
        self._mark = "?" if tx.sqlite else "%s"
        self._values: list[Any] = []

    def name(self, column: str) -> str:
        return str(self._quote(column))

    def unless_there(self, column: str | None) -> str:
        """Write what leaves a row alone whose value of this unique column is there already."""
        if column is None:
            return ""
        name = self.name(column)
        if self._tx.sqlite:
            return f" ON CONFLICT ({name}) DO NOTHING"
        return f" ON DUPLICATE KEY UPDATE {name} = {self._table.name}.{name}"

    def column(self, column: str, values: Sequence[Any]) -> tuple[list[str], list[Any]]:
        """Return the text of each of the column's values, and what it leaves to the driver."""
        write, first = self._writer(column), values[0]
        if values.count(first) == len(values):
            text, given = self._say(first, write)
            return [text] * len(values), [given] * len(values)
        said = [self._say(value, write) for value in values]
        return [text for text, _ in said], [given for _, given in said]

    def setting(self, column: str, values: Mapping[Any, Any]) -> str:
        return f"{self.name(column)} = {self.choice(column, values)}"

    def choice(self, column: str, values: Mapping[Any, Any]) -> str:
        """Write the value of each row: one for all, or chosen by the row's key."""
        write, each = self._writer(column), list(values.values())
        if each.count(each[0]) == len(each):
            return self._put(each[0], write)
        chosen = "".join(
            [
                f" WHEN {self._put(key, None)} THEN {self._put(value, write)}"
                for key, value in values.items()
            ]
        )
        return f"CASE {self.name(self._key)}{chosen} END"

    def update(self, setting: str, keys: list[Any]) -> int:
        wanted = ", ".join([self._put(key, None) for key in keys])
        where = f"{self.name(self._key)} IN ({wanted})"
        statement = f"UPDATE {self._table.name} SET {setting} WHERE {where}"  # noqa: S608 - our words
        return self._tx.execute_text(statement, tuple(self._values))

    def _put(self, value: Any, write: Callable[[Any], Any] | None) -> str:
        text, given = self._say(value, write)
        if given is not _SAID:
            self._values.append(given)
        return text

    def _say(self, value: Any, write: Callable[[Any], Any] | None) -> tuple[str, Any]:
        """Return the value's text and nothing else, or a mark and the value for the driver."""
        written = value if write is None else write(value)
        if written is None:
            return "NULL", _SAID
        if isinstance(written, str):
            return (f"'{written}'", _SAID) if _PLAIN.fullmatch(written) else (self._mark, written)
        if isinstance(written, int):
            return f"{written:d}", _SAID
        return (f"'{written}'", _SAID) if isinstance(written, datetime) else (self._mark, written)

    def _writer(self, column: str) -> Callable[[Any], Any] | None:
        """Return what turns the column's values into what the driver takes."""
        dialect = self._tx.dialect
        at = (dialect.name, self._table.name, column)
        if at not in _writers:
            kind = self._table.c[column].type
            _writers[at] = kind.dialect_impl(dialect).bind_processor(dialect)
        return _writers[at]

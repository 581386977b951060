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
    words = _Words(tx, table, keys=list(changes))
    settings = [
        words.setting(column, [change[column] for change in changes.values()])
        for column in next(iter(changes.values()))
    ]
    return words.update(", ".join(settings))


def add_each(tx: Tx, table: Table, column: str, amounts: Mapping[Any, int]) -> int:
    """Add to a column of the rows with these primary keys, but never below nothing."""
    if not amounts:
        return 0
    words, added = _Words(tx, table, keys=list(amounts)), list(amounts.values())
    name = words.name(column)
    below = f"{name} + {words.choice(column, added)} < 0"
    total = f"{name} + {words.choice(column, added)}"
    return words.update(f"{name} = CASE WHEN {below} THEN 0 ELSE {total} END")


class _Words:
    """The words of one statement, and those of its values that are left to the driver, in order.

    `keys` are the primary keys of the rows that it changes.
    """

    def __init__(self, tx: Tx, table: Table, *, keys: Sequence[Any] = ()) -> None:
        self._tx = tx
        self._table = table
        self._key = next(iter(table.primary_key.columns)).name
        self._quote = tx.dialect.identifier_preparer.quote
        self._mark = "?" if tx.sqlite else "%s"
        self._values: list[Any] = []
        self._keys = keys
        self._said_keys = _texts_of(keys)

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
        if write is None and (texts := _texts_of(values)) is not None:
            return texts, [_SAID] * len(values)
        said = [self._say(value, write) for value in values]
        return [text for text, _ in said], [given for _, given in said]

    def setting(self, column: str, values: Sequence[Any]) -> str:
        return f"{self.name(column)} = {self.choice(column, values)}"

    def choice(self, column: str, values: Sequence[Any]) -> str:
        """Write the value of each row: one for all, or chosen by the row's key."""
        write = self._writer(column)
        if values.count(values[0]) == len(values):
            return self._put(values[0], write)
        texts = _texts_of(values) if write is None else None
        chosen = "".join(
            [
                f" WHEN {self._key_at(at)} THEN {texts[at] if texts else self._put(value, write)}"
                for at, value in enumerate(values)
            ]
        )
        return f"CASE {self.name(self._key)}{chosen} END"

    def update(self, setting: str) -> int:
        wanted = ", ".join([self._key_at(at) for at in range(len(self._keys))])
        where = f"{self.name(self._key)} IN ({wanted})"
        statement = f"UPDATE {self._table.name} SET {setting} WHERE {where}"  # noqa: S608 - our words
        return self._tx.execute_text(statement, tuple(self._values))

    def _key_at(self, at: int) -> str:
        return self._said_keys[at] if self._said_keys else self._put(self._keys[at], None)

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


def _texts_of(values: Sequence[Any]) -> list[str] | None:
    """Return the text of each where all are whole numbers, or all texts that mean themselves.

    None where any is left to the driver: looked at together, they cost a tenth of one by one.
    """
    kinds = set(map(type, values))
    if kinds == {int}:
        return [str(value) for value in values]
    if kinds == {str} and _PLAIN.fullmatch("".join(values)):
        return [f"'{value}'" for value in values]
    return None

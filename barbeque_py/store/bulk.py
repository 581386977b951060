"""Changes of many rows in one statement, each row to values of its own.

Written as SQL text, because building and recognising a statement of so many values takes
SQLAlchemy longer than the database takes to carry it out.
"""

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Table

from barbeque_py.store.database import Tx

Columns = Mapping[str, Any]

_writers: dict[tuple[str, str, str], Callable[[Any], Any] | None] = {}


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
    """The words of one UPDATE, and its values in the order in which they stand."""

    def __init__(self, tx: Tx, table: Table) -> None:
        self._tx = tx
        self._table = table
        self._key = next(iter(table.primary_key.columns)).name
        self._quote = tx.dialect.identifier_preparer.quote
        self._mark = "?" if tx.sqlite else "%s"
        self._values: list[Any] = []

    def name(self, column: str) -> str:
        return str(self._quote(column))

    def value(self, column: str, value: Any) -> str:
        self._values.append(self._written(column, value))
        return self._mark

    def setting(self, column: str, values: Mapping[Any, Any]) -> str:
        return f"{self.name(column)} = {self.choice(column, values)}"

    def choice(self, column: str, values: Mapping[Any, Any]) -> str:
        """Write the value of each row: one for all, or chosen by the row's key."""
        first = next(iter(values.values()))
        if all(each == first for each in values.values()):
            return self.value(column, first)
        for key, value in values.items():
            self._values += (key, self._written(column, value))
        chosen = f" WHEN {self._mark} THEN {self._mark}" * len(values)
        return f"CASE {self.name(self._key)}{chosen} END"

    def update(self, setting: str, keys: list[Any]) -> int:
        self._values += keys
        where = f"{self.name(self._key)} IN ({', '.join([self._mark] * len(keys))})"
        statement = f"UPDATE {self._table.name} SET {setting} WHERE {where}"  # noqa: S608 - our words
        return self._tx.execute_text(statement, tuple(self._values))

    def _written(self, column: str, value: Any) -> Any:
        """Return the value as the driver takes it."""
        dialect = self._tx.dialect
        at = (dialect.name, self._table.name, column)
        if at not in _writers:
            kind = self._table.c[column].type
            _writers[at] = kind.dialect_impl(dialect).bind_processor(dialect)
        write = _writers[at]
        return value if write is None else write(value)

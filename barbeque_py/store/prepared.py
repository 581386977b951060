"""Statements that are compiled once and then handed to the driver as they are.

SQLAlchemy takes several times as long to recognise a statement and to write out its lists as the
driver takes to send it and to read the answer. What is asked for every job is prepared instead.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from sqlalchemy import Delete, Dialect, Select, Update
from sqlalchemy.types import TypeEngine

Turn = Callable[[Any], Any]
"""Turns a value into what the driver takes, or back."""

_MARK = re.compile(r"%\(\w+\)s|\?|__\[POSTCOMPILE_\w+\]")
_NOTHING = "SELECT 1 FROM (SELECT 1) AS empty_set WHERE 1 != 1"
"""What an empty list is written as: nothing is in it, and everything is not."""
_NAME = re.compile(r"(?<=%\()\w+|(?<=POSTCOMPILE_)\w+")


class Prepared:
    """A statement of SQLAlchemy's whose values are named; a list of them may have any length."""

    def __init__(self, statement: Select[Any] | Update | Delete) -> None:
        self._statement = statement
        self._wordings: dict[str, Wording] = {}

    def wording(self, dialect: Dialect) -> "Wording":
        """Return the statement in the words of this kind of database."""
        found = self._wordings.get(dialect.name)
        if found is None:
            found = self._wordings[dialect.name] = Wording(self._statement, dialect)
        return found


class Wording:
    """The statement as text for one kind of database, and how its values are written and read."""

    def __init__(self, statement: Select[Any] | Update | Delete, dialect: Dialect) -> None:
        compiled: Any = statement.compile(dialect=dialect)
        marks = _MARK.findall(compiled.string)
        names = compiled.positiontup or _NAME.findall("".join(marks))
        self._mark = "?" if compiled.positional else "%s"
        self._between = _MARK.split(compiled.string)
        self._fixed: Mapping[str, Any] = compiled.params
        self._values = [
            (name, mark.startswith("__"), _writer(compiled.binds[name].type, dialect))
            for name, mark in zip(names, marks, strict=True)
        ]
        self._readers: list[tuple[int, Turn]] = []
        if isinstance(statement, Select):
            kinds = [column.type for column in statement.selected_columns]
            readers = [_reader(kind, dialect) for kind in kinds]
            self._readers = [(at, each) for at, each in enumerate(readers) if each is not None]

    def fill(self, given: Mapping[str, Any]) -> tuple[str, tuple[Any, ...]]:
        """Return the text with a mark for each value, and the values."""
        pieces, values = [self._between[0]], []
        for (name, many, write), following in zip(self._values, self._between[1:], strict=True):
            value = given[name] if name in given else self._fixed[name]
            if many:
                written = list(value) if write is None else [write(each) for each in value]
                values += written
                pieces.append(", ".join([self._mark] * len(written)) or _NOTHING)
            else:
                values.append(value if write is None else write(value))
                pieces.append(self._mark)
            pieces.append(following)
        return "".join(pieces), tuple(values)

    def read(self, found: Iterable[Any]) -> list[Any]:
        """Return the rows with their values as Python has them."""
        if not self._readers:
            return list(found)
        rows = []
        for row in found:
            values = list(row)
            for at, read in self._readers:
                values[at] = read(values[at])
            rows.append(values)
        return rows


def _writer(kind: TypeEngine[Any], dialect: Dialect) -> Turn | None:
    return kind.dialect_impl(dialect).bind_processor(dialect)


def _reader(kind: TypeEngine[Any], dialect: Dialect) -> Turn | None:
    return kind.dialect_impl(dialect).result_processor(dialect, None)

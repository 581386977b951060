"""What a list tests on its way beyond the fields it walks by: the last attempt, and texts."""

import operator
from collections.abc import Callable
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import ColumnElement, Float, and_, exists, func, or_
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from barbeque_py.comparisons import Comparison, Sign
from barbeque_py.store.tables.columns import Instant
from barbeque_py.store.tables.runs import attempts, executions

Clause = ColumnElement[bool]

_SIGNS: dict[Sign, Callable[[Any, Any], Clause]] = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class Narrowed(Protocol):
    """What is asked for; None is any."""

    @property
    def exit_code(self) -> Comparison | None: ...  # noqa: D102
    @property
    def attempts(self) -> Comparison | None: ...  # noqa: D102
    @property
    def duration(self) -> Comparison | None: ...  # noqa: D102
    @property
    def text(self) -> str | None: ...  # noqa: D102


def tests(wanted: Narrowed, now: datetime) -> list[Clause]:
    """Return what an execution's number of attempts, its last one and its texts must be."""
    found: list[Clause] = []
    if wanted.attempts is not None:
        found.append(_holds(executions.c.attempts, wanted.attempts))
    if wanted.exit_code is not None or wanted.duration is not None:
        found.append(_last_attempt(wanted, now))
    if wanted.text is not None:
        found.append(_says(wanted.text))
    return found


def _last_attempt(wanted: Narrowed, now: datetime) -> Clause:
    last = attempts.alias()
    tested = [last.c.execution == executions.c.id, last.c.number == executions.c.attempts]
    if wanted.exit_code is not None:
        tested.append(_holds(last.c.exit_code, wanted.exit_code))
    if wanted.duration is not None:
        ended = func.coalesce(last.c.finished_at, now, type_=Instant())
        tested.append(_holds(_seconds(last.c.started_at, ended), wanted.duration))
    return exists().where(and_(*tested))


def _says(text: str) -> Clause:
    """Look in the message, in our note, and in how the last attempt ended, capitals or not."""
    last = attempts.alias()
    own = (last.c.execution == executions.c.id, last.c.number == executions.c.attempts)
    return or_(
        _has(executions.c.message, text),
        _has(executions.c.note, text),
        exists().where(*own, _has(last.c.detail, text)),
    )


def _has(column: ColumnElement[Any], text: str) -> Clause:
    place: ColumnElement[int] = func.instr(func.lower(column), func.lower(text))
    return place > 0


def _holds(column: ColumnElement[Any], asked: Comparison) -> Clause:
    return _SIGNS[asked.sign](column, asked.number)


class _seconds(FunctionElement[float]):  # noqa: N801 - a function of SQL
    """The seconds from one instant to another; to the millisecond on SQLite."""

    type = Float()
    inherit_cache = True


@compiles(_seconds, "sqlite")
def _seconds_of_sqlite(element: _seconds, compiler: SQLCompiler, **how: Any) -> str:
    start, end = (compiler.process(each, **how) for each in element.clauses)
    return f"((julianday({end}) - julianday({start})) * 86400.0)"


@compiles(_seconds, "mysql")
@compiles(_seconds, "mariadb")
def _seconds_of_mysql(element: _seconds, compiler: SQLCompiler, **how: Any) -> str:
    start, end = (compiler.process(each, **how) for each in element.clauses)
    return f"(timestampdiff(MICROSECOND, {start}, {end}) / 1000000.0)"

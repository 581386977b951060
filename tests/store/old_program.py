"""A program of an earlier schema: it knows the tables of then, and writes to them all the while."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Column, Engine, MetaData, Table, func, insert, select, update
from sqlalchemy.dialects.mysql import TINYINT

from barbeque_py.errors import StoreUnavailable
from barbeque_py.store import Store, Tx
from tests.waiting import wait_until

_LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC).replace(tzinfo=None)
_KNOWN: Mapping[tuple[str, str], str] = {
    ("executions", "state"): "succeeded",
    ("executions", "stage"): "done",
    ("attempts", "state"): "ended",
}
_LARGE = ("executions", "attempts")
_OURS = ("alembic_version", "installation")
_A_FEW = 5

Rows = dict[str, dict[tuple[Any, ...], tuple[Any, ...]]]
"""By table, each row by its primary key."""


def tables_of(engine: Engine) -> dict[str, Table]:
    """Return the tables as they are now."""
    metadata = MetaData()
    metadata.reflect(engine)
    return {name: each for name, each in metadata.tables.items() if name not in _OURS}


def fill(store: Store, tables: Mapping[str, Table], count: int) -> None:
    """Put so many executions and attempts in, and a hundredth of everything else."""
    with store.engine.begin() as connection:
        for name, table in tables.items():
            few = count if name in _LARGE else max(1, count // 100)
            connection.execute(insert(table), [_row(table, n) for n in range(1, few + 1)])


def rows_of(store: Store, tables: Mapping[str, Table]) -> Rows:
    """Read what the old program sees, of all its tables."""
    found: Rows = {}
    with store.engine.connect() as connection:
        for name, table in tables.items():
            keys = [each.name for each in table.primary_key]
            found[name] = {
                tuple(row[key] for key in keys): tuple(row.values())
                for row in connection.execute(select(table)).mappings()
            }
    return found


class OldProgram:
    """Inserts, updates and reads, one transaction after the other, as a worker does."""

    def __init__(self, url: str, tables: Mapping[str, Table], *, first: int) -> None:
        self._store = Store(url)
        self._tables = tables
        self._next = first
        self._stop = threading.Event()
        self._done = 0
        self.faults: list[BaseException] = []

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Work before, while, and after what is done meanwhile."""
        thread = threading.Thread(target=self._work)
        thread.start()
        try:
            self._go_on()
            yield
            self._go_on()
        finally:
            self._stop.set()
            thread.join()
            self._store.close()

    @property
    def done(self) -> int:
        """How many transactions were committed."""
        return self._done

    def _go_on(self) -> None:
        enough = self._done + _A_FEW
        wait_until(lambda: self._done >= enough or self.faults, "the old program works")

    def _work(self) -> None:
        while not self._stop.wait(0.005):
            try:
                self._store.write(self._write)
            except StoreUnavailable:
                continue  # as a loop does: it comes again
            except BaseException as error:  # noqa: BLE001 - each is a fault
                self.faults.append(error)
                return
            self._done += 1
            self._next += 1

    def _write(self, tx: Tx) -> None:
        executions, attempts = self._tables["executions"], self._tables["attempts"]
        tx.execute(insert(executions).values(_row(executions, self._next)))
        tx.execute(insert(attempts).values(_row(attempts, self._next)))
        mine = executions.c.id == self._next
        tx.execute(update(executions).where(mine).values(state="failed"))
        query = select(executions, attempts).join(attempts, attempts.c.execution == executions.c.id)
        assert tx.execute(query.where(mine)).one()
        assert tx.execute(select(func.max(attempts.c.number))).scalar_one()


def _row(table: Table, number: int) -> dict[str, Any]:
    return {each.name: _value(table.name, each, number) for each in table.columns}


def _value(table: str, column: Column[Any], number: int) -> Any:
    if known := _KNOWN.get((table, column.name)):
        return known
    if isinstance(column.type, TINYINT):
        return number % 2
    kind = column.type.python_type
    if kind is str:
        longest = getattr(column.type, "length", None) or 40
        return f"{column.name}{number}"[-longest:]
    if kind is datetime:
        return _LONG_AGO + timedelta(seconds=number)
    return kind(number % 2 if kind is bool else number)

"""Opens the database and hands out transactions."""

import logging
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from sqlalchemy import (
    URL,
    Connection,
    CursorResult,
    Dialect,
    Engine,
    Executable,
    create_engine,
    event,
    make_url,
)
from sqlalchemy.engine.interfaces import IsolationLevel
from sqlalchemy.exc import DatabaseError, DBAPIError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import QueuePool

from barbeque_py import clock
from barbeque_py.errors import StoreUnavailable
from barbeque_py.store.prepared import Prepared
from barbeque_py.store.together import Behind, Done, Together

log = logging.getLogger(__name__)

Result = TypeVar("Result")
Item = TypeVar("Item")

_TRY_AGAIN = {1205, 1213, 1020}
"""MySQL: lock wait timeout, deadlock, and MariaDB's record-has-changed."""

_REFUSED = {1118, 1153, 1644, 1690, 3819, 4025}
"""MySQL: a row is too large or breaks a rule, which PyMySQL calls operational, too."""

_CURES = {
    "locked": "another program holds its write lock; end that program",
    "unable to open": (
        "run `barbeque migrate` to make it, or check the path and who may write there"
    ),
    "readonly": "let the user barbeque runs as write the file and its directory",
    "not a database": "it is a file of another kind; name another one",
    "malformed": "the file is damaged; restore a backup",
    "is full": "free space on its disk",
    "Access denied": "check name and password, and what that user may do there",
    "Unknown database": "create that database, or name another one",
}
_CURE = "is it running, are name and password right?"

_CLOCK = "SELECT UTC_TIMESTAMP(6)"
_TRIES = 10
_SPARED = 1.0
"""Seconds for which a condition that did not hold is not asked for again."""
_PATIENCE = 2.0
"""Seconds that a closing store waits for what is written behind."""

_SQLITE_PATIENCE = 10
"""Seconds to wait for another program's write lock on a SQLite file."""


class Tx:
    """One transaction: statements, and the one instant at which all of it happens."""

    def __init__(self, connection: Connection, shift: timedelta) -> None:
        self._connection = connection
        self._shift = shift
        self._now: datetime | None = None
        self._after: list[Callable[[], None]] = []

    def afterwards(self, act: Callable[[], None]) -> None:
        """Have this done once the transaction has committed: quick, and of no weight if it fails.

        A transaction that is rolled back, or run again, does nothing of it.
        """
        self._after.append(act)

    def committed(self) -> None:
        """Do what was left for after the commit."""
        for act in self._after:
            try:
                act()
            except Exception:  # what is committed stays, whatever was to be told of it
                log.exception("what follows a commit failed")

    def execute(self, statement: Executable, parameters: Any = None) -> CursorResult[Any]:
        """Run the statement in this transaction."""
        return self._connection.execute(statement, parameters)

    def rows(self, prepared: Prepared, **values: Any) -> list[Any]:
        """Return the rows that the prepared query finds, their values in the query's order."""
        wording = prepared.wording(self._connection.dialect)
        text, given = wording.fill(values)
        return wording.read(self._connection.exec_driver_sql(text, given).fetchall())

    def change(self, prepared: Prepared, **values: Any) -> int:
        """Carry the prepared change out; return how many rows it found."""
        return self.execute_text(*prepared.wording(self._connection.dialect).fill(values))

    def execute_text(self, statement: str, values: tuple[Any, ...]) -> int:
        """Run a statement written for the driver as it is; return how many rows it found."""
        return self._connection.exec_driver_sql(statement, values).rowcount

    @property
    def dialect(self) -> Dialect:
        """The database's dialect of SQL."""
        return self._connection.dialect

    @property
    def sqlite(self) -> bool:
        """Whether the database is SQLite."""
        return self._connection.dialect.name == "sqlite"

    @property
    def now(self) -> datetime:
        """The transaction's time in UTC: the server's clock, ours on SQLite; read once."""
        if self._now is None:  # not cached_property: its lock is shared by all transactions
            self._now = self._read_clock() + self._shift
        return self._now

    def _read_clock(self) -> datetime:
        if self.sqlite:
            return clock.now()
        try:  # the shortest way: of all statements this is the one that is run most often
            cursor = self._connection.connection.cursor()
            cursor.execute(_CLOCK)
            (instant,) = cursor.fetchone()  # type: ignore[misc]
            cursor.close()
        except Exception:  # noqa: BLE001 - a connection that is gone is told of in SQLAlchemy's words
            instant = self._connection.exec_driver_sql(_CLOCK).scalar_one()
        return instant.replace(tzinfo=UTC)  # type: ignore[no-any-return]


class Store:
    """A database that has our tables; safe to use from many threads.

    A SQLite file that does not exist is made only with `create`. `shift` moves the clock of
    every transaction, for tests.
    """

    def __init__(self, url: str, *, create: bool = False, shift: timedelta = timedelta(0)) -> None:
        self.url = make_url(url)
        self.shift = shift
        self._turn: AbstractContextManager[Any]
        if self.sqlite:
            self._turn = threading.Lock()
            self._writes = _open_sqlite(self.url, create=create, writing=True)
            self._reads = _open_sqlite(self.url, create=create, writing=False)
        else:
            self._turn = nullcontext()
            self._writes = _open_mysql(self.url)
            # READ COMMITTED sees the newest rows with each statement, in a transaction or not.
            self._reads = _open_mysql(self.url, isolation_level="AUTOCOMMIT")
        self._condition: Callable[[], None] | None = None
        self._meeting = threading.Lock()
        self._met_by = 0
        self._unmet: tuple[float, StoreUnavailable] | None = None
        self._writers, self._readers = Together[Tx](self.write), Together[Tx](self.read)
        self._behind = Behind(self._writers)

    def write(self, work: Callable[[Tx], Result]) -> Result:
        """Run the work in one transaction that writes, again from the start after a deadlock.

        The work must change nothing but the database. A connection lost at the commit leaves it
        unknown whether it took place; the work is then run again, so its writes are guarded.
        Raises `StoreUnavailable`.
        """
        return self._insist(lambda: self._run_writing(work))

    def read(self, work: Callable[[Tx], Result]) -> Result:
        """Run the work in one transaction that only reads. Raises `StoreUnavailable`."""
        return self._insist(lambda: self._run_reading(work))

    def write_each(
        self, verb: Callable[[Tx, Sequence[Item]], Sequence[Result]], item: Item
    ) -> Result:
        """Have the verb write for this item, in a transaction shared with other threads' items.

        Returns the item's own result after the commit. A caller who is alone waits for nobody.
        What the verb raises reaches only the caller whose item is at fault. For the rest this is
        `write`.
        """
        result: Result = self._writers.ask(verb, item)
        return result

    def read_each(
        self, verb: Callable[[Tx, Sequence[Item]], Sequence[Result]], item: Item
    ) -> Result:
        """Have the verb read for this item, together with other threads' items."""
        result: Result = self._readers.ask(verb, item)
        return result

    def write_together(self, work: Callable[[Tx], Result]) -> Result:
        """Run the work in a transaction that other threads' works may share; else as `write`."""
        return self.write_each(_run_works, work)

    def require(self, condition: Callable[[], None]) -> None:
        """Have this hold before any transaction: until it does, each raises what it raises.

        It may use the store itself, raises `StoreUnavailable`, and is asked no more once it held.
        """
        self._condition = condition

    def _meet(self, condition: Callable[[], None]) -> None:
        if self._met_by == threading.get_ident():
            return  # it is the condition itself that asks
        with self._meeting:
            if self._condition is None:
                return
            if self._unmet is not None and clock.monotonic() - self._unmet[0] < _SPARED:
                raise self._unmet[1]
            self._met_by = threading.get_ident()
            try:
                condition()
            except StoreUnavailable as error:
                self._unmet = clock.monotonic(), error
                raise
            finally:
                self._met_by = 0
            self._condition = None

    def write_behind(
        self, verb: Callable[[Tx, Sequence[Item]], Sequence[Any]], item: Item, done: Done
    ) -> None:
        """Have the verb write for this item, and return at once; as `write_each` for the rest.

        `done` is told the item's result after the commit, or the error, in another thread.
        """
        self._behind.put(verb, item, done)

    def close(self) -> None:
        """Write what `write_behind` was given, and close every connection."""
        self._behind.close(_PATIENCE)
        self._writes.dispose()
        self._reads.dispose()

    @property
    def sqlite(self) -> bool:
        """Whether the database is SQLite."""
        return self.url.get_backend_name() == "sqlite"

    @property
    def shown_url(self) -> str:
        """The database's URL without its password."""
        return self.url.render_as_string(hide_password=True)

    @property
    def engine(self) -> Engine:
        """The engine for migrations."""
        return self._writes

    @property
    def engine_of_reads(self) -> Engine:
        """The engine for what reads for long; on SQLite it keeps nobody from writing."""
        return self._reads

    def _run_writing(self, work: Callable[[Tx], Result]) -> Result:
        with self._turn:
            return self._run(self._writes, work)

    def _run_reading(self, work: Callable[[Tx], Result]) -> Result:
        if self.sqlite:
            return self._run(self._reads, work)
        with self._reads.connect() as connection:
            return work(Tx(connection, self.shift))

    def _run(self, engine: Engine, work: Callable[[Tx], Result]) -> Result:
        with engine.begin() as connection:
            tx = Tx(connection, self.shift)
            result = work(tx)
        tx.committed()
        return result

    def _insist(self, run: Callable[[], Result]) -> Result:
        if self._condition is not None:
            self._meet(self._condition)
        for attempt in range(_TRIES):
            try:
                return run()
            except SQLAlchemyError as error:
                if attempt == _TRIES - 1 or not _worth_repeating(error, attempt):
                    raise translated(error, self.shown_url) from error
                time.sleep(random.uniform(0.001, 0.01) * (1 << attempt))  # noqa: S311 - not a secret
        raise AssertionError


def _run_works(tx: Tx, works: Sequence[Callable[[Tx], Result]]) -> list[Result]:
    return [work(tx) for work in works]


def _worth_repeating(error: SQLAlchemyError, attempt: int) -> bool:
    if not isinstance(error, DBAPIError):
        return False
    if _code(error) in _TRY_AGAIN:
        return True
    return error.connection_invalidated and attempt < 2  # noqa: PLR2004 - once stale, once again


def _code(error: DBAPIError) -> object:
    return error.orig.args[0] if error.orig is not None and error.orig.args else None


def translated(error: SQLAlchemyError, url: str) -> Exception:
    """Return what the caller should see: our error with the cure, or the programmer's mistake."""
    reason = str(getattr(error, "orig", None) or error)
    lacks_table = "no such table" in reason or _code_is(error, 1146)
    if lacks_table:
        return StoreUnavailable(
            f"BARBEQUE_DATABASE {url} has no tables of ours yet: run `barbeque migrate`"
        )
    if _is_unavailable(error):
        cure = next((cure for sign, cure in _CURES.items() if sign in reason), _CURE)
        return StoreUnavailable(f"BARBEQUE_DATABASE {url} can't be used ({reason}): {cure}")
    return error


def _is_unavailable(error: SQLAlchemyError) -> bool:
    """Tell whether the database is at fault, and not a statement or a row."""
    if not isinstance(error, DBAPIError):
        return isinstance(error, PoolTimeout)
    unusable = type(error) is DatabaseError  # SQLite: not a database, or a damaged one
    operational = isinstance(error, OperationalError) and _code(error) not in _REFUSED
    return unusable or operational or error.connection_invalidated


def _code_is(error: SQLAlchemyError, code: int) -> bool:
    return isinstance(error, DBAPIError) and _code(error) == code


def _open_mysql(url: URL, *, isolation_level: IsolationLevel = "READ COMMITTED") -> Engine:
    return create_engine(
        url,
        isolation_level=isolation_level,
        # Every transaction of ours is ended by a commit or a rollback of its own, or was none.
        pool_reset_on_return=None,
        skip_autocommit_rollback=True,
        pool_size=20,
        max_overflow=20,
        pool_recycle=280,
        connect_args={
            "charset": "utf8mb4",
            "connect_timeout": 5,
            "init_command": "SET time_zone = '+00:00'",
            "read_timeout": 60,
            "write_timeout": 60,
        },
    )


def _open_sqlite(url: URL, *, create: bool, writing: bool) -> Engine:
    mode = "rwc" if create else "rw"
    path = quote(str(Path(url.database or "").absolute()))

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"file:{path}?mode={mode}", uri=True, check_same_thread=False, isolation_level=None
        )
        connection.execute(f"PRAGMA busy_timeout = {_SQLITE_PATIENCE * 1000}")
        _use_wal(connection)
        connection.execute("PRAGMA synchronous = FULL")
        return connection

    engine = create_engine(
        url,
        creator=connect,
        poolclass=QueuePool,
        pool_size=1 if writing else 5,
        max_overflow=0 if writing else 50,
    )
    begin = "BEGIN IMMEDIATE" if writing else "BEGIN"
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(begin))
    return engine


def _use_wal(connection: sqlite3.Connection) -> None:
    """Switch the file to WAL; SQLite doesn't wait here by itself while another one writes."""
    until = time.monotonic() + _SQLITE_PATIENCE
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                connection.close()
                raise
            time.sleep(random.uniform(0.001, 0.02))  # noqa: S311 - not a secret
        else:
            return

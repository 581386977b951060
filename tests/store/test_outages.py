"""A database that is away, locked or wrong: who must act, and what they can do."""

import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from barbeque_py import clock
from barbeque_py.errors import StoreUnavailable
from barbeque_py.store import Store, Tx, limits
from barbeque_py.store.revision import check_schema
from barbeque_py.store.schema import migrate
from tests.store.world import QUEUE, define, enqueue, everything
from tests.stores import MariaDb, migrated
from tests.waiting import wait_until

NOBODY = 65534
PROGRAM = f"""
import os
import sys
from barbeque_py.errors import StoreUnavailable
from barbeque_py.store import Store
from barbeque_py.store.schema import migrate
if os.geteuid() == 0:
    os.setuid({NOBODY})
store = Store(sys.argv[1], create=True)
try:
    migrate(store)
except StoreUnavailable as error:
    print(error)
    sys.exit(7)
finally:
    store.close()
"""


def refused(store: Store) -> str:
    """Return what a write that can't be done says."""
    with pytest.raises(StoreUnavailable) as caught:
        store.write(lambda tx: limits.ensure(tx, ["app:media"]))
    return str(caught.value)


def test_a_missing_file_is_not_made_in_passing(tmp_path: Path) -> None:
    with closing(Store(f"sqlite:///{tmp_path / 'none.db'}")) as store:
        said = refused(store)
        with pytest.raises(StoreUnavailable, match="barbeque migrate"):
            check_schema(store)
    assert "BARBEQUE_DATABASE" in said
    assert "run `barbeque migrate` to make it" in said
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_another_kind_is_named(tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    path.write_text("# not a database, but longer than its header of a hundred bytes\n" * 100)
    with closing(Store(f"sqlite:///{path}")) as store:
        assert "it is a file of another kind" in refused(store)
        with pytest.raises(StoreUnavailable, match="of another kind"):
            check_schema(store)


def test_a_directory_where_nobody_may_write_is_named() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o555)
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, f"sqlite:///{folder / 'new.db'}"],
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 7, done.stderr
    assert "BARBEQUE_DATABASE" in done.stdout
    assert "check the path and who may write there" in done.stdout


def test_a_file_locked_by_another_program_is_waited_for_and_then_named(sqlite_url: str) -> None:
    with closing(sqlite3.connect(sqlite_url.removeprefix("sqlite:///"))) as other:
        other.isolation_level = None
        other.execute("BEGIN IMMEDIATE")
        with closing(Store(sqlite_url)) as store:
            begun = clock.monotonic()
            assert "another program holds its write lock" in refused(store)
            assert 8 < clock.monotonic() - begun < 60
            assert store.read(limits.read_all) == [], "reading goes on"


def test_a_short_lock_is_waited_out(sqlite_url: str) -> None:
    with closing(
        sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), check_same_thread=False)
    ) as other:
        other.isolation_level = None
        other.execute("BEGIN IMMEDIATE")
        ending = threading.Timer(0.5, lambda: other.execute("COMMIT"))
        ending.start()
        with closing(Store(sqlite_url)) as store:
            store.write(lambda tx: limits.ensure(tx, ["app:media"]))
        ending.join()


@pytest.mark.mariadb
def test_a_wrong_password_or_database_is_named(mariadb: MariaDb) -> None:
    for user, path, cure in (
        ("root:wrong", "mysql", "check name and password"),
        ("root", "nowhere", "create that database"),
    ):
        with closing(Store(f"mysql+pymysql://{user}@127.0.0.1:{mariadb.port}/{path}")) as store:
            said = refused(store)
            assert cure in said
            assert "wrong@" not in said


@pytest.fixture(scope="module")
def own_mariadb() -> Iterator[MariaDb]:
    """Hand out a server that may be killed."""
    with tempfile.TemporaryDirectory(prefix="maria") as folder:
        server = MariaDb(Path(folder))
        try:
            server.start()
            yield server
        finally:
            server.stop()


def kill(server: MariaDb) -> None:
    """End the server as a power cut would."""
    assert server._process is not None
    server._process.kill()
    server._process.wait()


def start_again(server: MariaDb) -> None:
    """Start the server at the port it had."""
    server._launch()
    assert server._answers()


@pytest.mark.mariadb
def test_a_killed_server_is_unavailable_and_all_is_well_when_it_is_back(
    own_mariadb: MariaDb,
) -> None:
    with own_mariadb.database() as url, closing(Store(migrated(url))) as store:
        define(store)
        first = enqueue(store)
        kill(own_mariadb)
        begun = clock.monotonic()
        for _ in range(3):
            said = refused(store)
            assert "BARBEQUE_DATABASE" in said
            assert "is it running" in said
            with pytest.raises(StoreUnavailable):
                store.read(limits.read_all)
            with pytest.raises(StoreUnavailable):
                check_schema(store)
        assert clock.monotonic() - begun < 40
        start_again(own_mariadb)
        second = enqueue(store)
        assert [each.message_id for each in everything(store)] == [first, second]


@pytest.mark.mariadb
def test_a_server_killed_in_the_middle_leaves_whole_transactions_only(
    own_mariadb: MariaDb,
) -> None:
    with own_mariadb.database() as url, closing(Store(migrated(url))) as store:
        define(store)
        known: list[str] = []
        over = threading.Event()

        def go_on() -> None:
            while not over.is_set():
                try:
                    known.append(enqueue(store))
                except StoreUnavailable:
                    time.sleep(0.02)

        with ThreadPoolExecutor(4) as pool:
            working = [pool.submit(go_on) for _ in range(4)]
            wait_until(lambda: len(known) > 50)
            kill(own_mariadb)
            start_again(own_mariadb)
            before = len(known)
            wait_until(lambda: len(known) > before + 20)
            over.set()
            for each in working:
                each.result()
        recorded = {each.message_id for each in everything(store)}
        assert set(known) <= recorded
        assert len(recorded) <= len(known) + 4


@pytest.mark.mariadb
def test_a_deadlock_is_run_again_and_nobody_notices(mariadb_url: str) -> None:
    with closing(Store(mariadb_url)) as store:
        scopes = ["app:a", "app:b"]
        store.write(lambda tx: limits.ensure(tx, scopes))
        both_hold_one = threading.Barrier(2)
        tries = [0, 0]

        def cross(number: int) -> None:
            mine, other = scopes if number else reversed(scopes)

            def work(tx: Tx) -> None:
                tries[number] += 1
                limits.lock(tx, [mine])
                if tries[number] == 1:
                    both_hold_one.wait(60)
                limits.take(tx, Counter([mine]))
                limits.lock(tx, [other])
                limits.take(tx, Counter([other]))

            store.write(work)

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(cross, range(2)))
        assert sum(tries) == 3, "one of them was the victim, once"
        assert [each.used for each in store.read(limits.read_all)] == [2, 2]


@pytest.mark.mariadb
def test_a_killed_connection_costs_one_repeat(mariadb: MariaDb, mariadb_url: str) -> None:
    with closing(Store(mariadb_url)) as store:
        number = store.read(lambda tx: tx.execute(text("SELECT CONNECTION_ID()")).scalar_one())
        mariadb.execute(f"KILL {number}")
        store.write(lambda tx: limits.ensure(tx, ["app:media"]))


def test_a_programmers_mistake_is_not_an_outage(store: Store) -> None:
    with pytest.raises(Exception, match=r"(?i)syntax") as caught:
        store.write(lambda tx: tx.execute(text("SELEKT 1")))
    if not store.sqlite:
        assert not isinstance(caught.value, StoreUnavailable)


def test_work_that_fails_leaves_nothing(store: Store) -> None:
    def fail(tx: Tx) -> None:
        limits.ensure(tx, ["app:media"])
        raise KeyError(QUEUE)

    with pytest.raises(KeyError):
        store.write(fail)
    assert store.read(limits.read_all) == []


def test_a_database_without_tables_says_how_to_make_them(tmp_path: Path) -> None:
    with closing(Store(f"sqlite:///{tmp_path / 'b.db'}", create=True)) as store:
        assert "run `barbeque migrate`" in refused(store)
        migrate(store)
        check_schema(store)

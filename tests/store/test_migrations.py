"""The migrations make what the tables say, once, whoever comes first."""

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from barbeque_py.errors import ConfigurationError, StoreUnavailable
from barbeque_py.store import Store, Tx, apps
from barbeque_py.store.revision import MIGRATIONS, check_schema, known_revisions, newest_revision
from barbeque_py.store.schema import migrate
from barbeque_py.store.tables import metadata
from tests.stores import MariaDb

PROGRAM = """
import sys
from barbeque_py.store import Store
from barbeque_py.store.schema import migrate
store = Store(sys.argv[1], create=True)
print(migrate(store))
store.close()
"""


@pytest.fixture(params=["sqlite", pytest.param("mariadb", marks=pytest.mark.mariadb)])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'new.db'}"
        return
    server: MariaDb = request.getfixturevalue("mariadb")
    with server.database() as url:
        yield url


def test_fresh_migrations_make_exactly_the_tables(empty_url: str) -> None:
    with closing(Store(empty_url, create=True)) as store:
        migrate(store)
        check_schema(store)
        with store.engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"compare_type": True})
            assert compare_metadata(context, metadata) == []


def test_four_that_migrate_at_once_make_one_installation(empty_url: str) -> None:
    assert len(migrate_at_once(empty_url)) == 6


def test_a_new_sqlite_file_that_another_one_writes_at_this_moment_is_waited_for(
    tmp_path: Path,
) -> None:
    path = tmp_path / "new.db"
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    letting_go = threading.Timer(0.3, lambda: other.execute("COMMIT"))
    letting_go.start()
    try:
        with closing(Store(f"sqlite:///{path}", create=True)) as store:
            migrate(store)
            check_schema(store)
    finally:
        letting_go.join()
        other.close()


def test_the_first_to_migrate_names_the_installation_and_another_name_is_refused(
    empty_url: str,
) -> None:
    with closing(Store(empty_url, create=True)) as store:
        assert migrate(store, name="first1") == "first1"
        assert migrate(store) == "first1"
        assert migrate(store, name="first1") == "first1"
        with pytest.raises(ConfigurationError, match="BARBEQUE_INSTALLATION is second"):
            migrate(store, name="second")
        assert store.read(apps.installation_name) == "first1"


def test_a_database_without_or_with_old_tables_says_what_to_do(empty_url: str) -> None:
    with closing(Store(empty_url, create=True)) as store:
        with pytest.raises(
            StoreUnavailable, match=r"no tables of ours yet: run `barbeque migrate`"
        ):
            check_schema(store)
        migrate(store)
        store.write(partial(_stamp, to="0004"))
        with pytest.raises(StoreUnavailable, match=r"has schema 0004.*run `barbeque migrate`"):
            check_schema(store)
        for fit in (newest_revision(), "of a newer version"):
            store.write(partial(_stamp, to=fit))
            check_schema(store)


def _stamp(tx: Tx, *, to: str) -> None:
    tx.execute(text("UPDATE alembic_version SET version_num = :to"), {"to": to})


def test_the_chosen_executor_is_stored(empty_url: str) -> None:
    with closing(Store(empty_url, create=True)) as store:
        migrate(store)
        assert store.read(apps.stored_executor) is None
        store.write(lambda tx: apps.store_executor(tx, "process:"))
        assert store.read(apps.stored_executor) == "process:"


def test_the_revisions_read_are_those_that_alembic_runs() -> None:
    scripts = ScriptDirectory(MIGRATIONS)
    assert newest_revision() == scripts.get_current_head()
    run = {each.revision: each.down_revision or "" for each in scripts.walk_revisions()}
    assert known_revisions() == run


def migrate_at_once(url: str) -> str:
    """Migrate by four processes at once; return the installation, which all must name."""
    working = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, url],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    said = [each.communicate(timeout=300) for each in working]
    assert [each.returncode for each in working] == [0] * 4, said
    (name,) = {out.strip() for out, _ in said}
    return name

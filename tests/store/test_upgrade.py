"""A new version takes an old one's database over while the old one works on.

No version has been released yet: each schema that ever was stands for one.
"""

import io
import re
import signal
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, inspect

from barbeque_py.errors import StoreUnavailable
from barbeque_py.store import Store, schema
from barbeque_py.store.revision import MIGRATIONS, check_schema
from barbeque_py.store.schema import migrate
from tests.flows.pages import ROOT
from tests.flows.place import Place, alone
from tests.parts import need
from tests.store.old_program import OldProgram, fill, rows_of, tables_of
from tests.store.test_migrations import empty_url, migrate_at_once
from tests.stores import MariaDb
from tests.waiting import wait_until

__all__ = ["alone", "empty_url"]

REVISIONS = [each.revision for each in reversed(list(ScriptDirectory(MIGRATIONS).walk_revisions()))]
"""All schemas, the first one first."""


def go_to(store: Store, revision: str) -> None:
    """Migrate as far as that schema, as a program of then did."""
    with schema.alone(store) as connection:
        command.upgrade(schema.config(connection), revision)
        connection.commit()


def breaks(before: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
    """Yield what a program that knows the tables before can't do, or not as it did, after."""
    for table, was in before.items():
        if table not in after:
            yield f"{table} is gone"
            continue
        now = after[table]
        for name, column in was["columns"].items():
            if name not in now["columns"]:
                yield f"{table}.{name} is gone"
            elif now["columns"][name] != column:
                yield f"{table}.{name} was {column}, is {now['columns'][name]}"
        for name in now["columns"].keys() - was["columns"].keys():
            if "needed" in now["columns"][name]:
                yield f"{table}.{name} must be given, and the program before does not know it"
        yield from (f"{table}: unique {each}" for each in now["unique"] - was["unique"])


def shape_of(engine: Engine) -> dict[str, Any]:
    """Return of each table its columns with what they take, and what must be unique."""
    looking = inspect(engine)
    shape = {}
    for table in looking.get_table_names():
        columns = {
            each["name"]: str(each["type"])
            + ("" if each["nullable"] or each["default"] is not None else " needed")
            for each in looking.get_columns(table)
        }
        unique = {str(each["column_names"]) for each in looking.get_unique_constraints(table)}
        unique |= {
            str(each["column_names"]) for each in looking.get_indexes(table) if each["unique"]
        }
        shape[table] = {"columns": columns, "unique": unique}
    return shape


def test_no_migration_breaks_the_version_before(tmp_path: Path) -> None:
    with closing(Store(f"sqlite:///{tmp_path}/new.db", create=True)) as store:
        before: dict[str, Any] = {}
        for revision in REVISIONS:
            go_to(store, revision)
            after = shape_of(store.engine)
            assert list(breaks(before, after)) == [], revision
            before = after
    without = {name: each for name, each in before.items() if name != "tokens"}
    assert list(breaks(before, without)) == ["tokens is gone"]
    narrow = {"users": {"columns": {"id": "INTEGER"}, "unique": set()}}
    assert len(list(breaks(narrow, before))) > 3


@pytest.mark.parametrize(
    ("revisions", "count"),
    [
        pytest.param(REVISIONS[-2:-1], 1_000, id="short"),
        pytest.param(
            REVISIONS[:-1], 10_000, id="whole", marks=[pytest.mark.soak, pytest.mark.timeout(0)]
        ),
    ],
)
@pytest.mark.parametrize("kind", ["sqlite", pytest.param("mariadb", marks=pytest.mark.mariadb)])
def test_each_version_is_upgraded_under_a_program_of_its_own(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str, revisions: list[str], count: int
) -> None:
    for revision in revisions:
        if kind == "sqlite":
            upgrade(f"sqlite:///{tmp_path}/{revision}.db", revision, count)
        else:
            server: MariaDb = request.getfixturevalue("mariadb")
            with server.database() as url:
                upgrade(url, revision, count)


def upgrade(url: str, revision: str, count: int) -> None:
    """Upgrade a database of that schema, with so many rows, while its own program works."""
    with closing(Store(url, create=True)) as store:
        go_to(store, revision)
        tables = tables_of(store.engine)
        fill(store, tables, count)
        before = rows_of(store, tables)
        old = OldProgram(url, tables, first=count + 1)
        with old.at_work():
            migrate(store)
        assert old.faults == []
        check_schema(store)
        after = rows_of(store, tables)
        for name, rows in before.items():
            changed = [key for key, row in rows.items() if after[name].get(key) != row]
            assert changed == [], f"{revision}: {name}"
        for name in ("executions", "attempts"):
            assert len(after[name]) == count + old.done, f"{revision}: {name}"
        print(f"{store.shown_url.split(':')[0]} {revision}: {old.done} transactions meanwhile")


@pytest.mark.soak
def test_four_migrate_at_once_twenty_times(empty_url: str) -> None:
    """From one schema after the other."""
    for turn in range(20):
        with closing(Store(empty_url, create=True)) as store:
            _empty(store)
            go_to(store, REVISIONS[turn % len(REVISIONS)])
        migrate_at_once(empty_url)


def _empty(store: Store) -> None:
    with store.engine.begin() as connection:
        for table in inspect(connection).get_table_names():
            connection.exec_driver_sql(f"DROP TABLE {table}")


@pytest.mark.soak
def test_a_worker_of_the_version_before_works_on_under_the_upgrade(alone: Place) -> None:
    """The real one, out of the repository's history: the last program of the schema before."""
    former = _former_program(alone.home.parent / "former")
    parts = ("", "api", "worker", "console")
    alone.more = {"PYTHONPATH": ":".join(str(former / each) for each in parts)}
    alone.say("migrate")
    url = f"sqlite:///{alone.home}/barbeque.db"
    with closing(Store(url)) as store:
        with pytest.raises(StoreUnavailable, match="run `barbeque migrate`"):
            check_schema(store)
        tables = tables_of(store.engine)
        fill(store, {name: tables[name] for name in ("executions", "attempts")}, 10_000)
        with (
            alone.started("api", "--port", str(alone.port)),
            alone.started("worker") as worker,
        ):
            wait_until(lambda: alone.call("queues").returncode == 0, "its API answers")
            alone.say("apply", "-f", "barbeque.yaml")
            asked = [alone.enqueue("Echo") for _ in range(5)]
            migrate(store)
            asked += [alone.enqueue("Flaky") for _ in range(5)]
            for each in asked:
                alone.until(each, "succeeded")
            worker.send_signal(signal.SIGTERM)
            wrote = worker.communicate(timeout=60)[1]
    assert worker.returncode == 0
    assert "has stopped" in wrote
    assert re.findall(r"ERROR|Traceback|rests for a second.*", wrote) == []


def _former_program(folder: Path) -> Path:
    """Return a copy of the repository as it was before its newest migration."""
    versions = "barbeque_py/store/migrations/versions"
    told = _git("log", "-1", "--diff-filter=A", "--format=%H", "--", versions).decode().strip()
    need("the repository's history", told, "this is no clone of it, or one without a past")
    folder.mkdir()
    with tarfile.open(fileobj=io.BytesIO(_git("archive", f"{told}^"))) as packed:
        packed.extractall(folder, filter="data")
    return folder


def _git(*words: str) -> bytes:
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, check=False).stdout

"""`barbeque backup | restore`: every row and log goes from one kind of database to the other."""

import fcntl
import io
import json
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from sqlalchemy import Column, MetaData, String, insert

from barbeque_py.backup import back_up
from barbeque_py.backup_file import Held, Manifest, Reader, Writer
from barbeque_py.cli import root
from barbeque_py.errors import NotEmpty, StoreUnavailable, UnfitBackup
from barbeque_py.logstores.directory import DirectoryLogStore
from barbeque_py.restore import restore
from barbeque_py.store import Store
from barbeque_py.store.dump import LEFT_OUT, Shape, fill, snapshot
from barbeque_py.store.revision import check_schema
from barbeque_py.store.schema import config
from barbeque_py.store.tables import metadata
from barbeque_py.store.tables.columns import Instant
from tests.flows.place import BARBEQUE
from tests.stores import MariaDb, make_sqlite
from tests.waiting import wait_until

INSTANT = datetime(2026, 11, 27, 20, 0, 0, 1, UTC)
TEXT = "“ü\u2028🍖'\\\n\x7f"
ROWS = 3
LOGS = {
    "media/Encode/x/1/log.gz": b"\x1f\x8b" + bytes(range(256)) * 9_000,
    "a%2Fb/J/y/1/index": b"",
}


def value_of(column: Column[Any], number: int) -> Any:
    """Return a value that the column may have, another one in each row; the last row has gaps."""
    if column.nullable and number == ROWS:
        return None
    kind = column.type
    if isinstance(kind, Instant):
        return INSTANT + timedelta(days=number, microseconds=number)
    if kind.python_type is bool:
        return number % 2 == 0
    if kind.python_type is float:
        return 0.1 + number / 3
    if kind.python_type is int:
        return number
    text = f"{number}{TEXT}"
    return text[: kind.length] if isinstance(kind, String) and kind.length else text * 100


def fill_every_table(store: Store) -> None:
    def write(tx: Any) -> None:
        for table in metadata.sorted_tables:
            if table.name == "installation":
                continue
            for number in range(1, ROWS + 1):
                row = {each.name: value_of(each, number) for each in table.columns}
                tx.execute(insert(table).values(row))

    store.write(write)


def rows_of(store: Store, *, but: str = "") -> dict[str, list[list[Any]]]:
    with snapshot(store) as found:
        shapes = found.shapes()
        return {each.table: list(found.rows(each)) for each in shapes if each.table != but}


@pytest.fixture
def logs(tmp_path: Path) -> DirectoryLogStore:
    kept = DirectoryLogStore(tmp_path / "logs")
    for key, content in LOGS.items():
        kept.put(key, [content])
    return kept


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Store]:
    path = tmp_path / "full.db"
    make_sqlite(path)
    with closing(Store(f"sqlite:///{path}")) as store:
        fill_every_table(store)
        yield store


def written(store: Store, logs: DirectoryLogStore | None, path: Path) -> Manifest:
    with path.open("wb") as file:
        return back_up(store, logs, file, program="1.2.3", logs_at="directory:/x")


@pytest.mark.mariadb
def test_every_row_and_log_goes_to_mariadb_and_back(
    full: Store, logs: DirectoryLogStore, mariadb: MariaDb, tmp_path: Path
) -> None:
    manifest = written(full, logs, tmp_path / "one.tar")
    assert (manifest.log_objects, manifest.with_logs) == (len(LOGS), True)
    assert {held.rows for name, held in manifest.tables.items() if name != "installation"} == {ROWS}
    assert manifest.tables.keys() == metadata.tables.keys() - LEFT_OUT
    with mariadb.database() as url, closing(Store(url, create=True)) as server:
        there = DirectoryLogStore(tmp_path / "there")
        restore(Reader(tmp_path / "one.tar"), server, there)
        check_schema(server)
        assert {key: there.read(key) for key in there.names("")} == LOGS
        assert rows_of(server, but="audit") == rows_of(full, but="audit")
        noted = rows_of(server)["audit"][ROWS]
        assert noted[2:6] == ["barbeque restore", "", "barbeque.restore", "installation"]
        with pytest.raises(NotEmpty, match="table address_book has rows"):
            restore(Reader(tmp_path / "one.tar"), server, there)
        written(server, there, tmp_path / "two.tar")
        with closing(Store(f"sqlite:///{tmp_path / 'back.db'}", create=True)) as back:
            restore(Reader(tmp_path / "two.tar"), back, DirectoryLogStore(tmp_path / "back"))
            known = rows_of(back)
            known["audit"].pop()
            assert known == rows_of(server)


@pytest.mark.mariadb
def test_a_restore_that_was_cut_off_leaves_nothing_to_work_with_and_can_be_done_again(
    full: Store, mariadb: MariaDb, tmp_path: Path
) -> None:
    file = tmp_path / "one.tar"
    manifest = written(full, None, file)
    shapes = [
        Shape(name, tuple((column, kind) for column, kind in held.columns))
        for name, held in manifest.tables.items()
    ]

    def some() -> Iterator[tuple[str, list[list[Any]]]]:
        parts = Reader(file).rows(manifest)
        for _ in range(10):
            yield next(parts)
        raise KeyboardInterrupt

    with mariadb.database() as url, closing(Store(url, create=True)) as server:
        with pytest.raises(KeyboardInterrupt):
            fill(server, manifest.schema, shapes, some())
        with pytest.raises(StoreUnavailable, match="no tables of ours yet"):
            check_schema(server)
        restore(Reader(file), server, DirectoryLogStore(tmp_path / "none"))
        assert rows_of(server, but="audit") == rows_of(full, but="audit")


def test_a_backup_of_an_older_version_is_brought_up_to_date(full: Store, tmp_path: Path) -> None:
    """What 0034 added is taken out of a backup of today, as a version before would write it."""
    old = MetaData()
    with (
        closing(Store(f"sqlite:///{tmp_path / 'old.db'}", create=True)) as store,
        store.engine.connect() as connection,
    ):
        command.upgrade(config(connection), "0033")
        connection.commit()
        old.reflect(connection)
    facts = Manifest(
        "0.0.1", "0033", "abc123", "2026-01-01T00:00:00.000000Z", "directory:/x", False
    )
    with (tmp_path / "old.tar").open("wb") as file, snapshot(full) as found:
        writer = Writer(file)
        for shape in found.shapes():
            if shape.table not in old.tables:
                continue
            kept = [
                n for n, (name, _) in enumerate(shape.columns) if name in old.tables[shape.table].c
            ]
            held = facts.tables[shape.table] = Held([list(shape.columns[n]) for n in kept])
            rows = ([row[n] for n in kept] for row in found.rows(shape))
            list(writer.add_rows(shape.table, held, rows))
        writer.finish(facts)
    assert facts.tables["attempts"].rows == ROWS
    assert "rollups" not in facts.tables
    with closing(Store(f"sqlite:///{tmp_path / 'new.db'}", create=True)) as store:
        restore(Reader(tmp_path / "old.tar"), store, DirectoryLogStore(tmp_path / "none"))
        check_schema(store)
        assert rows_of(store)["executions"] == rows_of(full)["executions"]
        assert rows_of(store)["rollups"] == []


def test_what_is_damaged_foreign_or_newer_is_refused_and_nothing_is_written(
    full: Store, logs: DirectoryLogStore, tmp_path: Path
) -> None:
    whole = tmp_path / "whole.tar"
    written(full, logs, whole)
    body = whole.read_bytes()
    at = body.index(bytes(range(256)) * 2)
    newer = io.BytesIO()
    facts = Manifest("9.0.0", "9999", "abc123", "2036-01-01T00:00:00.000000Z", "x", False)
    Writer(newer).finish(facts)
    formed = io.BytesIO()
    facts.version = 2
    Writer(formed).finish(facts)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("readme"))
    for name, content, told in (
        ("bit", body[:at] + b"\xff" + body[at + 1 :], "log.gz is not as it was written"),
        ("short", body[: len(body) // 2], "not a whole backup"),
        ("empty", b"", "not a whole backup"),
        ("text", b"x" * 5_000, "not a whole backup"),
        ("foreign", packed.getvalue(), "its end is missing"),
        ("newer", newer.getvalue(), "schema 9999 of barbeque_py 9.0.0"),
        ("form", formed.getvalue(), "has form 2"),
    ):
        (tmp_path / name).write_bytes(content)
        with (
            closing(Store(f"sqlite:///{tmp_path / 'new.db'}", create=True)) as store,
            pytest.raises(UnfitBackup, match=told),
        ):
            restore(Reader(tmp_path / name), store, DirectoryLogStore(tmp_path / "none"))
        assert not (tmp_path / "new.db").exists(), name
        assert not (tmp_path / "none").exists(), name
    with closing(Store(f"sqlite:///{tmp_path / 'new.db'}", create=True)) as store:
        logs.put("strange/J/z/1/log.gz", [b"x"])
        with pytest.raises(NotEmpty, match=r"strange/J/z/1/log\.gz and 0 more"):
            restore(Reader(whole), store, logs)
    checked = subprocess.run(
        f"mkdir out && tar -xf {whole} -C out && cd out && sha256sum --check --quiet SHA256SUMS",
        shell=True,
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
    )
    assert (checked.returncode, checked.stderr) == (0, "")


def test_the_command_writes_a_file_for_its_owner_keeps_the_newest_and_reads_it_back(
    full: Store,
    logs: DirectoryLogStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "backups"
    folder.mkdir()
    monkeypatch.setenv("BARBEQUE_DATABASE", str(full.url))
    monkeypatch.setenv("BARBEQUE_HOME", str(tmp_path))
    with snapshot(full) as found:
        name = found.installation
    old = [folder / f"barbeque-{name}-2026010{day}T000000Z.tar" for day in (1, 2)]
    for each in old:
        each.touch()
    assert root.run(["backup", str(folder), "--keep", "2", "--json"]) == 0
    made = json.loads(capfd.readouterr().out)
    file = Path(made["file"])
    assert sorted(folder.iterdir()) == [old[1], file]
    assert file.stat().st_mode & 0o777 == 0o600
    assert made["bytes"] == file.stat().st_size
    assert made["logs"] == {
        "included": True,
        "at": f"directory:{tmp_path}/logs",
        "objects": len(LOGS),
        "bytes": sum(map(len, LOGS.values())),
    }
    assert root.run(["backup", str(file)]) == 2
    assert root.run(["backup", str(tmp_path / "x.tar"), "--keep", "2"]) == 2
    assert "need a folder" in capfd.readouterr().err
    assert root.run(["backup", str(tmp_path / "bare.tar"), "--no-logs"]) == 0
    capfd.readouterr()
    monkeypatch.setenv("BARBEQUE_DATABASE", f"sqlite:///{tmp_path / 'again' / 'new.db'}")
    monkeypatch.setenv("BARBEQUE_LOGS", f"directory:{tmp_path / 'again' / 'logs'}")
    monkeypatch.setenv("BARBEQUE_INSTALLATION", "other0")
    assert root.run(["restore", str(file)]) == 2
    assert f"the backup is of the installation {name}" in capfd.readouterr().err
    monkeypatch.delenv("BARBEQUE_INSTALLATION")
    assert root.run(["restore", str(file), "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["tables"] == made["tables"]
    assert root.run(["restore", str(tmp_path / "bare.tar")]) == 1
    assert "nothing was changed" in capfd.readouterr().err


def test_what_a_killed_one_left_is_removed_but_not_what_is_being_written(
    full: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BARBEQUE_DATABASE", str(full.url))
    monkeypatch.setenv("BARBEQUE_HOME", str(tmp_path))
    folder = tmp_path / "daily"
    folder.mkdir()
    (folder / ".daily.7.unfinished").touch()
    beside = folder / ".daily.8.unfinished"
    with beside.open("wb") as written_by_another:
        fcntl.flock(written_by_another, fcntl.LOCK_EX)
        assert root.run(["backup", str(folder)]) == 0
    (made,) = folder.glob("barbeque-*.tar")
    assert sorted(folder.iterdir()) == sorted([beside, made])


def test_one_by_the_clock_makes_the_first_at_once_and_ends_when_told(
    full: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BARBEQUE_DATABASE", str(full.url))
    monkeypatch.setenv("BARBEQUE_HOME", str(tmp_path))
    by_the_clock = tmp_path / "daily"
    by_the_clock.mkdir()
    words = [BARBEQUE, "backup", str(by_the_clock), "--every", "1d"]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL) as staying:
        wait_until(lambda: list(by_the_clock.glob("barbeque-*.tar")))
        staying.terminate()
        assert staying.wait() == 0
    assert len(list(by_the_clock.iterdir())) == 1

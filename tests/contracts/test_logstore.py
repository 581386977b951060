"""What every log store promises."""

import errno
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import cast

import pytest

from barbeque_py.errors import LogStoreUnavailable, NoSuchLog
from barbeque_py.logstore import LogStore
from barbeque_py.logstores.directory import DirectoryLogStore
from barbeque_py.logstores.s3 import S3LogStore
from tests.cloud.rig import CloudProcess
from tests.contracts.logstore_rigs import MemoryLogStore
from tests.parts import missing


@pytest.fixture
def in_s3(cloud: CloudProcess, aws_environment: dict[str, str]) -> Iterator[S3LogStore]:
    cloud.client("s3").create_bucket(Bucket="barbeque-logs")
    store = S3LogStore("barbeque-logs", f"logs/{secrets.token_hex(4)}")
    yield store
    store.close()


@pytest.fixture(params=["directory", "memory", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> LogStore:
    if request.param == "s3":
        return cast(S3LogStore, request.getfixturevalue("in_s3"))
    return MemoryLogStore() if request.param == "memory" else DirectoryLogStore(tmp_path / "logs")


@pytest.fixture(params=["directory", "memory"])
def own_store(request: pytest.FixtureRequest, tmp_path: Path) -> LogStore:
    """A store whose promises are kept here; those of S3 itself are not kept by its stand-in."""
    return MemoryLogStore() if request.param == "memory" else DirectoryLogStore(tmp_path / "logs")


def test_an_object_reads_back_whole_and_by_any_range(store: LogStore) -> None:
    content = bytes(range(256)) * 5
    assert store.put("a/b", [content[:700], b"", content[700:]]) == len(content)
    assert store.read("a/b") == content
    for start in (0, 1, 255, 1279, 1280, 5000):
        assert store.read("a/b", start) == content[start:]
        for length in (0, 1, 256, 5000):
            assert store.read("a/b", start, length) == content[start : start + length]


def test_an_empty_object_is_an_object(store: LogStore) -> None:
    assert store.put("a", []) == 0
    assert store.read("a") == b""
    assert store.names("") == ["a"]


def test_a_put_replaces_what_was_there(store: LogStore) -> None:
    store.put("a/b", [b"old and long"])
    store.put("a/b", [b"new"])
    assert store.read("a/b") == b"new"


def test_a_put_that_fails_half_way_changes_nothing(store: LogStore) -> None:
    def broken() -> Iterator[bytes]:
        yield b"half"
        raise ZeroDivisionError

    store.put("a/b", [b"old"])
    for key in ("a/b", "a/c"):
        with pytest.raises(ZeroDivisionError):
            store.put(key, broken())
    assert store.read("a/b") == b"old"
    assert store.names("") == ["a/b"]


def test_what_is_not_there_is_no_such_log(store: LogStore) -> None:
    store.put("a/b/c", [b"x"])
    for key in ("z", "a/b", "a/b/c/d", "a/b/z"):
        with pytest.raises(NoSuchLog):
            store.read(key)


def test_names_are_the_keys_with_the_prefix_in_order(store: LogStore) -> None:
    keys = ["a/1/log.gz", "a/10/log.gz", "a/1/live/000.gz", "a/1/index", "a%2Fb/1", "b"]
    for key in keys:
        store.put(key, [b"x"])
    assert store.names("") == sorted(keys)
    assert store.names("a/1/") == ["a/1/index", "a/1/live/000.gz", "a/1/log.gz"]
    assert store.names("a/1") == ["a/1/index", "a/1/live/000.gz", "a/1/log.gz", "a/10/log.gz"]
    assert store.names("a/1/log.gz") == ["a/1/log.gz"]
    assert store.names("c/") == store.names("b/") == []


def test_removing_is_a_no_op_for_what_is_gone(store: LogStore) -> None:
    store.put("a/b/c", [b"x"])
    store.put("a/b/d", [b"y"])
    store.remove(["a/b/c", "a/b/none", "none/at/all", "a/b/d/e"])
    assert store.names("") == ["a/b/d"]
    store.remove(["a/b/d"])
    store.remove(["a/b/d"])
    assert store.names("") == []
    store.put("a/b/c", [b"again"])
    assert store.read("a/b/c") == b"again"


@pytest.mark.parametrize(
    "key", ["../a", "a/../../b", "/etc/passwd", "a/\0", "", "a//b", "a/.", ".."]
)
def test_a_key_that_leaves_the_store_is_refused(store: LogStore, key: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        store.put(key, [b"x"])
    with pytest.raises(ValueError, match=r".*"):
        store.read(key)
    with pytest.raises(ValueError, match=r".*"):
        store.remove([key])


def test_a_reader_sees_the_old_object_or_the_new_one(own_store: LogStore) -> None:
    contents = {bytes([digit]) * 100_000 for digit in b"0123456789"}
    own_store.put("a/b", [min(contents)])

    def put_all() -> None:
        for content in sorted(contents):
            own_store.put("a/b", [content[:50_000], content[50_000:]])

    writers = [Thread(target=put_all) for _ in range(2)]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        assert own_store.read("a/b") in contents
    assert own_store.names("") == ["a/b"]


def test_putting_and_removing_neighbours_at_once_loses_nothing(store: LogStore) -> None:
    def put_and_remove(name: str) -> None:
        for _ in range(50):
            store.put(f"a/b/{name}", [b"x"])
            assert store.read(f"a/b/{name}") == b"x"
            store.remove([f"a/b/{name}"])

    failures: list[BaseException] = []

    def run(name: str) -> None:
        try:
            put_and_remove(name)
        except BaseException as error:  # noqa: BLE001 - told by the test's own thread
            failures.append(error)

    threads = [Thread(target=run, args=(name,)) for name in "xyz"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


# What only a directory has: folders, a disk that fills up, writers that are killed.


def test_a_directory_is_left_without_empty_folders(tmp_path: Path) -> None:
    store = DirectoryLogStore(tmp_path / "logs")
    store.put("a/b/1/live/0.gz", [b"x"])
    store.put("a/b/1/log.gz", [b"x"])
    store.remove(["a/b/1/live/0.gz"])
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["1", "a", "b", "log.gz", "logs"]
    store.remove(["a/b/1/log.gz"])
    assert list(tmp_path.rglob("*")) == [tmp_path / "logs"]


def test_a_killed_writer_leaves_the_old_object_and_its_rest_is_swept(tmp_path: Path) -> None:
    store = DirectoryLogStore(tmp_path)
    store.put("a/b", [b"old"])
    program = (
        "import os, signal, sys; from pathlib import Path\n"
        "from barbeque_py.logstores.directory import DirectoryLogStore\n"
        "def chunks():\n"
        "    yield b'x' * 1_000_000\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "DirectoryLogStore(Path(sys.argv[1])).put('a/b', chunks())\n"
    )
    killed = subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False)
    assert killed.returncode == -9
    assert store.read("a/b") == b"old"
    assert store.names("") == ["a/b"]
    assert len(list(tmp_path.rglob("#*"))) == 1
    store.remove(["a/b"])
    assert list(tmp_path.iterdir()) == []


def test_a_writer_at_work_is_not_swept(tmp_path: Path) -> None:
    store = DirectoryLogStore(tmp_path)
    store.put("a/neighbour", [b"x"])

    def chunks() -> Iterator[bytes]:
        yield b"one "
        store.remove(["a/neighbour"])
        yield b"two"

    store.put("a/b", chunks())
    assert store.read("a/b") == b"one two"


def test_a_full_disk_is_told_with_its_cure_and_keeps_the_old_object(tmp_path: Path) -> None:
    with_room = _mount_tmpfs(tmp_path)
    try:
        store = DirectoryLogStore(with_room / "logs")
        store.put("a/b", [b"old"])
        with pytest.raises(
            LogStoreUnavailable, match=r"BARBEQUE_LOGS.*No space.*free space"
        ) as told:
            store.put("a/b", [b"x" * 65_536] * 64)
        assert str(with_room) in str(told.value)
        assert store.read("a/b") == b"old"
        assert list(with_room.rglob("#*")) == []
        store.put("a/b", [b"new"])
    finally:
        subprocess.run(["umount", str(with_room)], check=True)


def test_a_root_that_can_not_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    store = DirectoryLogStore(tmp_path / "file" / "logs")
    with pytest.raises(LogStoreUnavailable, match=r"BARBEQUE_LOGS"):
        store.put("a", [b"x"])
    assert store.names("") == []


def test_a_name_too_long_for_the_disk_is_told(tmp_path: Path) -> None:
    with pytest.raises(LogStoreUnavailable, match=os.strerror(errno.ENAMETOOLONG)):
        DirectoryLogStore(tmp_path).put("a" * 300 + "/b", [b"x"])


def _mount_tmpfs(folder: Path) -> Path:
    place = folder / "small"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "barbeque-test", str(place)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode:
        missing("a small tmpfs", f"mounting needs root: {mounted.stderr.strip()}")
    return place

"""A log that is read only while somebody watches."""

import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from threading import Event, Thread
from threading import enumerate as enumerate_threads

import pytest

from barbeque_py.errors import BarbequeError, ExecutorUnavailable, NoSuchLog
from barbeque_py.logs import Page
from barbeque_py.masks import Mask, compile_masks
from barbeque_py.watched import MOST, Watching
from tests.contracts.logstore_rigs import stored
from tests.waiting import wait_until

HERE = "awslogs:here"


class Fed:
    """A source that gives what a test feeds it, and goes on where it was."""

    def __init__(self, lines: list[bytes] | None = None) -> None:
        self.lines = lines or []
        self.fault: BarbequeError | None = None
        self.looks = 0
        self.closed = Event()
        self._position = 0

    def batches(self, *, follow: bool) -> Iterator[list[bytes]]:
        assert follow
        try:
            while True:
                self.looks += 1
                if self.fault:
                    raise self.fault
                fresh = self.lines[self._position : self._position + 700]
                self._position += len(fresh)
                yield fresh
                if not fresh:
                    time.sleep(0.01)
        finally:
            self.closed.set()


class World:
    """Sources by their places, and how often each was opened."""

    def __init__(self) -> None:
        self.sources: dict[str, Fed] = {}
        self.opened: list[str] = []

    def open_source(self, log_at: str) -> Fed:
        self.opened.append(log_at)
        return self.sources.setdefault(log_at, Fed())


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def watching(world: World) -> Iterator[Watching]:
    watching = Watching(world.open_source, linger=timedelta(seconds=0.5))
    yield watching
    watching.close()


def texts(page: Page) -> list[str]:
    return [line.text for line in page.lines]


def test_where_nobody_reads_nothing_is_opened(world: World, watching: Watching) -> None:
    assert world.opened == []


def test_the_first_reader_sees_what_is_there_already(world: World, watching: Watching) -> None:
    world.sources[HERE] = Fed([stored(n, b"%d" % n) for n in range(3000)])
    page = watching.read(HERE, first=0, count=2)
    assert (texts(page), page.next, page.sealed, page.total) == (["0", "1"], 2, False, None)
    page = watching.read(HERE, first=-2, count=5)
    assert (texts(page), page.next) == (["2998", "2999"], 3000)


def test_a_reader_goes_on_where_it_was(world: World, watching: Watching) -> None:
    source = world.sources[HERE] = Fed([stored(0, b"one")])
    page = watching.read(HERE, first=0, count=10)
    assert watching.read(HERE, first=page.next, count=10).lines == []
    for number in range(1, 2500):
        source.lines.append(stored(number, b"%d" % number))
    seen = ["one"]
    while len(seen) < 2500:
        page = watching.read(HERE, first=page.next, count=300)
        seen += texts(page)
    assert seen == ["one", *map(str, range(1, 2500))]
    assert [line.number for line in watching.read(HERE, first=1995, count=10).lines] == [
        *range(1995, 2005)
    ]


def test_only_one_stream_can_be_read(world: World, watching: Watching) -> None:
    world.sources[HERE] = Fed([stored(0, b"a"), stored(1, b"b", stream="err"), stored(2, b"c")])
    page = watching.read(HERE, first=0, count=10, stream="err")
    assert [(line.number, line.text) for line in page.lines] == [(1, "b")]


def test_all_readers_share_one_reader_at_the_source(world: World, watching: Watching) -> None:
    world.sources[HERE] = Fed([stored(0, b"one")])
    pages: list[Page] = []

    def read() -> None:
        pages.append(watching.read(HERE, first=0, count=10))

    readers = [Thread(target=read) for _ in range(20)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    assert [texts(page) for page in pages] == [["one"]] * 20
    assert [each.name for each in enumerate_threads() if HERE in each.name] == [f"watching {HERE}"]


def test_reading_stops_soon_after_the_last_reader_and_begins_anew(
    world: World, watching: Watching
) -> None:
    source = world.sources[HERE] = Fed([stored(0, b"one")])
    watching.read(HERE, first=0, count=10)
    wait_until(source.closed.is_set, "the source is left")
    looks = source.looks
    wait_until(lambda: not watching._watched, "it is forgotten")
    assert source.looks == looks
    world.sources[HERE] = Fed([stored(0, b"one"), stored(1, b"two")])
    assert texts(watching.read(HERE, first=0, count=10)) == ["one", "two"]


def test_secrets_are_masked_before_anybody_sees_them(world: World, watching: Watching) -> None:
    asked: list[int] = []

    def mask() -> Mask | None:
        asked.append(1)
        return compile_masks(["hunter2-hunter2"], [])

    world.sources[HERE] = Fed([stored(0, b"it is hunter2-hunter2")])
    for _ in range(3):
        assert texts(watching.read(HERE, first=0, count=9, mask=mask)) == ["it is ***"]
    assert len(asked) == 1


@pytest.mark.parametrize("fault", [ExecutorUnavailable("away"), NoSuchLog("no such group")])
def test_a_source_that_fails_is_told_to_those_who_find_nothing_new(
    world: World, watching: Watching, fault: BarbequeError, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("barbeque_py.watched._AGAIN", 0.5)
    source = world.sources[HERE] = Fed([stored(0, b"one")])
    watching.read(HERE, first=0, count=10)
    source.fault = fault
    assert source.closed.wait(60)

    def told() -> bool:
        try:
            watching.read(HERE, first=1, count=10)
        except type(fault) as error:
            return str(error) == str(fault)
        return False

    wait_until(told, "the failure is told")
    assert texts(watching.read(HERE, first=0, count=10)) == ["one"]
    source.fault = None
    source.lines.append(stored(1, b"two"))

    def goes_on() -> bool:
        try:
            return texts(watching.read(HERE, first=1, count=10)) == ["two"]
        except type(fault):
            return False

    wait_until(goes_on, "reading goes on")


def test_a_spool_that_is_full_is_told_and_the_lines_before_stay(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("barbeque_py.archive._IN_MEMORY", 1000)
    world.sources[HERE] = Fed([stored(n, b"%x" % (3**200 * (n + 1) ** 31)) for n in range(3000)])
    watching = Watching(world.open_source, spool_folder=tmp_path / "absent")

    def told() -> bool:
        try:
            watching.read(HERE, first=2999, count=1)
        except BarbequeError as error:
            return "can't spool a log" in str(error)
        return False

    wait_until(told, "the full spool is told")
    watching.close()


def test_a_process_watches_only_so_many_logs(world: World, watching: Watching) -> None:
    for number in range(MOST):
        world.sources[f"awslogs:{number}"] = Fed([stored(0, b"one")])
        watching.read(f"awslogs:{number}", first=0, count=1)
        watching._watched[f"awslogs:{number}"].readers += 1
    with pytest.raises(ExecutorUnavailable, match="64 logs are watched"):
        watching.read(HERE, first=0, count=1)


def test_closing_ends_all_that_is_watched(world: World) -> None:
    watching = Watching(world.open_source)
    watching.read(HERE, first=0, count=1)
    (watched,) = watching._watched.values()
    watching.close()
    assert not watched.thread.is_alive()
    with pytest.raises(ExecutorUnavailable, match="stopping"):
        watching.read(HERE, first=0, count=1)


class Whole:
    """A source that has these lines now."""

    def __init__(self, *batches: list[bytes]) -> None:
        self._batches = batches

    def batches(self, *, follow: bool) -> Iterator[list[bytes]]:
        assert not follow
        yield from self._batches


def test_all_that_is_there_comes_from_the_source_itself_and_masked() -> None:
    secret = stored(1, b"a piece of hunter2-", stream="out+")
    rest = stored(2, b"hunter2 and on", stream="out+")
    sources = {HERE: Whole([stored(0, b"one")], [], [secret], [rest])}
    watching = Watching(sources.__getitem__)
    plain = [line for batch in watching.take(HERE) for line in batch]
    assert plain == [stored(0, b"one"), secret, rest]
    mask = compile_masks(["hunter2-hunter2"], [])
    lines = [line for batch in watching.take(HERE, mask=lambda: mask) for line in batch]
    assert lines[0] == stored(0, b"one")
    assert len(lines) == 3
    assert b"hunter2" not in b"".join(lines)
    assert watching._watched == {}

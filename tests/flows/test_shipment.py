"""A log on its way: what is stored in the end, whatever happens in between."""

import gzip
import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from threading import Event, Thread

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from barbeque_py.errors import ExecutorUnavailable, LogStoreUnavailable
from barbeque_py.log_reading import raw_chunks, read_lines
from barbeque_py.logs import ENTRY, Line, LogFacts
from barbeque_py.logstore import LogStore
from barbeque_py.logstores.directory import DirectoryLogStore
from barbeque_py.masks import Mask, compile_masks
from barbeque_py.shipment import Shipment, Shipping
from tests.contracts.logstore_rigs import (
    PREFIX,
    MemoryLogStore,
    WatchedLogStore,
    WrittenLog,
    fail_from,
    stored,
)

AT_ONCE = Shipping(live_every=timedelta(0))
NEVER = Shipping(live_every=timedelta(days=1))
UNSEEN = Shipping(live_every=None)

TEXTS = st.binary(max_size=40).map(lambda text: text.replace(b"\n", b" "))


@st.composite
def logs(draw: st.DrawFn) -> list[bytes]:
    """Draw a log of a few members: runs of like lines, some of them large."""
    runs = st.tuples(
        TEXTS,
        st.integers(1, 900),
        st.sampled_from(["out", "err", "-"]),
        st.booleans(),
        st.sampled_from([1, 1, 1, 50]),
    )
    lines: list[bytes] = []
    for text, count, stream, newline, times in draw(st.lists(runs, max_size=6)):
        first = len(lines)
        lines += [
            stored(first + number, text * times, stream=stream, newline=newline)
            for number in range(count)
        ]
    return lines


SIZES = st.lists(st.integers(1, 1500), min_size=1, max_size=4)


def ship(
    store: LogStore,
    lines: list[bytes],
    sizes: list[int] | None = None,
    *,
    mask: Mask | None = None,
    shipping: Shipping = NEVER,
) -> LogFacts:
    source = WrittenLog(lines, sizes or [100])
    shipment = Shipment(source, store, PREFIX, mask=mask, shipping=shipping)
    try:
        shipment.run()
        return shipment.seal()
    finally:
        shipment.close()


def ship_until(store: LogStore, lines: list[bytes], sizes: list[int], batches: int) -> None:
    """Ship as a worker that is killed after so many batches."""
    source = WrittenLog(lines, sizes, lost_after=batches)
    shipment = Shipment(source, store, PREFIX, shipping=AT_ONCE)
    try:
        shipment.run()
    except ExecutorUnavailable:
        pass
    finally:
        shipment.close()


def sealed(lines: list[bytes], *, mask: Mask | None = None) -> dict[str, bytes]:
    store = MemoryLogStore()
    ship(store, lines, mask=mask)
    return store.objects


@given(lines=logs(), sizes=SIZES)
@example(lines=[], sizes=[1])
@settings(max_examples=60, deadline=None)
def test_a_log_holds_the_lines_and_the_bytes_of_the_job(
    lines: list[bytes], sizes: list[int]
) -> None:
    store = MemoryLogStore()
    facts = ship(store, lines, sizes)
    assert gzip.decompress(store.objects[PREFIX + "log.gz"]) == b"".join(
        line + b"\n" for line in lines
    )
    written = b"".join(raw_chunks(store, PREFIX))
    assert written == b"".join(
        line.split(b" ", 2)[2] + (b"" if b"+ " in line[:36] else b"\n") for line in lines
    )
    assert (facts.lines, facts.bytes, facts.truncated) == (len(lines), len(written), False)
    assert facts.first_at == (lines[0][:30].decode() if lines else None)
    assert facts.last_at == (lines[-1][:30].decode() if lines else None)


@given(lines=logs(), sizes=SIZES, first=st.integers(-3000, 6000), count=st.integers(1, 3000))
@settings(max_examples=80, deadline=None)
def test_any_range_of_a_sealed_log_is_that_slice_of_the_source(
    lines: list[bytes], sizes: list[int], first: int, count: int
) -> None:
    store = MemoryLogStore()
    ship(store, lines, sizes)
    page = read_lines(store, PREFIX, first=first, count=count)
    start = min(first, len(lines)) if first >= 0 else max(0, len(lines) + first)
    expected = lines[start : start + count]
    assert [line.at for line in page.lines] == [line[:30].decode() for line in expected]
    assert [line.number for line in page.lines] == list(range(start, start + len(expected)))
    assert (page.next, page.sealed, page.total) == (start + len(expected), True, len(lines))


@given(
    lines=logs(),
    kills=st.lists(st.tuples(SIZES, st.integers(0, 12)), max_size=3),
    sizes=SIZES,
    looks=st.lists(st.integers(-50, 4000), max_size=4),
)
@settings(max_examples=80, deadline=None)
def test_killed_at_any_moment_the_next_shipment_stores_the_same_bytes(
    lines: list[bytes], kills: list[tuple[list[int], int]], sizes: list[int], looks: list[int]
) -> None:
    store = MemoryLogStore()
    for killed_sizes, batches in kills:
        ship_until(store, lines, killed_sizes, batches)
        for first in looks:
            page = read_lines(store, PREFIX, first=first, count=10)
            assert_lines_are(page.lines, lines)
    ship(store, lines, sizes, shipping=AT_ONCE)
    assert store.objects == sealed(lines)


@given(lines=logs(), sizes=SIZES, batches=st.integers(1, 20))
@settings(max_examples=40, deadline=None)
def test_a_viewer_sees_every_line_that_came_before_the_log_is_sealed(
    lines: list[bytes], sizes: list[int], batches: int
) -> None:
    store = MemoryLogStore()
    ship_until(store, lines, sizes, batches)
    arrived = sum((sizes * batches)[:batches])
    seen, first = 0, 0
    while True:
        page = read_lines(store, PREFIX, first=first, count=700)
        assert (page.sealed, page.total) == (False, None) or batches * min(sizes) >= len(lines)
        assert_lines_are(page.lines, lines)
        seen, first = seen + len(page.lines), page.next
        if not page.lines:
            break
    assert seen == min(arrived, len(lines))
    tail = read_lines(store, PREFIX, first=-5, count=5)
    assert [line.number for line in tail.lines] == list(range(max(0, seen - 5), seen))


@given(lines=logs(), first=SIZES, batches=st.integers(1, 12), second=SIZES, more=st.integers(1, 12))
@example(lines=[stored(n) for n in range(3000)], first=[1500], batches=1, second=[2500], more=1)
@settings(max_examples=60, deadline=None)
def test_a_viewer_sees_every_line_of_a_second_shipment_among_segments_of_the_first(
    lines: list[bytes], first: list[int], batches: int, second: list[int], more: int
) -> None:
    store = MemoryLogStore()
    ship_until(store, lines, first, batches)
    ship_until(store, lines, second, more)
    seen = 0
    while page := read_lines(store, PREFIX, first=seen, count=450).lines:
        assert_lines_are(page, lines)
        seen += len(page)
    assert seen >= min(sum((second * more)[:more]), len(lines))


@pytest.mark.parametrize("count", [3, 2500])
def test_a_seal_that_fails_at_any_call_is_taken_up_by_the_next_shipment(count: int) -> None:
    lines = [stored(number) for number in range(count)]
    for call in range(12):
        store = MemoryLogStore()
        ship_until(store, lines, [400], 3)
        worn = WatchedLogStore(store, fail_from(call))
        try:
            ship(worn, lines)
            failed = False
        except LogStoreUnavailable:
            failed = True
        page = read_lines(store, PREFIX, first=0, count=10)
        assert_lines_are(page.lines, lines)
        ship(store, lines)
        assert store.objects == sealed(lines)
        if not failed:
            return
    pytest.fail("sealing never ended")


def test_a_failed_seal_can_be_called_again_and_so_can_one_that_succeeded() -> None:
    lines = [stored(number) for number in range(2500)]
    store, refusing = MemoryLogStore(), Event()

    def refuse(verb: str, key: str) -> None:
        if refusing.is_set():
            raise LogStoreUnavailable(key)

    watched = WatchedLogStore(store, refuse)
    shipment = Shipment(WrittenLog(lines), watched, PREFIX)
    shipment.run()
    refusing.set()
    with pytest.raises(LogStoreUnavailable):
        shipment.seal()
    refusing.clear()
    facts = shipment.seal()
    assert shipment.seal() == facts
    shipment.close()
    assert store.objects == sealed(lines)


def test_a_quick_job_costs_one_put() -> None:
    calls: list[tuple[str, str]] = []
    store = WatchedLogStore(MemoryLogStore(), lambda verb, key: calls.append((verb, key)))
    facts = ship(store, [stored(0)], shipping=Shipping())
    assert calls == [("names", PREFIX), ("put", PREFIX + "log.gz")]
    assert facts == LogFacts(1, 6, facts.first_at, facts.first_at, 0, truncated=False, members=1)


def test_a_short_log_of_which_nothing_was_stored_is_one_put_and_nothing_else() -> None:
    calls: list[tuple[str, str]] = []
    store = WatchedLogStore(MemoryLogStore(), lambda verb, key: calls.append((verb, key)))
    shipment = Shipment(WrittenLog([stored(0)]), store, PREFIX, shipping=UNSEEN)
    shipment.run(follow=False)
    shipment.seal(fresh=True)
    shipment.close()
    assert calls == [("put", PREFIX + "log.gz")]


def test_what_watchers_were_shown_goes_also_when_nothing_was_there_before() -> None:
    lines, store = [stored(number) for number in range(2500)], MemoryLogStore()
    shipment = Shipment(WrittenLog(lines), store, PREFIX, shipping=AT_ONCE)
    shipment.run()
    shipment.seal(fresh=True)
    shipment.close()
    assert store.objects == sealed(lines)


def test_where_no_watcher_is_shown_anything_the_store_is_left_alone_until_the_seal() -> None:
    calls: list[str] = []
    store = WatchedLogStore(MemoryLogStore(), lambda verb, key: calls.append(verb))
    shipment = Shipment(WrittenLog(noise(3000)), store, PREFIX, shipping=UNSEEN)
    shipment.run()
    assert calls == []
    shipment.close()


class GrowingLog:
    """A source that goes on where it was: each reading gives what has come since the last."""

    def __init__(self, *stretches: list[bytes]) -> None:
        self._stretches = iter(stretches)

    def batches(self, *, follow: bool) -> Iterator[list[bytes]]:
        assert not follow
        yield next(self._stretches)


@given(lines=logs(), cut=st.integers(0, 3000), limit=st.sampled_from([5 * 1024**3, 20_000]))
@settings(max_examples=60, deadline=None)
def test_a_log_read_in_two_goes_is_sealed_as_one_read_at_once(
    lines: list[bytes], cut: int, limit: int
) -> None:
    mask = compile_masks(["secret"], [])
    at_once, store = MemoryLogStore(), MemoryLogStore()
    ship(at_once, lines, mask=mask, shipping=Shipping(max_bytes=limit))
    source = GrowingLog(lines[:cut], lines[cut:])
    shipment = Shipment(source, store, PREFIX, mask=mask, shipping=Shipping(max_bytes=limit))
    shipment.run(follow=False)
    shipment.run(follow=False)
    shipment.seal()
    with pytest.raises(RuntimeError, match="takes no more lines"):
        shipment.run(follow=False)
    shipment.close()
    assert store.objects == at_once.objects


@pytest.mark.parametrize("limit", [5 * 1024**3, 50_000])
def test_a_seal_whose_spool_is_full_can_be_called_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    mask, at_once, store = compile_masks(["secret"], []), MemoryLogStore(), MemoryLogStore()
    source = WrittenLog([*noise(999), stored(999, b"waits for more", newline=False)])
    expected = Shipment(source, at_once, PREFIX, mask=mask, shipping=Shipping(max_bytes=limit))
    expected.run()
    expected.seal()
    expected.close()
    monkeypatch.setattr("barbeque_py.archive._IN_MEMORY", 1000)
    shipping = Shipping(spool_folder=tmp_path / "absent", max_bytes=limit)
    shipment = Shipment(source, store, PREFIX, mask=mask, shipping=shipping)
    shipment.run()
    for _ in range(2):
        with pytest.raises(LogStoreUnavailable, match=r"can't spool a log in .*absent"):
            shipment.seal()
    (tmp_path / "absent").mkdir()
    shipment.seal()
    shipment.close()
    assert store.objects == at_once.objects


def test_a_log_of_several_members_has_an_index_and_its_facts() -> None:
    lines = [stored(number) for number in range(2500)]
    objects = sealed(lines)
    log = objects[PREFIX + "log.gz"]
    entries = list(ENTRY.iter_unpack(objects[PREFIX + "index"]))
    assert [first for _, first in entries] == [0, 1000, 2000, 2500]
    assert entries[-1][0] == len(log)
    for (start, first), (end, following) in pairwise(entries):
        member = gzip.decompress(log[start:end])
        assert member.split(b"\n")[:-1] == lines[first:following]
    facts = json.loads(objects[PREFIX + "log.json"])
    assert (facts["lines"], facts["bytes"], facts["members"]) == (2500, 15_000, 3)


def test_zcat_reads_the_whole(tmp_path: Path) -> None:
    lines = [stored(number) for number in range(2500)]
    ship(DirectoryLogStore(tmp_path), lines)
    out = subprocess.run(
        ["zcat", str(tmp_path / PREFIX / "log.gz")], capture_output=True, check=True
    )
    assert out.stdout.split(b"\n")[:-1] == lines


def test_lines_that_speak_of_trouble_are_counted() -> None:
    texts = [
        b"all is well",
        b"ValueError: no",
        b"FATAL exception and panic",
        b"Traceback (most",
        b"",
    ]
    facts = ship(MemoryLogStore(), [stored(n, text, stream="err") for n, text in enumerate(texts)])
    assert facts.error_lines == 3


def test_a_log_that_meets_its_limit_says_how_much_is_missing() -> None:
    lines = [stored(number, b"x" * 64) for number in range(5000)]
    store = MemoryLogStore()
    facts = ship(store, lines, shipping=Shipping(max_bytes=100 * 2000))
    assert (facts.lines, facts.truncated, facts.last_at) == (2001, True, lines[-1][:30].decode())
    page = read_lines(store, PREFIX, first=-2, count=2)
    assert page.lines[0].at == lines[1999][:30].decode()
    assert "limit of 200,000 bytes here; lines not kept: 3000" in page.lines[1].text
    assert facts.bytes == len(b"".join(raw_chunks(store, PREFIX)))


def test_known_secrets_are_masked_even_across_the_pieces_of_a_long_line() -> None:
    mask = compile_masks(["hunter2-hunter2"], [r"card \d{4}"])
    lines = [
        stored(0, b"the password is hunter2-hunter2."),
        stored(1, b"x" * 65_529 + b"hunter2", newline=False),
        stored(2, b"-hunter2 and more", newline=False),
        stored(3, b" and card 12"),
        stored(4, b"card 1234"),
        stored(5, b"stays: hunter2", newline=False),
        stored(6, b"-hunter2 of another stream", stream="err"),
        stored(7, b"ends with hunter2-hunter2", newline=False),
    ]
    store = MemoryLogStore()
    facts = ship(store, lines, [1], mask=mask)
    text = b"".join(raw_chunks(store, PREFIX))
    assert text.splitlines() == [
        b"the password is ***.",
        b"x" * 65_529 + b"*** and more and card 12",
        b"***",
        b"stays: hunter2-hunter2 of another stream",
        b"ends with ***",
    ]
    assert facts.lines == len(lines)
    assert store.objects == sealed(lines, mask=mask)


def test_a_seal_with_other_masks_leaves_nothing_of_the_earlier_one() -> None:
    lines = [stored(number, b"secret-" * 60) for number in range(900)]
    store = MemoryLogStore()
    ship(store, lines)
    mask = compile_masks(["secret-" * 60], [])
    ship(store, lines, mask=mask)
    assert store.objects == sealed(lines, mask=mask)
    assert list(store.objects) == [PREFIX + "log.gz"]


def test_a_log_store_that_is_away_while_the_job_runs_does_not_stop_it() -> None:
    store, refusing = MemoryLogStore(), Event()

    def refuse(verb: str, key: str) -> None:
        if refusing.is_set():
            raise LogStoreUnavailable(key)

    lines = [stored(number) for number in range(1500)]
    shipment = Shipment(WrittenLog(lines), WatchedLogStore(store, refuse), PREFIX, shipping=AT_ONCE)
    refusing.set()
    shipment.run()
    refusing.clear()
    assert shipment.seal().lines == 1500
    shipment.close()
    assert store.objects == sealed(lines)


def test_a_live_segment_that_fails_half_way_harms_nothing() -> None:
    class Fainting(MemoryLogStore):
        def put(self, key: str, chunks: Iterable[bytes]) -> int:
            if "live/" not in key:
                return super().put(key, chunks)
            next(iter(chunks))
            raise LogStoreUnavailable(key)

    lines, store = noise(6000), Fainting()
    ship(store, lines, [3000], shipping=AT_ONCE)
    assert store.objects == sealed(lines)


def test_much_at_once_is_shown_in_few_segments() -> None:
    puts: list[str] = []
    store = WatchedLogStore(
        MemoryLogStore(), lambda verb, key: puts.append(key) if verb == "put" else None
    )
    ship_until(store, [stored(number) for number in range(50_000)], [40_010], 1)
    assert [key[-15:-3] for key in puts] == [f"{n:012}" for n in (0, 16_000, 32_000, 40_000)]


def test_a_stopped_shipment_returns_soon_and_can_not_be_sealed() -> None:
    class Endless:
        def __init__(self) -> None:
            self.begun, self.closed = Event(), Event()

        def batches(self, *, follow: bool) -> Iterator[list[bytes]]:
            try:
                while True:
                    yield [stored(0)]
                    self.begun.set()
            finally:
                self.closed.set()

    source = Endless()
    shipment = Shipment(source, MemoryLogStore(), PREFIX)
    thread = Thread(target=shipment.run)
    thread.start()
    assert source.begun.wait(60)
    shipment.stop()
    thread.join(60)
    assert not thread.is_alive()
    assert source.closed.is_set()
    with pytest.raises(RuntimeError, match="before its source has ended"):
        shipment.seal()
    shipment.close()


def test_a_full_spool_is_told(tmp_path: Path) -> None:
    shipping = Shipping(spool_folder=tmp_path / "absent")
    shipment = Shipment(
        WrittenLog(noise(30_000), [5000]), MemoryLogStore(), PREFIX, shipping=shipping
    )
    with pytest.raises(LogStoreUnavailable, match=r"can't spool a log in .*absent"):
        shipment.run()
    shipment.close()


def test_a_page_that_meets_the_seal_reads_the_sealed_log() -> None:
    lines = [stored(number) for number in range(2500)]
    store = MemoryLogStore()
    ship_until(store, lines, [100], 20)

    def seal_before(verb: str, key: str) -> None:
        if verb == "read" and "live/" in key:
            ship(store, lines)

    page = read_lines(WatchedLogStore(store, seal_before), PREFIX, first=1990, count=20)
    assert (page.sealed, page.total, len(page.lines)) == (True, 2500, 20)


def test_a_download_that_meets_the_seal_goes_on_in_the_sealed_log() -> None:
    lines = [stored(number, b"x" * 1500) for number in range(20_000)]
    store, texts = MemoryLogStore(), []
    ship_until(store, lines, [1000], 19)
    chunks = raw_chunks(store, PREFIX)
    texts.append(next(chunks))
    ship(store, lines)
    texts += chunks
    assert b"".join(texts) == b"".join([b"x" * 1500 + b"\n"] * 20_000)


def test_three_hundred_megabytes_pass_through_in_less_than_a_hundred(tmp_path: Path) -> None:
    program = Path(__file__).with_name("ship_much.py")
    command = [sys.executable, str(program), str(tmp_path), "3000000"]
    shipped = subprocess.run(command, capture_output=True, text=True, check=True, timeout=240)
    told = json.loads(shipped.stdout)
    assert told["bytes"] == 300_000_000
    assert told["peak_mb"] < 100


def test_killed_for_real_at_any_stage_the_next_process_stores_the_same_bytes(
    tmp_path: Path,
) -> None:
    program, folder = str(Path(__file__).with_name("ship_much.py")), tmp_path / "killed"
    command = [sys.executable, program, str(folder), "300000"]
    log = folder / "logs/media/Encode/id/1"
    folder.mkdir()
    for stage in ("live/*.gz", "live/*.gz", "#*", "log.gz", "index"):
        worker = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        while worker.poll() is None and not any(log.glob(stage)):
            pass
        worker.kill()
        worker.wait()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    command[2] = str(tmp_path)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    assert files(log) == files(tmp_path / "logs/media/Encode/id/1")


def files(folder: Path) -> dict[str, bytes]:
    """Return the content of all files below the folder."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def noise(count: int) -> list[bytes]:
    """Return lines that do not shrink much."""
    return [stored(number, b"%x" % (3**200 * (number + 1) ** 31)) for number in range(count)]


def assert_lines_are(lines: list[Line], source: list[bytes]) -> None:
    for line in lines:
        assert line.at.encode() == source[line.number][:30]

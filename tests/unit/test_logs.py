"""Keys, and reading any range of a log with little."""

import gzip

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from barbeque_py.errors import LogStoreUnavailable
from barbeque_py.log_reading import raw_chunks, read_lines
from barbeque_py.logs import (
    FACTS,
    LIVE,
    LOG,
    Line,
    Page,
    attempt_prefix,
    live_key,
    message_key,
    split_line,
)
from barbeque_py.shipment import Shipment
from tests.contracts.logstore_rigs import (
    PREFIX,
    MemoryLogStore,
    WatchedLogStore,
    WrittenLog,
    stored,
)


def sealed_log(lines: list[bytes]) -> MemoryLogStore:
    store = MemoryLogStore()
    shipment = Shipment(WrittenLog(lines, [5000]), store, PREFIX)
    shipment.run()
    shipment.seal()
    shipment.close()
    return store


@pytest.fixture(scope="module")
def million() -> MemoryLogStore:
    errors = {10, 500_000, 999_999}
    return sealed_log(
        [stored(n, b"x", stream="err" if n in errors else "out") for n in range(1_000_000)]
    )


def test_keys_are_percent_encoded_parts() -> None:
    assert attempt_prefix("media", "Encode", "id", 2) == "media/Encode/id/2/"
    assert attempt_prefix("a/b c", "ä", "id", 1) == "a%2Fb%20c/%C3%A4/id/1/"
    assert message_key("media", "Encode", "id") == "media/Encode/id/message.json"


def test_a_name_of_dots_can_not_leave_its_folder() -> None:
    assert attempt_prefix("..", ".", "...", 1) == "%2E%2E/%2E/%2E%2E%2E/1/"
    assert attempt_prefix("../..", "a", "b", 1) == "..%2F../a/b/1/"
    with pytest.raises(ValueError, match="empty"):
        attempt_prefix("", "a", "b", 1)


@given(st.text(min_size=1), st.text(min_size=1))
def test_only_different_names_have_different_keys(one: str, other: str) -> None:
    assert (message_key(one, "j", "i") == message_key(other, "j", "i")) == (one == other)


def test_a_stored_line_has_a_time_a_stream_and_any_text() -> None:
    assert split_line(b"2026Z out+ a  b ") == (b"2026Z", b"out+", b"a  b ")
    assert split_line(b"2026Z - ") == (b"2026Z", b"-", b"")


def test_a_log_that_is_not_there_is_an_empty_page() -> None:
    for first in (0, 7, -10):
        page = read_lines(MemoryLogStore(), PREFIX, first=first, count=5)
        assert page == Page([], max(first, 0), sealed=False, total=None)
    assert list(raw_chunks(MemoryLogStore(), PREFIX)) == []


def test_a_log_without_lines_is_an_empty_sealed_page() -> None:
    page = read_lines(sealed_log([]), PREFIX, first=-10, count=5)
    assert page == Page([], 0, sealed=True, total=0)


def test_a_line_is_read_as_people_read_it() -> None:
    text = "grün ".encode() + b"\xff\x1b[1m"
    store = sealed_log([stored(3, text, stream="err", newline=False)])
    (line,) = read_lines(store, PREFIX, first=0, count=5).lines
    at = "2026-11-21T20:00:00.000000003Z"
    assert line == Line(0, at, "err", "grün \N{REPLACEMENT CHARACTER}\x1b[1m", newline=False)


def test_a_page_has_at_least_one_line() -> None:
    with pytest.raises(ValueError, match="at least one"):
        read_lines(MemoryLogStore(), PREFIX, first=0, count=0)


@pytest.mark.parametrize("first", [0, 1, 999, 1000, 123_456, 500_000, 999_900, -1, -100, -1500])
def test_a_page_of_a_million_lines_reads_a_bounded_part(
    million: MemoryLogStore, first: int
) -> None:
    store = WatchedLogStore(million, lambda verb, key: None)
    page = read_lines(store, PREFIX, first=first, count=100)
    start = first % 1_000_000
    assert [line.number for line in page.lines] == list(range(start, min(start + 100, 10**6)))
    assert (page.next, page.total) == (min(start + 100, 10**6), 10**6)
    assert store.bytes_read < 30_000
    assert len(million.objects[PREFIX + LOG]) > 2_000_000


def test_one_stream_of_a_million_lines_is_found_in_bounded_steps(million: MemoryLogStore) -> None:
    found, first, calls = [], 0, 0
    while first < 1_000_000:
        store = WatchedLogStore(million, lambda verb, key: None)
        page = read_lines(store, PREFIX, first=first, count=100, stream="err")
        assert store.bytes_read < 500_000
        found += [line.number for line in page.lines]
        first, calls = page.next, calls + 1
    assert found == [10, 500_000, 999_999]
    assert calls == 50


def test_a_full_page_of_one_stream_goes_on_behind_its_last_line() -> None:
    streams = ["out", "err", "err", "out", "err"]
    store = sealed_log([stored(n, stream=stream) for n, stream in enumerate(streams)])
    page = read_lines(store, PREFIX, first=0, count=2, stream="err")
    assert ([line.number for line in page.lines], page.next) == ([1, 2], 3)
    page = read_lines(store, PREFIX, first=3, count=2, stream="err")
    assert ([line.number for line in page.lines], page.next) == ([4], 5)
    assert b"".join(raw_chunks(store, PREFIX, stream="err")) == b"hello\n" * 3


def test_a_download_is_the_jobs_own_bytes_in_bounded_chunks(million: MemoryLogStore) -> None:
    sizes = [len(chunk) for chunk in raw_chunks(million, PREFIX)]
    assert sum(sizes) == 2_000_000
    assert max(sizes) <= 40_000
    assert b"".join(raw_chunks(million, PREFIX, stream="err")) == b"x\n" * 3


@pytest.mark.parametrize("block", [1, 2, 3, 20])
def test_an_index_of_many_blocks_finds_every_line(
    monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr("barbeque_py.found_logs._BLOCK", block)
    store = sealed_log([stored(number) for number in range(27_500)])
    for first in range(0, 27_500, 499):
        page = read_lines(store, PREFIX, first=first, count=1500)
        expected = list(range(first, min(first + 1500, 27_500)))
        assert [line.number for line in page.lines] == expected


@given(
    starts=st.lists(st.integers(0, 60), max_size=6, unique=True),
    lengths=st.lists(st.integers(1, 30), min_size=6, max_size=6),
    first=st.integers(0, 70),
)
@settings(deadline=None)
def test_overlapping_live_segments_are_read_without_gap_or_repeat(
    starts: list[int], lengths: list[int], first: int
) -> None:
    store = MemoryLogStore()
    segments = [(start, start + length) for start, length in zip(starts, lengths, strict=False)]
    for start, end in segments:
        text = b"".join(stored(number) + b"\n" for number in range(start, end))
        store.put(live_key(PREFIX, start), [gzip.compress(text)])
    page = read_lines(store, PREFIX, first=first, count=1000)
    end = first
    while following := [e for s, e in segments if s == max_start(segments, end) and e > end]:
        end = following[0]
    assert [(line.number, line.at) for line in page.lines] == [
        (number, stored(number)[:30].decode()) for number in range(first, end)
    ]
    assert page.next == end


def max_start(segments: list[tuple[int, int]], number: int) -> int:
    return max((start for start, _ in segments if start <= number), default=-1)


def test_a_log_of_several_members_without_facts_is_not_sealed_yet() -> None:
    store = sealed_log([stored(number) for number in range(2500)])
    store.remove([PREFIX + FACTS])
    page = read_lines(store, PREFIX, first=0, count=5)
    assert page == Page([], 0, sealed=False, total=None)


def test_a_damaged_log_is_told() -> None:
    store = sealed_log([stored(0)])
    store.objects[PREFIX + LOG] = b"not gzip"
    with pytest.raises(LogStoreUnavailable, match=r"log\.gz is damaged"):
        read_lines(store, PREFIX, first=0, count=5)
    store.objects = {live_key(PREFIX, 0): b"not gzip"}
    assert list(store.objects) == [f"{PREFIX}{LIVE}000000000000.gz"]
    with pytest.raises(LogStoreUnavailable, match=r"live/0+\.gz is damaged"):
        read_lines(store, PREFIX, first=0, count=5)


def test_a_log_that_goes_while_it_is_downloaded_is_told() -> None:
    store = sealed_log([stored(number) for number in range(30_000)])
    chunks = raw_chunks(store, PREFIX)
    next(chunks)
    store.remove([PREFIX + LOG])
    with pytest.raises(LogStoreUnavailable, match="went while it was read"):
        list(chunks)

"""Marks of a log, its lines by time, and searching all of it."""

import time
from datetime import UTC, datetime

import pytest

from barbeque_py.errors import BadPattern
from barbeque_py.log_marks import MOST_ERRORS, Marks, find_marks
from barbeque_py.log_reading import Log
from barbeque_py.log_search import MOST_HITS, Found, Pattern, Query, search
from barbeque_py.logs import MARKS
from barbeque_py.shipment import Shipment
from tests.contracts.logstore_rigs import PREFIX, MemoryLogStore, WrittenLog, stored


def sealed(lines: list[bytes]) -> tuple[MemoryLogStore, Log]:
    store = MemoryLogStore()
    shipment = Shipment(WrittenLog(lines, [5000]), store, PREFIX)
    shipment.run()
    shipment.seal()
    shipment.close()
    return store, Log(store, PREFIX)


def hits(log: Log, text: str, **options: object) -> list[int]:
    found = list(search(log, Pattern(Query(text, **options))))  # type: ignore[arg-type]
    assert found[-1].next == log.end() or found[-1].full
    return [number for each in found for number in each.hits]


GROUPS = [
    b"start",
    b"::group::Install",
    b"one error",
    b"::endgroup::",
    b"section_start:1560896352:build[collapsed=true]\r\x1b[0K\x1b[1mBuild it\x1b[0m",
    b"section_start:1560896353:inner\r\x1b[0K",
    b"section_end:1560896354:build\r\x1b[0K",
    b"--- a/file of a patch",
    b"--- :docker: Test",
    b"+++ Deploy \xff",
    b"Traceback (most recent call last):",
]


@pytest.mark.parametrize("before", [0, 5_000])
def test_groups_and_errors_are_found_in_short_and_long_logs_alike(before: int) -> None:
    lines = [stored(n, b"calm") for n in range(before)]
    lines += [stored(before + n, text) for n, text in enumerate(GROUPS)]
    store, log = sealed(lines)
    marks = log.marks()
    assert (PREFIX + MARKS in store.objects) == (before > 0)
    assert marks == find_marks((each.first, each.text) for each in log.blocks())
    assert Marks.read(marks.write()) == marks
    assert [number - before for number in marks.errors] == [2, 10]
    assert [
        (group.line - before, group.name, group.end and group.end - before, group.folded)
        for group in marks.groups
    ] == [
        (1, "Install", 4, False),
        (4, "Build it", 7, True),
        (5, "inner", 7, False),
        (8, ":docker: Test", 9, False),
        (9, "Deploy \N{REPLACEMENT CHARACTER}", None, False),
    ]
    assert marks.groups[0].end_at == stored(before + 3).split(b" ")[0].decode()


def test_errors_beyond_the_list_are_counted() -> None:
    _, log = sealed([stored(n, b"ERROR error") for n in range(MOST_ERRORS + 5)])
    marks = log.marks()
    assert (marks.errors, marks.error_lines) == (list(range(MOST_ERRORS)), MOST_ERRORS + 5)


@pytest.fixture(scope="module")
def searched() -> Log:
    lines = [stored(n, b"frame=%d" % n) for n in range(30_000)]
    lines[7] = stored(7, b"\xff\xfe (a+b) \x1b[31mFa\x1b[0miled", stream="err")
    lines[29_999] = stored(29_999, "Größe failed 2026".encode(), stream="err")
    return sealed(lines)[1]


@pytest.mark.parametrize(
    ("text", "options", "found"),
    [
        ("failed", {}, [7, 29_999]),
        ("failed", {"case": True}, [29_999]),
        ("(a+b)", {}, [7]),
        ("GRÖSSE", {}, []),
        ("GRÖßE", {}, [29_999]),
        ("2026", {}, [2026, 12026, 20260, *range(20261, 20270), 22026, 29_999]),
        (r"^frame=2\d{4}5$", {"regex": True}, []),
        (r"^frame=2\d{3}5$", {"regex": True}, list(range(20_005, 29_999, 10))),
        (r"=1234|^Gr", {"regex": True, "case": True}, [1234, *range(12_340, 12_350), 29_999]),
        (r"[^a]b\)\sF", {"regex": True}, [7]),
        (r"frame=5\s+2026", {"regex": True}, []),
        ("", {"stream": "err"}, [7, 29_999]),
        ("^.*failed", {"stream": "err", "regex": True}, [7, 29_999]),
        ("failed", {"stream": "out"}, []),
    ],
)
def test_the_texts_of_all_lines_are_searched_and_nothing_else(
    searched: Log, text: str, options: dict[str, object], found: list[int]
) -> None:
    assert hits(searched, text, **options) == found


def test_a_search_ends_at_its_limit_and_goes_on_behind_it(searched: Log) -> None:
    pattern = Pattern(Query("frame"))
    *_, last = search(searched, pattern)
    assert last.full
    found = list(search(searched, pattern, first=last.next))
    assert found[0].hits[0] == last.next == MOST_HITS + 1
    assert list(search(searched, pattern, first=29_999)) == [Found([], 30_000)] * 2


def test_what_a_pattern_costs_does_not_depend_on_it(searched: Log) -> None:
    started = time.process_time()
    assert hits(searched, "(a*)*(b*)*(.*)*$x", regex=True) == []
    assert time.process_time() - started < 5
    for wrong in ("(", "a)b(", "[", r"(?=a)", "x{1000}{1000}", "\ud800"):
        with pytest.raises(BadPattern):
            Pattern(Query(wrong, regex=True))
    with pytest.raises(BadPattern, match="500"):
        Pattern(Query("x" * 501))


def test_a_pattern_tells_what_to_mark_in_a_shown_text() -> None:
    assert Pattern(Query("ö")).spans_in("aÖöb") == [(1, 2), (2, 3)]
    assert Pattern(Query("x*", regex=True)).spans_in("axxa") == [(1, 3)]
    assert Pattern(Query("", stream="err")).spans_in("abc") == []


@pytest.mark.parametrize("count", [100, 30_000])
def test_a_line_is_found_by_its_time(count: int) -> None:
    at = b"2026-11-21T20:%02d:%02d.%06dZ out x"
    _, log = sealed([at % (n // 6000, n // 100 % 60, n) for n in range(count)])

    def line_at(minute: int, second: int, micro: int = 0) -> int:
        return log.line_at(datetime(2026, 11, 21, 20, minute, second, micro, tzinfo=UTC))

    assert line_at(0, 0) == 0
    assert log.line_at(datetime(2026, 11, 20, tzinfo=UTC)) == 0
    assert line_at(0, 0, 50) == 50
    assert line_at(59, 0) == count
    if count > 6000:
        assert line_at(1, 0) == 6000
        assert line_at(3, 20, 20_000) == 20_000
        assert line_at(3, 20, 20_001) == 20_001
    times = log.times()
    assert times is not None
    assert times[0] == "2026-11-21T20:00:00.000000"
    assert Log(MemoryLogStore(), PREFIX).times() is None


def test_lines_come_with_their_numbers_where_they_are_asked_for(searched: Log) -> None:
    parts = list(search(searched, Pattern(Query("failed")), most=2, with_lines=True))
    assert parts[-1].full
    assert [line.text[-12:] for part in parts for line in part.lines] == [
        ") \x1b[31mFa\x1b[0miled"[-12:],
        " failed 2026",
    ]

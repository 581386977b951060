"""What jobs tell of themselves is read strictly, up to a limit, and never trusted."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as some

from barbeque_py.reports import (
    PROGRESS_LIMIT,
    RESULT_LIMIT,
    TEXT_LIMIT,
    Progress,
    Report,
    ReportFault,
    read_files,
    read_progress,
    read_result,
)


@pytest.mark.parametrize(
    ("body", "percent", "text"),
    [
        (b"3/10 resizing\n", 30, "3/10 resizing"),
        (b"3/10", 30, "3/10"),
        (b"1 / 3 of them", 33.3, "1 / 3 of them"),
        (b"12/10 more than thought", 100, "12/10 more than thought"),
        (b"0/0 nothing to do", None, "0/0 nothing to do"),
        (b"42% encoding", 42, "encoding"),
        (b"42.25 %", 42.2, ""),
        (b"100%\r\n", 100, ""),
        (b"250% of it", 100, "of it"),
        (b"fetching", None, "fetching"),
        (b"2026/07 report", 100, "2026/07 report"),
        (b"42%of", None, "42%of"),
        (b'{"percent": 7, "text": "counting"}', 7, "counting"),
        (b'{"percent": 7.55}', 7.5, ""),
        (b'{"text": "counting"}', None, "counting"),
        (b'{"percent": null, "text": "counting"}', None, "counting"),
        (b"1/4 old\n2/4 older\n\n3/4 newest\n\n", 75, "3/4 newest"),
        ("3/4 größer \N{SNOWMAN}".encode(), 75, "3/4 größer \N{SNOWMAN}"),
        (b"50% a\x1b[31mred\x00 \x07 line", 50, "a [31mred line"),
        (b"50% " + b"x" * 1000, 50, "x" * (TEXT_LIMIT - 1) + "…"),
    ],
)
def test_progress_is_the_last_line(body: bytes, percent: float | None, text: str) -> None:
    assert read_progress(body) == Progress(percent, text)


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (b"", "no line"),
        (b" \n \n", "no line"),
        (b"\xff\xfe42%", "UTF-8"),
        (b"x" * 4001, "4,000 bytes"),
        (b"{", "not JSON"),
        (b"{}", "neither a percentage nor a text"),
        (b"\0\0", "neither a percentage nor a text"),
        (b'{"percent": "7"}', "not a number"),
        (b'{"percent": true}', "not a number"),
        (b'{"percent": NaN}', "finite"),
        (b'{"percent": 1e999}', "finite"),
        (b'{"text": 7}', "not a text"),
        (b'{"text": "a", "total": 1}', "nothing else"),
        (b'{"text": ["a"]}', "nested"),
        (b'{"percent": 1, "percent": 2}', "twice"),
    ],
)
def test_other_progress_is_refused_with_the_reason(body: bytes, fault: str) -> None:
    with pytest.raises(ReportFault, match=fault):
        read_progress(body)


@given(some.binary(max_size=300))
def test_any_bytes_are_progress_or_refused(body: bytes) -> None:
    try:
        found = read_progress(body)
    except ReportFault:
        return
    assert found.percent is None or 0 <= found.percent <= 100
    assert len(found.text) <= TEXT_LIMIT
    assert found.text.isprintable() or not found.text.isascii()


def test_a_result_is_any_json_and_written_compactly() -> None:
    assert read_result(b' {"a": [1, 2.5, null], "\xc3\xa4": "\\u00e4"}\n') == (
        '{"a":[1,2.5,null],"ä":"ä"}'
    )
    assert read_result(b"null") == "null"
    full = json.dumps("x" * (RESULT_LIMIT - 2)).encode()
    assert len(read_result(full)) == RESULT_LIMIT


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (b"", "not JSON"),
        (b"{'a': 1}", "not JSON"),
        (b"\xff", "UTF-8"),
        (b'{"a": 1, "a": 2}', "twice"),
        (b"[NaN]", "finite"),
        (b"[" * 1000 + b"]" * 1000, "nested deeper"),
        (b'"' + b"x" * RESULT_LIMIT + b'"', "65,536 bytes"),
    ],
)
def test_other_results_are_refused_with_the_reason(body: bytes, fault: str) -> None:
    with pytest.raises(ReportFault, match=fault):
        read_result(body)


def test_two_files_are_one_report() -> None:
    assert read_files(None, None) is None
    assert read_files(b"", b" \n") is None
    assert read_files(b"1/2", b"[1]") == Report(Progress(50, "1/2"), "[1]")
    assert read_files(b'{"perc', None) is None
    assert read_files(b"x\n" * PROGRESS_LIMIT, None) is None
    assert read_files(None, b"{") == Report(fault="the result: not JSON: " + _AT)


_AT = "Expecting property name enclosed in double quotes at line 1, column 2"

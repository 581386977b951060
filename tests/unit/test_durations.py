"""Durations: what people write is read exactly, and written back the same."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as some

from barbeque_py.durations import format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5),
        ("90s", 90),
        ("15m", 900),
        ("1.5h", 5400),
        (".5m", 30),
        ("30d", 2_592_000),
        ("45", 45),
        (" 2 s ", 2),
        (45, 45),
        (0.25, 0.25),
        (1e-6, 0.000001),
        ("0", 0),
    ],
)
def test_every_form_is_read(text: str | float, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("", "is not a duration"),
        ("15 minutes", "is not a duration"),
        ("1h30m", "is not a duration"),
        ("1e3s", "is not a duration"),
        ("\u0661s", "is not a duration"),
        ("1_0s", "is not a duration"),
        ("-5m", "negative"),
        (-1, "negative"),
        (float("nan"), "is not a duration"),
        (float("inf"), "is not a duration"),
        (True, "is not a duration"),
        ("0.0001ms", "shorter than a microsecond"),
        ("999999999999999d", "longer than any calendar"),
        (10**400, "longer than any calendar"),
        ("x" * 5000, "..."),
    ],
)
def test_what_is_no_duration_is_refused_in_words(value: str | float, words: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        parse_duration(value)
    assert words in str(caught.value)
    assert len(str(caught.value)) < 200


@given(some.timedeltas(min_value=timedelta(0)))
def test_a_duration_survives_being_written(duration: timedelta) -> None:
    assert parse_duration(format_duration(duration)) == duration

"""Numbers with a sign before them are read strictly."""

import pytest

from barbeque_py.comparisons import Comparison, compare_duration, compare_whole


def test_a_number_is_compared_as_its_sign_says() -> None:
    assert compare_whole("137") == Comparison("=", 137)
    assert compare_whole(" >= 2 ") == Comparison(">=", 2)
    assert compare_whole("<-1") == Comparison("<", -1)
    assert compare_duration(">1.5m") == Comparison(">", 90)
    assert compare_duration("<=90") == Comparison("<=", 90)


@pytest.mark.parametrize("text", ["", ">", "=>2", "1.5", "1 2", "\u0661", "9" * 10, "!=0"])
def test_what_is_no_whole_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"number"):
        compare_whole(text)


@pytest.mark.parametrize("text", ["", ">", "-1s", ">soon", "9" * 19])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"number"):
        compare_duration(text)

"""What is said of a new revision, and of how few runs it is not said yet."""

import random

import pytest

from barbeque_py.verdicts import Outcomes, Verdict, is_worse, judge, surely


def of(failed: int, ended: int) -> Outcomes:
    return Outcomes(ended, ended - failed, failed)


NOTHING = of(0, 0)


@pytest.mark.parametrize(
    ("new", "old", "allowed", "over", "verdict"),
    [
        (of(4, 4), of(0, 100), 0.2, False, None),
        (of(4, 4), of(0, 100), 0.2, True, Verdict.UNSURE),
        (of(5, 5), of(0, 100), 0.2, False, Verdict.BAD),
        (of(3, 5), of(0, 100), 0.2, False, Verdict.BAD),
        (of(2, 5), of(0, 100), 0.2, False, None),
        (of(5, 20), of(0, 100), 0.2, False, Verdict.BAD),
        (of(4, 20), of(0, 100), 0.2, False, Verdict.WORSE),
        (of(4, 20), of(20, 100), 0.2, False, Verdict.GOOD),
        (of(4, 20), NOTHING, 0.2, False, Verdict.GOOD),
        (of(2, 10), of(0, 100), 0.2, True, Verdict.WORSE),
        (of(20, 20), of(0, 100), None, False, Verdict.WORSE),
        (of(0, 20), of(0, 100), None, False, Verdict.GOOD),
        (of(0, 19), of(0, 100), None, False, None),
        (NOTHING, NOTHING, None, True, Verdict.UNSURE),
    ],
)
def test_a_revision_is_judged_once_enough_is_known(
    new: Outcomes, old: Outcomes, allowed: float | None, over: bool, verdict: Verdict | None
) -> None:
    assert judge(new, old, most=20, allowed=allowed, over=over) == verdict


def test_who_watches_fewer_than_five_is_told_of_fewer() -> None:
    assert judge(of(2, 2), of(0, 9), most=2, allowed=0.5, over=False) is Verdict.BAD


def test_fishers_test_agrees_with_known_values() -> None:
    # (4 * C(26,7) + C(26,6)) / C(30,10) = 0.095
    assert not is_worse(of(3, 10), of(1, 20))
    # (21 * C(23,5) + 7 * C(23,4) + C(23,3)) / C(30,10) = 0.026
    assert is_worse(of(5, 10), of(2, 20))
    assert not is_worse(of(1, 10), of(10, 100))


def test_a_share_is_surely_above_less_than_was_seen() -> None:
    assert surely(of(5, 10)) == pytest.approx(0.2693, abs=0.001)
    assert surely(NOTHING) == 0
    assert surely(of(0, 10)) == 0


def test_a_revision_that_is_no_worse_is_rarely_called_so() -> None:
    chance = random.Random(7)  # the same every time

    def runs(count: int) -> Outcomes:
        return of(sum(chance.random() < 0.1 for _ in range(count)), count)

    called = sum(is_worse(runs(20), runs(100)) for _ in range(1_000))
    assert called <= 50

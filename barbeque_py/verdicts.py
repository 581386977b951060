"""Whether a new revision is worse than the one before, or chance explains what is seen of it."""

from dataclasses import dataclass
from enum import StrEnum
from math import comb, sqrt

LEAST = 5
"""Of fewer executions that have ended nothing is said."""

_CHANCE = 0.05
"""How often a revision that is no worse may be called worse."""
_Z = 1.645
"""The normal distribution's one-sided bound for that."""


@dataclass(frozen=True, slots=True)
class Outcomes:
    """How executions fared on a revision: failed are those of which no attempt has succeeded."""

    begun: int
    succeeded: int
    failed: int

    @property
    def ended(self) -> int:
        """How many have had an attempt that counts."""
        return self.succeeded + self.failed

    @property
    def share(self) -> float:
        """The share of failures; 0 while nothing has ended."""
        return self.failed / self.ended if self.ended else 0.0


class Verdict(StrEnum):
    """What is to be said of a new revision."""

    GOOD = "good"
    """It fails no more than chance explains."""
    WORSE = "worse"
    """It fails more often than the one before."""
    BAD = "bad"
    """Its share of failures is above what is allowed."""
    UNSURE = "unsure"
    """Too few executions have ended."""


def judge(
    new: Outcomes, old: Outcomes, *, most: int, allowed: float | None, over: bool
) -> Verdict | None:
    """Say how the new revision does; None while that must be waited for.

    It is watched until `most` executions have ended, or `over` says that time is up; before that
    it is bad only where its true share of failures is surely above the one `allowed`.
    """
    if new.ended < min(LEAST, most):
        return Verdict.UNSURE if over else None
    if allowed is not None and surely(new) > allowed:
        return Verdict.BAD
    if not over and new.ended < most:
        return None
    if allowed is not None and new.share > allowed:
        return Verdict.BAD
    return Verdict.WORSE if is_worse(new, old) else Verdict.GOOD


def surely(outcomes: Outcomes) -> float:
    """Return what the true share of failures exceeds but for one chance in twenty (Wilson)."""
    count = outcomes.ended
    if not count:
        return 0.0
    square = _Z * _Z / count
    middle = outcomes.share + square / 2
    spread = _Z * sqrt(outcomes.share * (1 - outcomes.share) / count + square / (4 * count))
    return max(0.0, (middle - spread) / (1 + square))


def is_worse(new: Outcomes, old: Outcomes) -> bool:
    """Tell whether chance alone would rarely make the new one fail so much more (Fisher's test)."""
    if not new.ended or not old.ended or new.share <= old.share:
        return False
    failed, count = new.failed + old.failed, new.ended + old.ended
    as_bad = sum(
        comb(failed, each) * comb(count - failed, new.ended - each)
        for each in range(new.failed, min(failed, new.ended) + 1)
    )
    return as_bad / comb(count, new.ended) < _CHANCE

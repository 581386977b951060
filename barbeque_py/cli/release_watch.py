"""Follows the first executions of a release, and takes it back where too many fail."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from barbeque_py import clock
from barbeque_py.cli.exits import Failure
from barbeque_py.cli.waiting import Patience, Pause, note
from barbeque_py.client import Client
from barbeque_py.verdicts import Outcomes, Verdict, judge

_COMPARED = 200
"""How many executions of the revision before the new one is compared with: its newest."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How a release is watched."""

    most: int
    """Executions that must have ended before it is judged as a whole."""
    patience: timedelta
    allowed: float | None
    """The share of failures above which it is taken back; None takes nothing back."""


@dataclass(frozen=True, slots=True)
class Seen:
    """How a watch ended."""

    verdict: Verdict
    new: Outcomes
    old: Outcomes
    before: int | None
    """The number of the revision that was current until then."""
    rollback: dict[str, Any] | None = None

    def facts(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return {
            "verdict": self.verdict,
            "executions": _facts(self.new),
            "before": None if self.before is None else {"number": self.before} | _facts(self.old),
            "rollback": self.rollback,
        }

    @property
    def is_bad(self) -> bool:
        """Whether it fails more than it may."""
        return self.verdict in (Verdict.WORSE, Verdict.BAD)

    @property
    def sentence(self) -> str:
        """Say it to people."""
        number = self.before
        told = (
            f"{_told(self.new)}; {_told(self.old)} of revision {number}"
            if number
            else (_told(self.new))
        )
        return {
            Verdict.GOOD: f"it does well: {told}",
            Verdict.WORSE: f"it fails more often than the revision before: {told}",
            Verdict.BAD: f"too many executions fail: {told}",
            Verdict.UNSURE: f"too few executions have ended to say how it does: {told}",
        }[self.verdict]


def watch(client: Client, made: Mapping[str, Any], before: int | None, terms: Terms) -> Seen:
    """Follow the revision until it can be judged; bring the one before back where it is bad.

    Raises `Failure` when another revision has taken its place meanwhile.
    """
    app, number = str(made["app"]), int(made["number"])
    patience, pause = Patience(), Pause()
    until = clock.monotonic() + terms.patience.total_seconds()
    old = Outcomes(0, 0, 0)
    if before is not None:
        old = _read(client.outcomes(app, before, limit=_COMPARED, newest=True))
    told = 0
    while True:
        answer = patience.call(lambda: client.outcomes(app, number, limit=terms.most))
        new, over = _read(answer), clock.monotonic() >= until
        if not answer["current"]:
            raise Failure(f"{app}: another revision has taken the place of {number}; {_told(new)}")
        verdict = judge(new, old, most=terms.most, allowed=terms.allowed, over=over)
        if new.ended != told and verdict is None:
            note(f"{_told(new)}, {new.begun - new.ended} not ended yet")
            told = new.ended
        if verdict is not None:
            seen = Seen(verdict, new, old, before)
            return _take_back(client, app, number, seen) if verdict is Verdict.BAD else seen
        pause.sleep()


def _take_back(client: Client, app: str, number: int, seen: Seen) -> Seen:
    if seen.before is None:
        return seen
    why = f"rolled back by itself: {_told(seen.new)} on revision {number}"
    made = client.roll_back(app, to=seen.before, current=number, note=why)
    return Seen(seen.verdict, seen.new, seen.old, seen.before, made)


def _read(answer: Mapping[str, Any]) -> Outcomes:
    return Outcomes(answer["begun"], answer["succeeded"], answer["failed"])


def _facts(outcomes: Outcomes) -> dict[str, Any]:
    return {
        "begun": outcomes.begun,
        "succeeded": outcomes.succeeded,
        "failed": outcomes.failed,
        "share": round(outcomes.share, 4),
    }


def _told(outcomes: Outcomes) -> str:
    share = f" ({outcomes.share:.0%})" if outcomes.ended else ""
    return f"{outcomes.failed} of {outcomes.ended} executions failed{share}"

"""How the time of an execution was spent: what happened when, and a picture of its attempts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from barbeque_console.tongue import gettext
from barbeque_py.store.attempts import Attempt
from barbeque_py.store.executions import Execution
from barbeque_py.store.notices import Kept

WIDTH = 1000
"""Units of the picture from its first instant to its last."""

_MOST_ROWS = 12
_NARROWEST = 2.0


class Seen(Protocol):
    """An execution as it stands at one instant."""

    @property
    def now(self) -> datetime: ...  # noqa: D102
    @property
    def execution(self) -> Execution: ...  # noqa: D102
    @property
    def attempts(self) -> Sequence[Attempt]: ...  # noqa: D102
    @property
    def notices(self) -> Sequence[Kept]: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Phase:
    """One thing that happened, and how long after the one before."""

    name: str
    at: datetime
    took: timedelta | None


@dataclass(frozen=True, slots=True)
class Bar:
    """One stretch of an attempt's time in the picture."""

    kind: str
    x: float
    width: float
    says: str


@dataclass(frozen=True, slots=True)
class Row:
    """One attempt in the picture."""

    number: int
    bars: Sequence[Bar]


def phases_of(known: Seen, attempt: Attempt | None) -> list[Phase]:
    """Return what happened to the execution, seen from this attempt, in its order."""
    it = known.execution
    instants: list[tuple[str, datetime | None]] = [
        (gettext("enqueued"), it.sent_at),
        (gettext("taken in"), it.recorded_at),
    ]
    if attempt is not None:
        instants += [
            (gettext("claimed"), attempt.claimed_at),
            (gettext("launched"), attempt.first_called_at),
            (gettext("started"), attempt.started_at),
            (gettext("ended"), attempt.finished_at),
            (gettext("log sealed"), attempt.log_sealed_at),
        ]
    told = [each.done_at for each in known.notices if each.done_at is not None]
    if told:
        instants.append((gettext("people told"), max(told)))
    found: list[Phase] = []
    for name, at in instants:
        if at is not None:
            took = at - found[-1].at if found else None
            found.append(Phase(name, at, took))
    return found


def picture_of(known: Seen) -> list[Row]:
    """Return where the last attempts' waiting, starting and running stand, on one scale."""
    if not known.attempts:
        return []
    shown = known.attempts[-_MOST_ROWS:]
    begin = known.execution.sent_at if len(shown) == len(known.attempts) else shown[0].claimed_at
    end = max([begin, *(each.finished_at or known.now for each in shown)])
    span = max((end - begin).total_seconds(), 0.001)
    rows = []
    before = begin
    for each in shown:
        ended = each.finished_at or known.now
        stretches = [
            ("waited", gettext("waited"), before, each.claimed_at),
            ("starting", gettext("starting"), each.claimed_at, each.started_at or ended),
            ("ran", gettext("ran"), each.started_at, ended),
        ]
        bars = [
            _bar(kind, word, (start, stop), begin, span)
            for kind, word, start, stop in stretches
            if start is not None and stop > start
        ]
        rows.append(Row(each.number, bars))
        before = ended
    return rows


def _bar(
    kind: str, word: str, stretch: tuple[datetime, datetime], begin: datetime, span: float
) -> Bar:
    start, stop = stretch
    seconds = (stop - start).total_seconds()
    x = WIDTH * (start - begin).total_seconds() / span
    width = max(WIDTH * seconds / span, _NARROWEST)
    return Bar(kind, min(max(x, 0.0), WIDTH - _NARROWEST), width, f"{word} {seconds:.1f} s")

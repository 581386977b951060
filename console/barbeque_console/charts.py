"""Larger drawings: stacked bars over time with marks, and bars on lanes of time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from barbeque_py.store.rollups import Sums

WIDE, TALL = 960, 160
"""The field that charts are drawn on; they are as wide as their place in the page."""

OUTCOMES = ("succeeded", "failed", "not_started", "cancelled", "retried")
"""What is stacked, from the bottom to the top."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One rectangle."""

    kind: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Column:
    """One hour or day: where it stands, what was in it, its bars from the bottom to the top."""

    at: datetime
    x: float
    width: float
    sums: Sums
    bars: list[Bar]


@dataclass(frozen=True, slots=True)
class Stack:
    """Stacked bars, and where in time something was released."""

    columns: list[Column]
    most: int
    """What the full height stands for."""
    marks: list[tuple[float, str]]


def stacked(
    found: Mapping[datetime, Sums],
    since: datetime,
    until: datetime,
    step: timedelta,
    marks: Sequence[tuple[datetime, str]] = (),
) -> Stack:
    """Draw what each hour or day from `since` on counted; empty ones keep their place."""
    count = max(1, round((until - since) / step))
    wide = WIDE / count
    starts = [since + step * place for place in range(count)]
    sums = [found.get(at, Sums()) for at in starts]
    most = max((sum(getattr(each, name) for name in OUTCOMES) for each in sums), default=0)
    columns = [
        Column(at, place * wide, wide, each, _bars(each, place * wide, wide, most or 1))
        for place, (at, each) in enumerate(zip(starts, sums, strict=True))
    ]
    placed = [((at - since) / (until - since) * WIDE, word) for at, word in marks]
    return Stack(columns, most, placed)


def _bars(sums: Sums, x: float, wide: float, most: int) -> list[Bar]:
    bars, top = [], float(TALL)
    for name in OUTCOMES:
        value = getattr(sums, name)
        if value:
            tall = max(1.0, value / most * (TALL - 4))
            top -= tall
            bars.append(Bar(name, x + wide * 0.1, top, wide * 0.8, tall))
    return bars


def polyline(values: Sequence[float | None], most: float) -> str:
    """Return the points of a line through the middles of columns; what is not known is left out."""
    wide = WIDE / max(1, len(values))
    return " ".join(
        f"{(place + 0.5) * wide:.1f},{TALL - 2 - value / (most or 1) * (TALL - 6):.1f}"
        for place, value in enumerate(values)
        if value is not None
    )


def lanes(
    spans: Sequence[tuple[datetime, datetime]], since: datetime, until: datetime
) -> tuple[list[tuple[float, float, int]], int]:
    """Place spans of time so that none covers another: x, width and row of each, and the rows."""
    free: list[datetime] = []
    placed = []
    whole = until - since
    for begin, end in spans:
        row = next((at for at, each in enumerate(free) if each <= begin), len(free))
        free[row : row + 1] = [end]
        first, last = max(begin, since), min(max(end, begin), until)
        x = (first - since) / whole * WIDE
        placed.append((x, max(2.0, (last - first) / whole * WIDE), row))
    return placed, len(free)

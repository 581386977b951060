"""Small pictures of numbers: where bars and lines of an SVG stand."""

from collections.abc import Sequence


def bars_of(
    values: Sequence[float], *, width: float = 100, height: float = 24, gap: float = 0.2
) -> list[tuple[float, float, float, float]]:
    """Return the place of each bar: x, y, its width and its height; the largest fills the height.

    A value above nothing is never invisible.
    """
    if not values:
        return []
    step = width / len(values)
    most = max(*values, 0) or 1
    found = []
    for place, value in enumerate(values):
        tall = max(height * value / most, 1.0) if value > 0 else 0.0
        found.append((step * (place + gap / 2), height - tall, step * (1 - gap), tall))
    return found


def line_of(values: Sequence[float], *, width: float = 100, height: float = 24) -> str:
    """Return the points of a line through the values, for `<polyline points>`."""
    if not values:
        return ""
    most = max(*values, 0) or 1
    step = width / max(len(values) - 1, 1)
    points = (
        f"{step * place:.1f},{height - 1 - (height - 2) * max(value, 0) / most:.1f}"
        for place, value in enumerate(values)
    )
    return " ".join(points)

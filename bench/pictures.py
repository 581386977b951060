"""Pictures of what was measured: curves over time, as SVG that is legible in light and dark."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

Points = Sequence[tuple[float, float]]

_WIDTH, _HEIGHT, _LEFT, _TOP, _GAP = 760, 150, 70, 46, 58
_COLOURS = ("#d9822b", "#2f6f9f", "#5b8c3a", "#8b5fa8", "#b0413e")
_STYLE = """
  svg { background: #fff } text { font: 12px system-ui, sans-serif; fill: #1f2328 }
  .title { font-weight: 600; font-size: 14px } .small { fill: #59636e } .axis { stroke: #d0d7de }
  .curve { fill: none; stroke-width: 1.5 } .limit { fill: none; stroke-dasharray: 5 4 }
  @media (prefers-color-scheme: dark) {
    svg { background: #0d1117 } text { fill: #f0f6fc }
    .small { fill: #9198a1 } .axis { stroke: #3d444d }
  }
"""


@dataclass(slots=True)
class Picture:
    """Panels one below the other that share their time; `show` adds one, `write` draws them."""

    title: str
    seconds: float
    _panels: list[str] = field(default_factory=list)

    def show(self, name: str, curves: Mapping[str, Points], *, limit: float | None = None) -> None:
        """Add a panel with these curves, and a dashed line where the limit is."""
        highest = max([limit or 0.0, 1e-9, *(y for each in curves.values() for _, y in each)])
        top = _TOP + len(self._panels) * (_HEIGHT + _GAP)
        lines = [
            f'<text x="{_LEFT}" y="{top - 8}">{escape(name)}</text>',
            *(_grid(top, highest, share) for share in (0.0, 0.5, 1.0)),
        ]
        if limit is not None:
            lines.append(self._curve([(0, limit), (self.seconds, limit)], top, highest, "limit", 4))
        for number, (label, points) in enumerate(curves.items()):
            colour = number % len(_COLOURS)
            lines.append(self._curve(points, top, highest, "curve", colour))
            if len(curves) <= len(_COLOURS):
                x = _LEFT + _WIDTH - 130 * (len(curves) - number)
                fill = f'style="fill: {_COLOURS[colour]}"'
                lines.append(f'<text x="{x}" y="{top - 8}" {fill}>{escape(label)}</text>')
        self._panels.append("\n".join(lines))

    def write(self, path: Path) -> None:
        """Write it to a file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        height = _TOP + len(self._panels) * (_HEIGHT + _GAP)
        ticks = [
            f'<text class="small" x="{self._x(at):.0f}" y="{height - _GAP + 18}" '
            f'text-anchor="middle">{at:,.0f} s</text>'
            for at in (self.seconds * share / 4 for share in range(5))
        ]
        head = f'<text class="title" x="{_LEFT}" y="18">{escape(self.title)}</text>'
        width = _LEFT + _WIDTH + 30
        path.write_text(
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">\n'
            f"<style>{_STYLE}</style>\n{head}\n" + "\n".join([*self._panels, *ticks]) + "\n</svg>\n"
        )

    def _x(self, at: float) -> float:
        return _LEFT + _WIDTH * at / max(self.seconds, 1e-9)

    def _curve(self, points: Points, top: int, highest: float, kind: str, colour: int) -> str:
        told = " ".join(
            f"{self._x(x):.1f},{top + _HEIGHT * (1 - y / highest):.1f}" for x, y in points
        )
        return f'<polyline class="{kind}" style="stroke: {_COLOURS[colour]}" points="{told}"/>'


def _grid(top: int, highest: float, share: float) -> str:
    y = top + _HEIGHT * (1 - share)
    shown = f"{highest * share:,.0f}" if highest >= 10 else f"{highest * share:.1f}"
    return (
        f'<line class="axis" x1="{_LEFT}" x2="{_LEFT + _WIDTH}" y1="{y:.0f}" y2="{y:.0f}"/>'
        f'<text class="small" x="{_LEFT - 8}" y="{y + 4:.0f}" text-anchor="end">{shown}</text>'
    )

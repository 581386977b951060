"""What every script prints: figures, each beside its goal."""

import argparse
import json
import os
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number; `met` is None where no goal was set."""

    name: str
    value: float
    unit: str = ""
    spread: str = ""
    goal: str = ""
    met: bool | None = None
    note: str = ""

    def line(self) -> str:
        """Write the figure for people."""
        shown = f"{self.value:,.2f}" if abs(self.value) < 100 else f"{self.value:,.0f}"
        verdict = {None: "", True: "reached", False: "NOT reached"}[self.met]
        reached = f"{shown} {self.unit}".rstrip()
        return f"  {self.name:<56}{reached:>14}  {self.spread:<22}{self.goal:<12}{verdict}".rstrip()


@dataclass(slots=True)
class Report:
    """The figures of one script."""

    title: str
    as_json: bool
    figures: list[Figure] = field(default_factory=list)

    def note(self, words: str) -> None:
        """Add a sentence to the last figure."""
        last = self.figures[-1]
        self.figures[-1] = replace(last, note=words)

    def ratio(self, name: str, values: Sequence[float], *, at_least: float | None = None) -> None:
        """Add the median of ratios that were taken pairwise."""
        middle = statistics.median(values)
        spread = f"({min(values):.2f}-{max(values):.2f})"
        goal = "" if at_least is None else f">= {at_least:g}"
        met = None if at_least is None else middle >= at_least
        self.figures.append(Figure(name, middle, "", spread, goal, met))

    def share(self, name: str, value: float, *, at_least: float) -> None:
        """Add one ratio that is to be reached."""
        met = value >= at_least
        self.figures.append(Figure(name, value, goal=f">= {at_least:g}", met=met))

    def number(
        self, name: str, value: float, unit: str, *, at_most: float | None = None, spread: str = ""
    ) -> None:
        """Add one number."""
        goal = "" if at_most is None else f"<= {at_most:g} {unit}"
        met = None if at_most is None else value <= at_most
        self.figures.append(Figure(name, value, unit, spread, goal, met))

    def times(
        self,
        name: str,
        seconds: Sequence[float],
        *,
        p50: float | None = None,
        p95: float | None = None,
    ) -> None:
        """Add the median and the 95th percentile of times; the goals are in milliseconds."""
        spread = f"(n={len(seconds)})"
        self.number(f"{name}, p50", 1000 * quantile(seconds, 0.5), "ms", at_most=p50, spread=spread)
        self.number(f"{name}, p95", 1000 * quantile(seconds, 0.95), "ms", at_most=p95)

    def show(self) -> None:
        """Print what was measured, and how busy the machine was."""
        load = os.getloadavg()[0]
        if self.as_json:
            figures = [asdict(figure) for figure in self.figures]
            print(json.dumps({"bench": self.title, "load": load, "figures": figures}), flush=True)
            return
        print(f"\n{self.title}  [{os.cpu_count()} CPUs, load {load:.1f}]")
        for figure in self.figures:
            print(figure.line())
            if figure.note:
                print(f"    {figure.note}")
        print(end="", flush=True)


def quantile(values: Sequence[float], share: float) -> float:
    """Return the value below which that share of the values lies (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def read_options(
    argv: Sequence[str] | None, meaning: str | None, **numbers: int
) -> argparse.Namespace:
    """Read `--json` and the script's own numbers, each an option with its default."""
    parser = argparse.ArgumentParser(description=meaning)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    for name, default in numbers.items():
        parser.add_argument(f"--{name}", type=int, default=default, help=f"default {default}")
    return parser.parse_args(argv)

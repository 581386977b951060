"""Facts on the screen: JSON for programs, tables for people."""

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from barbeque_py.cli.exits import plain

_ENDLESS = 100_000
_COLOURS = {
    "succeeded": "green",
    "ok": "green",
    "failed": "red",
    "fault": "red",
    "error": "red",
    "running": "cyan",
    "retrying": "yellow",
    "warning": "yellow",
    "note": "cyan",
    "cancelled": "bright_black",
}


def print_line(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def print_json(facts: Any) -> None:
    """Print the facts as JSON: indented for a person's terminal, one line for a program."""
    indent = 2 if sys.stdout.isatty() else None
    print_line(json.dumps(facts, indent=indent, ensure_ascii=False))


def print_table(titles: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print the rows under their titles; words for states have a colour on a terminal."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for title in titles:
        table.add_column(title, overflow="fold")
    for row in rows:
        words = [shown(cell) for cell in row]
        table.add_row(*(Text(word, style=_COLOURS.get(word, "")) for word in words))
    width = None if sys.stdout.isatty() else _ENDLESS
    Console(width=width, highlight=False).print(table)


Columns = Mapping[str, Callable[[dict[str, Any]], object]]
"""What a table tells of each thing: under which title, and where it is found."""


def print_columns(columns: Columns, things: Iterable[dict[str, Any]]) -> None:
    """Print a table of the things."""
    print_table(list(columns), ([read(each) for read in columns.values()] for each in things))


def print_finding(level: str, subject: str, sentence: str) -> None:
    """Print one line at once; on a terminal with colour, and wrapped under its own beginning."""
    head = f"{level:<8} {subject:<10} "
    text = shown(sentence)
    if not sys.stdout.isatty():
        print_line(f"{head}{text}")
        return
    import shutil
    import textwrap

    from rich.console import Console
    from rich.text import Text

    width = max(shutil.get_terminal_size().columns - len(head), len(head))
    lines = textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)
    told = f"\n{' ' * len(head)}".join(lines)
    Console(highlight=False, soft_wrap=True).print(
        Text.assemble((f"{level:<8}", _COLOURS.get(level, "")), f" {subject:<10} ", told)
    )


def shown(cell: object) -> str:
    """Return a cell's text: nothing for None, and nothing that would steer a terminal."""
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    lines = str(cell).splitlines()
    return "\n".join(plain(line) for line in lines)


def resting(since: object, until: object) -> str:
    """Say since when something rests, and until when where that is known."""
    end = f" until {short_time(until)} UTC" if until else ""
    return f"since {short_time(since)} UTC{end}"


def short_time(instant: object) -> str:
    """Return an RFC 3339 time as people read it: to the second, without letters."""
    text = str(instant or "")
    return f"{text[:10]} {text[11:19]}" if len(text) > len("2026-11-21T20:00:00") else text

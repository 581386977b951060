"""What `apply` would change, key by key, for people: with colour where there is a terminal."""

import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from barbeque_py.cli.screen import shown

_MARKS = {"created": "+", "changed": "~", "removed": "-"}
_VERBS = {"created": "make", "changed": "change", "removed": "remove"}
_COLOURS = {"+": "green", "~": "yellow", "-": "red"}


def differs(answer: Mapping[str, Any]) -> bool:
    """Tell whether applying would change anything."""
    return any(each["change"] != "unchanged" for each in answer["changes"])


def print_plan(answer: Mapping[str, Any]) -> None:
    """Print the changes, and how many there are."""
    lines = [*_lines(answer), _summary(answer)]
    if not sys.stdout.isatty():
        sys.stdout.write("".join(f"{mark}{text}\n" for mark, text in lines))
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True)
    for mark, text in lines:
        console.print(Text(f"{mark}{text}", style=_COLOURS.get(mark, "")))


def _lines(answer: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for each in answer["changes"]:
        mark = _MARKS.get(each["change"])
        if mark is None:
            continue
        yield mark, f" {each['kind']:5}  {shown(each['name'])}"
        if mark == "-":
            continue
        for one in each["differences"]:
            before, after = _value(one["before"]), _value(one["after"])
            said = after if mark == "+" else f"{before} -> {after}"
            yield mark, f"     {shown(one['key'])}: {said}"


def _summary(answer: Mapping[str, Any]) -> tuple[str, str]:
    found = [each["change"] for each in answer["changes"]]
    counts = [f"{found.count(each)} to {verb}" for each, verb in _VERBS.items() if each in found]
    told = ", ".join(counts) or "nothing would change"
    return "", f"{told}; the state is {answer['state']}"


def _value(value: object) -> str:
    """Write a value as JSON, and the default as what it is."""
    return "(default)" if value is None else shown(json.dumps(value, ensure_ascii=False))

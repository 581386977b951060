"""The difference between two texts, line by line, with some lines around it."""

from collections.abc import Iterator
from difflib import SequenceMatcher

Line = tuple[str, str]
"""`-`, `+`, a space for what is the same, or `@` where lines are left out; and the line."""

_AROUND = 3


def difference(before: str, after: str) -> list[Line]:
    """Return what to show; nothing where they are the same."""
    old, new = before.splitlines(), after.splitlines()
    found: list[Line] = []
    for group in SequenceMatcher(a=old, b=new, autojunk=False).get_grouped_opcodes(_AROUND):
        if group[0][1] > 0:
            found.append(("@", ""))
        for kind, *place in group:
            found += _lines(kind, old[place[0] : place[1]], new[place[2] : place[3]])
    return found


def _lines(kind: str, old: list[str], new: list[str]) -> Iterator[Line]:
    if kind == "equal":
        yield from ((" ", line) for line in old)
        return
    yield from (("-", line) for line in old)
    yield from (("+", line) for line in new)

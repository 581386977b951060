"""Older and Newer: pages that begin where another one ended, never at an offset."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar
from urllib.parse import urlencode

from barbeque_py.store.pages import Page

ROWS = 50
"""On one page."""

_NUMBER = re.compile(r"\d{1,18}", re.ASCII)


class Numbered(Protocol):
    """A row of a list."""

    @property
    def id(self) -> int:
        """By which the list is ordered."""
        ...


Row = TypeVar("Row", bound=Numbered)


@dataclass(frozen=True, slots=True)
class Stretch(Generic[Row]):
    """One page of a list, the newest first, and the queries of its neighbours."""

    rows: Sequence[Row]
    newest: str | None
    newer: str | None
    older: str | None


def read_number(text: str | None) -> int | None:
    """Return the number that stands in a query, None when there is none."""
    return int(text) if text and _NUMBER.fullmatch(text) else None


def stretch(
    read_older: Callable[[int | None, int], Page[Row]],
    read_newer: Callable[[int, int], Page[Row]] | None,
    *,
    before: int | None,
    after: int | None,
    kept: Sequence[tuple[str, str]],
) -> Stretch[Row]:
    """Return the page below `before`, else above `after`, else the first one.

    Both readers take a row's number and how many rows to return; without the second there is no
    way to newer pages but the first. `kept` stays in every link.
    """
    newer: int | None = None
    older: int | None
    if after is not None and before is None and read_newer is not None:
        part = read_newer(after, ROWS)
        newer, older = part.next, after + 1
        if part.rows:
            older = part.rows[-1].id
    else:
        part = read_older(before, ROWS)
        if before is not None and read_newer is not None:
            newer = part.rows[0].id if part.rows else before - 1
        older = part.next
    return Stretch(
        rows=part.rows,
        newest=_query(kept) if before is not None or after is not None else None,
        newer=None if newer is None else _query([*kept, ("after", str(newer))]),
        older=None if older is None else _query([*kept, ("before", str(older))]),
    )


def _query(facts: Sequence[tuple[str, str]]) -> str:
    return "?" + urlencode(facts)

"""One page of a list: some rows, and where it goes on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Listed = TypeVar("Listed")


@dataclass(frozen=True, slots=True)
class Page(Generic[Listed]):
    """Some rows, the newest first, and the row id behind which the list goes on, if it does."""

    rows: Sequence[Listed]
    next: int | None

"""Numbers as people narrow lists by them: `137`, `>2`, `<=60s`."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, cast

from barbeque_py.durations import parse_duration

Sign = Literal["=", "<", "<=", ">", ">="]

_FORM = re.compile(r"(<=|>=|<|>|=)?\s*(\S+)")
_WHOLE = re.compile(r"-?\d{1,9}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Comparison:
    """How a number stands to another one."""

    sign: Sign
    number: float


def compare_whole(text: str) -> Comparison:
    """Read a whole number, with a sign before it or without. Raises `ValueError`."""
    return _read(text, _whole)


def compare_duration(text: str) -> Comparison:
    """Read a length of time in seconds, with a sign before it. Raises `ValueError`."""
    return _read(text, lambda said: parse_duration(said).total_seconds())


def _read(text: str, read: Callable[[str], float]) -> Comparison:
    form = _FORM.fullmatch(text.strip())
    if form is None:
        raise ValueError(f"write a number, or one of < <= > >= before it, not {text[:40]!r}")
    return Comparison(cast("Sign", form[1] or "="), read(form[2]))


def _whole(text: str) -> float:
    if _WHOLE.fullmatch(text) is None:
        raise ValueError(f"{text[:40]!r} is not a whole number")
    return int(text)

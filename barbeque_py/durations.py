"""Lengths of time as people write them: `15m`, `1.5h`, `90`."""

import math
import re
from datetime import timedelta
from fractions import Fraction

_FORM = re.compile(r"(\d{1,18}(?:\.\d{1,9})?|\.\d{1,9})\s?(ms|s|m|h|d)?", re.ASCII)
_MICROSECONDS = {
    "d": 86_400_000_000,
    "h": 3_600_000_000,
    "m": 60_000_000,
    "s": 1_000_000,
    "ms": 1_000,
}
_SHOWN = 40

PATTERN = f"^{_FORM.pattern}$"
"""The form as a regular expression that editors understand."""


def parse_duration(value: str | float) -> timedelta:
    """Read `500ms`, `90s`, `15m`, `1.5h`, `30d`; a bare number is seconds.

    Exact to the microsecond. Raises `ValueError` that says what is wrong with the value.
    """
    if isinstance(value, str):
        return _from_text(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{value!r} is not a duration; {_ADVICE}")  # noqa: TRY004 - a wrong value
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value!r} is not a duration; {_ADVICE}")
    return _exact(Fraction(repr(value)) * _MICROSECONDS["s"], repr(value)[:_SHOWN])


def format_duration(duration: timedelta) -> str:
    """Write the duration in the largest unit that needs no fraction: `15m`, `90s`, `1500ms`."""
    count = duration // timedelta(microseconds=1)
    if count == 0:
        return "0s"
    for unit, size in _MICROSECONDS.items():
        if count % size == 0:
            return f"{count // size}{unit}"
    return f"{count // 1000}.{count % 1000:03}ms"


_ADVICE = "write a number and a unit (ms, s, m, h, d), as in 90s, 15m or 1.5h"


def _from_text(text: str) -> timedelta:
    shown = repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "...")
    form = _FORM.fullmatch(text.strip())
    if form is None:
        if text.strip().startswith("-"):
            raise ValueError(f"{shown} is negative; {_ADVICE}")
        raise ValueError(f"{shown} is not a duration; {_ADVICE}")
    number, unit = form.groups()
    return _exact(Fraction(number) * _MICROSECONDS[unit or "s"], shown)


def _exact(microseconds: Fraction, shown: str) -> timedelta:
    if microseconds < 0:
        raise ValueError(f"{shown} is negative; {_ADVICE}")
    count = round(microseconds)
    if count == 0 and microseconds:
        raise ValueError(f"{shown} is shorter than a microsecond")
    try:
        return timedelta(microseconds=count)
    except OverflowError:
        raise ValueError(f"{shown} is longer than any calendar") from None

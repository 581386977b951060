"""Settings that are a word, a number or a length of time, each read by one function.

Every reader raises `ValueError` with the cure.
"""

import re
from dataclasses import dataclass
from datetime import timedelta

from barbeque_py.apps import QUEUE_NAME
from barbeque_py.durations import format_duration, parse_duration

SIZES = {"": 1, "B": 1, "KiB": 1024, "MiB": 1024**2}

_REGISTRY = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9.-]*(:\d{1,5})?(/[a-z0-9._-]+)*", re.ASCII)

_SIZE = re.compile(r"(\d{1,12})\s?(B|KiB|MiB)?", re.ASCII)

_INSTALLATION = re.compile(r"[a-z0-9]{6}")


@dataclass(frozen=True, slots=True)
class EnvironmentName:
    """What the console calls this installation on every page, and in which colour."""

    name: str
    colour: str


def read_queue(text: str) -> str:
    """Read a queue's name."""
    if QUEUE_NAME.fullmatch(text) is None:
        raise ValueError("a queue's name has up to 70 of A-Z a-z 0-9 _ -")
    return text


def read_switch(text: str) -> bool:
    """Read on (1, true, yes) or off (0, false, no)."""
    known = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
    if text.lower() not in known:
        raise ValueError("write 1, true or yes for on; 0, false, no or nothing for off")
    return known[text.lower()]


_COLOURS = ("red", "orange", "yellow", "green", "teal", "blue", "purple", "pink", "gray")

_LONGEST_NAME = 24


def read_environment(text: str) -> EnvironmentName:
    """Read NAME or NAME:COLOUR; production is red, what else has no colour is blue."""
    name, _, colour = text.partition(":")
    usual = "red" if name.lower().startswith("prod") else "blue"
    colour = colour or usual
    if not 0 < len(name) <= _LONGEST_NAME or not name.isprintable() or colour not in _COLOURS:
        raise ValueError(
            f"write a name of at most {_LONGEST_NAME} characters, and behind a colon, if you "
            f"like, a colour: {', '.join(_COLOURS)}"
        )
    return EnvironmentName(name, colour)


def read_log_format(text: str) -> str:
    """Read how log lines are written."""
    if text.lower() not in ("text", "json"):
        raise ValueError("write text or json")
    return text.lower()


def read_rate(text: str) -> int:
    """Read how many requests a second are let through; 0 is any number."""
    if not text.isdecimal() or len(text) > len("100000"):
        raise ValueError("write a whole number of requests a second, or 0 for no limit")
    return int(text)


def read_body_limit(text: str) -> int:
    """Read a number of bytes from 1 KiB to 16 MiB."""
    form = _SIZE.fullmatch(text)
    count = int(form[1]) * SIZES[form[2] or ""] if form else 0
    if not SIZES["KiB"] <= count <= 16 * SIZES["MiB"]:
        raise ValueError("write 1KiB to 16MiB: a number of bytes, or one with KiB or MiB")
    return count


def read_installation(text: str) -> str:
    """Read an installation's name."""
    if _INSTALLATION.fullmatch(text) is None:
        raise ValueError("an installation has six characters of a-z and 0-9")
    return text


def read_registry(text: str) -> str:
    """Read an image registry's name."""
    if _REGISTRY.fullmatch(text) is None:
        raise ValueError("write HOST, HOST:PORT or HOST/PATH, without https:// and / at the end")
    return text


def read_registries(text: str) -> tuple[str, ...]:
    """Read a list of registries, each with folders where only those are meant."""
    return tuple(read_registry(each.strip()) for each in text.split(","))


def read_retention(text: str) -> timedelta:
    """Read how long executions are kept: 45 days to 100 years."""
    return _between(parse_duration(text), timedelta(days=45), timedelta(days=36_500))


def read_lease(text: str) -> timedelta:
    """Read how long a claim lasts: 2 seconds to 1 hour."""
    return _between(parse_duration(text), timedelta(seconds=2), timedelta(hours=1))


def _between(duration: timedelta, least: timedelta, most: timedelta) -> timedelta:
    if not least <= duration <= most:
        raise ValueError(f"write {format_duration(least)} to {format_duration(most)}")
    return duration

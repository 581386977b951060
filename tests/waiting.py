"""How tests wait: until something is true, and never for a fixed time."""

import time
from collections.abc import Callable
from typing import TypeVar

from barbeque_py import clock

Answer = TypeVar("Answer")


def wait_until(
    answer: Callable[[], Answer | None],
    what: str = "it holds",
    *,
    within: float = 60.0,
    every: float = 0.01,
) -> Answer:
    """Ask `every` so many seconds until there is a true answer; fail after `within` seconds."""
    deadline = clock.monotonic() + within
    while not (found := answer()):
        assert clock.monotonic() < deadline, f"waited in vain for {within} s until {what}"
        time.sleep(every)
    return found

"""How tests wait: until something is true, and never for a fixed time."""

import time
from collections.abc import Callable
from typing import TypeVar

from barbeque_py import clock

Answer = TypeVar("Answer")
_SHARE = 0.05
_LONGEST = 0.5


def wait_until(
    answer: Callable[[], Answer | None],
    what: str = "it holds",
    *,
    within: float = 120.0,
    every: float = 0.01,
) -> Answer:
    """Ask until there is a true answer; fail after `within` seconds.

    First every `every` seconds, then less often the longer it takes: who asks all the time takes
    the machine from what is waited for.
    """
    began = clock.monotonic()
    while not (found := answer()):
        waited = clock.monotonic() - began
        assert waited < within, f"waited in vain for {within} s until {what}"
        time.sleep(max(every, min(_SHARE * waited, _LONGEST)))
    return found

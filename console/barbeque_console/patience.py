"""How long a page waits for what it can be shown without."""

import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from barbeque_py.errors import LogStoreUnavailable

PATIENCE = 2.5
"""Seconds: nobody looks at an empty window for more than three."""

_MOST_AT_ONCE = 32
"""While so many wait for a store that hangs, the next ones learn that it does without asking."""

T = TypeVar("T")


class Patience:
    """Asks log stores on threads of its own, and goes on without an answer that is late."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_MOST_AT_ONCE, thread_name_prefix="patience")

    def wait_for(self, read: Callable[[], T]) -> T:
        """Return what `read` does; raises `LogStoreUnavailable` where it takes too long."""
        here = contextvars.copy_context()
        asked = self._threads.submit(here.run, read)
        try:
            return asked.result(PATIENCE)
        except TimeoutError:
            asked.cancel()
            words = f"no answer within {PATIENCE:g} s"
            raise LogStoreUnavailable(words) from None

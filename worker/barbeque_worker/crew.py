"""A few threads that take turns at work which may block; none keeps the process from ending."""

import logging
import threading
from collections import deque
from collections.abc import Callable

log = logging.getLogger(__name__)


class Crew:
    """Runs what is submitted, the oldest first, in at most `size` daemon threads.

    The standard library's pool joins its threads at exit: one call into an engine that does not
    answer would keep a stopped worker alive.
    """

    def __init__(self, size: int, name: str) -> None:
        self._size = size
        self._name = name
        self._waiting: deque[Callable[[], None]] = deque()
        self._changed = threading.Condition()
        self._threads = 0
        self._idle = 0
        self._stopped = False

    def submit(self, work: Callable[[], None]) -> None:
        """Run the work as soon as a thread is free; a no-op after `stop`."""
        with self._changed:
            if self._stopped:
                return
            self._waiting.append(work)
            if self._idle < len(self._waiting) and self._threads < self._size:
                self._threads += 1
                thread = threading.Thread(
                    target=self._turn, name=f"{self._name} {self._threads}", daemon=True
                )
                thread.start()
            self._changed.notify()

    def stop(self) -> None:
        """Take no more, and let the threads end when nothing waits."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _turn(self) -> None:
        while (work := self._next()) is not None:
            try:
                work()
            except Exception:
                log.exception("%s failed", self._name)

    def _next(self) -> Callable[[], None] | None:
        with self._changed:
            self._idle += 1
            while not self._waiting and not self._stopped:
                self._changed.wait()
            self._idle -= 1
            return self._waiting.popleft() if self._waiting else None

"""Asks what may not answer for long, and waits for it a moment only.

A database that is stopped keeps one thread of ours waiting, however many ask.
"""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from barbeque_py import clock
from barbeque_py.errors import StoreUnavailable

T = TypeVar("T")

PATIENCE = 2.0
"""Seconds that whoever watches us waits for what is behind us."""


class Glance(Generic[T]):
    """One question; those who ask it at once, or within `fresh` seconds, share an answer."""

    def __init__(
        self, ask: Callable[[], T], *, fresh: float = 0.0, patience: float = PATIENCE
    ) -> None:
        self._ask = ask
        self._fresh = fresh
        self._patience = patience
        self._guard = threading.Lock()
        self._asking: _Asking[T] | None = None

    def look(self) -> T:
        """Return the answer. Raises its `OutsideError`, or one that says that there is none yet."""
        with self._guard:
            asking = self._asking
            if asking is None or asking.over(self._fresh):
                asking = self._asking = _Asking(self._ask)
        return asking.answer(self._patience)


class _Asking(Generic[T]):
    """One time that the question is asked, in a thread of its own."""

    def __init__(self, ask: Callable[[], T]) -> None:
        self._ask = ask
        self._answers: list[T] = []
        self._error: Exception | None = None
        self._began = clock.monotonic()
        self._done = threading.Event()
        threading.Thread(target=self._run, name="glance", daemon=True).start()

    def over(self, fresh: float) -> bool:
        """Tell whether the question is to be asked anew: its answer is old, or was an error."""
        old = clock.monotonic() - self._began >= fresh
        return self._done.is_set() and (old or self._error is not None)

    def answer(self, patience: float) -> T:
        if not self._done.wait(patience):
            waited = clock.monotonic() - self._began
            raise StoreUnavailable(f"the database has not answered for {waited:.0f} s")
        if self._error is not None:
            raise self._error
        return self._answers[0]

    def _run(self) -> None:
        try:
            self._answers.append(self._ask())
        except Exception as error:  # noqa: BLE001 - raised where it was asked
            self._error = error
        finally:
            self._done.set()

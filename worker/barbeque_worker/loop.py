"""One interruptible step, repeated until told to stop."""

import logging
import threading
from collections.abc import Callable

from barbeque_py.errors import OutsideError

log = logging.getLogger(__name__)

_AFTER_FAILURE = 1.0


class Loop:
    """Repeats a step in a thread of its own; the step returns how many seconds to rest."""

    def __init__(self, name: str, step: Callable[[], float]) -> None:
        self.name = name
        self._step = step
        self._stop = threading.Event()
        self._nudge = threading.Event()
        self._thread = threading.Thread(target=self._repeat, name=name, daemon=True)

    def start(self) -> None:
        """Begin to repeat the step."""
        self._thread.start()

    def nudge(self) -> None:
        """End the rest: there may be something to do."""
        self._nudge.set()

    def stop(self) -> None:
        """Ask the loop to end after the step it is in."""
        self._stop.set()
        self._nudge.set()

    def join(self, timeout: float) -> None:
        """Wait for the loop's end, at most so many seconds."""
        self._thread.join(timeout)

    def _repeat(self) -> None:
        while not self._stop.is_set():
            self._nudge.clear()
            rest = self._try_step()
            if rest > 0:
                self._nudge.wait(rest)

    def _try_step(self) -> float:
        try:
            return self._step()
        except OutsideError as error:
            log.warning("%s rests for a second: %s", self.name, error)
        except Exception:
            log.exception("%s failed", self.name)
        return _AFTER_FAILURE

"""One interruptible step, repeated until told to stop."""

import logging
import threading
from collections.abc import Callable

from barbeque_py import clock, metrics
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
        self._step_began: float | None = None
        self.failures = 0
        """How many of its latest steps failed, one after the other."""

    @property
    def busy_for(self) -> float:
        """Seconds for which it has been in its step; 0 while it rests."""
        began = self._step_began
        return 0.0 if began is None else clock.monotonic() - began

    @property
    def dead(self) -> bool:
        """Whether it has ended, though nobody told it to."""
        begun = self._thread.ident is not None
        return begun and not self._stop.is_set() and not self._thread.is_alive()

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
        self._step_began = clock.monotonic()
        try:
            rest = self._step()
        except OutsideError as error:
            log.warning("%s rests for a second: %s", self.name, error)
        except Exception:
            log.exception("%s failed", self.name)
        else:
            self.failures = 0
            return rest
        finally:
            self._step_began = None
        self.failures += 1
        metrics.loop_failures.labels(self.name).inc()
        return _AFTER_FAILURE

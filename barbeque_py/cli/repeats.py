"""Keeps an outage from filling the log: the first line of a kind is written, its repeats counted.

A kind is a warning's wording with the kind of `OutsideError` in it; whatever else is logged passes.
"""

import logging
import threading
from dataclasses import dataclass

from barbeque_py import clock
from barbeque_py.errors import OutsideError

REMINDER = 300.0
"""Seconds after which a kind that goes on is written again."""
QUIET = 30.0
"""Seconds without a repeat after which a kind is over, which is written if any was left out."""

_Kind = tuple[str, str, type[OutsideError]]


@dataclass(slots=True)
class _Story:
    """One kind, from its first line on."""

    began: float
    told: float
    last: float
    sentence: str
    left_out: int = 0

    def hear(self, now: float, sentence: str) -> bool:
        """Note a repeat; tell whether it is time to write it."""
        self.last, self.sentence = now, sentence
        if now - self.told < REMINDER:
            self.left_out += 1
            return False
        self.told = now
        return True


class Repeats(logging.Filter):
    """A handler's filter that lets the first warning of a kind through, and a reminder."""

    def __init__(self, *, quiet: float = QUIET) -> None:
        super().__init__()
        self._quiet = quiet
        self._stories: dict[_Kind, _Story] = {}
        self._guard = threading.Lock()
        self._watching = False

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether the record is to be written."""
        fault = _outage_in(record)
        if fault is None:
            return True
        kind, now = (record.name, record.msg, type(fault)), clock.monotonic()
        with self._guard:
            story = self._stories.get(kind)
            if story is not None:
                return story.hear(now, record.getMessage())
            self._stories[kind] = _Story(now, now, now, record.getMessage())
            self._watch()
        return True

    def _watch(self) -> None:
        if not self._watching:
            self._watching = True
            threading.Thread(target=self._tell_ends, name="repeats", daemon=True).start()

    def _tell_ends(self) -> None:
        """Write what is over, until nothing is left."""
        while True:
            threading.Event().wait(self._quiet / 4)
            for (name, _, _), story in self._take_over():
                if story.left_out == 0:
                    continue
                logging.getLogger(name).info(
                    "no more for %.0f s: %s (began %.0f s ago; repeats left out: %d)",
                    self._quiet,
                    story.sentence,
                    clock.monotonic() - story.began,
                    story.left_out,
                )
            with self._guard:
                if not self._stories:
                    self._watching = False
                    return

    def _take_over(self) -> list[tuple[_Kind, _Story]]:
        now = clock.monotonic()
        with self._guard:
            over = [
                (kind, story)
                for kind, story in self._stories.items()
                if now - story.last >= self._quiet
            ]
            for kind, _ in over:
                del self._stories[kind]
        return over


def _outage_in(record: logging.LogRecord) -> OutsideError | None:
    if record.levelno != logging.WARNING or not isinstance(record.args, tuple):
        return None
    return next((each for each in record.args if isinstance(each, OutsideError)), None)

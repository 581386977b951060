"""What the backends of apps say of attempts that they run: how one ended, that it still runs."""

from barbeque_api.problems import refusal
from barbeque_py.callbacks import PLACE, read_verdict, read_words
from barbeque_py.conclude import Heard, hear_life, hear_lines, hear_verdict
from barbeque_py.ids import AttemptId
from barbeque_py.store import Store, Tx, attempts
from barbeque_py.wake import Bell

LINES_LIMIT = 256 * 1024
"""Bytes of lines that are posted at once."""

_STATUS = {Heard.ENDED: 409, Heard.LATE: 409, Heard.FULL: 413, Heard.STRANGE: 404}


class Backends:
    """Hears backends whose token was checked; what comes too late is refused."""

    def __init__(self, store: Store, bell: Bell) -> None:
        self._store = store
        self._bell = bell

    def hear_verdict(self, attempt: AttemptId, body: bytes) -> bool:
        """End the attempt as its backend says; False when it is none that a backend runs."""
        if not self._store.read(lambda tx: _is_at_backend(tx, attempt)):
            return False
        try:
            verdict = read_verdict(body)
        except ValueError as error:
            raise refusal(400, str(error)) from None
        _check(self._store.write(lambda tx: hear_verdict(tx, attempt, verdict)))
        self._bell.ring()
        return True

    def hear_life(self, attempt: AttemptId, body: bytes) -> None:
        """Take a sign of life, and the words with it."""
        try:
            words = read_words(body)
        except ValueError as error:
            raise refusal(400, str(error)) from None
        _check(self._store.write_together(lambda tx: hear_life(tx, attempt, words)))

    def hear_progress(self, attempt: AttemptId) -> None:
        """Take progress, which was kept, as a sign of life of an attempt at a backend."""
        if self._store.read(lambda tx: _is_at_backend(tx, attempt)):
            _check(self._store.write_together(lambda tx: hear_life(tx, attempt, "")))

    def hear_lines(self, attempt: AttemptId, body: bytes) -> None:
        """Add to the attempt's log what is not empty."""
        text = body.decode(errors="replace")
        if text:
            _check(self._store.write_together(lambda tx: hear_lines(tx, attempt, text)))


def _is_at_backend(tx: Tx, attempt: AttemptId) -> bool:
    found = attempts.get(tx, attempt)
    return found is not None and found.place == PLACE


def _check(heard: Heard) -> None:
    if heard is not Heard.TAKEN:
        raise refusal(_STATUS[heard], str(heard))

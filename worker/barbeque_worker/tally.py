"""Loop: what has ended is added up and what failed is sorted; one worker at a time."""

from datetime import timedelta

from barbeque_py.store import Tx, endings, failures, workers
from barbeque_py.store.failures import Unsorted
from barbeque_py.tally import ENDINGS, FAILURES, count, look_at
from barbeque_worker.station import Station

_DUTY = "tally"
_LEASE = timedelta(seconds=30)
_REST = 2.0


class Tally:
    """Takes the duty when something has ended."""

    def __init__(self, station: Station) -> None:
        self._station = station

    def step(self) -> float:
        """Count one lot and sort another, if the duty is ours; return how long to rest."""
        store = self._station.store
        if not store.read(_anything_left):
            return _REST
        counted = store.write(self._count)
        if counted is None:
            return _REST
        found = store.write(self._take_failures)
        sorted_ = look_at(self._station.logs, found or ())
        if sorted_:
            store.write(lambda tx: self._mine(tx) and failures.sort(tx, sorted_))
        return 0 if counted == ENDINGS or len(sorted_) == FAILURES else _REST

    def _count(self, tx: Tx) -> int | None:
        return count(tx) if self._mine(tx) else None

    def _take_failures(self, tx: Tx) -> list[Unsorted] | None:
        return failures.put_off_unsealed(tx, FAILURES) if self._mine(tx) else None

    def _mine(self, tx: Tx) -> bool:
        """Tell whether the duty is ours till the commit: its row is locked."""
        owner = self._station.owner
        return workers.take_duty(tx, _DUTY, owner, every=timedelta(0), lease=_LEASE)


def _anything_left(tx: Tx) -> bool:
    return endings.any_left(tx) or failures.unsorted_left(tx)

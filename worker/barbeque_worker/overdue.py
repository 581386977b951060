"""Loop: warns of attempts that run for longer than their definition expects; one worker's duty."""

from datetime import timedelta

from barbeque_py.store import Tx, outbox, workers
from barbeque_py.tell import errands_of_late
from barbeque_worker.station import Station

_DUTY = "overdue"
_EVERY = timedelta(seconds=10)
_LEASE = timedelta(minutes=2)
_REST = 15.0


class Overdue:
    """Takes the duty when it is due and leaves the warnings to the relay."""

    def __init__(self, station: Station) -> None:
        self._station = station

    def step(self) -> float:
        """Look once if the duty is ours; return how long to rest."""
        owner = self._station.owner

        def look(tx: Tx) -> None:
            if workers.take_duty(tx, _DUTY, owner, every=_EVERY, lease=_LEASE):
                outbox.put(tx, errands_of_late(tx))
                workers.finish_duty(tx, _DUTY, owner)

        self._station.store.write(look)
        return _REST

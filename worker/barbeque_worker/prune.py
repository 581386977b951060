"""Loop: forgets what is past its retention; one worker at a time."""

import logging
from datetime import timedelta

from barbeque_py.prune import prune
from barbeque_py.store import Tx, workers
from barbeque_worker.station import Station

log = logging.getLogger(__name__)

_DUTY = "prune"
_EVERY = timedelta(minutes=10)
_LEASE = timedelta(minutes=2)
_REST = 60.0


class Prune:
    """Takes the duty when it is due and prunes batch by batch."""

    def __init__(self, station: Station, keep: timedelta) -> None:
        self._station = station
        self._keep = keep

    def step(self) -> float:
        """Prune one batch if the duty is ours; return how long to rest."""
        station = self._station
        if not station.store.write(self._take_duty):
            return _REST
        if prune(station.store, station.logs, self._keep):
            return 0.1
        station.store.write(lambda tx: workers.finish_duty(tx, _DUTY, station.owner))
        return _REST

    def _take_duty(self, tx: Tx) -> bool:
        return workers.take_duty(tx, _DUTY, self._station.owner, every=_EVERY, lease=_LEASE)

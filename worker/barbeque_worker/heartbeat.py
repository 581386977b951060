"""Loop: renews this worker's leases and says that it is alive."""

from collections.abc import Sequence
from importlib.metadata import version

from barbeque_py import clock
from barbeque_py.store import Tx, leases, workers
from barbeque_worker.relay import Relay
from barbeque_worker.station import Station


class Heartbeat:
    """Keeps what this worker holds, a third of the lease apart."""

    def __init__(self, station: Station, relay: Relay, queues: Sequence[str] = ()) -> None:
        self._station = station
        self._relay = relay
        self._queues = queues
        self._version = version("barbeque-py")[:40]

    def step(self) -> float:
        """Renew every lease in one statement; return how long to rest."""
        station = self._station
        place = station.executor.place()
        asked_at = clock.monotonic()

        def renew(tx: Tx) -> None:
            leases.renew(tx, station.owner, station.lease.length)
            workers.see(tx, station.owner, place, self._queues, version=self._version)

        station.store.write(renew)
        station.lease.renewed(asked_at)
        self._relay.keep()
        return min(10.0, station.lease.length.total_seconds() / 3)

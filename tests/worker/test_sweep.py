"""The sweep and what happens meanwhile."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import pytest

from barbeque_py.ids import AttemptId
from barbeque_py.shipment import Shipping
from barbeque_py.store import Store, Tx
from barbeque_worker.capacity import Capacity
from barbeque_worker.launching import Launcher
from barbeque_worker.shipping import Shippers
from barbeque_worker.station import Lease, Places, Station
from barbeque_worker.watch import Watch
from tests.worker.office import Office

Result = TypeVar("Result")
LATE, OVER = AttemptId("claimed-meanwhile-1"), AttemptId("over-1")


class BusyStore(Store):
    """A store in which another loop of the worker claims an attempt behind every look."""

    mine: set[AttemptId]

    def read(self, work: Callable[[Tx], Result]) -> Result:
        found = super().read(work)
        self.mine.add(LATE)
        return found


@pytest.fixture
def station(tmp_path: Path) -> Iterator[Station]:
    office = Office(tmp_path, "process:")
    store = BusyStore(office.settings.database)
    parts, lease = office.parts, Lease(timedelta(minutes=1))
    station = Station(
        owner="worker",
        store=store,
        executor=parts.executor,
        logs=parts.logs,
        lease=lease,
        shipping=Shipping(),
        places=Places(store, parts.executor),
        capacity=Capacity(store),
    )
    store.mine = station.mine
    yield station
    store.close()
    office.close()


def test_what_is_claimed_during_a_sweep_is_followed_and_what_is_over_is_not(
    station: Station,
) -> None:
    shippers = Shippers(station)
    launcher = Launcher(station, shippers, threads=1, on_free=print, on_settled=print)
    station.mine.add(OVER)
    Watch(station, launcher, shippers, on_settled=print).sweep()
    assert station.mine == {LATE}

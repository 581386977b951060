"""The duty that warns of attempts that run for longer than their definition expects."""

from datetime import timedelta

from barbeque_py.store import Store, Tx, outbox
from barbeque_py.tell import errands_of_late
from barbeque_worker.duty import Duty

_EVERY = timedelta(seconds=10)
_REST = timedelta(seconds=15)


def overdue(store: Store, owner: str) -> Duty[None]:
    """Return the duty: a look every 15 s, whose warnings are left to the relay."""
    return Duty(store, owner, "overdue", _warn, every=_EVERY, rest=_REST)


def _warn(tx: Tx) -> None:
    outbox.put(tx, errands_of_late(tx))

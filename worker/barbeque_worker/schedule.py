"""Loop: what is due by the clock is sent; one worker at a time, and by whoever finds it unsent."""

import logging
from collections.abc import Sequence
from datetime import timedelta

from barbeque_py.broker import Broker
from barbeque_py.enqueue import enqueue
from barbeque_py.errors import OutsideError, RequestError, StoreUnavailable
from barbeque_py.fire import due, requests_of
from barbeque_py.logstore import LogStore
from barbeque_py.store import Store, Tx, schedules, workers
from barbeque_py.store.schedules import Scheduled
from barbeque_py.wake import Bell

log = logging.getLogger(__name__)

_DUTY = "schedules"
_LEASE = timedelta(seconds=15)
"""How long a duty lasts whose worker is gone; two at once would send the same."""
_REST = 1.0
_IDLE_REST = 5.0


class Schedules:
    """Takes the duty when something is due, and sends it."""

    def __init__(
        self, store: Store, broker: Broker, logs: LogStore, bell: Bell, *, owner: str
    ) -> None:
        self._store = store
        self._broker = broker
        self._logs = logs
        self._bell = bell
        self._owner = owner

    def step(self) -> float:
        """Fire what is due, if the duty is ours; return how long to rest."""
        left = self._store.read(_seconds_left)
        if left is None:
            return _IDLE_REST
        if left > 0:
            return min(left, _REST)
        found = self._store.write(self._decide)
        if found is None:
            return _REST
        sent = [each.id for each in found if self._send(each)]
        self._store.write(lambda tx: self._finish(tx, sent))
        return 0 if len(sent) == len(found) else _REST

    def _decide(self, tx: Tx) -> Sequence[Scheduled] | None:
        """Decide what fires; None when another worker is at it."""
        mine = workers.take_duty(tx, _DUTY, self._owner, every=timedelta(0), lease=_LEASE)
        return due(tx) if mine else None

    def _send(self, found: Scheduled) -> bool:
        """Send the runs that are decided; what can't be sent now is sent later, the same."""
        requests = self._store.read(lambda tx: requests_of(tx, [found]))
        try:
            enqueue(self._broker, self._logs, requests)
        except StoreUnavailable:
            raise
        except (OutsideError, RequestError) as error:
            log.warning("the schedule %s can't fire now: %s", _called(found), error)
            return False
        if requests:
            log.info("the schedule %s fires %s", _called(found), len(requests))
            self._bell.ring()
        return True

    def _finish(self, tx: Tx, sent: Sequence[int]) -> None:
        schedules.sent(tx, sent)
        workers.finish_duty(tx, _DUTY, self._owner)


def _called(found: Scheduled) -> str:
    return f"{found.schedule.app}/{found.schedule.job}/{found.schedule.name}"


def _seconds_left(tx: Tx) -> float | None:
    due_at = schedules.next_act(tx)
    return None if due_at is None else (due_at - tx.now).total_seconds()

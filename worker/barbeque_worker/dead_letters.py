"""Loop: what the broker has given up becomes dead messages, which people see; one worker at a time.

SQS gives up what was received many times and never deleted: it may be what kills workers.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from barbeque_py.broker import Broker, Delivery, Queues
from barbeque_py.errors import OutsideError, RequestError, StoreUnavailable
from barbeque_py.messages import JobMessage, Notification, Parsed, app_of, parse
from barbeque_py.record import public_id_of
from barbeque_py.store import Store, Tx, apps, dead, workers
from barbeque_py.store import executions as rows
from barbeque_py.subscriptions import job_of

log = logging.getLogger(__name__)

_DUTY = "dead letters"
_EVERY = timedelta(minutes=1)
_LEASE = timedelta(minutes=5)
_REST = 60.0


class DeadLetters:
    """Takes the duty when it is due and empties each queue's dead-letter queue."""

    def __init__(
        self,
        store: Store,
        broker: Broker,
        queues: Queues,
        *,
        owner: str,
        every: timedelta = _EVERY,
    ) -> None:
        self._store = store
        self._broker = broker
        self._queues = queues
        self._owner = owner
        self._every = every

    def step(self) -> float:
        """Take a batch of each queue if the duty is ours; return how long to rest."""
        if not self._store.write(self._take_duty):
            return min(_REST, self._every.total_seconds())
        found = [self._drain(name) for name in self._store.read(apps.queue_names)]
        if any(found):
            return 0
        self._store.write(lambda tx: workers.finish_duty(tx, _DUTY, self._owner))
        return min(_REST, self._every.total_seconds())

    def _take_duty(self, tx: Tx) -> bool:
        return workers.take_duty(tx, _DUTY, self._owner, every=self._every, lease=_LEASE)

    def _drain(self, queue: str) -> bool:
        """Bury one batch, then delete it; say whether there was one.

        Killed in between, it is received again, and its second burial changes nothing.
        """
        try:
            letters = self._broker.receive(self._queues.dead_letters_of(queue), wait=timedelta(0))
            buried = self._bury(queue, letters)
            self._broker.delete(buried)
        except StoreUnavailable:
            raise
        except (OutsideError, RequestError) as error:
            log.warning("the dead letters of the queue %s are not taken now: %s", queue, error)
            return False
        return bool(buried)

    def _bury(self, queue: str, letters: Sequence[Delivery]) -> list[Delivery]:
        """Bury them together, or, where the database refuses one, each alone."""
        try:
            self._store.write(lambda tx: self._bury_all(tx, queue, letters))
        except StoreUnavailable:
            raise
        except Exception:
            if len(letters) <= 1:
                log.exception("a dead letter of the queue %s can't be kept, and stays there", queue)
                return []
            return [each for letter in letters for each in self._bury(queue, [letter])]
        return list(letters)

    def _bury_all(self, tx: Tx, queue: str, letters: Sequence[Delivery]) -> None:
        for letter in letters:
            delivery = replace(letter, queue=queue)
            if not _is_recorded(tx, delivery):
                dead.bury(
                    tx,
                    delivery,
                    reason=self._reason,
                    message_id=public_id_of(delivery),
                    app=app_of(delivery.body),
                )

    @property
    def _reason(self) -> str:
        return (
            f"it was received {self._queues.most_receives} times and never recorded: it may be "
            "what kills workers, or they could not record it, as their logs then say; mend that, "
            "then send it again"
        )


def _is_recorded(tx: Tx, delivery: Delivery) -> bool:
    """Tell whether the message is an execution, of which only the deletion went wrong."""
    try:
        parsed: Parsed | None = parse(delivery.body, broker_id=delivery.broker_id)
    except RequestError:
        return False
    if isinstance(parsed, Notification):
        parsed = job_of(tx, delivery.queue, parsed)
    if not isinstance(parsed, JobMessage):
        return False
    found = rows.by_message_id(tx, parsed.message_id)
    return found is not None and not found.tombstone

"""Make executions of messages: one transaction, duplicates ignored, deleted after the commit."""

from collections.abc import Sequence
from datetime import timedelta
from functools import partial

from barbeque_py import metrics
from barbeque_py.broker import BATCH, Broker, Delivery, SharedBroker, Sorting
from barbeque_py.errors import (
    BarbequeError,
    LogStoreUnavailable,
    OutsideError,
    RequestError,
    StoreUnavailable,
)
from barbeque_py.logstore import LogStore
from barbeque_py.messages import (
    Confirmation,
    JobMessage,
    Notification,
    Parsed,
    parse,
)
from barbeque_py.record import bury, key_of, sort
from barbeque_py.store import Store, Tx
from barbeque_py.store import executions as rows
from barbeque_py.subscriptions import Topics, confirm, job_of

INLINE = 16 * 1024
"""Characters of JSON up to which a message lives in its row; larger ones in the log store."""

WAITING_MARK = 100_000
"""Startable executions of a queue above which the broker keeps the rest."""

_TOGETHER = 50
"""Messages up to which full batches are recorded together."""

_NO_LOG_STORE_WAIT = timedelta(seconds=60)
_LONGEST_NO_LOG_STORE_WAIT = timedelta(hours=1)
_UNANSWERED_WAIT = timedelta(seconds=60)


class Intake:
    """Takes messages in from one broker; `topics` are there when SNS speaks to its queues."""

    def __init__(
        self, store: Store, broker: Broker, logs: LogStore, topics: Topics | None = None
    ) -> None:
        self._store = store
        self._broker = broker
        self._logs = logs
        self._topics = topics

    def take(self, queue: str, *, wait: timedelta) -> int:
        """Take in what there is, up to 50 messages, and return how many there were.

        Each was recorded before it is deleted.

        A message that can't be an execution is kept as a dead message with its reason. Raises
        `OutsideError` when the database, the broker or the log store fails; the messages stay.
        """
        if isinstance(self._broker, SharedBroker):
            taken = self._take_shared(self._broker, queue)
            metrics.received.labels(queue).inc(taken)
            return taken
        # A message received too often is taken for what kills workers: an outage must not do that.
        self._store.read(lambda tx: tx.now)
        deliveries = self._receive(queue, wait)
        metrics.received.labels(queue).inc(len(deliveries))
        if deliveries:
            self.record(deliveries)
        return len(deliveries)

    def _receive(self, queue: str, wait: timedelta) -> list[Delivery]:
        """Receive one batch, and while batches are full a few more: all share one transaction."""
        found = self._broker.receive(queue, limit=BATCH, wait=wait)
        last = found
        while len(last) == BATCH and len(found) < _TOGETHER and not _any_large(last):
            try:
                last = self._broker.receive(queue, limit=BATCH, wait=timedelta(0))
            except OutsideError:
                break  # those that were received must not wait for it
            found += last
        return found

    @property
    def waits(self) -> bool:
        """Whether `take` waits for messages itself, as a long poll does."""
        return not isinstance(self._broker, SharedBroker)

    def _take_shared(self, broker: SharedBroker, queue: str) -> int:
        try:
            size, left = broker.take(queue, _sort_small)
        except StoreUnavailable:
            raise
        except Exception:  # noqa: BLE001 - whatever a row's fault is, the others must not wait
            left = self._broker.receive(queue, limit=BATCH, wait=timedelta(0))
            size = len(left)
        if left:
            self.record(left)
        return size

    def record(self, deliveries: Sequence[Delivery]) -> Sorting:
        """Record borrowed messages, then delete them.

        While the log store fails, large ones are put off, longer each time, and the others are
        recorded before its error is raised.
        """
        outcome = self._answer_sns(deliveries)
        seen = {each.receipt for each in (*outcome.done, *(each for each, _ in outcome.later))}
        left = [each for each in deliveries if each.receipt not in seen]
        keys, put_off, fault = self._put_all_large(left)
        outcome.later += [(each, _wait_for_log_store(each)) for each in put_off]
        if left := [each for each in left if each not in put_off]:
            recorded = self._record_together(left, keys)
            outcome.done += recorded.done
            outcome.later += recorded.later
        if outcome.done:
            self._broker.delete(outcome.done)
        for delivery, wait in outcome.later:
            self._broker.extend([delivery], wait)
        if fault is not None:
            raise fault
        return outcome

    def _answer_sns(self, deliveries: Sequence[Delivery]) -> Sorting:
        """Answer what SNS asks of the queues: it is done with, or to be asked again later."""
        outcome = Sorting()
        for delivery in deliveries:
            asked = _confirmation(delivery)
            if asked is None or self._topics is None:
                continue
            try:
                confirm(self._store, self._topics, delivery.queue, asked)
            except StoreUnavailable:
                raise
            except OutsideError:
                outcome.later.append((delivery, _UNANSWERED_WAIT))
                continue
            except BarbequeError as error:
                reason = str(error)
                self._store.write(partial(bury, delivery=delivery, reason=reason))
            outcome.done.append(delivery)
        return outcome

    def _record_together(
        self, deliveries: Sequence[Delivery], keys: dict[str, str | None]
    ) -> Sorting:
        try:
            return self._store.write(lambda tx: sort(tx, deliveries, keys))
        except StoreUnavailable:
            raise
        except Exception:  # noqa: BLE001 - whatever a row's fault is, the others must not wait
            return self._record_apart(deliveries, keys)

    def _record_apart(self, deliveries: Sequence[Delivery], keys: dict[str, str | None]) -> Sorting:
        """Record one by one after a batch failed, so that one bad row is dead and no other."""
        outcome = Sorting()
        for delivery in deliveries:
            one = self._record_alone(delivery, keys)
            outcome.done += one.done
            outcome.later += one.later
        return outcome

    def _record_alone(self, delivery: Delivery, keys: dict[str, str | None]) -> Sorting:
        try:
            return self._store.write(lambda tx: sort(tx, [delivery], keys))
        except StoreUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - kept with its reason, never dropped
            reason = f"the database refused it: {getattr(error, 'orig', error)}"
            self._store.write(lambda tx: bury(tx, delivery, reason))
            return Sorting(done=[delivery])

    def _put_all_large(
        self, deliveries: Sequence[Delivery]
    ) -> tuple[dict[str, str | None], list[Delivery], LogStoreUnavailable | None]:
        """Put the large messages into the log store; return their keys by receipt.

        After its first error it is not asked again: the rest of them is returned with that error.
        """
        keys: dict[str, str | None] = {}
        put_off: list[Delivery] = []
        fault: LogStoreUnavailable | None = None
        for delivery in deliveries:
            job = self._large_job(delivery)
            if job is None:
                continue
            try:
                if fault is None:
                    keys[delivery.receipt] = self._put_large(job)
            except LogStoreUnavailable as error:
                fault = error
            if fault is not None:
                put_off.append(delivery)
        return keys, put_off, fault

    def _large_job(self, delivery: Delivery) -> JobMessage | None:
        """Return what the delivery asks for, if its message is too large for a row."""
        if len(delivery.body) <= INLINE:
            return None
        try:
            parsed: Parsed | None = parse(delivery.body, broker_id=delivery.broker_id)
        except RequestError:
            return None
        if isinstance(parsed, Notification):
            told = parsed
            parsed = self._store.read(lambda tx: job_of(tx, delivery.queue, told))
        if not isinstance(parsed, JobMessage) or len(parsed.message) <= INLINE:
            return None
        return parsed

    def _put_large(self, job: JobMessage) -> str:
        """Put a large message into the log store under its fixed key, before it has a row.

        A repeat overwrites what a crash left there, but never the content of a recorded message.
        """
        key = key_of(job)
        known = self._store.read(lambda tx: rows.by_message_id(tx, job.message_id))
        if known is None or known.tombstone:
            self._logs.put(key, [job.message.encode()])
        return key


def _any_large(deliveries: Sequence[Delivery]) -> bool:
    """Tell whether any of them may have to go into the log store, which takes its time."""
    return any(len(each.body) > INLINE for each in deliveries)


def _confirmation(delivery: Delivery) -> Confirmation | None:
    """Return what SNS asks or tells of the queue, if that is what the delivery is."""
    if "Confirmation" not in delivery.body:
        return None
    try:
        parsed = parse(delivery.body, broker_id=delivery.broker_id)
    except RequestError:
        return None
    return parsed if isinstance(parsed, Confirmation) else None


def _wait_for_log_store(delivery: Delivery) -> timedelta:
    wait = _NO_LOG_STORE_WAIT * (1 << min(delivery.receives - 1, 10))
    return min(wait, _LONGEST_NO_LOG_STORE_WAIT)


def _sort_small(tx: Tx, deliveries: Sequence[Delivery]) -> Sorting:
    """Sort what needs no other store; large messages are left for the slower way."""
    return sort(tx, [each for each in deliveries if len(each.body) <= INLINE], {})

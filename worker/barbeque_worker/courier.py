"""Tells people: works out who hears of an event, and sends each of its notices."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from barbeque_py import clock, metrics
from barbeque_py.attempt_log import prefix_of
from barbeque_py.errors import LogStoreUnavailable, NoticeRefused, Undelivered
from barbeque_py.ids import AttemptId
from barbeque_py.log_reading import read_lines
from barbeque_py.logs import Line
from barbeque_py.notices import PATIENCE, Channel, Notice, NoticeState, rules_of
from barbeque_py.notifier import TIMEOUT, Notifier, Receipt
from barbeque_py.store import Tx, apps, attempts, notices, outbox
from barbeque_py.store import executions as rows
from barbeque_py.store.attempts import Attempt
from barbeque_py.store.executions import Execution
from barbeque_py.store.notices import Delivery, Kept
from barbeque_py.store.outbox import Item
from barbeque_py.tell import Tail, tell
from barbeque_worker import tracing
from barbeque_worker.station import Station

log = logging.getLogger(__name__)

_LINES = 20
_LINE = 300
"""Characters of a line that people are shown."""
_SEAL_PATIENCE = 60.0
"""Seconds for which an event waits for its log; then it is told without lines."""
SENDING = timedelta(seconds=3 * TIMEOUT)
"""How long nobody else sends what is being sent, at least."""
_LOOK_AGAIN = timedelta(seconds=5)
_NOT_SET_UP = {
    Channel.EMAIL: "no email is sent from here: set BARBEQUE_MAIL",
    Channel.SLACK: "nothing is sent to Slack from here: set BARBEQUE_SLACK",
}


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait after each failure, and for how long to try at all."""

    first: timedelta = timedelta(seconds=2)
    longest: timedelta = timedelta(minutes=15)
    patience: timedelta = PATIENCE

    def after(self, tries: int) -> timedelta:
        """Return the wait after so many failures."""
        return min(self.first * (1 << min(tries, 16)), self.longest)


@dataclass(frozen=True, slots=True)
class _Sending:
    """A notice as it is to be sent now."""

    kept: Kept
    notice: Notice


class Courier:
    """Does the outbox's errands that are about people; the relay calls it, a lane at a time."""

    def __init__(
        self,
        station: Station,
        notifiers: Mapping[Channel, Notifier],
        *,
        admins: Sequence[str] = (),
        backoff: Backoff | None = None,
    ) -> None:
        self._station = station
        self._notifiers = notifiers
        self._admins = admins
        self._backoff = backoff or Backoff()
        self._first_seen: dict[int, float] = {}

    def tell(self, item: Item) -> timedelta | None:
        """Leave a notice for each who is concerned; returns how long to wait for the log first."""
        tail = self._tail_of(item)
        if isinstance(tail, timedelta):
            return tail
        admins = self._admins
        self._station.store.write(lambda tx: tell(tx, item, tail, admins=admins))
        return None

    def deliver(self, item: Item) -> timedelta | None:
        """Send the notice and record how that went; returns how long it is to wait first.

        Raises `Undelivered` when it is to be tried again.
        """
        found = self._station.store.write(lambda tx: self._take_up(tx, item))
        if not isinstance(found, _Sending):
            return found
        began, at = clock.monotonic(), clock.now()
        try:
            receipt = self._notifier(found.notice.channel).deliver(found.notice)
        except NoticeRefused as error:
            ended = Delivery(at, clock.monotonic() - began, "refused", error.request, str(error))
            self._end(item, found.kept, ended, NoticeState.REFUSED)
        except Undelivered as error:
            failed = Delivery(at, clock.monotonic() - began, "failed", error.request, str(error))
            self._fail(item, found.kept, failed, error)
        except Exception as error:
            log.exception("notice %s failed", found.notice.id)
            fault = Undelivered(f"a fault of ours: {error!r}")
            failed = Delivery(at, clock.monotonic() - began, "failed", None, str(fault))
            self._fail(item, found.kept, failed, fault)
        else:
            seconds = clock.monotonic() - began
            taken = Delivery(at, seconds, "delivered", receipt.request, receipt.answer)
            self._end(item, found.kept, taken, NoticeState.DELIVERED, receipt)
        return None

    def wait_after(self, item: Item, error: Exception) -> timedelta:
        """Return how long the errand waits after this failure."""
        asked = error.retry_after if isinstance(error, Undelivered) else None
        return max(self._backoff.after(item.tries), asked or timedelta(0))

    def _notifier(self, channel: Channel) -> Notifier:
        if channel not in self._notifiers:
            raise NoticeRefused(_NOT_SET_UP[channel])
        return self._notifiers[channel]

    def _take_up(self, tx: Tx, item: Item) -> _Sending | timedelta | None:
        """Return the notice if it is to be sent now, how long it waits, or None when it is over."""
        lease = max(self._station.lease.length, SENDING)
        if not outbox.hold(tx, item.id, self._station.owner, lease):
            return None  # this worker was too slow: another one has it
        kept = notices.get(tx, item.subject, lock=True)
        if kept is None or kept.state is not NoticeState.WAITING:
            outbox.finish(tx, [item.id])
            return None
        of_app = apps.telling(tx, [kept.app]).get(kept.app)
        job = apps.get_job(tx, kept.app, kept.job)
        rules = rules_of(of_app.notify if of_app else {}, job.notify if job else {})
        count = 1
        if kept.same is not None and rules.window:
            told_at = notices.told_of_same(tx, kept, rules.window)
            if told_at is not None:
                return told_at + rules.window - tx.now
            count = notices.gather(tx, kept)
        thread = notices.thread_of(tx, kept)
        return _Sending(kept, kept.to_notice(templates=rules.templates, thread=thread, count=count))

    def _end(
        self,
        item: Item,
        kept: Kept,
        delivery: Delivery,
        state: NoticeState,
        receipt: Receipt | None = None,
    ) -> None:
        reason = None if state is NoticeState.DELIVERED else delivery.answer
        name = receipt.receipt if receipt else None

        def end(tx: Tx) -> None:
            notices.record(tx, kept.id, delivery)
            notices.end(tx, kept.id, state, reason=reason, receipt=name)
            outbox.finish(tx, [item.id])

        self._station.store.write_together(end)
        failed = state is not NoticeState.DELIVERED
        tracing.told(self._station.store, kept, delivery.at, failed=failed)
        metrics.notices.labels(kept.channel, state.replace(" ", "_")).inc()

    def _fail(self, item: Item, kept: Kept, delivery: Delivery, error: Undelivered) -> None:
        """Record a failure; a notice that was tried for a day is given up."""
        if self._station.store.read(lambda tx: tx.now) - kept.made_at > self._backoff.patience:
            self._end(item, kept, delivery, NoticeState.GIVEN_UP)
            return

        def note(tx: Tx) -> None:
            notices.record(tx, kept.id, delivery)
            notices.explain(tx, kept.id, str(error))

        self._station.store.write_together(note)
        tracing.told(self._station.store, kept, delivery.at, failed=True)
        metrics.notices.labels(kept.channel, "failed").inc()
        raise error

    def _tail_of(self, item: Item) -> Tail | timedelta:
        """Return the log's last lines once it is sealed, or how long to wait for that."""
        attempt_id = AttemptId(item.subject)
        found = self._station.store.read(lambda tx: _look_up(tx, attempt_id))
        if found is None:
            return Tail(before=0)
        execution, attempt = found
        if attempt.log_sealed_at is not None or attempt.finished_at is None:
            try:
                tail = _read_tail(self._station, execution, attempt)
            except LogStoreUnavailable as error:
                log.warning("the log of %s can't be read for its notices: %s", attempt.id, error)
            else:
                self._first_seen.pop(item.id, None)
                return tail
        seen = self._first_seen.setdefault(item.id, clock.monotonic())
        waited = clock.monotonic() - seen
        if waited >= _SEAL_PATIENCE:
            del self._first_seen[item.id]
            return Tail()
        return min(timedelta(seconds=0.2 + waited), _LOOK_AGAIN)


def _look_up(tx: Tx, attempt_id: AttemptId) -> tuple[Execution, Attempt] | None:
    attempt = attempts.get(tx, attempt_id)
    execution = rows.by_id(tx, attempt.execution) if attempt else None
    return None if attempt is None or execution is None else (execution, attempt)


def _read_tail(station: Station, execution: Execution, attempt: Attempt) -> Tail:
    if attempt.log_sealed_at is None:
        return Tail(before=0)  # it still runs: people are told that, not what it wrote
    page = read_lines(station.logs, prefix_of(execution, attempt), first=-_LINES, count=_LINES)
    first = page.lines[0].number if page.lines else 0
    return Tail(tuple(map(_shown, page.lines)), before=first)


def _shown(line: Line) -> str:
    return line.text if len(line.text) <= _LINE else line.text[: _LINE - 1] + "…"

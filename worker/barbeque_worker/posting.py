"""Orders jobs from the backends of apps, repeats the order until it is answered, calls jobs off."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from barbeque_py import callbacks as words
from barbeque_py import signing
from barbeque_py.conclude import conclude, conclude_as_told
from barbeque_py.errors import ForbiddenTarget, NoSuchLog, Unanswered
from barbeque_py.executions import AttemptState
from barbeque_py.executor import Launch
from barbeque_py.ids import AttemptId
from barbeque_py.outbound import Response
from barbeque_py.outcomes import Fate, Reason, Settlement
from barbeque_py.store import Tx, attempts, callbacks, signing_secrets
from barbeque_py.store import executions as rows
from barbeque_py.store.attempts import Attempt
from barbeque_py.store.callbacks import Callback
from barbeque_py.store.executions import Execution
from barbeque_py.targets import read_target
from barbeque_py.wiring.parts import Parts

log = logging.getLogger(__name__)

GIVE_UP = timedelta(minutes=10)
"""How long a backend may leave an order unanswered."""

_LATER = frozenset({408, 425, 429})
_GONE = frozenset({404, 410})
_ACCEPTED = 202
_STOPPED = 143
_UNASKED = Fate(Reason.CANCELLED, detail="cancelled before its backend knew of it")
_BAD_REQUEST, _SERVER_ERROR = 400, 500


@dataclass(frozen=True, slots=True)
class _Order:
    """One request to make, and the attempt it is about."""

    attempt: Attempt
    execution: Execution
    callback: Callback
    keys: list[str]
    seconds: int


class Posting:
    """Speaks to the backends; an order's repeats carry the same id and the same bytes."""

    def __init__(self, parts: Parts, *, on_settled: Callable[[], None]) -> None:
        self._store = parts.store
        self._logs = parts.logs
        self._outbound = parts.outbound
        self._urls = parts.job_urls
        self._on_settled = on_settled

    def order(self, attempt: AttemptId) -> None:
        """Post the job to its backend, and act on the answer.

        Raises `Unanswered` when it must be repeated: whether the backend has it is unknown, or
        it wants to be asked later.
        """
        order = self._store.write(lambda tx: self._begin(tx, attempt))
        if order is None:
            return
        first = order.callback.sent_at is None
        try:
            body = words.order(self._facts(order), self._message_of(order.execution))
            answer = self._send("POST", order, attempt, body)
        except ForbiddenTarget as refused:
            self._refuse(attempt, str(refused), first=first)
        except NoSuchLog:
            self._refuse(attempt, "its message is gone from the log store", first=first)
        except Unanswered as error:
            self._note(attempt, str(error), reached=error.sent or not first)
            raise
        else:
            self._hear(attempt, answer, first=first)

    def call_off(self, attempt: AttemptId) -> None:
        """Tell the backend to stop, until it has answered or the attempt has ended."""
        order = self._store.write(lambda tx: _read(tx, attempt))
        if order is None:
            return
        if order.callback.sent_at is None:
            self._end(attempt, _UNASKED)
            return
        facts = {"type": "job.stop", **_names(order), "reason": order.attempt.stop_reason}
        try:
            answer = self._send("DELETE", order, f"{attempt}.stop", words.word_to_stop(facts))
        except ForbiddenTarget as refused:
            log.warning("the backend of attempt %s can't be told to stop: %s", attempt, refused)
            return
        if answer.status == _ACCEPTED:
            self._note(attempt, "the backend was told to stop, and will say when it has")
        elif answer.good or answer.status in _GONE:
            self._end(attempt, Fate(Reason.EXITED, exit_code=_STOPPED))
        else:
            origin = read_target(order.callback.url).origin
            reason = f"{origin} answered {answer.status} to the word to stop"
            raise Unanswered(reason, sent=True)

    def _begin(self, tx: Tx, attempt: AttemptId) -> _Order | None:
        """Record that the order is about to leave; None when there is nothing to order any more."""
        order = _read(tx, attempt)
        if order is None or order.callback.answered_at is not None:
            return None
        sent_at = order.callback.sent_at
        asked = order.attempt.cancel_requested_at or order.attempt.stop_requested_at
        if asked and sent_at is None:
            conclude(tx, attempt, _UNASKED)
            return None
        if asked:
            return None
        if tx.now - order.callback.started_at > GIVE_UP:
            conclude(tx, attempt, _given_up(sent=sent_at is not None))
            return None
        callbacks.mark_sent(tx, attempt)
        return order

    def _facts(self, order: _Order) -> dict[str, Any]:
        assert order.attempt.request is not None, "an attempt keeps its request until it has ended"
        launch = Launch.from_json(order.attempt.request)
        given = launch.environment
        return {
            "type": "job.start",
            **_names(order),
            "attempt": launch.number,
            "retry_count": int(given["BARBEQUE_RETRY_COUNT"]),
            "queue": given["BARBEQUE_QUEUE_NAME"],
            "sent_timestamp": int(given["BARBEQUE_SENT_TIMESTAMP"]),
            "timeout": launch.timeout,
            **self._urls.of_backend(order.attempt.id),
        }

    def _message_of(self, execution: Execution) -> str:
        if execution.message is not None or execution.message_key is None:
            return execution.message or "null"
        return self._logs.read(execution.message_key).decode()

    def _send(self, method: str, order: _Order, message_id: str, body: bytes) -> Response:
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "barbeque_py",
            "Idempotency-Key": message_id,
            **signing.signed(order.keys, message_id, order.seconds, body),
        }
        trace = order.execution.options.get("traceparent")
        if trace is not None:
            headers["traceparent"] = str(trace)
        return self._outbound.send(method, order.callback.url, headers, body)

    def _hear(self, attempt: AttemptId, answer: Response, *, first: bool) -> None:
        """Act on an answer: the job is done, begun, refused, or to be ordered again."""
        if answer.good:
            self._take(attempt, answer)
        elif _BAD_REQUEST <= answer.status < _SERVER_ERROR and answer.status not in _LATER:
            self._refuse(attempt, f"its backend answered {answer.status}", first=first)
        else:
            reason = f"its backend answered {answer.status}"
            self._note(attempt, f"{reason}, and is asked again")
            raise Unanswered(reason, sent=True)

    def _take(self, attempt: AttemptId, answer: Response) -> None:
        try:
            verdict = words.verdict_in(answer.body)
        except ValueError as error:
            detail = f"its backend answered {answer.status} with a result that is none: {error}"
            self._end(attempt, Fate(Reason.EXITED, exit_code=1, detail=detail))
            return
        if verdict is None:
            self._accept(attempt, answer.status)
            return
        if self._store.write(lambda tx: conclude_as_told(tx, attempt, verdict)):
            self._on_settled()

    def _accept(self, attempt: AttemptId, status: int) -> None:
        def accept(tx: Tx) -> None:
            if callbacks.mark_answered(tx, attempt):
                callbacks.write(
                    tx, attempt, f"barbeque: the backend answered {status}", stream="err"
                )

        self._store.write_together(accept)

    def _refuse(self, attempt: AttemptId, reason: str, *, first: bool) -> None:
        """End the attempt: never started if the backend can't know of it, else as a failure."""
        never = Fate(Reason.NEVER_STARTED, detail=reason)
        self._end(attempt, never if first else Fate(Reason.EXITED, exit_code=1, detail=reason))

    def _end(self, attempt: AttemptId, fate: Fate) -> None:
        def end(tx: Tx) -> Settlement | None:
            settled = conclude(tx, attempt, fate)
            if settled is not None and fate.detail:
                callbacks.write(tx, attempt, f"barbeque: {fate.detail}", stream="err")
            return settled

        if self._store.write(end) is not None:
            self._on_settled()

    def _note(self, attempt: AttemptId, text: str, *, reached: bool = True) -> None:
        def note(tx: Tx) -> None:
            if not reached:
                callbacks.unmark_sent(tx, attempt)
            callbacks.write(tx, attempt, f"barbeque: {text}", stream="err")

        self._store.write_together(note)


def _read(tx: Tx, attempt: AttemptId) -> _Order | None:
    """Return what is to be sent about the attempt; None when it has ended."""
    row, callback = attempts.get(tx, attempt), callbacks.get(tx, attempt)
    if row is None or callback is None or callback.ended_at is not None:
        return None
    execution = rows.by_id(tx, row.execution)
    if execution is None or row.state is AttemptState.ENDED:
        return None
    keys = [each.secret for each in signing_secrets.of_app(tx, execution.app)]
    return _Order(row, execution, callback, keys, int(tx.now.timestamp()))


def _names(order: _Order) -> dict[str, Any]:
    execution = order.execution
    return {
        "app": execution.app,
        "job": execution.job,
        "message_id": execution.message_id,
        "attempt_id": order.attempt.id,
        "user_id": execution.options.get("user_id"),
    }


def _given_up(*, sent: bool) -> Fate:
    if sent:
        return Fate(Reason.VANISHED, detail="its backend has never answered that it has the job")
    detail = "its backend could not be reached"
    return Fate(Reason.NEVER_STARTED, detail=detail, blame_definition=False)

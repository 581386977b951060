"""Webhooks: a notice as a signed request to a program, by the Standard Webhooks convention."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from barbeque_py import clock, signing
from barbeque_py.errors import ForbiddenTarget, NoticeRefused, Unanswered, Undelivered
from barbeque_py.ids import attempt_id
from barbeque_py.notices import Event, Notice, Occasion
from barbeque_py.notifier import Receipt
from barbeque_py.outbound import Outbound, Response
from barbeque_py.store import Store, Tx, reports, signing_secrets

TYPES = {
    Event.SUCCEEDED: "execution.succeeded",
    Event.FAILED: "execution.failed",
    Event.CANCELLED: "execution.cancelled",
    Event.ATTEMPT_FAILED: "attempt.failed",
    Event.LATE: "execution.late",
    Event.RECOVERED: "job.recovered",
    Event.TEST: "test",
}
"""What a payload says that it tells of."""

LONGEST_WAIT = timedelta(hours=1)
"""What a receiver may ask for with Retry-After."""

_GONE = 410
_SHOWN = 1000
"""Characters of an answer that are kept."""


class WebhookNotifier:
    """Posts notices; each repeat has the same id and the same body under a new timestamp."""

    def __init__(
        self,
        store: Store,
        outbound: Outbound,
        *,
        host_url: str | None = None,
        now: Callable[[], float] = lambda: clock.now().timestamp(),
    ) -> None:
        self._store = store
        self._outbound = outbound
        self._host_url = host_url
        self._now = now

    def deliver(self, notice: Notice) -> Receipt:
        """Post the notice; whatever is not a 2xx is tried again, but 410."""
        keys, made = self._store.write(lambda tx: _look_up(tx, notice.occasion))
        body = payload(notice.occasion, made, host_url=self._host_url)
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "barbeque_py",
            **signing.signed(keys, notice.id, int(self._now()), body),
        }
        request = body.decode()
        try:
            response = self._outbound.send("POST", notice.target, headers, body)
        except ForbiddenTarget as error:
            raise NoticeRefused(str(error), request=request) from None
        except Unanswered as error:
            raise Undelivered(str(error), request=request) from None
        answer = _shown(response)
        if response.good:
            return Receipt(answer, request=request)
        if response.status == _GONE:
            raise NoticeRefused(f"it is gone for good: {answer}", request=request)
        raise Undelivered(answer, retry_after=_wait(response), request=request)


def payload(occasion: Occasion, result: str | None, *, host_url: str | None) -> bytes:
    """Return the body; `result` is JSON text."""
    facts = {
        "type": TYPES[occasion.event],
        "timestamp": occasion.finished_at or occasion.started_at or clock.rfc3339(clock.now()),
        "data": _facts(occasion, host_url)
        | {"result": None if result is None else json.loads(result)},
    }
    return json.dumps(facts, ensure_ascii=False, separators=(",", ":")).encode()


def _facts(occasion: Occasion, host_url: str | None) -> dict[str, Any]:
    page = f"{host_url}/job_executions/{occasion.message_id}" if host_url else None
    return {
        "app": occasion.app,
        "job": occasion.job,
        "message_id": occasion.message_id,
        "queue": occasion.queue,
        "user_id": occasion.user_id,
        "tags": dict(occasion.tags),
        "attempt": occasion.attempt,
        "attempts": occasion.attempts,
        "tries": occasion.tries,
        "reason": occasion.reason,
        "exit_code": occasion.exit_code,
        "detail": occasion.detail,
        "enqueued_at": occasion.enqueued_at,
        "started_at": occasion.started_at,
        "finished_at": occasion.finished_at,
        "seconds": occasion.seconds,
        "html_url": page,
    }


def _look_up(tx: Tx, occasion: Occasion) -> tuple[list[str], str | None]:
    """Return the secrets that sign, and the result that the attempt has told."""
    keys = [each.secret for each in signing_secrets.of_app(tx, occasion.app)]
    if occasion.attempt is None:
        return keys, None
    told = reports.of_attempt(tx, attempt_id(occasion.message_id, occasion.attempt))
    return keys, told.result if told else None


def _shown(response: Response) -> str:
    words = response.body[:_SHOWN].decode(errors="replace")
    return f"{response.status} {words}".strip()


def _wait(response: Response) -> timedelta | None:
    """Return how long the receiver wants to be left alone, where it says so in seconds."""
    asked = response.headers.get("retry-after", "").strip()
    if not asked.isdecimal() or len(asked) > 9:  # noqa: PLR2004 - digits
        return None
    return min(timedelta(seconds=int(asked)), LONGEST_WAIT)

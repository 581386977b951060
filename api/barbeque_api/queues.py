"""`/v2/queues` and `/v2/dead_messages`: what waits, what is paused, and what can't be a job."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response
from typing_extensions import TypedDict

from barbeque_api import schemas
from barbeque_api.bodies import read_object, read_rest, read_text
from barbeque_api.enqueue import Accepted, accepted
from barbeque_api.parts import Served
from barbeque_api.problems import Answer, answer, refusal
from barbeque_api.rights import caller_of, needs
from barbeque_api.times import Instant, written
from barbeque_py import clock
from barbeque_py.acts import drop_dead_message
from barbeque_py.broker import Depth
from barbeque_py.broker import Queues as BrokerQueues
from barbeque_py.errors import (
    ConfigurationError,
    OutsideError,
    RequestError,
)
from barbeque_py.identity import Identity, Scope
from barbeque_py.messages import Unreadable
from barbeque_py.resend import NotTheirs, resend
from barbeque_py.store import Tx, apps, dead, lists, queries
from barbeque_py.store.dead import DeadMessage
from barbeque_py.store.queries import QueueState
from barbeque_py.suspend import pause, resume_queue

_LARGEST_ID = (1 << 63) - 1
_FRESH = 5.0
"""Seconds for which the broker is not asked again."""

_Number = Annotated[int, Path(ge=1, le=_LARGEST_ID)]


class QueueFacts(TypedDict):
    """A queue and what is on it; null is what the asker may not know, or nobody does."""

    name: str
    concurrency: int | None
    paused_at: Instant | None
    waiting: int
    running: int
    messages: int | None
    pause_reason: str | None
    paused_until: Instant | None
    oldest_seconds: float | None
    dead: int


class QueueList(TypedDict):
    """The queues."""

    queues: list[QueueFacts]


class PauseFacts(TypedDict):
    """Since when a queue is paused; null where it is not."""

    name: str
    paused_at: Instant | None
    pause_reason: str | None
    paused_until: Instant | None


class DeadFacts(TypedDict):
    """A message that can't become an execution, and why."""

    id: int
    queue: str
    message_id: str | None
    body: str
    reason: str
    sent_at: Instant
    died_at: Instant


class DeadPage(TypedDict):
    """Dead messages; `next` is the `before` of the page that follows."""

    dead_messages: list[DeadFacts]
    next: int | None


class Queues:
    """Shows queues, pauses and resumes them."""

    def __init__(self, parts: Served) -> None:
        self._parts = parts
        self._depths: dict[str, Depth | None] = {}
        self._asked_at = -_FRESH

    def add_to(self, router: APIRouter) -> None:
        """Add the routes."""
        router.add_api_route(
            "/v2/queues", self.all, methods=["GET"], dependencies=[needs(Scope.READ)]
        )
        for verb, act in (("pause", self.pause), ("resume", self.resume)):
            router.add_api_route(
                f"/v2/queues/{{name}}/{verb}",
                act,
                methods=["POST"],
                dependencies=[needs(Scope.ADMIN)],
                openapi_extra=(
                    schemas.body(schemas.REST, required=False) if verb == "pause" else None
                ),
            )

    def all(self, request: Request) -> Answer[QueueList]:
        """List the queues and what is on them; an app's token is told of its own executions."""
        app = caller_of(request).app
        now, found = self._parts.store.read(lambda tx: (tx.now, queries.queue_states(tx, app=app)))
        depths = None if app is not None else self._look(each.name for each in found)
        return answer({"queues": [_queue(each, now, depths) for each in found]})

    def _look(self, names: Iterable[str]) -> dict[str, Depth | None] | None:
        """Return what the broker's own queues hold, at most 5 s old; None where it has none."""
        queues = self._parts.queues
        if queues is None:
            return None
        if clock.monotonic() - self._asked_at >= _FRESH:
            self._depths = {name: _depth_of(queues, name) for name in names}
            self._asked_at = clock.monotonic()
        return self._depths

    async def pause(self, name: str, request: Request) -> Answer[PauseFacts]:
        """Start nothing more from the queue; it still takes in. `reason` is shown to who waits.

        With `lasts`, a duration, it goes on by itself; asked for again, the end is the newer one's.
        """
        rest = await read_rest(request, self._parts.max_body)
        who = caller_of(request)
        return await run_in_threadpool(self._answer, name, lambda tx: pause(tx, who, name, rest))

    def resume(self, name: str, request: Request) -> Answer[PauseFacts]:
        """Start from the queue again."""
        who = caller_of(request)
        response = self._answer(name, lambda tx: resume_queue(tx, who, name))
        self._parts.bell.ring()
        return response

    def _answer(self, name: str, act: Callable[[Tx], None]) -> Answer[PauseFacts]:
        def change(tx: Tx) -> PauseFacts:
            act(tx)
            found = apps.pause_of(tx, name)
            return {
                "name": name,
                "paused_at": written(found.since if found else None),
                "paused_until": written(found.until if found else None),
                "pause_reason": (found.reason if found else "") or None,
            }

        return answer(self._parts.store.write(change))


class DeadMessages:
    """Shows dead messages, sends them again, or forgets them."""

    def __init__(self, parts: Served) -> None:
        self._parts = parts

    def add_to(self, router: APIRouter) -> None:
        """Add the routes."""
        path = "/v2/dead_messages"
        router.add_api_route(path, self.newest, methods=["GET"], dependencies=[needs(Scope.READ)])
        router.add_api_route(
            f"{path}/{{number}}",
            self.drop,
            methods=["DELETE"],
            status_code=204,
            dependencies=[needs(Scope.ENQUEUE)],
        )
        router.add_api_route(
            f"{path}/{{number}}/send",
            self.send,
            methods=["POST"],
            status_code=201,
            dependencies=[needs(Scope.ENQUEUE)],
            openapi_extra=schemas.body(schemas.DEAD, required=False),
        )

    def newest(
        self,
        request: Request,
        before: Annotated[int | None, Query(ge=1, le=_LARGEST_ID)] = None,
        limit: Annotated[int, Query(ge=1, le=lists.MOST)] = 50,
    ) -> Answer[DeadPage]:
        """List dead messages, the newest first; `next` is the `before` of the following page."""
        found = self._parts.store.read(
            lambda tx: dead.newest(tx, app=caller_of(request).app, before=before, most=limit)
        )
        following = found[-1].id if len(found) == limit else None
        return answer({"dead_messages": list(map(_dead, found)), "next": following})

    async def send(self, number: _Number, request: Request) -> Answer[Accepted]:
        """Send the message again, edited or as it is, under the public id it had."""
        facts = await read_object(request, self._parts.max_body, known=("body",), may_be_empty=True)
        edited = read_text(facts, "body")
        message_id = await run_in_threadpool(self._send, caller_of(request), number, edited)
        return answer(accepted(message_id), status=201)

    def drop(self, number: _Number, request: Request) -> Response:
        """Forget the message."""
        self._parts.store.write(lambda tx: drop_dead_message(tx, caller_of(request), number))
        return Response(status_code=204)

    def _send(self, who: Identity, number: int, edited: str | None) -> str:
        try:
            message_id = resend(self._parts.store, self._parts.broker, who, number, body=edited)
        except NotTheirs as error:
            raise refusal(403, str(error)) from None
        except Unreadable as error:
            fault = f"the message can't be a job yet: {error}; send a `body`"
            raise refusal(400, fault) from None
        self._parts.bell.ring()
        return message_id


def _depth_of(queues: BrokerQueues, name: str) -> Depth | None:
    try:
        return queues.depth(name)
    except (OutsideError, RequestError, ConfigurationError):
        return None  # `barbeque check` says why


def _queue(
    queue: QueueState, now: datetime, depths: Mapping[str, Depth | None] | None
) -> QueueFacts:
    age = None if queue.oldest_at is None else (now - queue.oldest_at).total_seconds()
    travelling: int | None = queue.messages
    if depths is not None:
        depth = depths.get(queue.name)
        travelling = None if depth is None else depth.total
    return {
        "name": queue.name,
        "concurrency": queue.concurrency,
        "paused_at": written(queue.paused_at),
        "waiting": queue.waiting,
        "running": queue.running,
        "messages": travelling,
        "pause_reason": queue.pause_reason,
        "paused_until": written(queue.paused_until),
        "oldest_seconds": None if age is None else round(max(0.0, age), 3),
        "dead": queue.dead,
    }


def _dead(message: DeadMessage) -> DeadFacts:
    return {
        "id": message.id,
        "queue": message.queue,
        "message_id": message.message_id,
        "body": message.body,
        "reason": message.reason,
        "sent_at": written(message.sent_at),
        "died_at": written(message.died_at),
    }

"""`/v2/subscriptions`: which SNS topics queues hear, and the jobs their messages start."""

from typing import Annotated

from fastapi import APIRouter, Path, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response
from typing_extensions import TypedDict

from barbeque_api import schemas
from barbeque_api.bodies import read_object, read_text
from barbeque_api.document import answers
from barbeque_api.parts import Served
from barbeque_api.problems import Answer, answer, refusal
from barbeque_api.rights import caller_of, needs
from barbeque_api.times import Instant, written
from barbeque_py.apps import TOPIC, Subscription
from barbeque_py.identity import Identity, Scope
from barbeque_py.store import subscriptions
from barbeque_py.store.subscriptions import Subscribed
from barbeque_py.subscriptions import (
    StillSubscribed,
    UnknownSubscription,
    subscribe,
    unsubscribe,
)

_LARGEST = 16 * 1024
_LARGEST_ID = (1 << 63) - 1
_FIELDS = ("topic", "queue", "app", "job")


class SubscriptionFacts(TypedDict):
    """A topic that a queue hears; `fault` is why SNS does not have it as it should be."""

    id: int
    topic: str
    queue: str
    app: str
    job: str
    subscription_arn: str | None
    fault: str | None
    removed_at: Instant | None


class SubscriptionList(TypedDict):
    """The subscriptions."""

    subscriptions: list[SubscriptionFacts]


class Subscriptions:
    """Shows, makes and removes subscriptions."""

    def __init__(self, parts: Served) -> None:
        self._parts = parts

    def add_to(self, router: APIRouter) -> None:
        """Add the routes."""
        path = "/v2/subscriptions"
        router.add_api_route(path, self.all, methods=["GET"], dependencies=[needs(Scope.READ)])
        router.add_api_route(
            path,
            self.subscribe,
            methods=["POST"],
            status_code=201,
            dependencies=[needs(Scope.DEPLOY)],
            openapi_extra=schemas.body(schemas.SUBSCRIPTION),
            responses=answers(200, 404, 409),
        )
        router.add_api_route(
            f"{path}/{{number}}",
            self.unsubscribe,
            methods=["DELETE"],
            status_code=204,
            dependencies=[needs(Scope.DEPLOY)],
            responses=answers(202),
        )

    def all(self, request: Request) -> Answer[SubscriptionList]:
        """List the subscriptions, and what is not as it should be in SNS."""
        who = caller_of(request)
        found = self._parts.store.read(subscriptions.everything)
        own = [each for each in found if who.may(Scope.READ, each.app)]
        return answer({"subscriptions": list(map(_shown, own))})

    async def subscribe(self, request: Request) -> Answer[SubscriptionFacts]:
        """Let a queue hear a topic, whose messages start the job from now on.

        200 when it does already; then SNS is told once more. While SNS is away the answer has a
        `fault`, and the same request finishes it.
        """
        facts = await read_object(request, _LARGEST, known=_FIELDS)
        wanted = self._wanted({name: read_text(facts, name) for name in _FIELDS})
        row, new = await run_in_threadpool(self._subscribe, caller_of(request), wanted)
        return answer(_shown(row), status=201 if new else 200)

    def unsubscribe(
        self, number: Annotated[int, Path(ge=1, le=_LARGEST_ID)], request: Request
    ) -> Answer[SubscriptionFacts] | Response:
        """Let a queue hear a topic no more; 202 while SNS could not be told, to be repeated."""
        try:
            who = caller_of(request)
            left = unsubscribe(self._parts.store, self._parts.topics, who, number)
        except UnknownSubscription as error:
            raise refusal(404, str(error)) from None
        return Response(status_code=204) if left is None else answer(_shown(left), status=202)

    def _wanted(self, facts: dict[str, str | None]) -> Subscription:
        said = {"queue": self._parts.default_queue} | {
            name: value for name, value in facts.items() if value is not None
        }
        missing = [name for name in _FIELDS if name not in said]
        if missing:
            raise refusal(400, f"{missing[0]}: missing")
        if TOPIC.fullmatch(said["topic"]) is None:
            raise refusal(400, "topic: write an SNS topic's ARN")
        return Subscription(**said)

    def _subscribe(self, who: Identity, wanted: Subscription) -> tuple[Subscribed, bool]:
        try:
            return subscribe(self._parts.store, self._parts.topics, who, wanted)
        except StillSubscribed as error:
            raise refusal(409, str(error)) from None


def _shown(row: Subscribed) -> SubscriptionFacts:
    return {
        "id": row.id,
        "topic": row.topic,
        "queue": row.queue,
        "app": row.app,
        "job": row.job,
        "subscription_arn": row.subscription_arn,
        "fault": row.fault,
        "removed_at": written(row.removed_at),
    }

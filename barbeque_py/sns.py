"""The topics of Amazon SNS, which put messages on queues of SQS."""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from barbeque_py.aws import (
    FAILURES,
    calling,
    code_of,
    explain,
    is_definite,
    message_of,
    open_client,
)
from barbeque_py.errors import BrokerUnavailable, RequestError

_NOT_FOUND = frozenset({"NotFound", "NotFoundException"})
_NOT_ALLOWED = frozenset({"AccessDenied", "AccessDeniedException", "AuthorizationError"})
_TAKEN = "already exists"
_PENDING = "pending confirmation"


class SnsTopics:
    """Lets the queues of an `SqsQueues` hear topics, each spoken to in its own Region.

    Safe to use from many threads. `queue_arn` and `allow_topics` are those of `SqsQueues`.
    """

    def __init__(
        self,
        *,
        queue_arn: Callable[[str], str],
        allow_topics: Callable[[str, Iterable[str]], None],
    ) -> None:
        self._queue_arn = queue_arn
        self._allow_topics = allow_topics
        self._clients: dict[str, Any] = {}
        self._opening = threading.Lock()

    def close(self) -> None:
        """Close the connections."""
        for client in self._clients.values():
            client.close()

    def allow(self, queue: str, topics: Iterable[str]) -> None:
        """Let these topics, and no others, put messages on the queue; raises `UnknownQueue`."""
        self._allow_topics(queue, topics)

    def subscribe(self, queue: str, topic: str) -> str:
        """Subscribe the queue to the topic and return the subscription's ARN.

        Raises `RequestError` when there is no such topic or the role may not.
        """
        endpoint = self._queue_arn(queue)
        with _asking(f"subscribing the queue {queue} to {topic}", "sns:Subscribe", topic):
            answer = self._client(topic).subscribe(
                TopicArn=topic,
                Protocol="sqs",
                Endpoint=endpoint,
                Attributes={"RawMessageDelivery": "false"},
                ReturnSubscriptionArn=True,
            )
        return str(answer["SubscriptionArn"])

    def unsubscribe(self, subscription_arn: str) -> None:
        """Unsubscribe; what is gone, or was never confirmed and goes by itself, is left alone."""
        topic = subscription_arn.rpartition(":")[0]
        with _asking(f"unsubscribing from {topic}", "sns:Unsubscribe", topic):
            try:
                self._client(topic).unsubscribe(SubscriptionArn=subscription_arn)
            except FAILURES as error:
                if code_of(error) not in _NOT_FOUND and _PENDING not in message_of(error).lower():
                    raise

    def confirm(self, topic: str, token: str) -> str:
        """Confirm a subscription with SNS's token and return its ARN."""
        with _asking(f"confirming the subscription to {topic}", "sns:ConfirmSubscription", topic):
            # Else whoever sees an UnsubscribeURL, which each message has, could unsubscribe us.
            answer = self._client(topic).confirm_subscription(
                TopicArn=topic, Token=token, AuthenticateOnUnsubscribe="true"
            )
        return str(answer["SubscriptionArn"])

    def _client(self, topic: str) -> Any:
        region = topic.split(":")[3]
        with self._opening:
            if region not in self._clients:
                self._clients[region] = open_client("sns", region=region, connections=2)
            return self._clients[region]


@contextmanager
def _asking(doing: str, permission: str, topic: str) -> Iterator[None]:
    """Tell a definite no, and its cure, from an SNS that is away."""
    with calling(doing, BrokerUnavailable):
        try:
            yield
        except FAILURES as error:
            if not is_definite(error):
                raise
            raise RequestError(_sentence(doing, permission, topic, error)) from error


def _sentence(doing: str, permission: str, topic: str, error: BaseException) -> str:
    code = code_of(error)
    if code in _NOT_FOUND:
        return f"the topic {topic} is not found: check its ARN, or make it first"
    if code in _NOT_ALLOWED:
        return (
            f"{doing} is not authorized: let our role do {permission}, and where the topic is of "
            "another account, let its policy allow it too"
        )
    if _TAKEN in message_of(error).lower():
        return (
            f"{doing} is refused: it is subscribed already with other attributes, such as raw "
            "delivery; unsubscribe it in SNS, then do this again"
        )
    return f"{doing} is refused: {explain(error)}"

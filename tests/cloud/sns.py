"""A stand-in for SNS: topics that deliver to our queues, where a queue's policy lets them."""

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from barbeque_py import clock
from tests.cloud.caller import ACCOUNT, REGION
from tests.cloud.policies import allows
from tests.cloud.service import AwsFault, Json
from tests.cloud.sqs import Sqs

_SETTABLE = {"FilterPolicy", "FilterPolicyScope", "RawMessageDelivery", "RedrivePolicy"}


@dataclass(slots=True)
class Subscription:
    """One queue that a topic's messages go to."""

    arn: str
    topic: str
    endpoint: str
    attributes: dict[str, str] = field(default_factory=dict)


class Sns:
    """Topics and their subscriptions; a topic whose name begins with `forbidden` refuses ours."""

    def __init__(self, sqs: Sqs) -> None:
        self._sqs = sqs
        self._topics: dict[str, list[Subscription]] = {}
        self._answers: dict[str, Callable[[Json], Json]] = {
            "ConfirmSubscription": self._confirm,
            "CreateTopic": self._create,
            "DeleteTopic": self._drop,
            "GetSubscriptionAttributes": self._attributes,
            "ListSubscriptionsByTopic": self._subscriptions,
            "ListTopics": self._list,
            "Publish": self._publish,
            "SetSubscriptionAttributes": self._set_attribute,
            "Subscribe": self._subscribe,
            "Unsubscribe": self._unsubscribe,
        }

    async def answer(self, operation: str, request: Json) -> Json:
        """Carry the operation out and return its result; raises `AwsFault`."""
        answer = self._answers.get(operation)
        if answer is None:
            raise AwsFault("InvalidAction", f"{operation} is not known here.")
        return answer(request)

    async def control(self, verb: str, request: Json) -> Json:
        """There is nothing to wish for."""
        raise AwsFault("UnknownVerb", f"sns has no verb {verb}")

    async def close(self) -> None:
        """Nothing runs."""

    def _topic(self, request: Json) -> list[Subscription]:
        arn = _needed(request, "TopicArn")
        if arn not in self._topics:
            raise AwsFault("NotFound", "Topic does not exist", status=404)
        return self._topics[arn]

    def _create(self, request: Json) -> Json:
        arn = f"arn:aws:sns:{REGION.get()}:{ACCOUNT}:{_needed(request, 'Name')}"
        self._topics.setdefault(arn, [])
        return {"TopicArn": arn}

    def _drop(self, request: Json) -> Json:
        self._topics.pop(_needed(request, "TopicArn"), None)
        return {}

    def _list(self, request: Json) -> Json:
        return {"Topics": [{"TopicArn": each} for each in self._topics]}

    def _subscribe(self, request: Json) -> Json:
        arn, endpoint = _needed(request, "TopicArn"), _needed(request, "Endpoint")
        if arn.rpartition(":")[2].startswith("forbidden"):
            raise AwsFault(
                "AuthorizationError",
                f"User: arn:aws:iam::{ACCOUNT}:user/test is not authorized to perform: "
                f"SNS:Subscribe on resource: {arn}",
                status=403,
            )
        subscriptions = self._topic(request)
        if request.get("Protocol") != "sqs" or ":sqs:" not in endpoint:
            raise AwsFault("InvalidParameter", "Invalid parameter: SQS endpoint ARN")
        attributes = _map_of(request, "Attributes.entry")
        for each in subscriptions:
            if each.endpoint == endpoint:
                each.attributes.update(attributes)
                return {"SubscriptionArn": each.arn}
        fresh = Subscription(f"{arn}:{uuid.uuid4()}", arn, endpoint, attributes)
        subscriptions.append(fresh)
        return {"SubscriptionArn": fresh.arn}

    def _confirm(self, request: Json) -> Json:
        """Take any token but one that says it has expired; the topic's first subscription it is."""
        if _needed(request, "Token").startswith("expired"):
            raise AwsFault("InvalidParameter", "Invalid parameter: Token")
        for each in self._topic(request):
            return {"SubscriptionArn": each.arn}
        raise AwsFault("NotFound", "Subscription does not exist", status=404)

    def _unsubscribe(self, request: Json) -> Json:
        arn = _needed(request, "SubscriptionArn")
        for subscriptions in self._topics.values():
            subscriptions[:] = [each for each in subscriptions if each.arn != arn]
        return {}

    def _subscriptions(self, request: Json) -> Json:
        return {
            "Subscriptions": [
                {
                    "SubscriptionArn": each.arn,
                    "Owner": ACCOUNT,
                    "Protocol": "sqs",
                    "Endpoint": each.endpoint,
                    "TopicArn": each.topic,
                }
                for each in self._topic(request)
            ]
        }

    def _subscription(self, request: Json) -> Subscription:
        arn = _needed(request, "SubscriptionArn")
        for subscriptions in self._topics.values():
            for each in subscriptions:
                if each.arn == arn:
                    return each
        raise AwsFault("NotFound", "Subscription does not exist", status=404)

    def _attributes(self, request: Json) -> Json:
        found = self._subscription(request)
        return {
            "Attributes": {
                "RawMessageDelivery": "false",
                **found.attributes,
                "SubscriptionArn": found.arn,
                "Owner": ACCOUNT,
                "Protocol": "sqs",
                "Endpoint": found.endpoint,
                "TopicArn": found.topic,
                "ConfirmationWasAuthenticated": "true",
                "PendingConfirmation": "false",
            }
        }

    def _set_attribute(self, request: Json) -> Json:
        name = _needed(request, "AttributeName")
        if name not in _SETTABLE:
            raise AwsFault("InvalidParameter", "Invalid parameter: AttributeName")
        self._subscription(request).attributes[name] = request.get("AttributeValue", "")
        return {}

    def _publish(self, request: Json) -> Json:
        message = _needed(request, "Message")
        message_id = str(uuid.uuid4())
        envelope = {
            "Type": "Notification",
            "MessageId": message_id,
            "TopicArn": _needed(request, "TopicArn"),
            "Message": message,
            "Timestamp": clock.now().strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z",
            "SignatureVersion": "1",
            "Signature": "EXAMPLE",
            "SigningCertURL": "https://sns.us-east-1.amazonaws.com/example.pem",
            "UnsubscribeURL": "https://sns.us-east-1.amazonaws.com/?Action=Unsubscribe",
        }
        if subject := request.get("Subject"):
            envelope["Subject"] = subject
        for each in self._topic(request):
            raw = each.attributes.get("RawMessageDelivery", "").lower() == "true"
            self._deliver(each, message if raw else json.dumps(envelope))
        return {"MessageId": message_id}

    def _deliver(self, subscription: Subscription, body: str) -> None:
        """Enqueue, where the queue is there and lets the topic; AWS too says nothing otherwise."""
        queue = self._sqs.queues.of_arn(subscription.endpoint)
        if queue is not None and allows(
            queue.attributes.get("Policy", ""), "sqs:SendMessage", queue.arn, subscription.topic
        ):
            self._sqs.put(queue.name, body)


def read_form(body: bytes) -> Json:
    """Read a request of the Query protocol as it is, names with dots and all."""
    return dict(parse_qsl(body.decode(), keep_blank_values=True))


def _needed(request: Json, name: str) -> str:
    if not request.get(name):
        raise AwsFault("InvalidParameter", f"Invalid parameter: {name}")
    return str(request[name])


def _map_of(request: Json, prefix: str) -> dict[str, str]:
    found = {}
    number = 1
    while (key := request.get(f"{prefix}.{number}.key")) is not None:
        found[key] = request.get(f"{prefix}.{number}.value", "")
        number += 1
    return found

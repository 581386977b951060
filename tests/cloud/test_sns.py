"""The SNS stand-in delivers where a queue's policy lets it, and nowhere else."""

import json
import uuid
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.cloud.rig import CloudProcess


class Post:
    """A topic, a queue and what lies between."""

    def __init__(self, cloud: CloudProcess, topic: str) -> None:
        self.sns, self.sqs = cloud.client("sns"), cloud.client("sqs")
        self.name = f"{topic}-{uuid.uuid4().hex[:8]}"
        self.topic = self.sns.create_topic(Name=self.name)["TopicArn"]
        self.url = self.sqs.create_queue(QueueName=self.name)["QueueUrl"]
        self.queue = f"arn:aws:sqs:us-east-1:123456789012:{self.name}"

    def allow(self, **changed: Any) -> None:
        statement = {
            "Effect": "Allow",
            "Principal": {"Service": "sns.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": self.queue,
            "Condition": {"ArnEquals": {"aws:SourceArn": self.topic}},
            **changed,
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        self.sqs.set_queue_attributes(QueueUrl=self.url, Attributes={"Policy": policy})

    def subscribe(self, **attributes: str) -> str:
        return str(
            self.sns.subscribe(
                TopicArn=self.topic, Protocol="sqs", Endpoint=self.queue, Attributes=attributes
            )["SubscriptionArn"]
        )

    def deliver(self, message: str = "hello") -> list[str]:
        self.sns.publish(TopicArn=self.topic, Message=message)
        answer = self.sqs.receive_message(QueueUrl=self.url)
        return [each["Body"] for each in answer.get("Messages", [])]


@pytest.fixture
def post(calm_cloud: CloudProcess) -> Post:
    return Post(calm_cloud, "topic")


def test_a_notification_comes_in_an_envelope(post: Post) -> None:
    post.allow()
    post.subscribe()
    [body] = post.deliver("<a & b>")
    told = json.loads(body)
    assert (told["Type"], told["TopicArn"]) == ("Notification", post.topic)
    assert told["Message"] == "<a & b>"
    assert told["Timestamp"].endswith("Z")


def test_a_raw_notification_comes_bare(post: Post) -> None:
    post.allow()
    arn = post.subscribe(RawMessageDelivery="true")
    assert post.deliver("bare") == ["bare"]
    post.sns.set_subscription_attributes(
        SubscriptionArn=arn, AttributeName="RawMessageDelivery", AttributeValue="false"
    )
    attributes = post.sns.get_subscription_attributes(SubscriptionArn=arn)["Attributes"]
    assert (attributes["RawMessageDelivery"], attributes["Endpoint"]) == ("false", post.queue)
    assert post.deliver() != ["hello"]


@pytest.mark.parametrize(
    "changed",
    [
        {"Condition": {"ArnEquals": {"aws:SourceArn": "arn:aws:sns:us-east-1:123456789012:no"}}},
        {"Effect": "Deny"},
        {"Action": "sqs:ReceiveMessage"},
        {"Principal": {"Service": "events.amazonaws.com"}},
        {"Resource": "arn:aws:sqs:us-east-1:123456789012:another"},
    ],
)
def test_a_queue_whose_policy_does_not_allow_the_topic_gets_nothing(
    post: Post, changed: dict[str, Any]
) -> None:
    post.subscribe()
    assert not post.deliver()
    post.allow(**changed)
    assert not post.deliver()


@pytest.mark.parametrize(
    "changed",
    [
        {"Principal": "*", "Action": ["SQS:*"]},
        {"Condition": {"ArnLike": {"AWS:SourceArn": ["arn:aws:sns:*:123456789012:topic-*"]}}},
    ],
)
def test_a_policy_may_allow_in_wider_words(post: Post, changed: dict[str, Any]) -> None:
    post.allow(**changed)
    post.subscribe()
    assert post.deliver()


def test_a_queue_subscribes_once(post: Post) -> None:
    assert post.subscribe() == post.subscribe()
    [found] = post.sns.list_subscriptions_by_topic(TopicArn=post.topic)["Subscriptions"]
    assert (found["Protocol"], found["Endpoint"]) == ("sqs", post.queue)
    post.sns.unsubscribe(SubscriptionArn=found["SubscriptionArn"])
    assert not post.sns.list_subscriptions_by_topic(TopicArn=post.topic)["Subscriptions"]


def test_a_topic_that_is_not_there_is_named_by_boto3s_own_exception(post: Post) -> None:
    post.sns.delete_topic(TopicArn=post.topic)
    with pytest.raises(post.sns.exceptions.NotFoundException):
        post.subscribe()


def test_a_forbidden_topic_takes_no_subscription(calm_cloud: CloudProcess) -> None:
    with pytest.raises(ClientError, match="is not authorized") as error:
        Post(calm_cloud, "forbidden").subscribe()
    assert error.value.response["Error"]["Code"] == "AuthorizationError"
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403

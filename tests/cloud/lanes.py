"""Queues of a test's own in the cloud, with few words."""

import json
import uuid
from dataclasses import dataclass
from typing import Any

from tests.cloud.rig import CloudProcess


@dataclass
class Lane:
    """One queue."""

    sqs: Any
    name: str
    url: str

    @property
    def arn(self) -> str:
        return str(self.attributes()["QueueArn"])

    def send(self, body: str = "hello", **more: Any) -> Any:
        return self.sqs.send_message(QueueUrl=self.url, MessageBody=body, **more)

    def receive(self, **more: Any) -> list[Any]:
        wish = {"MessageSystemAttributeNames": ["All"], "MessageAttributeNames": ["All"], **more}
        return list(self.sqs.receive_message(QueueUrl=self.url, **wish).get("Messages", []))

    def bodies(self, **more: Any) -> list[str]:
        return [each["Body"] for each in self.receive(MaxNumberOfMessages=10, **more)]

    def delete(self, message: Any) -> None:
        self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])

    def hide(self, message: Any, seconds: int) -> None:
        self.sqs.change_message_visibility(
            QueueUrl=self.url,
            ReceiptHandle=message["ReceiptHandle"],
            VisibilityTimeout=seconds,
        )

    def attributes(self) -> dict[str, str]:
        return dict(
            self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=["All"])["Attributes"]
        )

    def counts(self) -> list[int]:
        """Visible, in flight, delayed."""
        told = self.attributes()
        name = "ApproximateNumberOfMessages"
        return [int(told[name + end]) for end in ("", "NotVisible", "Delayed")]


class Lanes:
    """Makes queues."""

    def __init__(self, cloud: CloudProcess) -> None:
        self.sqs = cloud.client("sqs")

    def make(self, **attributes: str) -> Lane:
        name = f"lane-{uuid.uuid4().hex[:12]}"
        answer = self.sqs.create_queue(QueueName=name, Attributes=attributes)
        return Lane(self.sqs, name, answer["QueueUrl"])

    def make_pair(self, most: int) -> tuple[Lane, Lane]:
        """Return a queue and that of its dead letters."""
        dead = self.make()
        policy = {"deadLetterTargetArn": dead.arn, "maxReceiveCount": str(most)}
        return self.make(RedrivePolicy=json.dumps(policy)), dead

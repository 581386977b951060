"""An API whose queue is one of SQS and hears topics of SNS."""

import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from barbeque_py.apps import App, JobDefinition, Queue
from barbeque_py.brokers.sqs import SqsBroker
from barbeque_py.brokers.sqs_queues import SqsQueues
from barbeque_py.intake import Intake
from barbeque_py.sns import SnsTopics
from barbeque_py.store import Store, Tx, apps, dead
from tests.api.served import Running, parts_of, serving
from tests.cloud.rig import CloudProcess
from tests.waiting import wait_until

YAML = {"content-type": "application/yaml"}
PREFIX = "Sub-"


class Heard:
    """An API whose queue is one of SQS, and topics that it may hear."""

    def __init__(self, api: Running, cloud: CloudProcess, queues: SqsQueues) -> None:
        self.api = api
        self.cloud = cloud
        self.queues = queues
        self.topics = api.parts.topics
        self.queue = f"q{uuid.uuid4().hex[:12]}"
        self.topic = self.new_topic()
        api.store.write(self._define)
        queues.ensure_queue(self.queue)
        self._intake = Intake(api.store, api.parts.broker, api.parts.logs, self.topics)

    def _define(self, tx: Tx) -> None:
        apps.put_queue(tx, Queue("default"))
        apps.put_queue(tx, Queue(self.queue))
        apps.put_app(tx, App("media", "media:1"))
        for name in ("Encode", "Thumbnail"):
            apps.put_job(tx, JobDefinition("media", name, ("run",)))

    def new_topic(self, name: str = "topic") -> str:
        called = f"{name}-{uuid.uuid4().hex[:12]}"
        return str(self.cloud.client("sns").create_topic(Name=called)["TopicArn"])

    def subscribe(self, **changes: Any) -> Any:
        wanted = {"topic": self.topic, "queue": self.queue, "app": "media", "job": "Encode"}
        return self.api.post("/v2/subscriptions", wanted | changes)

    def apply(self, *, topics: list[str], job: str = "Encode", **params: Any) -> Any:
        text = "apps:\n- name: media\n  image: media:1\n  jobs:\n"
        text += "".join(
            f"  - {{name: {name}, command: [run]}}\n" for name in ("Encode", "Thumbnail")
        )
        text += "subscriptions:\n" if topics else ""
        for topic in topics:
            text += f"- {{topic: '{topic}', queue: {self.queue}, app: media, job: {job}}}\n"
        text += "queues: [{name: default}]\n"
        return self.api.client.post("/v2/apply", content=text, headers=YAML, params=params)

    @property
    def listed(self) -> list[dict[str, Any]]:
        return list(self.api.get("/v2/subscriptions").json()["subscriptions"])

    @property
    def hearing(self) -> list[str]:
        """The ARNs under which SNS has the topic's subscriptions."""
        found = self.cloud.client("sns").list_subscriptions_by_topic(TopicArn=self.topic)
        return [each["SubscriptionArn"] for each in found["Subscriptions"]]

    @property
    def policy(self) -> list[str]:
        """The topics that the queue's policy lets in."""
        sqs = self.cloud.client("sqs")
        url = sqs.get_queue_url(QueueName=PREFIX + self.queue)["QueueUrl"]
        found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"])
        policy = json.loads(found.get("Attributes", {}).get("Policy") or "{}")
        lists = [
            each["Condition"]["ArnEquals"]["aws:SourceArn"] for each in policy.get("Statement", [])
        ]
        return [topic for topics in lists for topic in topics]

    def publish(self, message: str) -> None:
        self.cloud.client("sns").publish(TopicArn=self.topic, Message=message)

    def put(self, body: dict[str, Any]) -> None:
        """Put a body on the queue as it is."""
        sqs = self.cloud.client("sqs")
        url = sqs.get_queue_url(QueueName=PREFIX + self.queue)["QueueUrl"]
        sqs.send_message(QueueUrl=url, MessageBody=json.dumps(body))

    def take(self, count: int = 1) -> None:
        """Take in as many messages."""
        taken = 0

        def enough() -> bool:
            nonlocal taken
            taken += self._intake.take(self.queue, wait=timedelta(seconds=1))
            return taken >= count

        wait_until(enough, "the messages are taken in")

    @property
    def executions(self) -> list[tuple[str, str | None]]:
        """Job and message of each execution, the oldest first."""
        found = reversed(self.newest)
        return [(each["job"], each["message"]) for each in map(self.execution, found)]

    @property
    def newest(self) -> list[str]:
        """The ids of the executions, the newest first."""
        found = self.api.get("/v2/job_executions").json()["job_executions"]
        return [each["message_id"] for each in found]

    def execution(self, message_id: str) -> dict[str, Any]:
        return dict(self.api.get(f"/v2/job_executions/{message_id}").json())

    @property
    def dead(self) -> list[str]:
        return [each.reason for each in self.api.store.read(dead.newest)]


@contextmanager
def hearing(store: Store, folder: Path, cloud: CloudProcess) -> Iterator[Heard]:
    queues = SqsQueues(PREFIX, installation="abc123")
    broker = SqsBroker(PREFIX)
    topics = SnsTopics(queue_arn=queues.queue_arn, allow_topics=queues.allow_topics)
    try:
        with serving(parts_of(store, folder), broker=broker, topics=topics) as api:
            yield Heard(api, cloud, queues)
    finally:
        for part in (topics, broker, queues):
            part.close()


def barbeque(heard: Heard, *words: str) -> tuple[int, str, str]:
    """Type the command; return its exit code and what it printed."""
    ended = subprocess.run(
        [sys.executable, "-m", "barbeque_py.cli", *words],
        env={"BARBEQUE_URL": str(heard.api.client.base_url), "COLUMNS": "300"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return ended.returncode, ended.stdout, ended.stderr


def confirmation(kind: str, topic: str, token: str = "t") -> dict[str, Any]:
    return {"Type": kind, "MessageId": str(uuid.uuid4()), "TopicArn": topic, "Token": token}

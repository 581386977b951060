"""SNS topics start jobs: rows first, then SNS and SQS, again as often as it takes."""

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from barbeque_py.apps import App, JobDefinition, Queue
from barbeque_py.brokers.sqs import SqsBroker
from barbeque_py.brokers.sqs_queues import SqsQueues
from barbeque_py.ids import is_message_id
from barbeque_py.intake import Intake
from barbeque_py.sns import SnsTopics
from barbeque_py.store import Store, Tx, apps, dead
from barbeque_py.store import executions as rows
from tests.api.served import Running, error_code, parts_of, serving
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


@pytest.fixture
def heard(
    store: Store, tmp_path: Path, calm_cloud: CloudProcess, aws_environment: dict[str, str]
) -> Iterator[Heard]:
    with hearing(store, tmp_path, calm_cloud) as rig:
        yield rig


@pytest.fixture
def small_heard(
    sqlite_store: Store, tmp_path: Path, calm_cloud: CloudProcess, aws_environment: dict[str, str]
) -> Iterator[Heard]:
    """On SQLite only, for what has nothing to do with the database."""
    with hearing(sqlite_store, tmp_path, calm_cloud) as rig:
        yield rig


def test_a_topics_messages_start_the_job_that_the_queue_hears_it_for(heard: Heard) -> None:
    answer = heard.subscribe()
    assert answer.status_code == 201, answer.text
    assert answer.json()["subscription_arn"] in heard.hearing
    assert heard.listed == [answer.json()]
    heard.publish('{"disc": [1, 2]}')
    heard.publish("just words")
    heard.take(2)
    assert sorted(heard.executions) == [("Encode", '"just words"'), ("Encode", '{"disc":[1,2]}')]


def test_a_notification_that_arrives_twice_is_one_execution(heard: Heard) -> None:
    heard.subscribe()
    body = {
        "Type": "Notification",
        "MessageId": str(uuid.uuid4()),
        "TopicArn": heard.topic,
        "Message": "{}",
    }
    heard.put(body)
    heard.put(body)
    heard.take(2)
    assert heard.executions == [("Encode", "{}")]
    assert is_message_id(heard.newest[0])
    assert heard.newest[0] != body["MessageId"]


def test_a_large_notification_is_kept_in_the_log_store(heard: Heard) -> None:
    heard.subscribe()
    heard.publish(json.dumps({"text": "x" * 100_000}))
    heard.take()
    (message_id,) = heard.newest
    assert len(json.loads(heard.execution(message_id)["message"])["text"]) == 100_000
    row = heard.api.store.read(lambda tx: rows.by_message_id(tx, message_id))
    assert row is not None
    assert row.message is None
    assert row.message_key is not None


def test_a_queue_that_hears_the_topic_no_more_says_so(heard: Heard) -> None:
    number = heard.subscribe().json()["id"]
    other = heard.new_topic()
    heard.subscribe(topic=other)
    assert sorted(heard.policy) == sorted([heard.topic, other])
    assert heard.api.client.delete(f"/v2/subscriptions/{number}").status_code == 204
    assert (heard.hearing, heard.policy) == ([], [other])
    notification = {"Type": "Notification", "TopicArn": heard.topic, "Message": "{}"}
    heard.put(notification)
    heard.take()
    assert heard.dead == [f"no subscription of this queue to the topic {heard.topic}"]
    answer = heard.api.client.delete(f"/v2/subscriptions/{number}")
    assert (answer.status_code, error_code(answer)) == (404, "record_not_found")


def test_the_same_request_again_repairs_and_another_job_is_refused(small_heard: Heard) -> None:
    first = small_heard.subscribe().json()
    small_heard.cloud.client("sns").unsubscribe(SubscriptionArn=first["subscription_arn"])
    small_heard.queues.allow_topics(small_heard.queue, [])
    again = small_heard.subscribe()
    assert (again.status_code, again.json()["id"]) == (200, first["id"])
    assert [again.json()["subscription_arn"]] == small_heard.hearing
    assert small_heard.policy == [small_heard.topic]
    other = small_heard.subscribe(job="Thumbnail")
    assert (other.status_code, error_code(other)) == (409, "conflict")


def test_what_sns_refuses_is_the_requests_fault_and_nothing_is_kept(small_heard: Heard) -> None:
    forbidden = small_heard.new_topic("forbidden")
    answer = small_heard.subscribe(topic=forbidden)
    assert (answer.status_code, error_code(answer)) == (400, "invalid_parameter")
    assert "is not authorized: let our role do sns:Subscribe" in answer.json()["message"]
    answer = small_heard.subscribe(topic=small_heard.topic + "-none")
    assert (answer.status_code, error_code(answer)) == (400, "invalid_parameter")
    assert "is not found" in answer.json()["message"]
    assert small_heard.listed == []
    assert small_heard.policy == []


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"topic": "uploads"}, 400),
        ({"topic": None}, 400),
        ({"app": None}, 400),
        ({"job": 5}, 400),
        ({"more": 1}, 400),
        ({"job": "Nothing"}, 404),
        ({"queue": "nothing"}, 404),
    ],
)
def test_a_wrong_request_is_refused(
    small_heard: Heard, changes: dict[str, Any], status: int
) -> None:
    answer = small_heard.subscribe(**changes)
    assert answer.status_code == status, answer.text
    assert small_heard.listed == []


def test_while_sns_is_away_the_wish_is_kept_and_the_same_request_finishes_it(
    small_heard: Heard,
) -> None:
    small_heard.cloud.faults(sns={"refuse": 1.0})
    answer = small_heard.subscribe()
    assert answer.status_code == 201
    assert "failed" in answer.json()["fault"]
    small_heard.cloud.faults()
    done = small_heard.subscribe().json()
    assert (done["fault"], [done["subscription_arn"]]) == (None, small_heard.hearing)
    small_heard.cloud.faults(sns={"refuse": 1.0})
    path = f"/v2/subscriptions/{done['id']}"
    answer = small_heard.api.client.delete(path)
    assert answer.status_code == 202
    assert answer.json()["removed_at"] is not None
    small_heard.cloud.faults()
    assert small_heard.api.client.delete(path).status_code == 204
    assert (small_heard.hearing, small_heard.listed) == ([], [])


def test_a_file_names_subscriptions_and_prune_removes_them(heard: Heard) -> None:
    other = heard.new_topic()
    answer = heard.apply(topics=[heard.topic, other])
    assert answer.status_code == 200, answer.text
    told = {each["name"]: each["change"] for each in answer.json()["changes"]}
    assert told[f"{heard.topic} on {heard.queue}"] == "created"
    assert answer.json()["unfinished"] == []
    changed = heard.apply(topics=[heard.topic], job="Thumbnail").json()["changes"]
    assert [each["change"] for each in changed if each["kind"] == "topic"] == ["changed"]
    assert len(heard.listed) == 2
    pruned = heard.apply(topics=[heard.topic], job="Thumbnail", prune=1).json()["changes"]
    assert [each["change"] for each in pruned if each["kind"] == "topic"] == [
        "unchanged",
        "removed",
    ]
    assert [(each["topic"], each["job"]) for each in heard.listed] == [(heard.topic, "Thumbnail")]
    assert heard.policy == [heard.topic]


def test_a_job_that_is_pruned_is_unsubscribed(small_heard: Heard) -> None:
    small_heard.subscribe()
    text = "apps: [{name: media, image: 'media:1', jobs: [{name: Thumbnail, command: [run]}]}]"
    for times in (1, 2):
        answer = small_heard.api.client.post(
            "/v2/apply", content=text, headers=YAML, params={"prune": 1}
        )
        assert answer.status_code == 200, times
    assert (small_heard.listed, small_heard.hearing, small_heard.policy) == ([], [], [])


def test_a_file_is_applied_while_sns_is_away_and_again_finishes_it(small_heard: Heard) -> None:
    small_heard.cloud.faults(sns={"refuse": 1.0})
    (left,) = small_heard.apply(topics=[small_heard.topic]).json()["unfinished"]
    assert left["name"] == f"{small_heard.topic} on {small_heard.queue}"
    assert "subscribing" in left["reason"]
    small_heard.cloud.faults()
    assert small_heard.apply(topics=[]).json()["unfinished"] == []
    assert len(small_heard.hearing) == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("app: media, job: Encode", "app: media, job: Encod"), "did you mean 'Encode'?"),
        (("queue: q", "queue: x"), "no queue is called"),
    ],
)
def test_a_subscription_to_nothing_is_a_problem_with_its_line(
    small_heard: Heard, change: tuple[str, str], words: str
) -> None:
    text = f"subscriptions:\n- {{topic: '{small_heard.topic}', queue: {small_heard.queue}, "
    text += "app: media, job: Encode}\n"
    answer = small_heard.api.client.post("/v2/apply", content=text.replace(*change), headers=YAML)
    assert answer.status_code == 422, answer.text
    (problem,) = answer.json()["problems"]
    assert problem["line"] == 2
    assert words in problem["message"]


def test_without_sqs_there_are_no_subscriptions(small_api: Running) -> None:
    topic = "arn:aws:sns:eu-west-1:123456789012:uploads"
    wanted = {"topic": topic, "app": "media", "job": "Thumbnail"}
    answer = small_api.post("/v2/subscriptions", wanted)
    assert (answer.status_code, error_code(answer)) == (400, "invalid_parameter")
    assert "BARBEQUE_BROKER=sqs:" in answer.json()["message"]
    text = f"queues: []\nsubscriptions: [{json.dumps(wanted)}]"
    answer = small_api.client.post("/v2/apply", content=text, headers=YAML)
    assert answer.status_code == 422
    assert answer.json()["problems"][0]["line"] == 2
    assert small_api.get("/v2/subscriptions").json() == {"subscriptions": []}


def test_sns_is_told_by_the_worker_that_the_queue_wants_the_topic(small_heard: Heard) -> None:
    small_heard.subscribe()
    small_heard.put(confirmation("SubscriptionConfirmation", small_heard.topic + "x"))
    small_heard.take()
    assert small_heard.dead == [f"no subscription of this queue to the topic {small_heard.topic}x"]
    small_heard.put(confirmation("UnsubscribeConfirmation", small_heard.topic + "x"))
    small_heard.put(confirmation("UnsubscribeConfirmation", small_heard.topic))
    small_heard.take(2)
    (found,) = small_heard.listed
    assert found["subscription_arn"] is None
    assert "somebody unsubscribed the queue" in found["fault"]
    assert small_heard.apply(topics=[]).json()["unfinished"] == []
    assert small_heard.listed[0]["fault"] is None


def confirmation(kind: str, topic: str) -> dict[str, Any]:
    return {"Type": kind, "MessageId": str(uuid.uuid4()), "TopicArn": topic, "Token": "t" * 64}

"""SNS topics start jobs: rows first, then SNS and SQS, again as often as it takes."""

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from barbeque_py.ids import is_message_id
from barbeque_py.store import Store
from barbeque_py.store import executions as rows
from tests.api.hearing import YAML, Heard, barbeque, confirmation, hearing
from tests.api.served import Running, error_code
from tests.cloud.rig import CloudProcess


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


def test_the_worker_answers_sns_that_the_queue_wants_the_topic(small_heard: Heard) -> None:
    small_heard.subscribe()
    small_heard.cloud.reset_counts()
    small_heard.put(confirmation("SubscriptionConfirmation", small_heard.topic))
    small_heard.take()
    assert small_heard.cloud.counts()["sns"]["ConfirmSubscription"] == 1
    assert (small_heard.dead, small_heard.executions) == ([], [])


def test_what_sns_asks_is_answered_later_while_sns_is_away(small_heard: Heard) -> None:
    small_heard.subscribe()
    small_heard.cloud.faults(sns={"refuse": 1.0})
    small_heard.put(confirmation("SubscriptionConfirmation", small_heard.topic))
    small_heard.take()
    assert small_heard.dead == []
    assert small_heard.queues.depth(small_heard.queue).in_flight == 1


def test_what_sns_asks_in_vain_is_dead_with_its_reason(small_heard: Heard) -> None:
    small_heard.subscribe()
    small_heard.put(confirmation("SubscriptionConfirmation", small_heard.topic, "expired"))
    small_heard.put(confirmation("SubscriptionConfirmation", small_heard.topic + "x"))
    small_heard.take(2)
    first, second = sorted(small_heard.dead)
    assert first.startswith(f"confirming the subscription to {small_heard.topic} is refused")
    assert second == f"no subscription of this queue to the topic {small_heard.topic}x"


def test_who_unsubscribes_the_queue_in_sns_is_told_of_and_apply_repairs(small_heard: Heard) -> None:
    small_heard.subscribe()
    small_heard.put(confirmation("UnsubscribeConfirmation", small_heard.topic + "x"))
    small_heard.put(confirmation("UnsubscribeConfirmation", small_heard.topic))
    small_heard.take(2)
    (found,) = small_heard.listed
    assert found["subscription_arn"] is None
    assert "somebody unsubscribed the queue" in found["fault"]
    assert small_heard.apply(topics=[]).json()["unfinished"] == []
    assert small_heard.listed[0]["fault"] is None
    assert small_heard.dead == []


def test_the_command_line_lists_makes_and_removes_them(small_heard: Heard) -> None:
    heard = small_heard
    assert barbeque(heard, "subscriptions") == (0, "no queue hears a topic\n", "")
    wanted = ("subscribe", heard.topic, "media", "Encode", "--queue", heard.queue)
    heard.cloud.faults(sns={"refuse": 1.0})
    code, _, errors = barbeque(heard, *wanted)
    assert (code, "is not finished in SNS" in errors) == (3, True)
    heard.cloud.faults()
    (number,) = [each["id"] for each in heard.listed]
    assert barbeque(heard, *wanted)[:2] == (
        0,
        f"subscription {number}: {heard.queue} hears {heard.topic}\n",
    )
    code, told, _ = barbeque(heard, "subscriptions", "--json")
    assert (code, json.loads(told)) == (0, heard.listed)
    assert barbeque(heard, "unsubscribe", str(number))[1] == f"subscription {number} is gone\n"
    assert barbeque(heard, "unsubscribe", str(number))[0] == 4


def test_the_command_line_says_what_an_applied_file_could_not_do(
    small_heard: Heard, tmp_path: Path
) -> None:
    path = tmp_path / "file.yaml"
    topic = small_heard.new_topic("forbidden")
    path.write_text(
        f"subscriptions: [{{topic: '{topic}', queue: {small_heard.queue}, "
        "app: media, job: Encode}]\n"
    )
    code, told, errors = barbeque(small_heard, "apply", "-f", str(path))
    assert (code, told.split()) == (1, ["topic", topic, "on", small_heard.queue, "created"])
    assert "is not authorized" in errors
    assert "1 subscription could not be made right in SNS: apply again" in errors

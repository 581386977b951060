"""The queues in SQS: made once, brought right only in what is ours, open to topics we name."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from barbeque_py.broker import LONGEST_DELAY, Depth, Parcel
from barbeque_py.brokers.sqs import SqsBroker
from barbeque_py.brokers.sqs_queues import MOST_RECEIVES, SqsQueues, dead_name
from barbeque_py.errors import ConfigurationError, RequestError, UnknownQueue
from tests.cloud.rig import REGION, CloudProcess
from tests.contracts.sqs_rig import INSTALLATION, SqsRig, cloud_sqs, moto_endpoint, moto_sqs, sqs

__all__ = ["cloud_sqs", "moto_endpoint", "moto_sqs", "sqs"]

QUEUE = "default"
NOW = timedelta(0)
TOPICS = [f"arn:aws:sns:{REGION}:123456789012:{name}" for name in ("a", "b")]
FOREIGN = {
    "Sid": "Theirs",
    "Effect": "Allow",
    "Principal": {"AWS": "arn:aws:iam::123456789012:root"},
    "Action": "sqs:SendMessage",
    "Resource": "*",
}


def test_a_queue_is_made_with_where_its_dead_messages_go(sqs: SqsRig) -> None:
    queues = sqs.queues()
    queues.ensure_queue(QUEUE)
    for queue in (QUEUE, f"{QUEUE}-dead"):
        found = sqs.attributes(queue)
        assert found["MessageRetentionPeriod"] == str(14 * 24 * 3600)
        assert found["VisibilityTimeout"] == "60"
        assert found["ReceiveMessageWaitTimeSeconds"] == "20"
        assert found["QueueArn"] == queues.queue_arn(queue)
        assert sqs.tags(queue) == {"barbeque.installation": INSTALLATION}
    redrive = json.loads(sqs.attributes(QUEUE)["RedrivePolicy"])
    assert redrive["deadLetterTargetArn"] == queues.queue_arn(dead_name(QUEUE))
    assert int(redrive["maxReceiveCount"]) == MOST_RECEIVES


def test_making_a_queue_again_writes_nothing(cloud_sqs: SqsRig, cloud: CloudProcess) -> None:
    queues = cloud_sqs.queues()
    queues.ensure_queue(QUEUE)
    cloud.reset_counts()
    queues.ensure_queue(QUEUE)
    called = cloud.counts()["sqs"].keys()
    assert called == {"GetQueueUrl", "GetQueueAttributes", "ListQueueTags"}


def test_a_queue_that_was_there_is_brought_right_in_what_is_ours_only(sqs: SqsRig) -> None:
    sqs.client.create_queue(
        QueueName=sqs.prefix + QUEUE,
        Attributes={"VisibilityTimeout": "7", "DelaySeconds": "3", "MaximumMessageSize": "4096"},
        tags={"team": "media"},
    )
    sqs.queues().ensure_queue(QUEUE)
    found = sqs.attributes(QUEUE)
    assert (found["VisibilityTimeout"], found["MessageRetentionPeriod"]) == ("60", "1209600")
    assert "RedrivePolicy" in found
    assert (found["DelaySeconds"], found["MaximumMessageSize"]) == ("3", "4096")
    assert sqs.tags(QUEUE) == {"team": "media", "barbeque.installation": INSTALLATION}


def test_the_queue_of_another_installation_is_never_touched(sqs: SqsRig) -> None:
    sqs.queues(installation="other1").ensure_queue(QUEUE)
    sqs.client.set_queue_attributes(QueueUrl=sqs.url(QUEUE), Attributes={"VisibilityTimeout": "7"})
    before = sqs.attributes(QUEUE)
    with pytest.raises(ConfigurationError, match=r"other1.*prefix"):
        sqs.queues().ensure_queue(QUEUE)
    assert sqs.attributes(QUEUE) == before
    assert sqs.tags(QUEUE) == {"barbeque.installation": "other1"}


def test_two_that_make_the_same_queue_at_once_both_succeed(sqs: SqsRig) -> None:
    several = [sqs.queues() for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda each: each.ensure_queue(QUEUE), several))
    assert sqs.tags(QUEUE) == {"barbeque.installation": INSTALLATION}


@pytest.mark.parametrize("name", [f"{QUEUE}-dead", "-dead", "q" * 70, "two words", ""])
def test_a_name_that_sqs_or_we_can_not_have_is_refused(cloud_sqs: SqsRig, name: str) -> None:
    with pytest.raises(RequestError):
        cloud_sqs.queues().ensure_queue(name)
    assert not cloud_sqs.client.list_queues(QueueNamePrefix=cloud_sqs.prefix).get("QueueUrls")


def test_the_longest_names_are_a_queue(sqs: SqsRig) -> None:
    sqs.queues().ensure_queue("q" * (75 - len(sqs.prefix)))


@pytest.mark.parametrize("prefix", ["01234567890", "a.b", "a b", "\N{BANANA}"])
def test_a_prefix_that_sqs_can_not_have_is_refused(prefix: str) -> None:
    for open_with in (SqsBroker, lambda each: SqsQueues(each, installation=INSTALLATION)):
        with pytest.raises(ConfigurationError, match="prefix"):
            open_with(prefix)


class Late:
    """A client to whom SQS denies a new queue twice for each question about it."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._denied: dict[str, int] = {}
        self._made = False

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._client, name)
        if name == "create_queue":
            self._made = True
        if name not in ("get_queue_url", "get_queue_attributes") or not self._made:
            return call

        def ask(**request: Any) -> Any:
            key = f"{name} {request.get('QueueUrl') or request['QueueName']}"
            self._denied[key] = self._denied.get(key, 0) + 1
            if self._denied[key] > 2:
                return call(**request)
            return self._client.get_queue_url(QueueName="no-such-queue")

        return ask


def test_a_new_queue_that_is_not_known_everywhere_yet_is_waited_for(cloud_sqs: SqsRig) -> None:
    late = Late(cloud_sqs.client)
    SqsQueues(cloud_sqs.prefix, installation=INSTALLATION, client=late).ensure_queue(QUEUE)
    assert "RedrivePolicy" in cloud_sqs.attributes(QUEUE)


def test_topics_are_let_in_and_shut_out_and_others_statements_stay(sqs: SqsRig) -> None:
    queues = sqs.queues()
    queues.ensure_queue(QUEUE)
    foreign = {"Version": "2008-10-17", "Id": "theirs", "Statement": FOREIGN}
    sqs.client.set_queue_attributes(
        QueueUrl=sqs.url(QUEUE), Attributes={"Policy": json.dumps(foreign)}
    )
    for topics in (TOPICS, TOPICS[:1], TOPICS[:1]):
        queues.allow_topics(QUEUE, reversed(topics))
        policy = json.loads(sqs.attributes(QUEUE)["Policy"])
        theirs, ours = policy["Statement"]
        assert (theirs, policy["Version"], policy["Id"]) == (FOREIGN, "2008-10-17", "theirs")
        assert ours["Condition"] == {"ArnEquals": {"aws:SourceArn": topics}}
        assert ours["Principal"] == {"Service": "sns.amazonaws.com"}
        assert ours["Resource"] == queues.queue_arn(QUEUE)
    queues.allow_topics(QUEUE, [])
    assert json.loads(sqs.attributes(QUEUE)["Policy"])["Statement"] == [FOREIGN]


def test_a_policy_of_nothing_is_taken_away(sqs: SqsRig) -> None:
    queues = sqs.queues()
    queues.ensure_queue(QUEUE)
    queues.allow_topics(QUEUE, [])
    queues.allow_topics(QUEUE, TOPICS)
    queues.allow_topics(QUEUE, [])
    assert not sqs.attributes(QUEUE).get("Policy")


def test_a_queue_that_is_not_there_is_named(sqs: SqsRig) -> None:
    queues = sqs.queues()
    for ask in (queues.depth, queues.queue_arn, lambda name: queues.allow_topics(name, TOPICS)):
        with pytest.raises(UnknownQueue, match=f"{sqs.prefix}absent"):
            ask("absent")


def test_depth_counts_what_waits_what_is_borrowed_and_what_is_delayed(sqs: SqsRig) -> None:
    sqs.queues().ensure_queue(QUEUE)
    broker = sqs.broker()
    late = Parcel("late", "media", LONGEST_DELAY)
    broker.send(QUEUE, [*(Parcel(body, "media") for body in "abc"), late])
    broker.receive(QUEUE, limit=1, wait=NOW)
    assert sqs.queues().depth(QUEUE) == Depth(visible=2, in_flight=1, delayed=1)

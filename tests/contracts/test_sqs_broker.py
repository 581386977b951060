"""What only the broker of SQS does: its queues' names and settings, its limits, its failures."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from barbeque_py import clock
from barbeque_py.broker import BATCH, LONGEST_DELAY, Parcel
from barbeque_py.brokers import sqs as broker_of_sqs
from barbeque_py.brokers.sqs import LARGEST, SqsBroker
from barbeque_py.brokers.sqs_queues import MOST_RECEIVES, Depth, SqsQueues, dead_name
from barbeque_py.errors import (
    BrokerUnavailable,
    ConfigurationError,
    RequestError,
    UnfitBody,
    UnknownQueue,
)
from tests.cloud.rig import REGION, CloudProcess
from tests.contracts.sqs_rig import (
    INSTALLATION,
    ScriptedSqs,
    SqsRig,
    cloud_sqs,
    moto_endpoint,
    moto_sqs,
    scripted_sqs,
)

__all__ = ["cloud_sqs", "moto_endpoint", "moto_sqs", "scripted_sqs"]

QUEUE = "default"
NOW = timedelta(0)
SOON = timedelta(seconds=5)
TOPICS = [f"arn:aws:sns:{REGION}:123456789012:{name}" for name in ("a", "b")]
FOREIGN = {
    "Sid": "Theirs",
    "Effect": "Allow",
    "Principal": {"AWS": "arn:aws:iam::123456789012:root"},
    "Action": "sqs:SendMessage",
    "Resource": "*",
}


@pytest.fixture(params=["moto_sqs", "cloud_sqs"])
def sqs(request: pytest.FixtureRequest) -> SqsRig:
    found = request.getfixturevalue(request.param)
    assert isinstance(found, SqsRig)
    return found


@pytest.fixture
def broker(sqs: SqsRig) -> SqsBroker:
    sqs.queues().ensure_queue(QUEUE)
    return sqs.broker()


def parcels(*bodies: str) -> list[Parcel]:
    return [Parcel(body, "media") for body in bodies]


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


def test_depth_counts_what_waits_what_is_borrowed_and_what_is_delayed(
    sqs: SqsRig, broker: SqsBroker
) -> None:
    broker.send(QUEUE, [*parcels(*"abc"), Parcel("late", "media", LONGEST_DELAY)])
    broker.receive(QUEUE, limit=1, wait=NOW)
    assert sqs.queues().depth(QUEUE) == Depth(visible=2, in_flight=1, delayed=1)


def test_what_the_role_may_not_do_is_named(scripted_sqs: ScriptedSqs) -> None:
    words = "User: arn:aws:iam::1:user/x is not authorized to perform: sqs:getqueueurl"
    refused = {"__type": "com.amazon.coral.service#AccessDeniedException", "Message": words}
    scripted_sqs.answers = [(403, refused)] * 2
    with pytest.raises(ConfigurationError, match=r"sqs:GetQueueUrl.*not authorized.*policy"):
        SqsQueues("", installation=INSTALLATION, client=scripted_sqs.client).ensure_queue(QUEUE)
    with pytest.raises(BrokerUnavailable, match=r"sending to.*not authorized.*policy"):
        SqsBroker("", client=scripted_sqs.client).send(QUEUE, parcels("one"))


def test_a_queue_made_later_is_found_without_a_new_broker(sqs: SqsRig) -> None:
    broker = sqs.broker()
    for _ in range(2):
        with pytest.raises(UnknownQueue, match=f"{sqs.prefix}{QUEUE}"):
            broker.send(QUEUE, parcels("one"))
        with pytest.raises(BrokerUnavailable, match="barbeque apply"):
            broker.receive(QUEUE, wait=NOW)
        sqs.queues().ensure_queue(QUEUE)
        broker.send(QUEUE, parcels("one"))
        found = broker.receive(QUEUE, wait=SOON)
        sqs.client.delete_queue(QueueUrl=sqs.url(QUEUE))
        broker.extend(found, NOW)
        broker.delete(found)


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ("", "empty"),
        ("a\x00", r"U\+0000 at character 1"),
        ("\x0b", r"U\+000B"),
        ("\ufffe", r"U\+FFFE"),
        ("\ud800", r"U\+D800"),
        ("x" * (LARGEST + 1), "1,048,577 bytes"),
        ("\N{SNOWMAN}" * (LARGEST // 2), "1,572,864 bytes"),
    ],
    ids=["empty", "nul", "vt", "fffe", "surrogate", "long", "wide"],
)
def test_a_body_that_sqs_does_not_carry_is_named_before_anything_is_sent(
    cloud_sqs: SqsRig, body: str, fault: str
) -> None:
    cloud_sqs.queues().ensure_queue(QUEUE)
    broker = cloud_sqs.broker()
    with pytest.raises(UnfitBody, match=fault) as raised:
        broker.send(QUEUE, parcels("good", body))
    assert isinstance(raised.value, ValueError)
    assert broker.receive(QUEUE, wait=NOW) == []


def test_a_delay_is_a_quarter_of_an_hour_at_most(broker: SqsBroker) -> None:
    for delay in (LONGEST_DELAY + timedelta(seconds=1), -timedelta(seconds=1)):
        with pytest.raises(ValueError, match="delays"):
            broker.send(QUEUE, [Parcel("one", "media", delay)])


def test_a_queue_s_own_delay_does_not_count(sqs: SqsRig, broker: SqsBroker) -> None:
    sqs.client.set_queue_attributes(QueueUrl=sqs.url(QUEUE), Attributes={"DelaySeconds": "600"})
    broker.send(QUEUE, parcels("one"))
    assert len(broker.receive(QUEUE, wait=SOON)) == 1


@pytest.mark.parametrize(
    ("sizes", "calls"),
    [([1] * 25, 3), ([600_000] * 3, 3), ([LARGEST], 1), ([LARGEST // 2] * 4, 2), ([], 0)],
)
def test_a_call_carries_ten_messages_and_a_mebibyte_at_most(
    cloud_sqs: SqsRig, cloud: CloudProcess, sizes: list[int], calls: int
) -> None:
    cloud_sqs.queues().ensure_queue(QUEUE)
    broker = cloud_sqs.broker()
    cloud.reset_counts()
    broker.send(QUEUE, parcels(*("x" * size for size in sizes)))
    assert cloud.counts().get("sqs", {}).get("SendMessageBatch", 0) == calls
    assert cloud_sqs.queues().depth(QUEUE).visible == len(sizes)


def test_a_message_tells_its_app_so_that_none_is_kept_waiting_by_another(
    sqs: SqsRig, broker: SqsBroker
) -> None:
    broker.send(QUEUE, [Parcel("one", "media:v2.x")])
    (found,) = sqs.client.receive_message(
        QueueUrl=sqs.url(QUEUE), MessageSystemAttributeNames=["MessageGroupId"]
    )["Messages"]
    assert found["Attributes"]["MessageGroupId"] == "media:v2.x"


def test_a_message_that_is_never_deleted_goes_where_dead_ones_are_received(
    sqs: SqsRig, broker: SqsBroker
) -> None:
    broker.send(QUEUE, parcels("poison"))
    for time in range(MOST_RECEIVES):
        (found,) = broker.receive(QUEUE, wait=SOON)
        assert found.receives == time + 1
        broker.extend([found], NOW)
    assert broker.receive(QUEUE, wait=NOW) == []
    (dead,) = broker.receive(dead_name(QUEUE), wait=SOON)
    assert (dead.body, dead.broker_id) == ("poison", found.broker_id)
    broker.delete([dead])


def test_a_long_poll_outlasts_the_patience_with_other_calls(cloud_sqs: SqsRig) -> None:
    cloud_sqs.queues().ensure_queue(QUEUE)
    begun = clock.monotonic()
    assert cloud_sqs.broker().receive(QUEUE, wait=timedelta(seconds=11)) == []
    assert 10.5 < clock.monotonic() - begun < 15


def test_many_deliveries_of_several_queues_are_settled_together(sqs: SqsRig) -> None:
    broker, queues = sqs.broker(), ("one", "two")
    found = []
    for queue in queues:
        sqs.queues().ensure_queue(queue)
        broker.send(queue, parcels(*(f"m{number}" for number in range(12))))
        for _ in range(2):
            found += broker.receive(queue, wait=SOON)
    assert len(found) == 24
    broker.extend(found[:6] + found[18:], NOW)
    again = [each for queue in queues for each in broker.receive(queue, wait=SOON)]
    assert len(again) == 12
    broker.delete(found[6:18] + again)
    assert [sqs.queues().depth(queue) for queue in queues] == [Depth(0, 0, 0)] * 2


FLOP = {"Code": "InternalError", "Message": "Flop.", "SenderFault": False}


def done(*numbers: int) -> dict[str, Any]:
    return {"Successful": [{"Id": str(number), "MessageId": "m"} for number in numbers]}


def failed(*numbers: int, **fault: Any) -> list[dict[str, Any]]:
    return [{"Id": str(number), **FLOP, **fault} for number in numbers]


@pytest.fixture
def scripted(scripted_sqs: ScriptedSqs) -> tuple[SqsBroker, ScriptedSqs]:
    scripted_sqs.answers = [(200, {"QueueUrl": "http://127.0.0.1/1/default"})]
    return SqsBroker("", client=scripted_sqs.client), scripted_sqs


def test_only_what_sqs_failed_to_take_is_sent_again(
    scripted: tuple[SqsBroker, ScriptedSqs],
) -> None:
    broker, script = scripted
    script.answers += [
        (200, {**done(0), "Failed": failed(1)}),
        (200, done()),
        (200, done(1, 2)),
    ]
    broker.send(QUEUE, parcels("a", "b", "c"))
    sent = [[entry["MessageBody"] for entry in asked["Entries"]] for asked in script.asked[1:]]
    assert sent == [["a", "b", "c"], ["b", "c"], ["b", "c"]]


def test_what_sqs_fails_to_take_time_and_again_is_an_outage(
    scripted: tuple[SqsBroker, ScriptedSqs],
) -> None:
    broker, script = scripted
    script.answers += [(200, {**done(0), "Failed": failed(1)})] + [(200, {"Failed": failed(1)})] * 9
    with pytest.raises(BrokerUnavailable, match=r"sending to the queue default.*1: InternalError"):
        broker.send(QUEUE, parcels("a", "b"))
    assert len(script.asked) == 1 + 1 + len(broker_of_sqs._PAUSES)


@pytest.mark.parametrize("code", ["KmsAccessDenied", "InvalidParameterValue"])
def test_what_sqs_refuses_to_take_is_not_sent_again(
    scripted: tuple[SqsBroker, ScriptedSqs], code: str
) -> None:
    broker, script = scripted
    script.answers += [(200, {**done(0), "Failed": failed(1, Code=code, SenderFault=True)})]
    with pytest.raises(BrokerUnavailable, match=f"{code}: Flop"):
        broker.send(QUEUE, parcels("a", "b"))
    assert len(script.asked) == 2


@pytest.mark.parametrize(
    "code", ["ReceiptHandleIsInvalid", "InvalidParameterValue", "AWS.X.MessageNotInflight"]
)
def test_a_receipt_that_is_worth_nothing_any_more_is_no_error(
    scripted: tuple[SqsBroker, ScriptedSqs], cloud_sqs: SqsRig, code: str
) -> None:
    cloud_sqs.queues().ensure_queue(QUEUE)
    cloud_sqs.broker().send(QUEUE, parcels("a", "b"))
    found = cloud_sqs.broker().receive(QUEUE, wait=SOON)
    broker, script = scripted
    stale = failed(0, Code=code, SenderFault=True)
    script.answers += [
        (200, {**done(), "Failed": stale + failed(1)}),
        (200, done(1)),
        (200, {**done(1), "Failed": stale}),
    ]
    broker.delete(found)
    broker.extend(found, SOON)
    assert [len(asked["Entries"]) for asked in script.asked[1:]] == [2, 1, 2]


USED = {"SendMessageBatch", "ReceiveMessage", "DeleteMessageBatch", "ChangeMessageVisibilityBatch"}


@pytest.mark.parametrize(
    "faults",
    [{"refuse": 0.5}, {"lose_answer": 0.5}, {"throttle": 0.5}],
    ids=lambda each: next(iter(each)),
)
def test_nothing_is_lost_while_sqs_fails_half_of_the_calls(
    cloud_sqs: SqsRig, cloud: CloudProcess, faults: dict[str, float]
) -> None:
    cloud_sqs.queues().ensure_queue(QUEUE)
    broker = cloud_sqs.broker(visibility=timedelta(seconds=1))
    cloud.control("sqs", "faults", duplicate=0.1, forget_delete=0.1)
    cloud.faults(sqs={**faults, "only": sorted(USED)})
    wanted = {f"m{number}" for number in range(40)}
    outages: list[str] = []

    def insist(call: Any) -> Any:
        """Do as callers do: try again after an outage, and after nothing else."""
        for _ in range(50):
            try:
                return call()
            except BrokerUnavailable as error:
                outages.append(str(error))
        raise AssertionError(outages)

    for first in range(0, 40, BATCH):
        batch = parcels(*(f"m{number}" for number in range(first, first + BATCH)))
        insist(lambda batch=batch: broker.send(QUEUE, batch))
    found: set[str] = set()
    until = clock.monotonic() + 60
    while found != wanted and clock.monotonic() < until:
        got = insist(lambda: broker.receive(QUEUE, wait=timedelta(seconds=1)))
        found |= {each.body for each in got}
        insist(lambda got=got: broker.extend(got, timedelta(seconds=2)))
        insist(lambda got=got: broker.delete(got))
    assert found == wanted
    assert all("the queue " + cloud_sqs.prefix + QUEUE in each for each in outages)


def test_a_broker_that_is_away_is_one_error_in_words(
    cloud_sqs: SqsRig, cloud: CloudProcess
) -> None:
    cloud_sqs.queues().ensure_queue(QUEUE)
    broker = cloud_sqs.broker()
    broker.send(QUEUE, parcels("one"))
    found = broker.receive(QUEUE, wait=SOON)
    cloud.faults(sqs={"down": True})
    for call in (
        lambda: broker.send(QUEUE, parcels("two")),
        lambda: broker.receive(QUEUE, wait=NOW),
        lambda: broker.extend(found, SOON),
        lambda: broker.delete(found),
        lambda: cloud_sqs.queues().ensure_queue(QUEUE),
        lambda: cloud_sqs.queues().allow_topics(QUEUE, TOPICS),
    ):
        with pytest.raises(BrokerUnavailable, match=f"the queue {cloud_sqs.prefix}"):
            call()
    cloud.faults()
    broker.delete(found)


def test_an_endpoint_where_nobody_listens_is_told_with_the_cure(
    aws_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", "http://127.0.0.1:1")
    broker = SqsBroker("", region=REGION)
    with pytest.raises(BrokerUnavailable, match="Is the network up"):
        broker.send(QUEUE, parcels("one"))
    broker.close()

"""What only the broker of SQS does: its queues' names and settings, its limits, its failures."""

from datetime import timedelta
from typing import Any

import pytest

from barbeque_py import clock
from barbeque_py.broker import BATCH, LONGEST_DELAY, Depth, Parcel
from barbeque_py.brokers import sqs as broker_of_sqs
from barbeque_py.brokers.sqs import LARGEST, SqsBroker
from barbeque_py.brokers.sqs_queues import MOST_RECEIVES, SqsQueues, dead_name
from barbeque_py.errors import (
    BrokerUnavailable,
    ConfigurationError,
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
    sqs,
)

__all__ = ["cloud_sqs", "moto_endpoint", "moto_sqs", "scripted_sqs", "sqs"]

QUEUE = "default"
NOW = timedelta(0)
SOON = timedelta(seconds=5)
TOPICS = [f"arn:aws:sns:{REGION}:123456789012:{name}" for name in ("a", "b")]


@pytest.fixture
def broker(sqs: SqsRig) -> SqsBroker:
    sqs.queues().ensure_queue(QUEUE)
    return sqs.broker()


def parcels(*bodies: str) -> list[Parcel]:
    return [Parcel(body, "media") for body in bodies]


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
    assert clock.monotonic() - begun > 10.5


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

"""The SQS stand-in keeps SQS's laws, as boto3 sees them, and breaks them when told to."""

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from barbeque_py import clock
from tests.cloud.lanes import Lane, Lanes
from tests.cloud.rig import CloudProcess
from tests.waiting import wait_until

MIB = 1_048_576


@pytest.fixture
def lanes(calm_cloud: CloudProcess) -> Lanes:
    return Lanes(calm_cloud)


@pytest.fixture
def lane(lanes: Lanes) -> Iterator[Lane]:
    lane = lanes.make()
    yield lane
    lane.sqs.delete_queue(QueueUrl=lane.url)


def refusal(error: pytest.ExceptionInfo[ClientError]) -> str:
    return str(error.value.response["Error"]["Code"])


def test_a_queue_that_is_not_there_is_named_by_boto3s_own_exception(lanes: Lanes) -> None:
    with pytest.raises(lanes.sqs.exceptions.QueueDoesNotExist) as error:
        lanes.sqs.get_queue_url(QueueName="nowhere")
    assert refusal(error) == "AWS.SimpleQueueService.NonExistentQueue"
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


def test_a_queue_is_made_once_and_not_again_with_other_attributes(lane: Lane) -> None:
    same = lane.sqs.create_queue(QueueName=lane.name, Attributes={"VisibilityTimeout": "30"})
    assert same["QueueUrl"] == lane.url == lane.sqs.get_queue_url(QueueName=lane.name)["QueueUrl"]
    with pytest.raises(lane.sqs.exceptions.QueueNameExists):
        lane.sqs.create_queue(QueueName=lane.name, Attributes={"VisibilityTimeout": "31"})


@pytest.mark.parametrize(
    ("attributes", "code"),
    [
        ({"VisibilityTimeout": "43201"}, "InvalidAttributeValue"),
        ({"MessageRetentionPeriod": "59"}, "InvalidAttributeValue"),
        ({"Nonsense": "1"}, "InvalidAttributeName"),
        (
            {
                "RedrivePolicy": '{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:123456789012:none",'
                '"maxReceiveCount":1}'
            },
            "InvalidParameterValue",
        ),
    ],
)
def test_attributes_out_of_bounds_are_refused(
    lanes: Lanes, attributes: dict[str, str], code: str
) -> None:
    with pytest.raises(ClientError) as error:
        lanes.make(**attributes)
    assert refusal(error) == code


def test_attributes_are_told_and_changed(lane: Lane) -> None:
    told = lane.attributes()
    assert told["MessageRetentionPeriod"] == "345600"
    assert told["QueueArn"] == f"arn:aws:sqs:us-east-1:123456789012:{lane.name}"
    lane.sqs.set_queue_attributes(QueueUrl=lane.url, Attributes={"VisibilityTimeout": "7"})
    assert lane.attributes()["VisibilityTimeout"] == "7"


def test_queues_are_listed_by_prefix_and_page(lanes: Lanes) -> None:
    prefix = f"page-{uuid.uuid4().hex[:8]}-"
    for number in range(5):
        lanes.sqs.create_queue(QueueName=f"{prefix}{number}")
    pages = lanes.sqs.get_paginator("list_queues").paginate(
        QueueNamePrefix=prefix, PaginationConfig={"PageSize": 2}
    )
    found = [page["QueueUrls"] for page in pages]
    assert [len(each) for each in found] == [2, 2, 1]
    assert found[2][0].endswith(f"/{prefix}4")


def test_tags_come_back(lanes: Lanes) -> None:
    name = f"tagged-{uuid.uuid4().hex[:8]}"
    url = lanes.sqs.create_queue(QueueName=name, tags={"a": "1"})["QueueUrl"]
    lanes.sqs.tag_queue(QueueUrl=url, Tags={"b": "2"})
    lanes.sqs.untag_queue(QueueUrl=url, TagKeys=["a"])
    assert lanes.sqs.list_queue_tags(QueueUrl=url)["Tags"] == {"b": "2"}


def test_a_message_comes_as_it_was_sent(lane: Lane) -> None:
    attributes = {
        "kind": {"DataType": "String", "StringValue": "job"},
        "seal": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
    }
    sent = lane.send("Grüße 🍖", MessageGroupId="app", MessageAttributes=attributes)
    [message] = lane.receive()
    assert message["Body"] == "Grüße 🍖"
    assert message["MessageId"] == sent["MessageId"]
    assert message["MessageAttributes"] == attributes
    assert message["MD5OfMessageAttributes"] == sent["MD5OfMessageAttributes"]
    system = message["Attributes"]
    assert system["MessageGroupId"] == "app"
    assert system["ApproximateReceiveCount"] == "1"
    age = clock.milliseconds(clock.now()) - int(system["SentTimestamp"])
    assert 0 <= age < 60_000
    assert int(system["ApproximateFirstReceiveTimestamp"]) >= int(system["SentTimestamp"])


def test_a_received_message_is_hidden_and_comes_back(lane: Lane) -> None:
    lane.send()
    assert lane.bodies(VisibilityTimeout=1)
    assert not lane.receive()
    assert lane.counts() == [0, 1, 0]
    [again] = lane.receive(WaitTimeSeconds=5)
    assert again["Attributes"]["ApproximateReceiveCount"] == "2"


def test_a_deleted_message_does_not_come_back(lane: Lane) -> None:
    lane.send()
    [message] = lane.receive(VisibilityTimeout=1)
    lane.delete(message)
    lane.delete(message)
    assert lane.counts() == [0, 0, 0]


def test_an_older_receipt_deletes_nothing_and_hides_nothing(lane: Lane) -> None:
    lane.send()
    [first] = lane.receive(VisibilityTimeout=0)
    [second] = lane.receive()
    assert first["MessageId"] == second["MessageId"]
    lane.delete(first)
    assert lane.counts() == [0, 1, 0]
    with pytest.raises(lane.sqs.exceptions.ReceiptHandleIsInvalid):
        lane.hide(first, 10)
    lane.hide(second, 0)
    assert lane.counts() == [1, 0, 0]


@pytest.mark.parametrize("seconds", [-1, 43_201])
def test_nothing_is_hidden_for_more_than_twelve_hours(lane: Lane, seconds: int) -> None:
    lane.send()
    [message] = lane.receive()
    with pytest.raises(ClientError) as error:
        lane.hide(message, seconds)
    assert refusal(error) == "InvalidParameterValue"
    lane.hide(message, 43_200)


def test_only_what_is_in_flight_can_be_hidden(lane: Lane) -> None:
    lane.send()
    [message] = lane.receive()
    lane.hide(message, 0)
    with pytest.raises(lane.sqs.exceptions.MessageNotInflight):
        lane.hide(message, 10)
    lane.delete(message)
    with pytest.raises(ClientError) as error:
        lane.hide(message, 10)
    assert refusal(error) == "InvalidParameterValue"


def test_a_receipt_from_elsewhere_is_refused(lane: Lane) -> None:
    with pytest.raises(lane.sqs.exceptions.ReceiptHandleIsInvalid):
        lane.delete({"ReceiptHandle": "scribble"})


def test_a_delayed_message_wakes_a_receiver_that_waits(lane: Lane) -> None:
    lane.send("later", DelaySeconds=1)
    assert lane.counts() == [0, 0, 1]
    begun = clock.monotonic()
    assert lane.bodies(WaitTimeSeconds=20) == ["later"]
    assert 0.9 < clock.monotonic() - begun < 60


def test_a_message_wakes_a_receiver_that_waits_at_once(lane: Lane) -> None:
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(lane.bodies, WaitTimeSeconds=20)
        begun = clock.monotonic()
        lane.send("now")
        assert waiting.result(60) == ["now"]
    assert clock.monotonic() - begun < 18


def test_a_receiver_waits_no_longer_than_it_said(lane: Lane) -> None:
    begun = clock.monotonic()
    assert not lane.receive(WaitTimeSeconds=1)
    assert 0.9 < clock.monotonic() - begun < 60


def test_a_message_given_up_reaches_one_who_waits(lane: Lane) -> None:
    lane.send("shared")
    [message] = lane.receive()
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(lane.bodies, WaitTimeSeconds=20)
        lane.hide(message, 0)
        assert waiting.result(60) == ["shared"]


@pytest.mark.parametrize(
    ("wish", "code"),
    [
        ({"DelaySeconds": 901}, "InvalidParameterValue"),
        ({"body": "x" * (MIB + 1)}, "InvalidParameterValue"),
        ({"body": "a\x00b"}, "InvalidMessageContents"),
        ({"body": "a\uffffb"}, "InvalidMessageContents"),
        ({"body": ""}, "MissingParameter"),
    ],
)
def test_what_sqs_does_not_carry_is_refused(lane: Lane, wish: Any, code: str) -> None:
    with pytest.raises(ClientError) as error:
        lane.send(**wish)
    assert refusal(error) == code
    assert lane.counts() == [0, 0, 0]


def test_a_message_of_a_whole_mebibyte_is_carried(lane: Lane) -> None:
    lane.send("é" * (MIB // 2))
    [body] = lane.bodies()
    assert len(body) == MIB // 2


def test_a_batch_tells_of_each_entry_for_itself(lane: Lane) -> None:
    entries = [
        {"Id": "good", "MessageBody": "1"},
        {"Id": "late", "MessageBody": "2", "DelaySeconds": 901},
    ]
    answer = lane.sqs.send_message_batch(QueueUrl=lane.url, Entries=entries)
    assert [each["Id"] for each in answer["Successful"]] == ["good"]
    [failed] = answer["Failed"]
    assert (failed["Id"], failed["Code"]) == ("late", "InvalidParameterValue")
    [message] = lane.receive()
    receipts = [
        {"Id": "mine", "ReceiptHandle": message["ReceiptHandle"]},
        {"Id": "none", "ReceiptHandle": "scribble"},
    ]
    answer = lane.sqs.delete_message_batch(QueueUrl=lane.url, Entries=receipts)
    assert [each["Id"] for each in answer["Successful"]] == ["mine"]
    assert answer["Failed"][0]["Code"] == "ReceiptHandleIsInvalid"


@pytest.mark.parametrize(
    ("entries", "exception"),
    [
        ([], "EmptyBatchRequest"),
        ([{"Id": str(each), "MessageBody": "x"} for each in range(11)], "TooManyEntries"),
        ([{"Id": "a", "MessageBody": "x"}] * 2, "BatchEntryIdsNotDistinct"),
        ([{"Id": "a b", "MessageBody": "x"}], "InvalidBatchEntryId"),
        (
            [{"Id": each, "MessageBody": "x" * (MIB // 2 + 1)} for each in "ab"],
            "BatchRequestTooLong",
        ),
    ],
)
def test_a_batch_that_is_wrong_as_a_whole_is_refused(
    lane: Lane, entries: Any, exception: str
) -> None:
    with pytest.raises(ClientError, match=exception):
        lane.sqs.send_message_batch(QueueUrl=lane.url, Entries=entries)
    assert lane.counts() == [0, 0, 0]


def test_a_message_received_too_often_goes_to_the_dead_letters(lanes: Lanes) -> None:
    lane, dead = lanes.make_pair(2)
    lane.send("poison", MessageGroupId="app")
    for _ in range(2):
        assert lane.bodies(VisibilityTimeout=0) == ["poison"]
    assert not lane.receive()
    [letter] = dead.receive()
    assert letter["Attributes"]["DeadLetterQueueSourceArn"] == lane.arn
    assert letter["Attributes"]["MessageGroupId"] == "app"
    sources = lanes.sqs.list_dead_letter_source_queues(QueueUrl=dead.url)["queueUrls"]
    assert sources == [lane.url]


def test_dead_letters_are_moved_back_as_new_messages(lanes: Lanes) -> None:
    lane, dead = lanes.make_pair(1)
    first = [lane.send(f"letter {each}")["MessageId"] for each in range(3)]
    lane.bodies(VisibilityTimeout=0)
    assert not lane.receive()
    lanes.sqs.start_message_move_task(SourceArn=dead.arn)
    wait_until(lambda: lane.counts() == [3, 0, 0], "the letters are back")
    [move] = lanes.sqs.list_message_move_tasks(SourceArn=dead.arn)["Results"]
    assert (move["Status"], move["ApproximateNumberOfMessagesMoved"]) == ("COMPLETED", 3)
    back = lane.receive(MaxNumberOfMessages=10)
    assert not set(first) & {each["MessageId"] for each in back}
    assert {each["Attributes"]["ApproximateReceiveCount"] for each in back} == {"1"}


def test_only_dead_letters_can_be_moved_back(lane: Lane) -> None:
    with pytest.raises(ClientError) as error:
        lane.sqs.start_message_move_task(SourceArn=lane.arn)
    assert refusal(error) == "InvalidParameterValue"


def test_too_much_in_flight_is_an_error_at_once_and_silence_for_one_who_waits(
    lane: Lane, calm_cloud: CloudProcess
) -> None:
    calm_cloud.control("sqs", "faults", in_flight_limit=2)
    for _ in range(3):
        lane.send()
    assert len(lane.bodies()) == 2
    with pytest.raises(lane.sqs.exceptions.OverLimit):
        lane.receive()
    assert not lane.receive(WaitTimeSeconds=1)


def test_a_purged_queue_is_empty(lane: Lane) -> None:
    lane.send("shown")
    lane.send("delayed", DelaySeconds=900)
    lane.sqs.purge_queue(QueueUrl=lane.url)
    assert lane.counts() == [0, 0, 0]


def test_duplicates_come_while_another_receiver_holds_the_message(
    lane: Lane, calm_cloud: CloudProcess
) -> None:
    calm_cloud.control("sqs", "faults", duplicate=1.0)
    sent = lane.send()["MessageId"]
    [first] = lane.receive()
    [second] = lane.receive()
    assert first["MessageId"] == second["MessageId"] == sent
    lane.delete(first)
    assert lane.counts() == [0, 1, 0]
    lane.delete(second)
    assert lane.counts() == [0, 0, 0]


def test_a_delete_may_be_forgotten(lane: Lane, calm_cloud: CloudProcess) -> None:
    calm_cloud.control("sqs", "faults", forget_delete=1.0)
    lane.send("stubborn")
    [message] = lane.receive(VisibilityTimeout=1)
    lane.delete(message)
    assert lane.bodies(WaitTimeSeconds=10) == ["stubborn"]


def test_a_shuffled_queue_loses_nothing(lane: Lane, calm_cloud: CloudProcess) -> None:
    calm_cloud.control("sqs", "faults", shuffle=True)
    sent = [str(each) for each in range(40)]
    for body in sent:
        lane.send(body)
    came = [body for _ in range(4) for body in lane.bodies()]
    assert came != sent
    assert sorted(came) == sorted(sent)


def test_a_test_may_look_into_a_queue(lane: Lane, calm_cloud: CloudProcess) -> None:
    lane.send("held")
    lane.receive()
    lane.send("shown")
    told = calm_cloud.control("sqs", "peek", queue=lane.name)["messages"]
    assert [(each["body"], each["visible"]) for each in told] == [("held", False), ("shown", True)]

"""Message bodies: ours survive the way, Barbeque's are understood, all else is named."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from barbeque_py import strict_json
from barbeque_py.messages import (
    LARGEST,
    Confirmation,
    JobMessage,
    Notification,
    Options,
    RetryMessage,
    TooNew,
    Unreadable,
    parse,
    write,
)

BROKER_ID = "0b3c8a52-8f4e-4d61-9d0c-0123456789ab"
OWN_ID = "019aa8f0-1111-7222-8333-444455556666"
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

TEXT = some.text(
    some.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=40
)
NAMES = some.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,20}", fullmatch=True)
INSTANTS = some.datetimes(
    min_value=datetime(1971, 1, 1),  # noqa: DTZ001 - hypothesis adds the zone
    max_value=datetime(9990, 1, 1),  # noqa: DTZ001
    timezones=some.sampled_from([UTC, timezone(timedelta(hours=9)), timezone(-timedelta(hours=3))]),
)
OPTIONS = some.builds(
    Options,
    run_at=some.none() | INSTANTS,
    priority=some.none() | some.integers(-100, 100),
    timeout=some.none()
    | some.timedeltas(min_value=timedelta(microseconds=1), max_value=timedelta(days=30)),
    concurrency_key=some.none() | NAMES,
    user_id=some.none() | TEXT,
    notify=some.fixed_dictionaries(
        {},
        optional={
            "slack": some.sampled_from(["#media", "#動画", "U024BE7LH"]),
            "email": some.lists(some.just("ann@example.com"), max_size=3),
            "webhook": some.sampled_from(
                ["https://example.com/hook", "https://a.example:8443/?b=c"]
            ),
        },
    ),
    tags=some.dictionaries(TEXT, TEXT, max_size=5),
    traceparent=some.none() | some.just(TRACEPARENT),
    body_key=some.none() | TEXT,
)
MESSAGES: some.SearchStrategy[object] = some.one_of(
    some.integers(), some.floats(allow_nan=False, allow_infinity=False), TEXT
).flatmap(lambda leaf: some.sampled_from([leaf, [leaf], {"a": leaf, "b": [None, {}]}]))
JOBS = some.builds(
    JobMessage,
    message_id=some.uuids().map(str),
    app=NAMES,
    job=NAMES,
    queue=some.none() | some.from_regex(r"[A-Za-z0-9_-]{1,70}", fullmatch=True),
    message=MESSAGES.map(strict_json.dumps),
    enqueued_at=some.none()
    | INSTANTS.map(lambda at: at.replace(microsecond=at.microsecond // 1000 * 1000)),
    options=OPTIONS,
)


def a_body(**changes: Any) -> str:
    body: dict[str, Any] = {
        "Type": "JobExecution",
        "V": 1,
        "Application": "media",
        "Job": "Thumbnail",
        "Message": {"id": 1},
    }
    body.update(changes)
    return json.dumps({key: value for key, value in body.items() if value is not ...})


def with_options(**options: Any) -> str:
    return a_body(Options=options)


@given(JOBS)
def test_a_job_survives_the_way_over_a_queue(job: JobMessage) -> None:
    body = write(job)
    assert body.isascii()
    assert parse(body, broker_id=BROKER_ID) == job


def test_barbeques_body_runs_under_the_brokers_id() -> None:
    body = '{"Type":"JobExecution","Application":"blog","Job":"A::B","Message":{"n": [1, "日本"]}}'
    job = parse(body, broker_id=BROKER_ID)
    expected = r'{"n":[1,"\u65e5\u672c"]}'
    assert job == JobMessage(BROKER_ID, app="blog", job="A::B", queue=None, message=expected)


def test_a_foreign_body_may_carry_anything_else_and_its_id_counts() -> None:
    body = a_body(V=..., Options="mine", Queue=3, Extra=[1], MessageId=OWN_ID)
    job = parse(body, broker_id=BROKER_ID)
    assert job == JobMessage(OWN_ID, "media", "Thumbnail", queue=None, message='{"id":1}')


@pytest.mark.parametrize("message", ["text", 5, 1.5, True, [], {}, ""])
def test_a_message_is_any_json_but_null(message: object) -> None:
    job = parse(a_body(Message=message), broker_id=BROKER_ID)
    assert isinstance(job, JobMessage)
    assert json.loads(job.message) == message


def test_a_retry_names_the_execution_and_has_an_id_of_its_own() -> None:
    body = json.dumps({"Type": "JobRetry", "RetryMessageId": OWN_ID})
    assert parse(body, broker_id=BROKER_ID) == RetryMessage(OWN_ID, message_id=BROKER_ID)


def test_an_sns_envelope_gives_its_topic_and_message() -> None:
    envelope = {
        "Type": "Notification",
        "MessageId": OWN_ID,
        "TopicArn": "arn:aws:sns:ap-northeast-1:123456789012:topic",
        "Message": '{ "a": 1 }',
        "Timestamp": "2026-11-21T20:00:00.000Z",
        "Signature": "x",
    }
    found = parse(json.dumps(envelope), broker_id=BROKER_ID)
    assert found == Notification(envelope["TopicArn"], '{"a":1}', message_id=OWN_ID)


@pytest.mark.parametrize(
    ("text", "message"),
    [("hi", '"hi"'), ('"hi"', '"hi"'), ("5", "5"), ('{"a":1,"a":2}', r'"{\"a\":1,\"a\":2}"')],
)
def test_what_sns_delivers_is_json_or_a_text(text: str, message: str) -> None:
    body = json.dumps({"Type": "Notification", "TopicArn": "t", "Message": text})
    assert parse(body, broker_id=BROKER_ID) == Notification("t", message, BROKER_ID)


def test_sns_asks_and_tells_with_the_topic() -> None:
    facts = {"MessageId": OWN_ID, "TopicArn": "t", "Token": "x", "SubscribeURL": "https://u"}
    asked = json.dumps({"Type": "SubscriptionConfirmation"} | facts)
    told = json.dumps({"Type": "UnsubscribeConfirmation"} | facts)
    assert parse(asked, broker_id=BROKER_ID) == Confirmation("t", "x")
    assert parse(told, broker_id=BROKER_ID) == Confirmation("t", None)


def test_a_pointer_to_a_large_message_needs_no_message() -> None:
    job = parse(a_body(Message=None, Options={"body_key": "media/T/x"}), broker_id=BROKER_ID)
    assert isinstance(job, JobMessage)
    assert (job.message, job.options.body_key) == ("null", "media/T/x")


def test_a_run_time_with_any_offset_is_one_instant() -> None:
    job = parse(with_options(run_at="2026-11-21t20:00:00.25+09:00"), broker_id=BROKER_ID)
    assert isinstance(job, JobMessage)
    assert job.options.run_at == datetime(2026, 11, 21, 11, 0, 0, 250_000, tzinfo=UTC)


UNREADABLE = [
    ("", "the body is refused: not JSON"),
    ("[1]", "not a JSON object"),
    ('"\ud800"', "surrogate"),
    ('{"Type":"JobExecution","Type":"x"}', 'the key "Type" stands twice'),
    ("[" * 100_000, "nested deeper"),
    ("{}", "Type is missing"),
    ('{"Type":"Nonsense"}', 'Type is "Nonsense"'),
    (a_body(Type=5), "Type is 5"),
    (a_body(V="1"), 'V is "1"'),
    (a_body(V=True), "V is true"),
    (a_body(V=0), "V is 0"),
    (a_body(V=None), "V is null"),
    (a_body(Application=...), "Application is missing"),
    (a_body(Application="a b"), 'Application: "a b" is not a name'),
    (a_body(Application="a\n"), "Application:"),
    (a_body(Job=None), "Job is null"),
    (a_body(Job="x" * 129), "Job:"),
    (a_body(Message=...), "Message is missing"),
    (a_body(Message=None), "Message is null"),
    (a_body(MessageId="42"), "MessageId:"),
    (a_body(MessageId=OWN_ID.upper()), "MessageId:"),
    (a_body(Queue="a.b"), "Queue:"),
    (a_body(EnqueuedAt="now"), "EnqueuedAt:"),
    (a_body(EnqueuedAt=-1), "EnqueuedAt:"),
    (a_body(EnqueuedAt=10**300), "EnqueuedAt:"),
    (a_body(EnqueuedAt=True), "EnqueuedAt:"),
    (a_body(Options=None), "Options is null"),
    (a_body(Options=[]), "Options is []"),
    (with_options(run_at="2026-11-21T20:00:00"), "Options.run_at:"),
    (with_options(run_at="2026-13-21T20:00:00Z"), "Options.run_at:"),
    (with_options(run_at="0001-01-01T00:00:00+09:00"), "Options.run_at:"),
    (with_options(run_at=1795291200), "Options.run_at:"),
    (with_options(priority=101), "Options.priority:"),
    (with_options(priority=1.0), "Options.priority:"),
    (with_options(priority=True), "Options.priority:"),
    (with_options(timeout=0), "Options.timeout:"),
    (with_options(timeout=-5), "Options.timeout:"),
    (with_options(timeout="soon"), "Options.timeout:"),
    (with_options(timeout=True), "Options.timeout:"),
    (with_options(timeout="31d"), "Options.timeout:"),
    (with_options(timeout=[1]), "Options.timeout:"),
    (with_options(concurrency_key="a key"), "Options.concurrency_key:"),
    (with_options(user_id=5), "Options.user_id:"),
    (with_options(user_id=""), "Options.user_id:"),
    (with_options(user_id="x" * 256), "Options.user_id:"),
    (with_options(notify="me"), "Options.notify:"),
    (with_options(notify={"slack": 5}), "Options.notify:"),
    (with_options(notify={"slack": "https://hooks.slack.com/services/T/B/x"}), "notify: slack"),
    (with_options(notify={"email": "me@example.com"}), "Options.notify: email"),
    (with_options(notify={"email": ["me@example.com\nBcc: you"]}), "Options.notify: email"),
    (with_options(tags=["a"]), "Options.tags:"),
    (with_options(tags={"a": 1}), "Options.tags:"),
    (with_options(tags={"": "a"}), "Options.tags:"),
    (with_options(tags={"a": "x" * 257}), "Options.tags:"),
    (with_options(tags={str(n): "" for n in range(51)}), "Options.tags:"),
    (with_options(traceparent="00-" + "0" * 32 + "-b7ad6b7169203331-01"), "Options.traceparent:"),
    (with_options(traceparent=TRACEPARENT.upper()), "Options.traceparent:"),
    (with_options(traceparent="ff" + TRACEPARENT[2:]), "Options.traceparent:"),
    (json.dumps({"Type": "JobRetry"}), "RetryMessageId is missing"),
    (json.dumps({"Type": "JobRetry", "RetryMessageId": "1"}), "RetryMessageId:"),
    (json.dumps({"Type": "Notification", "TopicArn": "a"}), "Message is missing"),
    (json.dumps({"Type": "Notification", "TopicArn": "a", "Message": {}}), "Message:"),
    (json.dumps({"Type": "SubscriptionConfirmation", "TopicArn": "a"}), "Token is missing"),
    (json.dumps({"Type": "UnsubscribeConfirmation", "Token": "t"}), "TopicArn is missing"),
    (json.dumps({"Type": "Notification", "Message": "{}"}), "TopicArn is missing"),
]


@pytest.mark.parametrize(("body", "words"), UNREADABLE)
def test_what_can_never_be_a_job_is_refused_in_an_admins_words(body: str, words: str) -> None:
    with pytest.raises(Unreadable) as caught:
        parse(body, broker_id=BROKER_ID)
    assert words in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (a_body(V=2), "V is 2"),
        (a_body(V=10**30, Type="Other"), "this version reads up to 1"),
        (a_body(Type="JobBatch"), 'Type is "JobBatch"'),
        (a_body(Colour="red"), '"Colour"'),
        (with_options(colour="red"), "Options.colour"),
        (with_options(notify={"pager": "x"}), "Options.notify.pager"),
        (json.dumps({"Type": "JobRetry", "V": 1, "RetryMessageId": OWN_ID, "Why": 1}), '"Why"'),
    ],
)
def test_what_a_newer_worker_may_read_is_told_apart(body: str, words: str) -> None:
    with pytest.raises(TooNew) as caught:
        parse(body, broker_id=BROKER_ID)
    assert words in str(caught.value)


@given(some.text(max_size=80) | MESSAGES.map(json.dumps))
def test_no_body_raises_anything_else(body: str) -> None:
    with pytest.raises((Unreadable, TooNew)):
        parse(body, broker_id=BROKER_ID)


@given(
    some.sampled_from(
        [
            "Type",
            "V",
            "Application",
            "Job",
            "Message",
            "MessageId",
            "EnqueuedAt",
            "Queue",
            "Options",
        ]
    ),
    MESSAGES | some.none() | some.booleans(),
)
def test_any_value_under_any_key_is_a_job_or_a_named_fault(key: str, value: object) -> None:
    try:
        parsed = parse(a_body(**{key: value}), broker_id=BROKER_ID)
    except (Unreadable, TooNew):
        return
    assert isinstance(parsed, JobMessage)


def test_a_body_that_is_too_large_is_unreadable_and_says_so() -> None:
    with pytest.raises(Unreadable, match="too large"):
        parse(" " * (LARGEST + 1), broker_id=BROKER_ID)

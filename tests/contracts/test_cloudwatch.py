"""What a task's log in CloudWatch promises as a source, and what reading it costs."""

import secrets
from collections.abc import Iterator
from datetime import timedelta
from itertools import islice
from typing import Any

import pytest

from barbeque_py import aws, clock
from barbeque_py.cloudwatch import (
    Budget,
    CloudWatch,
    CloudWatchLog,
    LogPlace,
    format_log_at,
    parse_log_at,
)
from barbeque_py.errors import ExecutorUnavailable, NoSuchLog
from barbeque_py.log_reading import read_lines
from barbeque_py.shipment import Shipment, Shipping
from barbeque_py.watched import Watching
from tests.cloud.rig import REGION, CloudProcess
from tests.contracts.logstore_rigs import PREFIX, MemoryLogStore, WatchedLogStore
from tests.waiting import wait_until

GROUP = "/barbeque/media"
BEGAN = 1_795_291_200_123
"""2026-11-21T20:00:00.123Z, in milliseconds."""


class Stream:
    """A log stream as awslogs writes it."""

    def __init__(self, cloud: CloudProcess) -> None:
        self.cloud = cloud
        self.name = f"job/app/{secrets.token_hex(16)}"
        self._client = cloud.client("logs")
        self._written = 0
        if not self._client.describe_log_groups(logGroupNamePrefix=GROUP)["logGroups"]:
            self._client.create_log_group(logGroupName=GROUP)

    def create(self) -> None:
        self._client.create_log_stream(logGroupName=GROUP, logStreamName=self.name)

    def write(self, *texts: str) -> None:
        events = [
            {"timestamp": BEGAN + self._written + number, "message": text}
            for number, text in enumerate(texts)
        ]
        self._written += len(texts)
        for begin in range(0, len(events), 5000):
            self._client.put_log_events(
                logGroupName=GROUP,
                logStreamName=self.name,
                logEvents=events[begin : begin + 5000],
            )

    def remove(self) -> None:
        self._client.delete_log_stream(logGroupName=GROUP, logStreamName=self.name)

    def calls(self) -> int:
        """Return how often events were asked for since the last time."""
        count = self.cloud.counts().get("logs", {}).get("GetLogEvents", 0)
        self.cloud.reset_counts()
        return count


@pytest.fixture
def stream(calm_cloud: CloudProcess, aws_environment: dict[str, str]) -> Stream:
    stream = Stream(calm_cloud)
    calm_cloud.reset_counts()
    return stream


@pytest.fixture
def client(aws_environment: dict[str, str]) -> Iterator[Any]:
    client = aws.open_client("logs", tries=1)
    yield client
    client.close()


@pytest.fixture
def log(stream: Stream, client: Any) -> CloudWatchLog:
    return CloudWatchLog(client, GROUP, stream.name, budget=Budget(1000))


def read(log: CloudWatchLog) -> list[bytes]:
    return [line for batch in log.batches(follow=False) for line in batch]


def texts(lines: list[bytes]) -> list[str]:
    return [line.split(b" ", 2)[2].decode() for line in lines]


def test_a_place_is_text_and_back() -> None:
    place = LogPlace("eu-west-1", "/a:b/c d", "job/app/0123%")
    assert format_log_at(place) == "awslogs:eu-west-1:/a%3Ab/c%20d:job/app/0123%25"
    assert parse_log_at(format_log_at(place)) == place
    for text in ("", "docker:x", "awslogs:r:g", "awslogs:r:g:", "awslogs:r:g:s:t"):
        with pytest.raises(ValueError, match="is not awslogs:REGION:GROUP:STREAM"):
            parse_log_at(text)


def test_lines_have_the_events_times_and_no_stream(stream: Stream, log: CloudWatchLog) -> None:
    stream.create()
    stream.write("one", "grün")
    assert read(log) == [
        b"2026-11-21T20:00:00.123000Z - one",
        "2026-11-21T20:00:00.124000Z - grün".encode(),
    ]


def test_a_small_log_is_one_call_and_looking_for_more_is_one(
    stream: Stream, log: CloudWatchLog
) -> None:
    stream.create()
    stream.write("one", "two")
    assert (texts(read(log)), stream.calls()) == (["one", "two"], 1)
    assert (texts(read(log)), stream.calls()) == ([], 1)
    stream.write("three")
    assert (texts(read(log)), stream.calls()) == (["three"], 2)
    assert (texts(read(log)), stream.calls()) == ([], 1)


def test_a_large_log_is_read_page_by_page_without_gap_or_repeat(
    stream: Stream, log: CloudWatchLog
) -> None:
    stream.create()
    written = [f"line {number}" for number in range(23_000)]
    stream.write(*written)
    assert texts(read(log)) == written
    assert stream.calls() == 3
    assert read(log) == []


def test_an_event_of_several_lines_and_long_ones_is_cut(stream: Stream, log: CloudWatchLog) -> None:
    stream.create()
    stream.write("one\ntwo\n\nthree", "x" * 150_000)
    lines = read(log)
    assert texts(lines[:4]) == ["one", "two", "", "three"]
    assert [line.split(b" ", 2)[1] for line in lines[4:]] == [b"-+", b"-+", b"-"]
    assert [len(text) for text in texts(lines[4:])] == [65_536, 65_536, 150_000 - 2 * 65_536]


def test_a_task_that_wrote_nothing_has_an_empty_log(stream: Stream, log: CloudWatchLog) -> None:
    assert read(log) == []
    stream.create()
    assert read(log) == []
    stream.write("late")
    assert texts(read(log)) == ["late"]


def test_a_group_that_is_not_there_is_no_log(stream: Stream, client: Any) -> None:
    log = CloudWatchLog(client, "/not/here", stream.name)
    with pytest.raises(NoSuchLog, match="the log group /not/here is not in CloudWatch"):
        read(log)


def test_a_stream_that_goes_while_it_is_read_is_no_log(stream: Stream, log: CloudWatchLog) -> None:
    stream.create()
    stream.write("one")
    read(log)
    stream.remove()
    with pytest.raises(NoSuchLog, match="is gone from the log group"):
        read(log)


def test_throttles_and_lost_answers_are_waited_out(
    stream: Stream, log: CloudWatchLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("barbeque_py.cloudwatch._PAUSES", (0.01,) * 12)
    stream.create()
    written = [f"line {number}" for number in range(12_000)]
    stream.write(*written)
    stream.cloud.faults(logs={"throttle": 0.3, "refuse": 0.2, "lose_answer": 0.2})
    assert texts(read(log)) == written


def test_what_does_not_end_is_told_and_can_be_gone_on_from(
    stream: Stream, log: CloudWatchLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("barbeque_py.cloudwatch._PAUSES", (0.01,) * 3)
    stream.create()
    stream.write("one")
    assert texts(read(log)) == ["one"]
    stream.write("two")
    for fault, word in (({"throttle": 1.0}, "Throttling"), ({"down": True}, "")):
        stream.cloud.faults(logs=fault)
        with pytest.raises(ExecutorUnavailable, match=rf"log group {GROUP} failed: .*{word}"):
            read(log)
    stream.cloud.faults()
    assert texts(read(log)) == ["two"]


def test_a_followed_log_ends_one_reading_after_its_task(stream: Stream, client: Any) -> None:
    ended: list[bool] = []
    log = CloudWatchLog(
        client,
        GROUP,
        stream.name,
        budget=Budget(1000),
        interval=timedelta(seconds=0.05),
        has_ended=lambda: bool(ended),
    )
    batches = log.batches(follow=True)
    assert next(batches) == []
    stream.create()
    stream.write("one")
    assert texts(next(batch for batch in batches if batch)) == ["one"]
    stream.write("two")
    ended.append(True)
    assert texts([line for batch in batches for line in batch]) == ["two"]


def test_an_empty_batch_comes_at_least_once_a_second(stream: Stream, client: Any) -> None:
    log = CloudWatchLog(client, GROUP, stream.name, interval=timedelta(hours=1))
    batches = log.batches(follow=True)
    next(batches)
    for _ in range(2):
        begun = clock.monotonic()
        assert next(batches) == []
        assert clock.monotonic() - begun < 30


def test_a_budget_spaces_the_calls_of_all_who_share_it() -> None:
    budget = Budget(10)
    waits = [budget.reserve() for _ in range(31)]
    assert waits[0] == 0
    assert 2.9 < waits[-1] <= 3.0


def test_a_shipment_reads_twice_and_seals_with_three_calls_in_all(
    stream: Stream, log: CloudWatchLog
) -> None:
    stream.create()
    stream.write("one", "two")
    puts: list[tuple[str, str]] = []
    store = MemoryLogStore()
    seen = WatchedLogStore(store, lambda verb, key: puts.append((verb, key)))
    shipment = Shipment(log, seen, PREFIX, shipping=Shipping(live_every=None))
    shipment.run(follow=False)
    shipment.run(follow=False)
    shipment.seal(fresh=True)
    shipment.close()
    assert (stream.calls(), puts) == (2, [("put", PREFIX + "log.gz")])
    page = read_lines(store, PREFIX, first=0, count=10)
    assert [line.text for line in page.lines] == ["one", "two"]


def test_a_watched_log_shows_what_is_written_and_costs_nothing_unwatched(stream: Stream) -> None:
    stream.create()
    stream.write("one")
    opened = CloudWatch(Budget(1000))
    watching = Watching(opened.open_log, linger=timedelta(seconds=0.5))
    place = format_log_at(LogPlace(REGION, GROUP, stream.name))
    found = wait_until(lambda: watching.read(place, first=0, count=10).lines)
    assert [line.text for line in found] == ["one"]
    stream.write("two")
    line = wait_until(lambda: watching.read(place, first=1, count=10).lines)
    assert [(each.number, each.text) for each in line] == [(1, "two")]
    wait_until(lambda: not watching._watched, "nobody watches")
    stream.calls()
    stream.write("three")
    assert stream.calls() == 0
    watching.close()
    opened.close()


def test_many_watched_logs_stay_within_the_budget(stream: Stream, client: Any) -> None:
    stream.create()
    budget = Budget(20)
    logs = [
        CloudWatchLog(client, GROUP, stream.name, budget=budget, interval=timedelta(0))
        for _ in range(8)
    ]
    begun = clock.monotonic()
    followed = [log.batches(follow=True) for log in logs]
    while clock.monotonic() - begun < 1.5:
        for batches in followed:
            list(islice(batches, 1))
    assert stream.calls() <= 20 * (clock.monotonic() - begun) + 1

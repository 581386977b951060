"""The Fluent Bit beside a job: what it is told, and the log that it leaves in S3."""

import gzip
import json
from collections.abc import Iterator
from typing import Any

import pytest

from barbeque_py.cloudwatch import CloudWatch
from barbeque_py.errors import LogStoreUnavailable
from barbeque_py.firelens import (
    Firelens,
    FirelensLog,
    Route,
    fluent_bit_configuration,
    folder_of,
    log_configuration,
    router_container,
    tag_of,
)
from barbeque_py.shipment import Shipment
from tests.contracts.logstore_rigs import PREFIX, MemoryLogStore, WatchedLogStore

TASK = "arn:aws:ecs:us-east-1:123456789012:task/barbeque/0123456789abcdef0123456789abcdef"
FOLDER = f"firelens/shop/{tag_of(TASK)}/"
ROUTE = Route("us-east-1", "logs-of-shop", folder_of("logs", "shop"), "/barbeque/media", "jobs")


class CloudWatchStandIn:
    """The same log without streams; goes on where it was."""

    def __init__(self, *texts: str) -> None:
        self.texts = list(texts)
        self.asked: list[bool] = []

    def batches(self, *, follow: bool) -> Iterator[list[bytes]]:
        self.asked.append(follow)
        texts, self.texts = self.texts, []
        yield [b"2026-11-21T20:00:00.123000Z - %b" % text.encode() for text in texts]


def record(number: int, log: str, source: str = "stdout", **more: str) -> dict[str, Any]:
    """Return a record as Fluent Bit has it after its filters."""
    return {"date": f"2026-11-21T20:00:00.{number:06}Z", "source": source, "log": log, **more}


def put(store: MemoryLogStore, name: str, *records: dict[str, Any]) -> None:
    store.put(FOLDER + name, [b"".join(json.dumps(each).encode() + b"\n" for each in records)])


def read(log: FirelensLog, *, follow: bool = False) -> list[bytes]:
    return [line for batch in log.batches(follow=follow) for line in batch]


@pytest.fixture
def store() -> MemoryLogStore:
    return MemoryLogStore()


def test_both_streams_come_in_the_order_in_which_they_were_written(store: MemoryLogStore) -> None:
    put(store, "0-aaaaaaaa", record(5, "one"), record(5, "two", "stderr"), record(5, "three"))
    away = CloudWatchStandIn("not read")
    assert read(FirelensLog(store, FOLDER, fallback=away)) == [
        b"2026-11-21T20:00:00.000005Z out one",
        b"2026-11-21T20:00:00.000005Z err two",
        b"2026-11-21T20:00:00.000005Z out three",
    ]
    assert away.asked == []


def test_objects_are_read_by_their_numbers(store: MemoryLogStore) -> None:
    for number in (10, 2, 0, 1):
        put(store, f"{number}-zzzzzzz{number % 10}", record(number, str(number)))
    store.put("firelens/shop/app-firelens-other/0-aaaaaaaa", [b"{}"])
    lines = read(FirelensLog(store, FOLDER, fallback=CloudWatchStandIn()))
    assert [line.split()[2] for line in lines] == [b"0", b"1", b"2", b"10"]


def test_a_line_in_pieces_is_one_line(store: MemoryLogStore) -> None:
    said = {"partial_message": "true", "partial_id": "x"}
    put(
        store,
        "0-aaaaaaaa",
        record(1, "x" * 16_384, partial_ordinal="1", partial_last="false", **said),
        record(2, "from the other", "stderr"),
        record(3, " end", partial_ordinal="2", partial_last="true", **said),
        record(4, "y" * 70_000),
        record(5, "a\nb"),
    )
    lines = read(FirelensLog(store, FOLDER, fallback=CloudWatchStandIn()))
    marks = [(line.split(b" ", 2)[1], len(line.split(b" ", 2)[2])) for line in lines]
    assert marks == [
        (b"out+", 16_384),
        (b"err", 14),
        (b"out", 4),
        (b"out+", 65_536),
        (b"out", 4_464),
        (b"out", 1),
        (b"out", 1),
    ]


def test_a_large_object_is_read_in_bounded_ranges(store: MemoryLogStore) -> None:
    records = [record(number, f"line {number} " + "x" * 100) for number in range(40_000)]
    put(store, "0-aaaaaaaa", *records)
    reads: list[str] = []
    watched = WatchedLogStore(store, lambda verb, key: reads.append(verb))
    log = FirelensLog(watched, FOLDER, fallback=CloudWatchStandIn())
    batches = list(log.batches(follow=False))
    assert sum(map(len, batches)) == 40_000
    assert max(sum(map(len, batch)) for batch in batches) < 2 * 1024 * 1024
    assert reads.count("read") > 5


def test_what_is_no_record_is_a_line_all_the_same(store: MemoryLogStore) -> None:
    text = b'{"date":"2026-11-21T20:00:00.000001Z","source":"x","log":"one"}\nnoise\n{"a":1}\nend'
    store.put(FOLDER + "0-aaaaaaaa", [text])
    lines = read(FirelensLog(store, FOLDER, fallback=CloudWatchStandIn()))
    at = b"2026-11-21T20:00:00.000001Z"
    assert lines == [at + b" - one", at + b" - noise", at + b' - {"a":1}', at + b" - end"]


def test_a_second_reading_takes_only_what_came_since(store: MemoryLogStore) -> None:
    put(store, "0-aaaaaaaa", record(1, "one"))
    log = FirelensLog(store, FOLDER, fallback=CloudWatchStandIn("not read"))
    assert len(read(log)) == 1
    assert read(log) == []
    put(store, "1-bbbbbbbb", record(2, "two"))
    assert [line.split()[2] for line in read(log)] == [b"two"]
    log.discard()
    assert store.names("") == []


def test_where_s3_has_nothing_cloudwatch_serves_from_then_on(store: MemoryLogStore) -> None:
    away = CloudWatchStandIn("one")
    log = FirelensLog(store, FOLDER, fallback=away)
    assert read(log) == [b"2026-11-21T20:00:00.123000Z - one"]
    put(store, "0-aaaaaaaa", record(1, "one"))
    away.texts.append("two")
    assert read(log) == [b"2026-11-21T20:00:00.123000Z - two"]


def test_where_neither_has_anything_yet_s3_may_have_it_later(store: MemoryLogStore) -> None:
    log = FirelensLog(store, FOLDER, fallback=CloudWatchStandIn())
    assert read(log) == []
    put(store, "0-aaaaaaaa", record(1, "one"))
    assert [line.split()[1] for line in read(log)] == [b"out"]


def test_a_fluent_bit_that_was_killed_is_not_trusted(store: MemoryLogStore) -> None:
    put(store, "0-aaaaaaaa", record(1, "one"))
    away = CloudWatchStandIn("one", "two")
    assert len(read(FirelensLog(store, FOLDER, fallback=away, trusted=False))) == 2


def test_whoever_follows_is_served_by_cloudwatch(store: MemoryLogStore) -> None:
    put(store, "0-aaaaaaaa", record(1, "one"))
    away = CloudWatchStandIn("live")
    assert len(read(FirelensLog(store, FOLDER, fallback=away), follow=True)) == 1
    assert away.asked == [True]


def test_a_log_store_that_is_away_is_told(store: MemoryLogStore) -> None:
    def refuse(verb: str, key: str) -> None:
        raise LogStoreUnavailable(key)

    log = FirelensLog(WatchedLogStore(store, refuse), FOLDER, fallback=CloudWatchStandIn())
    with pytest.raises(LogStoreUnavailable):
        read(log)


def test_a_shipment_seals_what_fluent_bit_left(store: MemoryLogStore) -> None:
    put(store, "0-aaaaaaaa", record(1, "one"), record(2, "two", "stderr"))
    log = FirelensLog(store, FOLDER, fallback=CloudWatchStandIn())
    shipment = Shipment(log, store, PREFIX)
    shipment.run(follow=False)
    shipment.run(follow=False)
    facts = shipment.seal()
    shipment.close()
    log.discard()
    assert (facts.lines, store.names("")) == (2, [PREFIX + "log.gz"])
    assert b" err two\n" in gzip.decompress(store.read(PREFIX + "log.gz"))


def test_a_log_is_opened_by_the_text_in_its_attempts_row(store: MemoryLogStore) -> None:
    put(store, "0-aaaaaaaa", record(1, "one"))
    cloudwatch = CloudWatch()
    firelens = Firelens(store, "shop", cloudwatch)
    log = firelens.open_log(f"firelens:us-east-1:/barbeque/media:jobs/{tag_of(TASK)}")
    assert len(read(log)) == 1
    with pytest.raises(ValueError, match="is not firelens:REGION:GROUP:STREAM"):
        firelens.open_log("awslogs:us-east-1:/barbeque/media:jobs/app/0123")
    cloudwatch.close()


def test_folders_are_those_of_the_bucket() -> None:
    assert folder_of("", "shop") == "firelens/shop/"
    assert folder_of("/logs/of/", "shop") == "logs/of/firelens/shop/"
    assert tag_of(TASK) == tag_of(TASK[-32:]) == f"app-firelens-{TASK[-32:]}"


def test_fluent_bit_is_told_where_each_log_goes() -> None:
    assert fluent_bit_configuration(ROUTE) == (
        "[SERVICE]\n    Flush 1\n    Grace 30\n    Log_Level warn\n"
        "\n[FILTER]\n    Name record_modifier\n    Match app-firelens-*\n"
        "    Remove_key container_id\n"
        "\n[FILTER]\n    Name record_modifier\n    Match app-firelens-*\n"
        "    Remove_key container_name\n"
        "\n[OUTPUT]\n    Name s3\n    Match app-firelens-*\n    bucket logs-of-shop\n"
        "    region us-east-1\n    use_put_object On\n    total_file_size 8M\n"
        "    upload_timeout 24h\n    preserve_data_ordering On\n    json_date_key date\n"
        "    json_date_format iso8601\n"
        "    s3_key_format /logs/firelens/shop/$TAG/$INDEX-$UUID\n"
        "\n[OUTPUT]\n    Name cloudwatch_logs\n    Match app-firelens-*\n    region us-east-1\n"
        "    log_group_name /barbeque/media\n    log_stream_prefix jobs/\n    log_key log\n"
        "    retry_limit 5\n"
    )


def test_the_sidecar_is_essential_small_and_has_time_to_end() -> None:
    container = router_container(ROUTE)
    assert (container["name"], container["essential"], container["stopTimeout"]) == (
        "log_router",
        True,
        120,
    )
    assert container["memoryReservation"] == 64
    assert container["image"].endswith("/aws-for-fluent-bit:stable")
    assert container["environment"][0]["value"] == fluent_bit_configuration(ROUTE)
    options = container["firelensConfiguration"]["options"]
    assert options["config-file-value"] in container["command"][0]
    assert router_container(ROUTE, image="mine:1", memory_reservation=128)["image"] == "mine:1"


def test_the_jobs_container_writes_to_firelens() -> None:
    assert log_configuration() == {"logDriver": "awsfirelens"}
    more = {"Name": "datadog", "apikey": "k"}
    assert log_configuration(more) == {"logDriver": "awsfirelens", "options": more}

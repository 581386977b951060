"""Messages too large for a queue of SQS, and delays: from the request to the execution."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from barbeque_py import clock
from barbeque_py.apps import Queue
from barbeque_py.broker import Depth
from barbeque_py.brokers.database import DatabaseBroker
from barbeque_py.enqueue import TRAVELS, Request, enqueue
from barbeque_py.errors import LogStoreUnavailable, StoreUnavailable
from barbeque_py.ids import new_message_id
from barbeque_py.intake import INLINE, Intake
from barbeque_py.logs import message_key
from barbeque_py.logstores.directory import DirectoryLogStore
from barbeque_py.messages import JobMessage, Options, write
from barbeque_py.store import Store, apps, dead
from tests.api.served import JOB, Running, define, parts_of, serving
from tests.cloud.rig import CloudProcess
from tests.contracts.logstore_rigs import WatchedLogStore
from tests.contracts.sqs_rig import SqsRig, cloud_sqs
from tests.store.world import everything, find
from tests.stores import MariaDb, opened

__all__ = ["cloud_sqs"]

QUEUE = "default"
MEBIBYTE = 1024 * 1024
SOON = timedelta(seconds=5)


class Fleet:
    """An API and an intake that share an SQS, a store and a log store."""

    def __init__(self, api: Running, rig: SqsRig, cloud: CloudProcess) -> None:
        self.api = api
        self.rig = rig
        self.broker = rig.broker(visibility=timedelta(seconds=30))
        self._cloud = cloud
        self.intake = Intake(api.store, self.broker, api.parts.logs)

    def bodies(self) -> list[str]:
        """Return what is on the queue."""
        found = self._cloud.control("sqs", "peek", queue=self.rig.prefix + QUEUE)
        return [each["body"] for each in found["messages"]]

    def take(self) -> int:
        """Take in one batch."""
        return self.intake.take(QUEUE, wait=SOON)


@pytest.fixture
def fleet(
    sqlite_store: Store, cloud_sqs: SqsRig, cloud: CloudProcess, tmp_path: Path
) -> Iterator[Fleet]:
    sqlite_store.write(define)
    cloud_sqs.queues().ensure_queue(QUEUE)
    parts = parts_of(sqlite_store, tmp_path)
    with serving(parts, broker=cloud_sqs.broker(), max_body=16 * MEBIBYTE) as api:
        yield Fleet(api, cloud_sqs, cloud)


def a_job(message: str, **options: Any) -> JobMessage:
    return JobMessage(
        message_id=new_message_id(),
        app="media",
        job="Thumbnail",
        queue=QUEUE,
        message=message,
        enqueued_at=clock.now(),
        options=Options(**options),
    )


def a_request(message: str, *, delay: timedelta = timedelta(0), **options: Any) -> Request:
    return Request(a_job(message, **options), QUEUE, delay)


@pytest.mark.parametrize("size", [TRAVELS + 1, 3 * MEBIBYTE, 16 * MEBIBYTE - 1000])
def test_a_large_message_travels_as_a_pointer_and_arrives_whole(fleet: Fleet, size: int) -> None:
    message = {"text": "x" * (size - 11)}
    message_id = fleet.api.enqueue(message=message, priority=3, tags={"a": "b"})
    key = message_key("media", "Thumbnail", message_id)
    (body,) = fleet.bodies()
    assert len(body) < 1000
    assert json.loads(body)["Message"] is None
    assert json.loads(body)["Options"]["body_key"] == key
    assert fleet.take() == 1
    found = find(fleet.api.store, message_id)
    assert (found.message, found.message_key, found.priority_rank) == (None, key, -3)
    assert found.options == {"tags": {"a": "b"}}
    assert json.loads(fleet.api.parts.logs.read(key)) == message
    shown = fleet.api.get(f"/v1/job_executions/{message_id}", params={"fields": "message"})
    assert json.loads(shown.json()["message"]) == message
    assert fleet.bodies() == []


def test_what_travels_is_200_kib_at_most_with_the_longest_names_and_options(
    fleet: Fleet,
) -> None:
    message = json.dumps("x" * (TRAVELS - 2))
    address = f"{'a' * 60}@{'b' * 60}.{'c' * 60}.{'d' * 60}.example"
    tags = {f"tag {number}": "t" * 256 for number in range(16)}
    job = a_job(message, notify={"email": [address] * 50}, user_id="u" * 255, tags=tags)
    longest = replace(job, app="a" * 128, job="j" * 128, queue="q" * 70)
    assert 196 * 1024 < len(write(longest)) <= 200 * 1024
    enqueue(fleet.broker, fleet.api.parts.logs, [Request(job, QUEUE)])
    assert fleet.bodies() == [write(job)]
    assert fleet.api.parts.logs.names("media/") == []


def test_a_broker_in_the_database_carries_everything_itself(
    sqlite_store: Store, tmp_path: Path
) -> None:
    logs = DirectoryLogStore(tmp_path / "logs")
    enqueue(DatabaseBroker(sqlite_store), logs, [a_request(json.dumps("x" * MEBIBYTE))])
    assert logs.names("media/") == []


def test_only_large_requests_fail_while_the_log_store_is_away(
    fleet: Fleet, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    logs = tmp_path / "logs"
    logs.write_text("a file where the folder should be")
    large = JOB | {"message": "x" * 300_000}
    refused = fleet.api.post("/v2/job_executions", large)
    assert refused.status_code == 503
    assert refused.json().keys() == {"message"}
    assert "BARBEQUE_LOGS" in caplog.text
    fleet.api.enqueue()
    assert len(fleet.bodies()) == 1
    logs.unlink()
    assert fleet.api.post("/v2/job_executions", large).status_code == 201
    assert (fleet.take(), len(everything(fleet.api.store))) == (2, 2)


def test_others_pass_a_large_message_on_its_way_to_the_log_store_but_not_too_many(
    sqlite_store: Store,
    cloud_sqs: SqsRig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sqlite_store.write(define)
    cloud_sqs.queues().ensure_queue(QUEUE)
    monkeypatch.setattr("barbeque_api.sender.MOST_WAITING", 500_000)
    began, leave = Event(), Event()

    def hold(verb: str, key: str) -> None:
        began.set()
        assert leave.wait(60)

    parts = parts_of(sqlite_store, tmp_path)
    held = WatchedLogStore(parts.logs, hold)
    large = JOB | {"message": "x" * 300_000}
    with (
        ThreadPoolExecutor(1) as clients,
        serving(parts, broker=cloud_sqs.broker(), logs=held) as api,
    ):
        first = clients.submit(api.post, "/v2/job_executions", large)
        assert began.wait(60)
        api.enqueue()
        assert api.post("/v2/job_executions", large).status_code == 503
        assert not first.done()
        leave.set()
        assert first.result().status_code == 201
        assert api.post("/v2/job_executions", large).status_code == 201
    assert cloud_sqs.queues().depth(QUEUE).visible == 3


def test_sending_the_same_large_request_again_makes_one_execution(fleet: Fleet) -> None:
    request = a_request(json.dumps("x" * 300_000))
    for _ in range(2):
        enqueue(fleet.broker, fleet.api.parts.logs, [request])
    fleet.take()
    (found,) = everything(fleet.api.store)
    assert found.note is None


def test_a_short_delay_rides_on_sqs_and_an_instant_never_does(fleet: Fleet) -> None:
    logs = fleet.api.parts.logs
    fleet.api.enqueue(delay_seconds=900)
    enqueue(fleet.broker, logs, [a_request("1", run_at=clock.now() + timedelta(seconds=60))])
    assert fleet.rig.queues().depth(QUEUE) == Depth(visible=1, in_flight=0, delayed=1)
    delayed = [each for each in fleet.bodies() if "run_at" not in each]
    assert len(delayed) == 1
    fleet.take()
    (found,) = everything(fleet.api.store)
    assert found.stage == "scheduled"


def test_a_delay_too_long_for_sqs_is_an_instant(fleet: Fleet) -> None:
    logs = fleet.api.parts.logs
    enqueue(fleet.broker, logs, [a_request("1", delay=timedelta(seconds=901))])
    fleet.take()
    (found,) = everything(fleet.api.store)
    assert timedelta(minutes=14) < found.due_at - clock.now() < timedelta(minutes=16)


def test_a_queue_that_only_the_database_knows_is_a_404_that_names_the_cure(fleet: Fleet) -> None:
    fleet.api.store.write(lambda tx: apps.put_queue(tx, Queue("only-here")))
    answer = fleet.api.post("/v2/job_executions", JOB | {"queue": "only-here"})
    assert (answer.status_code, answer.json()["error_code"]) == (404, "record_not_found")
    assert "barbeque apply" in answer.json()["message"]


def test_enqueue_needs_no_database_and_sqs_says_which_queues_there_are(
    mariadb: MariaDb, cloud_sqs: SqsRig, tmp_path: Path
) -> None:
    cloud_sqs.queues().ensure_queue(QUEUE)
    with mariadb.database() as url, opened(url) as store:
        mariadb.stop()
        try:
            with serving(parts_of(store, tmp_path), broker=cloud_sqs.broker()) as api:
                for _ in range(3):
                    assert api.post("/v2/job_executions", JOB).status_code == 201
                unknown = api.post("/v2/job_executions", JOB | {"queue": "absent"})
                assert unknown.status_code == 404
            strict = parts_of(store, tmp_path)
            with serving(strict, broker=cloud_sqs.broker(), verify_enqueued_jobs=True) as api:
                assert api.post("/v2/job_executions", JOB).status_code == 503
        finally:
            mariadb.start()
        store.write(define)
        intake = Intake(store, cloud_sqs.broker(), DirectoryLogStore(tmp_path / "logs"))
        assert intake.take(QUEUE, wait=SOON) == 3


def test_a_database_that_is_away_does_not_use_up_a_message_s_receives(
    mariadb: MariaDb, cloud_sqs: SqsRig, tmp_path: Path
) -> None:
    cloud_sqs.queues().ensure_queue(QUEUE)
    broker = cloud_sqs.broker(visibility=timedelta(seconds=1))
    logs = DirectoryLogStore(tmp_path / "logs")
    enqueue(broker, logs, [a_request("1")])
    with mariadb.database() as url, opened(url) as store:
        store.write(define)
        mariadb.stop()
        try:
            for _ in range(3):
                with pytest.raises(StoreUnavailable):
                    Intake(store, broker, logs).take(QUEUE, wait=timedelta(0))
        finally:
            mariadb.start()
        (found,) = broker.receive(QUEUE, wait=SOON)
        assert found.receives == 1


def test_the_small_messages_of_a_batch_do_not_wait_for_a_log_store_that_is_away(
    fleet: Fleet, tmp_path: Path, cloud: CloudProcess
) -> None:
    large = json.dumps("x" * (INLINE + 1))
    requests = [a_request(message) for message in ("1", large, "2", large, "3")]
    enqueue(fleet.broker, fleet.api.parts.logs, requests)
    logs = tmp_path / "logs"
    logs.write_text("a file where the folder should be")
    with pytest.raises(LogStoreUnavailable, match="BARBEQUE_LOGS"):
        fleet.take()
    assert sorted(each.message or "" for each in everything(fleet.api.store)) == ["1", "2", "3"]
    assert fleet.rig.queues().depth(QUEUE) == Depth(visible=0, in_flight=2, delayed=0)
    assert fleet.api.store.read(dead.newest) == []
    logs.unlink()

"""Many jobs in one request: each is told by itself whether it was accepted."""

import uuid
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from barbeque_py.broker import Delivery, Parcel
from barbeque_py.brokers.database import DatabaseBroker
from barbeque_py.errors import BrokerUnavailable
from barbeque_py.store import Store
from tests.api.served import JOB, Running, define, error_code, parts_of, serving

PATH = "/v2/job_executions/batch"


def ask(api: Running, *jobs: Any, **more: Any) -> httpx.Response:
    return api.post(PATH, {"jobs": jobs} | more)


def test_a_thousand_jobs_are_accepted_in_one_request(api: Running) -> None:
    answer = ask(api, *(JOB | {"message": {"n": n}} for n in range(1000)))
    assert answer.status_code == 201
    facts = answer.json()
    assert (facts["accepted"], facts["refused"]) == (1000, 0)
    ids = [each.pop("message_id") for each in facts["results"]]
    assert facts["results"] == [{"status": "pending", "id": None}] * 1000
    assert len(set(ids)) == 1000
    assert api.messages() == 1000
    api.take_in()
    found = api.get(f"/v2/job_executions/{ids[3]}").json()
    assert found["message"] == '{"n":3}'


def test_each_job_is_told_its_own_fault(small_api: Running) -> None:
    wrong: list[tuple[Any, int, str]] = [
        (JOB | {"queue": "missing"}, 404, "no queue is called"),
        (JOB | {"message": None}, 400, "message is null"),
        (JOB | {"colour": "red"}, 400, "not a field"),
        (JOB | {"priority": 101}, 400, "priority"),
        (JOB | {"delay_seconds": 901}, 400, "delay_seconds"),
        (JOB | {"idempotency_key": ""}, 400, "idempotency_key"),
        ({}, 400, "message is missing"),
        ([], 400, "where a job is needed"),
        (None, 400, "where a job is needed"),
        (JOB | {"message": dict.fromkeys(map(str, range(10_001)), 1)}, 400, "keys"),
    ]
    jobs = [JOB, *(each for each, *_ in wrong), JOB | {"queue": "slow", "tags": {"a": "b"}}]
    answer = ask(small_api, *jobs)
    assert answer.status_code == 207
    facts = answer.json()
    assert (facts["accepted"], facts["refused"]) == (2, len(wrong))
    results = facts["results"]
    for result, (_, status, fault) in zip(results[1:-1], wrong, strict=True):
        assert result["status_code"] == status
        assert result["error_code"] == {400: "invalid_parameter", 404: "record_not_found"}[status]
        assert fault in result["message"]
    assert all(uuid.UUID(each["message_id"]) for each in (results[0], results[-1]))
    assert small_api.messages() == 2


def test_a_job_that_is_not_defined_is_told_where_jobs_are_verified(
    sqlite_store: Store, tmp_path: Path
) -> None:
    sqlite_store.write(define)
    with serving(parts_of(sqlite_store, tmp_path), verify_enqueued_jobs=True) as api:
        facts = ask(api, JOB | {"job": "Nothing"}, JOB).json()
    assert facts["accepted"] == 1
    assert "isn't defined" in facts["results"][0]["message"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {"jobs": []},
        {"jobs": None},
        {"jobs": {"0": JOB}},
        {"jobs": [JOB] * 1001},
        {"jobs": [JOB], "queue": "default"},
    ],
)
def test_what_is_no_batch_is_refused_whole(small_api: Running, body: object) -> None:
    answer = small_api.post(PATH, body)
    assert (answer.status_code, error_code(answer)) == (400, "invalid_parameter")
    assert small_api.messages() == 0


def test_a_batch_is_no_larger_than_a_body(small_api: Running) -> None:
    answer = ask(small_api, *(JOB | {"message": "x" * 6000} for _ in range(200)))
    assert (answer.status_code, error_code(answer)) == (413, "body_too_large")


def test_each_job_has_its_own_key(small_api: Running) -> None:
    jobs = [JOB | {"idempotency_key": f"k{n % 3}"} for n in range(5)]
    first, again = (ask(small_api, *jobs).json()["results"] for _ in "ab")
    assert first == again
    assert len({each["message_id"] for each in first}) == 3
    small_api.take_in()
    assert small_api.take_in() + small_api.messages() == 0
    listed = small_api.get("/v2/job_executions").json()["job_executions"]
    assert len(listed) == 3
    refused = small_api.post(PATH, {"jobs": jobs}, headers={"Idempotency-Key": "k"})
    assert refused.status_code == 400


class Failing(DatabaseBroker):
    """A broker that can't send to some queues."""

    def __init__(self, store: Store, *fails: str) -> None:
        super().__init__(store)
        self._fails = fails

    def send(self, queue: str, parcels: Sequence[Parcel]) -> None:
        if queue in self._fails:
            raise BrokerUnavailable(f"secret: {queue}")
        super().send(queue, parcels)


def test_what_may_not_be_kept_is_503_for_itself_alone(sqlite_store: Store, tmp_path: Path) -> None:
    sqlite_store.write(define)
    broker = Failing(sqlite_store, "slow")
    with serving(parts_of(sqlite_store, tmp_path), broker=broker) as api:
        answer = ask(api, JOB, JOB | {"queue": "slow"}, JOB)
        assert answer.status_code == 207
        assert int(answer.headers["retry-after"]) > 0
        results = answer.json()["results"]
        assert results[1]["status_code"] == 503
        assert "secret" not in answer.text
        assert api.messages() == answer.json()["accepted"] == 2
        whole = ask(api, JOB | {"queue": "slow"}, JOB | {"queue": "slow"})
        assert whole.status_code == 503
        assert whole.json().keys() >= {"detail", "message"}
        assert int(whole.headers["retry-after"]) > 0
        assert api.messages() == 2


class Counting:
    """A broker of its own, as SQS is to us: it makes several calls at once for what it is given."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def send(self, queue: str, parcels: Sequence[Parcel]) -> None:
        assert queue == "default"
        self.sizes.append(len(parcels))

    def receive(self, queue: str, *, limit: int = 10, wait: timedelta) -> list[Delivery]:
        raise NotImplementedError

    def extend(self, deliveries: Sequence[Delivery], visibility: timedelta) -> None:
        raise NotImplementedError

    def delete(self, deliveries: Sequence[Delivery]) -> None:
        raise NotImplementedError


def test_a_batch_comes_to_a_broker_in_lots_of_a_hundred(
    sqlite_store: Store, tmp_path: Path
) -> None:
    sqlite_store.write(define)
    broker = Counting()
    with serving(parts_of(sqlite_store, tmp_path), broker=broker) as api:
        assert ask(api, *[JOB] * 95).status_code == 201
        assert ask(api, *[JOB] * 205).status_code == 201
    assert sum(broker.sizes) == 300
    assert max(broker.sizes) == 100
    assert len(broker.sizes) <= 4

"""Enqueue on its own: no schedule database, one commit for many, an answer only after it."""

import json
import socket
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from sqlalchemy import event

from barbeque_api import snapshot as snapshots
from barbeque_py import clock
from barbeque_py.apps import Queue
from barbeque_py.broker import Delivery, Parcel
from barbeque_py.brokers.database import DatabaseBroker
from barbeque_py.errors import StoreUnavailable
from barbeque_py.store import Store, apps
from barbeque_py.wake import Ear
from tests.api.served import (
    JOB,
    Running,
    compact,
    define,
    error_code,
    parts_of,
    serving,
)
from tests.stores import MariaDb, opened
from tests.waiting import wait_until


@contextmanager
def watched(store: Store) -> Iterator[list[str]]:
    """Collect the statements that the store runs."""
    statements: list[str] = []

    def note(*facts: object) -> None:
        statements.append(str(facts[2]))

    engines = {store._writes, store._reads}
    for engine in engines:
        event.listen(engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        for engine in engines:
            event.remove(engine, "before_cursor_execute", note)


def test_enqueue_writes_the_message_and_asks_nothing_else(api: Running) -> None:
    api.enqueue()
    with watched(api.store) as statements:
        api.enqueue()
    told = [each for each in statements if "UTC_TIMESTAMP" not in each and each[:5] != "BEGIN"]
    assert len(told) == 1
    assert told[0].startswith("INSERT INTO messages")


class Gated:
    """A broker whose sending waits for leave, and which counts what it sends together."""

    def __init__(self, broker: DatabaseBroker) -> None:
        self._broker = broker
        self.leave = Event()
        self.began = Event()
        self.sizes: list[int] = []

    def send(self, queue: str, parcels: Sequence[Parcel]) -> None:
        self.began.set()
        assert self.leave.wait(60)
        self.sizes.append(len(parcels))
        if queue == "slow":
            raise StoreUnavailable("mysql://root:secret@db is away")
        self._broker.send(queue, parcels)

    def receive(self, queue: str, *, limit: int = 10, wait: timedelta) -> list[Delivery]:
        return self._broker.receive(queue, limit=limit, wait=wait)

    def extend(self, deliveries: Sequence[Delivery], visibility: timedelta) -> None:
        self._broker.extend(deliveries, visibility)

    def delete(self, deliveries: Sequence[Delivery]) -> None:
        self._broker.delete(deliveries)


@pytest.fixture
def gated(sqlite_store: Store, tmp_path: Path) -> Iterator[tuple[Running, Gated]]:
    sqlite_store.write(define)
    broker = Gated(DatabaseBroker(sqlite_store))
    with serving(parts_of(sqlite_store, tmp_path), broker=broker) as api:
        yield api, broker
        broker.leave.set()


def test_requests_that_come_while_one_is_sent_share_the_next_sending(
    gated: tuple[Running, Gated],
) -> None:
    api, broker = gated
    with ThreadPoolExecutor(32) as clients:
        first = clients.submit(api.enqueue)
        assert broker.began.wait(60)
        others = [clients.submit(api.enqueue) for _ in range(20)]
        assert not first.done()
        wait_until(lambda: api.client.get("/livez"), "the loop is free")
        broker.leave.set()
        ids = {each.result() for each in [first, *others]}
    assert len(ids) == sum(broker.sizes) == 21
    assert len(broker.sizes) < 10


def test_a_failed_sending_is_503_for_those_it_carried_and_for_no_other(
    gated: tuple[Running, Gated], caplog: pytest.LogCaptureFixture
) -> None:
    api, broker = gated
    with ThreadPoolExecutor(8) as clients:
        bad = [
            clients.submit(api.post, "/v2/job_executions", JOB | {"queue": "slow"}) for _ in "ab"
        ]
        good = [clients.submit(api.enqueue) for _ in "abc"]
        broker.leave.set()
        answers = [each.result() for each in bad]
        assert all(each.result() for each in good)
    for answer in answers:
        assert answer.status_code == 503
        assert answer.json().keys() == {"message"}
        assert int(answer.headers["retry-after"]) > 0
        assert "secret" not in answer.text
    assert api.messages() == 3
    assert "is away" in caplog.text


def test_what_was_accepted_is_sent_before_the_api_ends(sqlite_store: Store, tmp_path: Path) -> None:
    sqlite_store.write(define)
    broker = Gated(DatabaseBroker(sqlite_store))

    def leave_once_nobody_is_let_in(port: int) -> None:
        wait_until(lambda: not is_open(port), "the API lets nobody in")
        broker.leave.set()

    parts = parts_of(sqlite_store, tmp_path)
    with ThreadPoolExecutor(2) as clients, serving(parts, broker=broker) as api:
        waiting = clients.submit(api.enqueue)
        assert broker.began.wait(60)
        clients.submit(leave_once_nobody_is_let_in, api.client.base_url.port or 0)
        api.stop()
        assert waiting.result()
    assert broker.sizes == [1]


def is_open(port: int) -> bool:
    with socket.socket() as caller:
        return caller.connect_ex(("127.0.0.1", port)) == 0


def test_the_bell_rings_after_the_commit(small_api: Running) -> None:
    ear = Ear(small_api.parts.home)
    try:
        small_api.enqueue()
        assert ear.listen()
        assert small_api.messages() == 1
    finally:
        ear.close()


def test_a_queue_made_a_moment_ago_is_known(api: Running) -> None:
    api.enqueue()
    assert api.post("/v2/job_executions", JOB | {"queue": "new"}).status_code == 404
    api.store.write(lambda tx: apps.put_queue(tx, Queue("new")))
    api.enqueue(queue="new")


def test_names_are_read_again_in_the_background(
    small_api: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_api.enqueue()
    kept = small_api.parts.home / "snapshot.json"
    small_api.store.write(lambda tx: apps.put_queue(tx, Queue("new")))
    assert "new" not in json.loads(kept.read_text())["queues"]
    monkeypatch.setattr(snapshots, "FRESH", timedelta(0))
    small_api.enqueue()
    wait_until(lambda: "new" in json.loads(kept.read_text())["queues"], "the names are kept")


@pytest.mark.parametrize(("age", "status"), [(23, 201), (25, 503)])
def test_enqueue_needs_no_database_for_a_day(tmp_path: Path, age: int, status: int) -> None:
    taken_at = clock.rfc3339(clock.now() - timedelta(hours=age))
    facts: dict[str, Any] = {"taken_at": taken_at, "queues": ["default"]}
    away = Store(f"sqlite:///{tmp_path / 'gone.db'}")
    facts |= {"jobs": [["media", "Thumbnail"]], "tokens": {}, "database": away.shown_url}
    (tmp_path / "snapshot.json").write_text(compact(facts))
    with opened(f"sqlite:///{tmp_path / 'broker.db'}") as other:
        parts = replace(parts_of(away, tmp_path), broker=DatabaseBroker(other))
        with serving(parts, verify_enqueued_jobs=True) as api:
            assert api.post("/v2/job_executions", JOB).status_code == status
    away.close()


def test_without_database_and_names_everything_is_503(tmp_path: Path) -> None:
    away = Store(f"sqlite:///{tmp_path / 'gone.db'}")
    (tmp_path / "snapshot.json").write_text("not JSON")
    with serving(parts_of(away, tmp_path)) as api:
        for answer in (
            api.post("/v2/job_executions", JOB),
            api.get("/v1/job_executions/0198aaaa-bbbb-7ccc-8ddd-eeeeffff0000"),
            api.post("/v1/job_executions/0198aaaa-bbbb-7ccc-8ddd-eeeeffff0000/retries"),
            api.get("/v2/queues"),
        ):
            assert answer.status_code == 503
            assert answer.json()["message"]
            assert str(tmp_path) not in answer.text
        assert api.get("/livez").status_code == 200
        ready = api.get("/readyz")
        assert ready.status_code == 503
        assert "barbeque migrate" in ready.json()["reasons"][0]
    away.close()


@pytest.mark.mariadb
def test_a_server_that_went_and_came_back_is_503_in_between(
    mariadb: MariaDb, tmp_path: Path
) -> None:
    with mariadb.database() as url, opened(url) as store:
        store.write(define)
        with serving(parts_of(store, tmp_path)) as api:
            message_id = api.enqueue()
            mariadb.stop()
            assert api.post("/v2/job_executions", JOB).status_code == 503
            assert api.get(f"/v1/job_executions/{message_id}").status_code == 503
            assert api.get("/readyz").status_code == 503
            mariadb.start()
            assert api.get("/readyz").status_code == 200
            assert api.enqueue()
            assert api.messages() == 2


def test_an_error_of_ours_is_500_without_a_trace(
    gated: tuple[Running, Gated], monkeypatch: pytest.MonkeyPatch
) -> None:
    api, broker = gated

    def fail(*_: object) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(broker, "send", fail)
    answer = api.post("/v2/job_executions", JOB, headers={"x-request-id": "r-1"})
    assert (answer.status_code, error_code(answer)) == (500, "internal_server_error")
    assert "secret" not in answer.text
    assert "r-1" in answer.json()["message"]
    assert answer.headers["x-request-id"] == "r-1"

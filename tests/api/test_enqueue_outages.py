"""Enqueue toward SQS while the database or SQS itself is stopped, with tokens and keys."""

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from barbeque_py.identity import EVERYBODY, Scope
from barbeque_py.issue import Wish, issue
from barbeque_py.store import Store, lists
from barbeque_py.store.filters import Filter
from tests.api.served import JOB, Running, define, error_code, parts_of, serving
from tests.contracts.sqs_rig import SqsRig, cloud_sqs
from tests.stores import MariaDb, opened

__all__ = ["cloud_sqs"]

PATH = "/v2/job_executions"


@contextmanager
def enqueueing(store: Store, sqs: SqsRig, folder: Path) -> Iterator[Running]:
    """Serve an API with its queues in SQS, which asks for tokens and knows its names."""
    store.write(define)
    queues = sqs.queues()
    for name in ("default", "slow"):
        queues.ensure_queue(name)
    wish = Wish("test", frozenset({Scope.ENQUEUE, Scope.READ}), "media")
    _, token = store.write(lambda tx: issue(tx, EVERYBODY, wish))
    parts = replace(parts_of(store, folder), broker=sqs.broker(), queues=queues)
    with serving(parts, ask_for_tokens=True) as api:
        api.client.headers["authorization"] = f"Bearer {token}"
        assert api.post(PATH, JOB, headers={"Idempotency-Key": "before"}).status_code == 201
        yield api


def recorded(api: Running) -> set[str]:
    """Take in everything, and return the ids of all executions."""
    while api.take_in():
        pass
    found = api.store.read(lambda tx: lists.newest(tx, Filter(), most=200).rows)
    ids = [each.message_id for each in found]
    assert len(ids) == len(set(ids))
    return set(ids)


@pytest.mark.mariadb
def test_without_the_database_a_job_is_accepted_once_for_who_shows_a_token(
    mariadb: MariaDb, cloud_sqs: SqsRig, tmp_path: Path
) -> None:
    with (
        mariadb.database() as url,
        opened(url) as store,
        enqueueing(store, cloud_sqs, tmp_path) as api,
    ):
        mariadb.stop()
        try:
            told = [api.post(PATH, JOB, headers={"Idempotency-Key": "k"}) for _ in range(3)]
            assert [each.status_code for each in told] == [201] * 3
            jobs = [JOB | {"idempotency_key": key} for key in ("k", "other")]
            batch = api.post(f"{PATH}/batch", {"jobs": jobs})
            assert batch.status_code == 201
            strange = {"authorization": f"Bearer bq_{'0' * 12}_{'A' * 43}"}
            assert api.post(PATH, JOB, headers=strange).status_code == 401
            assert api.post(PATH, JOB | {"application": "other"}).status_code in (403, 404)
            assert error_code(api.post(PATH, JOB | {"queue": "none"})) == "record_not_found"
            assert api.get(f"{PATH}/{told[0].json()['message_id']}").status_code == 503
        finally:
            mariadb.start()
        ids = {each["message_id"] for each in batch.json()["results"]}
        assert {each.json()["message_id"] for each in told} < ids
        assert len(recorded(api) - ids) == 1, "the one of before, and nothing twice"


class Door:
    """A way to a server that can be shut: then nobody is let in, and who is inside is put out."""

    def __init__(self, url: str) -> None:
        target = urlsplit(url)
        self._target = (target.hostname, target.port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._inside: list[socket.socket] = []
        self.open()

    def open(self) -> None:
        if self._listener.fileno() < 0:
            self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        while self._inside:
            with closing(self._inside.pop()) as each:
                _end(each)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                caller, _ = listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._target)
            self._inside += [caller, server]
            for ends in ((caller, server), (server, caller)):
                threading.Thread(target=_carry, args=ends, daemon=True).start()


def _carry(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        pass
    _end(target)


def _end(one: socket.socket) -> None:
    try:
        one.shutdown(socket.SHUT_RDWR)
    except OSError:
        return


def test_without_sqs_the_answer_is_503_and_nothing_is_half_done(
    cloud_sqs: SqsRig, sqlite_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    door = Door(cloud_sqs.client.meta.endpoint_url)
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", f"http://127.0.0.1:{door.port}")
    with enqueueing(sqlite_store, cloud_sqs, tmp_path) as api:
        assert len(recorded(api)) == 1
        door.close()
        for path, body in (
            (PATH, JOB | {"idempotency_key": "k"}),
            (f"{PATH}/batch", {"jobs": [JOB | {"idempotency_key": "b"}] * 25}),
        ):
            answer = api.post(path, body)
            assert answer.status_code == 503
            assert answer.json()["message"]
            assert int(answer.headers["retry-after"]) > 0
            assert str(door.port) not in answer.text
        door.open()
        assert len(recorded(api)) == 1, "what was refused is nowhere"
        told = [api.post(PATH, JOB | {"idempotency_key": "k"}) for _ in range(2)]
        assert [each.status_code for each in told] == [201, 201]
        assert len(recorded(api)) == 2
    door.close()

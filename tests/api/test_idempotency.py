"""Idempotency keys: one execution a key, whatever is repeated and however it is cut off."""

import http.client
import json
import random
import socket
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from barbeque_py.store import Store, Tx, lists
from barbeque_py.store.filters import Filter
from tests.api.served import FAILURE, JOB, Running, compact, error_code, make_ready

LARGE = {"text": "x" * 200_000}
PATH = "/v2/job_executions"


def ask(api: Running, key: str | None = None, **changes: Any) -> httpx.Response:
    headers = {} if key is None else {"Idempotency-Key": key}
    return api.post(PATH, JOB | changes, headers=headers)


def execution(api: Running, message_id: str) -> Any:
    return api.get(f"{PATH}/{message_id}").json()


def test_a_repeat_has_the_same_answer_and_runs_nothing(api: Running) -> None:
    answers = [ask(api, "order 17"), ask(api, idempotency_key="order 17")]
    assert [each.status_code for each in answers] == [201, 201]
    assert answers[0].json() == answers[1].json()
    message_id = answers[0].json()["message_id"]
    assert uuid.UUID(message_id).version == 5
    api.take_in()
    assert ask(api, "order 17").json()["message_id"] == message_id
    api.take_in()
    assert len(executions(api.store)) == 1
    assert execution(api, message_id)["note"] is None


def test_ids_are_of_app_and_key_for_ever(small_api: Running) -> None:
    ids = {
        ask(small_api, key, application=app).json()["message_id"]
        for app in ("media", "other")
        for key in ("a", "b")
    }
    assert len(ids) == 4
    # Clients and databases keep them: were one other some day, its job would run again.
    assert ask(small_api, "a").json()["message_id"] == "a55a562f-1156-5216-8df3-9154470627f7"


@pytest.mark.parametrize("other", [{"message": {"image": "b.jpg"}}, {"message": LARGE}])
def test_the_first_content_wins(api: Running, other: dict[str, Any]) -> None:
    message_id = ask(api, "k").json()["message_id"]
    api.take_in()
    assert ask(api, "k", **other).json()["message_id"] == message_id
    api.take_in()
    found = execution(api, message_id)
    assert found["message"] == '{"image":"a.jpg"}'
    assert found["note"] == "a repeat of this message with other content was ignored"


def test_the_first_large_content_wins(small_api: Running) -> None:
    message_id = ask(small_api, "k", message=LARGE).json()["message_id"]
    small_api.take_in()
    ask(small_api, "k", message={"text": "y" * 200_000})
    small_api.take_in()
    found = execution(small_api, message_id)
    assert found["message"] == '{"text":"' + "x" * 200_000 + '"}'
    assert found["note"] == "a repeat of this message with other content was ignored"
    ask(small_api, "k", message=LARGE)
    small_api.take_in()
    assert len(executions(small_api.store)) == 1


def test_a_repeat_never_runs_a_failure_again_and_a_retry_does(small_api: Running) -> None:
    message_id = ask(small_api, "k").json()["message_id"]
    small_api.take_in()
    small_api.run(FAILURE)
    make_ready(small_api)
    small_api.run(FAILURE)
    assert execution(small_api, message_id)["state"] == "failed"
    ask(small_api, "k")
    small_api.take_in()
    assert execution(small_api, message_id)["state"] == "failed"
    assert small_api.post(f"/v1/job_executions/{message_id}/retries").status_code == 201
    assert execution(small_api, message_id)["state"] == "queued"


def test_a_cancelled_key_stays_cancelled(small_api: Running) -> None:
    message_id = ask(small_api, "k").json()["message_id"]
    small_api.post(f"{PATH}/{message_id}/cancel", {"application": "media"})
    small_api.take_in()
    ask(small_api, "k")
    small_api.take_in()
    assert execution(small_api, message_id)["state"] == "cancelled"


@pytest.mark.parametrize("key", ["", " ", "a ", "\u00e9", "a\nb", "x" * 256, 1, ["a"], {}, True])
def test_what_is_no_key_is_refused(small_api: Running, key: Any) -> None:
    answer = ask(small_api, idempotency_key=key)
    assert (answer.status_code, error_code(answer)) == (400, "invalid_parameter")
    assert "idempotency_key" in answer.json()["message"]
    assert small_api.messages() == 0


def test_two_different_keys_are_refused(small_api: Running) -> None:
    answer = ask(small_api, "a", idempotency_key="b")
    assert (answer.status_code, error_code(answer)) == (400, "invalid_parameter")
    twice = [("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
    assert small_api.post(PATH, JOB, headers=twice).status_code == 400
    assert ask(small_api, "a", idempotency_key="a").status_code == 201
    assert ask(small_api, "a", idempotency_key=None).status_code == 201
    assert small_api.messages() == 2


def executions(store: Store) -> list[str]:
    return store.read(
        lambda tx: [each.message_id for each in lists.newest(tx, Filter(), most=200).rows]
    )


class Cutting:
    """A way to a server that cuts connections off at random, before or after it has answered."""

    def __init__(self, port: int, seed: int) -> None:
        self._target = ("127.0.0.1", port)
        self._chance = random.Random(seed)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.cuts = 0
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                caller, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._carry, args=(caller,), daemon=True).start()

    def _carry(self, caller: socket.socket) -> None:
        """Carry one request, or a part of it, and one answer, or a part of it, or none."""
        cut = self._chance.choice(("request", "answer", "answer", None, None))
        self.cuts += cut is not None
        with caller, socket.create_connection(self._target) as server:
            request = _whole(caller)
            part = request[: len(request) // 2] if cut == "request" else request
            server.sendall(part)
            if cut == "request":
                return
            answer = _whole(server)
            if cut is None:
                caller.sendall(answer)


def _whole(source: socket.socket) -> bytes:
    """Read one request or answer with a Content-Length."""
    read = b""
    while b"\r\n\r\n" not in read:
        more = source.recv(65536)
        if not more:
            return read
        read += more
    head, _, body = read.partition(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    length = next(int(each.split(b":")[1]) for each in lines if each.startswith(b"content-length:"))
    while len(body) < length:
        body += source.recv(65536)
    return head + b"\r\n\r\n" + body


@pytest.fixture
def cutting(api: Running) -> Iterator[Cutting]:
    way = Cutting(api.client.base_url.port or 0, seed=5)
    yield way
    way.close()


def repeat(port: int, key: str, seed: int) -> set[str]:
    """Post under the key up to five times, over ways that may break; return the ids told."""
    told = set()
    body = compact(JOB | {"message": {"key": key}})
    headers = {"Content-Type": "application/json", "Idempotency-Key": key}
    for _ in range(random.Random(seed).randint(1, 5)):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            connection.request("POST", PATH, body, headers)
            answer = connection.getresponse()
            assert answer.status == 201
            told.add(json.load(answer)["message_id"])
        except (OSError, http.client.HTTPException):
            continue
        finally:
            connection.close()
    return told


def hammer(api: Running, cutting: Cutting, *, clients: int, keys: int) -> None:
    with ThreadPoolExecutor(clients) as crowd:
        asked = [crowd.submit(repeat, cutting.port, f"key {n}", n) for n in range(keys)]
        told = [each.result() for each in asked]
    assert cutting.cuts > keys // 4
    assert all(len(each) <= 1 for each in told)
    ids = [each.pop() for each in told if each]
    assert len(ids) == len(set(ids)) > keys // 3
    while api.take_in():
        pass
    assert set(ids) <= set(recorded := all_executions(api.store))
    assert len(recorded) == len(set(recorded)) <= keys


def all_executions(store: Store) -> list[str]:
    def read(tx: Tx) -> list[str]:
        found: list[str] = []
        before: int | None = None
        while page := lists.newest(tx, Filter(), before=before, most=200).rows:
            found += [each.message_id for each in page]
            before = page[-1].id
        return found

    return store.read(read)


def test_repeats_over_broken_ways_are_one_execution_a_key(api: Running, cutting: Cutting) -> None:
    hammer(api, cutting, clients=20, keys=100)


@pytest.mark.soak
def test_two_thousand_keys_of_fifty_clients_over_broken_ways(
    api: Running, cutting: Cutting
) -> None:
    hammer(api, cutting, clients=50, keys=2000)

"""What every request passes first, and the pages that watch the process."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from barbeque_py.store import Store
from tests.api.served import JOB, Running, define, error_code, parts_of, serving

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


async def pages(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse(f"page {scope['path']}")(scope, receive, send)


@pytest.fixture
def guarded(sqlite_store: Store, tmp_path: Path) -> Iterator[Running]:
    sqlite_store.write(define)
    with serving(
        parts_of(sqlite_store, tmp_path),
        pages=pages,
        allowed_hosts=LOOPBACK,
        host_url="https://bq.example.com:8443",
    ) as running:
        yield running


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LocalHost:3003",
        "127.0.0.1",
        "127.0.0.1:1",
        "[::1]:3003",
        "[::1]",
        "bq.example.com",
    ],
)
def test_our_own_names_are_let_in(guarded: Running, host: str) -> None:
    assert guarded.get("/livez", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example.com", "localhost.evil.com:3003", "127.0.0.1.nip.io", "[::2]", ""]
)
def test_a_name_that_was_bound_to_us_from_outside_is_not_let_in(
    guarded: Running, host: str
) -> None:
    for path in ("/livez", "/v2/queues", "/"):
        answer = guarded.get(path, headers={"host": host})
        assert (answer.status_code, error_code(answer)) == (400, "invalid_parameter")


def test_without_a_list_of_hosts_any_name_is_let_in(small_api: Running) -> None:
    assert small_api.get("/livez", headers={"host": "anything"}).status_code == 200


@pytest.mark.parametrize(
    "origin", ["https://evil.example.com", "null", "http://localhost:1", "file://"]
)
def test_another_site_s_page_can_t_change_anything(guarded: Running, origin: str) -> None:
    for path in ("/v2/queues/default/pause", "/v2/job_executions", "/some/page"):
        answer = guarded.client.post(path, headers={"origin": origin})
        assert (answer.status_code, error_code(answer)) == (403, "forbidden")
    assert guarded.get("/v2/queues", headers={"origin": origin}).status_code == 200


def test_our_own_pages_can(guarded: Running) -> None:
    own = str(guarded.client.base_url).rstrip("/")
    for origin in (own, "https://bq.example.com:8443"):
        headers = {"origin": origin}
        assert guarded.client.post("/v2/queues/default/pause", headers=headers).status_code == 200


def test_pages_answer_what_is_not_the_api_s(guarded: Running) -> None:
    assert guarded.get("/").text == "page /"
    assert guarded.get("/v3/x").text == "page /v3/x"
    assert error_code(guarded.get("/v2/x")) == "record_not_found"
    assert "x-request-id" in guarded.get("/").headers


def test_without_pages_the_root_says_where_to_look(small_api: Running) -> None:
    assert small_api.get("/").json()["openapi"] == "/openapi.json"
    paths = small_api.get("/openapi.json").json()["paths"]
    assert {"/v2/job_executions", "/v1/job_executions/{message_id}/retries"} <= paths.keys()


def test_every_answer_has_a_request_id_that_the_log_has_too(
    small_api: Running, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "barbeque.api")
    for path in ("/livez", "/nothing"):
        answer = small_api.get(path)
        assert answer.headers["x-request-id"] in caplog.text
    given = small_api.post("/v2/job_executions", JOB, headers={"x-request-id": "abc.1"})
    assert given.headers["x-request-id"] == "abc.1"
    assert "request abc.1" in caplog.text
    made = small_api.get("/livez", headers={"x-request-id": "a b"})
    assert made.headers["x-request-id"] != "a b"


def test_a_ready_api_says_so(api: Running) -> None:
    assert api.get("/livez").json() == {"status": "ok"}
    assert api.get("/readyz").status_code == 200


def test_a_database_without_our_tables_is_not_ready(tmp_path: Path) -> None:
    empty = Store(f"sqlite:///{tmp_path / 'empty.db'}", create=True)
    with serving(parts_of(empty, tmp_path)) as api:
        answer = api.get("/readyz")
        assert answer.status_code == 503
        assert "barbeque migrate" in answer.json()["reasons"][0]
    empty.close()

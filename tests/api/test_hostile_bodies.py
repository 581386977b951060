"""Bodies that no honest client sends: a 4xx names the fault, and nothing is stored."""

import logging
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from barbeque_py.store import Store
from tests.api.served import (
    JOB,
    UNSEEN,
    Running,
    compact,
    define,
    error_code,
    parts_of,
    serving,
)
from tests.stores import opened
from tests.waiting import wait_until


@pytest.fixture(
    scope="module", params=["sqlite", pytest.param("mariadb", marks=pytest.mark.mariadb)]
)
def refusing(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    """One API for every body that is refused: none of them may leave anything behind."""
    folder = tmp_path_factory.mktemp("refusing")
    with ExitStack() as open_parts:
        url = f"sqlite:///{folder / 'barbeque.db'}"
        if request.param == "mariadb":
            url = open_parts.enter_context(request.getfixturevalue("mariadb").database())
        store = open_parts.enter_context(opened(url))
        store.write(define)
        yield open_parts.enter_context(serving(parts_of(store, folder)))


JSON = {"content-type": "application/json"}
BODY = compact(JOB)
DEEP = "[" * 1000 + "]" * 1000


def with_message(text: str) -> bytes:
    return BODY.replace('{"image":"a.jpg"}', text).encode()


HOSTILE: list[tuple[str, bytes, str]] = [
    ("no body", b"", "not JSON"),
    ("malformed", b'{"application": "media",', "not JSON"),
    ("single quotes", b"{'application': 'media'}", "not JSON"),
    ("a list", b"[]", "not a JSON object"),
    ("a text", b'"x"', "not a JSON object"),
    ("null", b"null", "not a JSON object"),
    ("NaN", with_message("NaN"), "not a finite number"),
    ("Infinity", with_message("Infinity"), "not a finite number"),
    ("-Infinity", with_message("[-Infinity]"), "not a finite number"),
    ("1e400", with_message("1e400"), "not a finite number"),
    ("5,000 digits", with_message("1" * 5000), "digits"),
    ("escaped NUL", with_message('"a\\u0000b"'), "NUL"),
    ("NUL in a key", with_message('{"a\\u0000b": 1}'), "NUL"),
    ("raw NUL", with_message('"a\0b"'), "NUL"),
    ("high surrogate", with_message('"\\ud800"'), "surrogate"),
    ("low surrogate", with_message('"\\udc00x"'), "surrogate"),
    ("duplicate key", b'{"application":"other",' + BODY.encode()[1:], "twice"),
    ("duplicate key inside", with_message('{"a":1,"a":2}'), "twice"),
    ("depth 1,000", with_message(DEEP), "deeper"),
    ("depth 1,000 of objects", with_message('{"a":' * 1000 + "1" + "}" * 1000), "deeper"),
    ("10,001 keys", with_message(compact(dict.fromkeys(map(str, range(10_001)), 1))), "keys"),
    ("UTF-16", BODY.encode("utf-16"), "UTF-8"),
    ("UTF-8 with a mark", b"\xef\xbb\xbf" + BODY.encode(), "UTF-8"),
    ("Latin-1", with_message('"\xe9"').decode().encode("latin-1"), "UTF-8"),
]


@pytest.mark.parametrize(
    ("body", "fault"), [each[1:] for each in HOSTILE], ids=[h[0] for h in HOSTILE]
)
def test_what_is_no_plain_json_is_refused(refusing: Running, body: bytes, fault: str) -> None:
    answer = refusing.client.post("/v2/job_executions", content=body, headers=JSON)
    assert (answer.status_code, error_code(answer)) == (400, "invalid_parameter")
    assert fault in answer.json()["message"]
    assert refusing.messages() == 0


WRONG: list[tuple[str, Any]] = [
    ("application", 1),
    ("application", ""),
    ("application", "a b"),
    ("application", "x" * 129),
    ("application", {"a": 1}),
    ("application", "../etc"),
    ("job", ["Thumbnail"]),
    ("job", True),
    ("job", "a/b"),
    ("queue", 1),
    ("queue", ""),
    ("queue", ["default"]),
    ("run_at", "tomorrow"),
    ("run_at", "2026-11-21T20:00:00"),
    ("run_at", "2026-13-21T20:00:00Z"),
    ("run_at", "2999-01-01T00:00:00Z"),
    ("run_at", 1_800_000_000),
    ("priority", 101),
    ("priority", -101),
    ("priority", "high"),
    ("priority", 1.0),
    ("priority", True),
    ("timeout", 0),
    ("timeout", -5),
    ("timeout", "soon"),
    ("timeout", True),
    ("timeout", "31d"),
    ("concurrency_key", ""),
    ("concurrency_key", 7),
    ("user_id", 7),
    ("user_id", "x" * 256),
    ("notify", "me"),
    ("notify", {"pigeon": "x"}),
    ("notify", {"email": "x"}),
    ("tags", ["a"]),
    ("tags", {"a": 1}),
    ("tags", {str(number): "x" * 257 for number in range(2)}),
    ("tags", {f"{number:0128}": "\u3042" * 256 for number in range(50)}),
    ("unknown", 1),
    ("traceparent", "00-" + "1" * 32 + "-" + "1" * 16 + "-01"),
    ("body_key", "a/b/c"),
    ("message_id", UNSEEN),
    ("", 1),
]


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_what_a_field_can_t_be_is_named(refusing: Running, name: str, value: object) -> None:
    answer = refusing.post("/v2/job_executions", JOB | {name: value})
    assert (answer.status_code, error_code(answer)) == (400, "invalid_parameter")
    fault = "options together" if len(compact(value)) > 10_000 else name
    assert fault in answer.json()["message"]
    assert len(answer.json()["message"]) < 400
    assert refusing.messages() == 0


@pytest.mark.parametrize("kind", ["text/plain", "", "application/x-www-form-urlencoded", "x" * 999])
def test_a_body_says_that_it_is_json(refusing: Running, kind: str) -> None:
    headers = {"content-type": kind}
    answer = refusing.client.post("/v2/job_executions", content=BODY, headers=headers)
    assert (answer.status_code, error_code(answer)) == (400, "invalid_parameter")
    assert "application/json" in answer.json()["message"]


def test_json_may_name_its_charset(small_api: Running) -> None:
    headers = {"content-type": "Application/JSON; charset=utf-8"}
    answer = small_api.client.post("/v2/job_executions", content=BODY, headers=headers)
    assert answer.status_code == 201


@pytest.mark.parametrize("declared", [True, False])
def test_a_body_may_have_1_mib_and_not_a_byte_more(small_api: Running, declared: bool) -> None:
    fitting = with_message('"' + "x" * (1024 * 1024 - len(with_message('""'))) + '"')
    for body, status in ((fitting, 201), (fitting + b" ", 413)):
        content = (
            body if declared else (body[at : at + 50_000] for at in range(0, len(body), 50_000))
        )
        answer = small_api.client.post("/v2/job_executions", content=content, headers=JSON)
        assert answer.status_code == status
    assert error_code(answer) == "body_too_large"
    assert small_api.messages() == 1


def test_the_limit_of_bodies_can_be_set(sqlite_store: Store, tmp_path: Path) -> None:
    sqlite_store.write(define)
    with serving(parts_of(sqlite_store, tmp_path), max_body=1024) as api:
        assert api.post("/v2/job_executions", JOB | {"message": "x" * 2000}).status_code == 413
        assert api.post("/v2/job_executions", JOB | {"message": "x" * 500}).status_code == 201


def test_a_body_that_stops_in_the_middle_stores_nothing(
    small_api: Running, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "barbeque.api")
    url = small_api.client.base_url
    with socket.create_connection((url.host, url.port or 0)) as connection:
        head = "POST /v2/job_executions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        connection.sendall(f"{head}Content-Length: 999\r\n\r\n{BODY}".encode())
    wait_until(lambda: "POST /v2/job_executions 0 in" in caplog.text, "the API noticed")
    assert "failed" not in caplog.text
    assert small_api.messages() == 0


POSTS = [
    f"/v1/job_executions/{UNSEEN}/retries",
    f"/v2/job_executions/{UNSEEN}/retries",
    f"/v2/job_executions/{UNSEEN}/cancel",
    "/v1/apps/media/revision_lock",
    "/v2/dead_messages/1/send",
]


@pytest.mark.parametrize("path", POSTS)
def test_no_other_route_takes_them_either(refusing: Running, path: str) -> None:
    for body in [*(each[1] for each in HOSTILE[1:20]), b'{"x":1}', b"{}" + b" " * 1024**2]:
        answer = refusing.client.post(path, content=body, headers=JSON)
        assert answer.status_code in (400, 413), body[:60]
        error_code(answer)


@pytest.mark.parametrize(
    "query",
    [
        "/v2/job_executions?limit=201",
        "/v2/job_executions?limit=0",
        "/v2/job_executions?before=x",
        f"/v2/job_executions?before={10**30}",
        "/v2/job_executions?state=pending",
        f"/v2/job_executions/{UNSEEN}/log?wait=21",
        f"/v2/job_executions/{UNSEEN}/log?wait=nan",
        f"/v2/job_executions/{UNSEEN}/log?count=0",
        f"/v2/job_executions/{UNSEEN}/log?first={10**30}",
        f"/v2/job_executions/{UNSEEN}/log?attempt=0",
        f"/v2/job_executions/{UNSEEN}/log?stream=both",
        "/v2/dead_messages?before=-1",
    ],
)
def test_a_query_that_makes_no_sense_is_400(refusing: Running, query: str) -> None:
    answer = refusing.get(query)
    assert (answer.status_code, error_code(answer)) == (400, "invalid_parameter")


def test_every_option_travels_to_the_execution(api: Running) -> None:
    options = {
        "run_at": "2026-11-21T20:00:00+09:00",
        "priority": -100,
        "timeout": "1.5h",
        "concurrency_key": "video-1",
        "user_id": "u1",
        "notify": {"slack": "#x", "email": ["a@example.com"]},
        "tags": {"a": "\u3042"},
    }
    trace = "00-" + "1" * 32 + "-" + "2" * 16 + "-01"
    answer = api.post("/v2/job_executions", JOB | options, headers={"traceparent": trace})
    api.take_in()
    found = api.get(f"/v2/job_executions/{answer.json()['message_id']}").json()
    assert found["priority"] == -100
    assert found["options"] == {
        "timeout": 5400,
        "concurrency_key": "video-1",
        "user_id": "u1",
        "notify": options["notify"],
        "tags": {"a": "\u3042"},
        "traceparent": trace,
    }


def test_a_traceparent_that_is_none_is_ignored(small_api: Running) -> None:
    headers = {"traceparent": "00-zz"}
    assert small_api.post("/v2/job_executions", JOB, headers=headers).status_code == 201


def test_run_at_and_a_delay_exclude_each_other(refusing: Running) -> None:
    body = JOB | {"run_at": "2026-11-21T20:00:00Z", "delay_seconds": 5}
    answer = refusing.post("/v2/job_executions", body)
    assert (answer.status_code, error_code(answer)) == (400, "invalid_parameter")

"""What jobs ask for: their message, with the ticket of their own attempt and no other way."""

import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from threading import Event

import httpx
import pytest

from barbeque_api.job_routes import create_job_app
from barbeque_py import strict_json
from barbeque_py.errors import LogStoreUnavailable
from barbeque_py.ids import AttemptId, attempt_id
from barbeque_py.intake import INLINE
from barbeque_py.logs import message_key
from barbeque_py.store import Store, apps
from barbeque_py.tickets import ticket
from tests.api.served import (
    JOB,
    SUCCESS,
    UNSEEN,
    Running,
    compact,
    define,
    error_code,
    listening,
    parts_of,
    serving,
)
from tests.asking import open_client
from tests.contracts.logstore_rigs import WatchedLogStore

KIB = 1024
ODD = (
    'grün \N{SNOWMAN} \N{GRINNING FACE} "quoted" \\ back\\u00e9 \t tab \u2028   three   spaces \x7f'
)


@pytest.fixture
def roomy(sqlite_store: Store, tmp_path: Path) -> Iterator[Running]:
    """An API that takes large bodies, at an address whose Host header is checked."""
    sqlite_store.write(define)
    with serving(
        parts_of(sqlite_store, tmp_path),
        max_body=16 * KIB * KIB,
        allowed_hosts=frozenset({"127.0.0.1"}),
    ) as api:
        yield api


def token_of(api: Running, attempt: str) -> str:
    return ticket(api.store.read(apps.installation_secret), attempt)


def ask(api: Running, attempt: str, token: str | None = None, **more: str) -> httpx.Response:
    """Ask as the job of the attempt does, with its own token where none is said."""
    shown = token_of(api, attempt) if token is None else token
    return api.get(f"/v2/attempts/{attempt}/message", params={"token": shown}, headers=more)


def start(api: Running, message: object) -> AttemptId:
    api.enqueue(message=message)
    assert api.take_in() == 1
    return api.start()


@pytest.mark.parametrize("size", [7 * KIB, 9 * KIB, 300 * KIB, 5 * KIB * KIB])
def test_a_job_gets_its_message_byte_for_byte(roomy: Running, size: int) -> None:
    message: dict[str, object] = {
        "odd": ODD,
        "list": [1, -0.5, 1e300, None, True, {}],
        "ключ  ": "  ",
    }
    message["fill"] = (ODD * (size // len(ODD)))[: size - len(compact(message))]
    written = json.dumps(JOB | {"message": message}, indent=3).encode()
    sent = roomy.client.post(
        "/v2/job_executions", content=written, headers={"content-type": "application/json"}
    )
    assert sent.status_code == 201
    assert roomy.take_in() == 1
    attempt = roomy.start()
    answer = ask(roomy, attempt)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.headers["cache-control"] == "no-store"
    shown = roomy.get(f"/v2/job_executions/{attempt[:36]}").json()["message"]
    assert answer.content == shown.encode() == strict_json.dumps(message).encode()
    assert (answer.json(), len(answer.content) >= size) == (message, True)


def test_a_message_of_16_mib_is_read_piece_by_piece(sqlite_store: Store, tmp_path: Path) -> None:
    sqlite_store.write(define)
    parts, calls = parts_of(sqlite_store, tmp_path), list[str]()
    logs = WatchedLogStore(parts.logs, lambda name, _: calls.append(name))
    text = "x" * (16 * KIB * KIB - 1000)
    with serving(parts, logs=logs, max_body=16 * KIB * KIB) as api:
        attempt = start(api, text)
        calls.clear()
        assert ask(api, attempt).content == b'"%b"' % text.encode()
        assert calls == ["read"] * 17


@pytest.mark.parametrize("size", [0, 1, -1])
def test_a_message_that_just_fills_a_piece_is_whole(roomy: Running, size: int) -> None:
    message = "x" * (KIB * KIB - 2 + size)
    assert ask(roomy, start(roomy, message)).json() == message


@pytest.mark.parametrize("host", ["barbeque.internal:3003", "10.0.3.7", "evil.example.com", ""])
def test_jobs_reach_it_under_any_name(roomy: Running, host: str) -> None:
    attempt = start(roomy, {"n": 1})
    assert ask(roomy, attempt, host=host).content == b'{"n":1}'
    assert roomy.get("/v2/queues", headers={"host": host}).status_code == 400


def test_whatever_is_wrong_with_attempt_or_token_the_answer_is_the_same(api: Running) -> None:
    first, second = start(api, {"n": 1}), start(api, {"n": 2})
    answers = [
        ask(api, first, token_of(api, second)),
        ask(api, first, token_of(api, first)[:-1]),
        ask(api, first, token_of(api, first).upper() + "0"),
        ask(api, first, ""),
        ask(api, first, "\N{SNOWMAN}" * 40),
        api.get(f"/v2/attempts/{first}/message"),
        api.get(f"/v2/attempts/{first}/message?token=a&token=b"),
        ask(api, attempt_id(UNSEEN, 1)),
        ask(api, "nothing"),
        ask(api, second, "0" * 40),
    ]
    assert {(answer.status_code, answer.content) for answer in answers} == {
        (404, answers[0].content)
    }
    assert error_code(answers[0]) == "record_not_found"
    assert ask(api, second).json() == {"n": 2}


def test_a_token_is_good_until_an_hour_after_the_attempts_end(api: Running) -> None:
    attempt = start(api, {"n": 1})
    api.store.shift = timedelta(days=30)
    assert ask(api, attempt).status_code == 200
    api.end(attempt, SUCCESS)
    api.store.shift = timedelta(days=30, minutes=59)
    assert ask(api, attempt).json() == {"n": 1}
    api.store.shift = timedelta(days=30, minutes=61)
    gone = ask(api, attempt)
    assert (gone.status_code, gone.content) == (404, ask(api, attempt, "").content)
    api.store.shift = timedelta(0)


def test_a_later_attempt_has_a_token_of_its_own(api: Running) -> None:
    first = start(api, {"n": 1})
    second = attempt_id(first[:36], 2)
    assert ask(api, first, token_of(api, second)).status_code == 404
    assert ask(api, second).status_code == 404


@pytest.mark.parametrize("cause", ["away", "cold"])
def test_a_database_that_is_away_is_503(small_api: Running, cause: str) -> None:
    attempt = start(small_api, {"n": 1})
    token = token_of(small_api, attempt)
    if cause == "away":
        assert ask(small_api, attempt, token).status_code == 200
    path = Path(str(small_api.store.url.database))
    small_api.store.close()
    path.rename(path.with_suffix(".gone"))
    answer = ask(small_api, attempt, token)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert answer.json()["message"] == "a system behind this API is away; try again later"


def test_a_log_store_that_is_away_is_503_and_a_lost_message_is_410(
    sqlite_store: Store, tmp_path: Path
) -> None:
    sqlite_store.write(define)
    parts, away = parts_of(sqlite_store, tmp_path), Event()

    def before(name: str, key: str) -> None:
        if away.is_set():
            raise LogStoreUnavailable("s3://secret-place is away")

    logs = WatchedLogStore(parts.logs, before)
    with serving(parts, logs=logs) as api:
        attempt = start(api, "x" * 2 * INLINE)
        away.set()
        answer = ask(api, attempt)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert "secret-place" not in answer.text
        away.clear()
        assert ask(api, attempt).status_code == 200
        logs.remove([message_key("media", "Thumbnail", attempt[:36])])
        assert ask(api, attempt).status_code == 410


def test_no_token_is_written_into_a_log_or_an_answer(
    small_api: Running, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    attempt = start(small_api, {"n": 1})
    token = token_of(small_api, attempt)
    answers = [ask(small_api, attempt, token), ask(small_api, attempt_id(UNSEEN, 1), token)]
    answers.append(small_api.post(f"/v2/attempts/{attempt}/message?token={token}"))
    answers.append(small_api.get(f"/v2/attempts/{attempt}/nothing?token={token}"))
    answers.append(small_api.get(f"/v2/job_executions/{attempt[:36]}"))
    assert [each.status_code for each in answers] == [200, 404, 405, 404, 200]
    ours = [each for each in caplog.records if not each.name.startswith(("httpx", "httpcore"))]
    lines = [each.getMessage() for each in ours]
    assert any(f"GET /v2/attempts/{attempt}/message 200" in line for line in lines)
    for text in (*lines, *(str(each.headers) + each.text for each in answers)):
        assert token not in text


def test_at_an_address_of_their_own_nothing_else_answers(small_api: Running) -> None:
    attempt = start(small_api, {"n": 1})
    app = create_job_app(replace(small_api.parts, allowed_hosts=frozenset()))
    with listening(app) as (url, _), open_client(url) as jobs:
        params = {"token": token_of(small_api, attempt)}
        assert jobs.get(f"/v2/attempts/{attempt}/message", params=params).json() == {"n": 1}
        for path in ("/", "/livez", "/readyz", "/openapi.json", "/docs", "/v2/queues", "/v1"):
            assert jobs.get(path).status_code == 404
        assert jobs.post("/v2/job_executions", json=JOB).status_code == 404


def test_only_the_token_in_the_address_counts(small_api: Running) -> None:
    attempt = start(small_api, {"n": 1})
    token = token_of(small_api, attempt)
    for headers in ({"authorization": f"Bearer {token}"}, {"cookie": f"token={token}"}):
        answer = small_api.get(f"/v2/attempts/{attempt}/message", headers=headers)
        assert answer.status_code == 404

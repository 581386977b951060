"""The client against a small server that says what the test wants it to say."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from barbeque_py.client import Client, Faulty, NotFound, Refused, Unreachable

ID = "01a1ffe6-c56c-72a9-baee-f90fb150ac4e"


@dataclass
class Said:
    """What the server answers, and what it was asked."""

    status: int = 200
    body: bytes = b"{}"
    asked: list[tuple[str, str, dict[str, str], Any]] = field(default_factory=list)

    def answer(self, status: int, body: Any) -> None:
        self.status, self.body = status, json.dumps(body).encode()


class Server(ThreadingHTTPServer):
    """A server on a free port of loopback."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Asked)
        self.said = Said()


class Asked(BaseHTTPRequestHandler):
    """One request."""

    server: Server
    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        said = self.server.said
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        said.asked.append((self.command, self.path, dict(self.headers), content.decode()))
        self.send_response(said.status)
        self.send_header("Content-Length", str(len(said.body)))
        self.end_headers()
        self.wfile.write(said.body)

    do_GET = do_POST = do_DELETE = answer  # noqa: N815 - the names that http.server calls

    def log_message(self, *words: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    serving = Server()
    thread = threading.Thread(target=serving.serve_forever, args=(0.01,))
    thread.start()
    yield serving
    serving.shutdown()
    thread.join()
    serving.server_close()


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    with Client(f"http://127.0.0.1:{server.server_port}/", "secret") as opened:
        yield opened


def test_enqueue_says_what_was_asked_and_leaves_out_what_was_not(
    server: Server, client: Client
) -> None:
    server.said.answer(201, {"message_id": ID, "status": "pending", "id": None})
    instant = datetime(2026, 11, 30, 8, tzinfo=UTC)
    answer = client.enqueue("shop", "Echo", {"a": [1]}, queue="q", run_at=instant, priority=None)
    method, path, headers, body = server.said.asked[0]
    assert answer["message_id"] == ID
    assert (method, path) == ("POST", "/v2/job_executions")
    assert headers["Authorization"] == "Bearer secret"
    assert json.loads(body) == {
        "application": "shop",
        "job": "Echo",
        "queue": "q",
        "run_at": "2026-11-30T08:00:00.000000Z",
        "message": {"a": [1]},
    }


def test_lengths_of_time_are_seconds_and_whole_ones_integers(
    server: Server, client: Client
) -> None:
    client.enqueue("shop", "Echo", 0, delay_seconds=timedelta(minutes=1))
    client.retry(ID, delay=timedelta(seconds=3))
    assert '"delay_seconds":60' in server.said.asked[0][3].replace(" ", "")
    assert json.loads(server.said.asked[1][3]) == {"delay_seconds": 3}


def test_status_is_barbeques_word(server: Server, client: Client) -> None:
    server.said.answer(200, {"message_id": ID, "status": "retried", "id": 1})
    assert client.status(ID) == "retried"
    assert server.said.asked[0][1] == f"/v1/job_executions/{ID}"


def test_names_with_slashes_stay_one_part_of_the_address(server: Server, client: Client) -> None:
    client.pause("a/b?c")
    assert server.said.asked[0][1] == "/v2/queues/a%2Fb%3Fc/pause"


def test_apply_sends_the_text_as_it_is(server: Server, client: Client) -> None:
    server.said.answer(200, {"changes": [], "dry_run": True})
    assert client.apply("apps: [é]", base="/tmp/é", dry_run=True)["changes"] == []
    _, path, headers, body = server.said.asked[0]
    assert path == "/v2/apply?base=%2Ftmp%2F%C3%A9&dry_run=1"
    assert (headers["Content-Type"], body) == ("application/yaml", "apps: [é]")


def test_a_refusal_has_the_servers_words_and_its_problems(server: Server, client: Client) -> None:
    fault = {"line": 3, "column": 5, "path": "apps[0]", "message": "no"}
    server.said.answer(422, {"message": "it has a fault", "problems": [fault]})
    with pytest.raises(Refused, match="it has a fault") as refused:
        client.apply("apps:")
    assert (refused.value.status, refused.value.problems) == (422, [fault])


def test_barbeques_other_refusal_is_read_too(server: Server, client: Client) -> None:
    server.said.answer(400, {"error": "JobDefinition 'X' isn't defined in 'Y' application"})
    with pytest.raises(Refused, match="isn't defined"):
        client.enqueue("Y", "X", {})


def test_what_is_not_there_is_not_found(server: Server, client: Client) -> None:
    server.said.answer(404, {"message": "no queue is called 'x'"})
    with pytest.raises(NotFound, match="no queue"):
        client.resume("x")


def test_a_server_in_trouble_is_faulty_not_refusing(server: Server, client: Client) -> None:
    server.said.answer(503, {"message": "the database is away"})
    with pytest.raises(Faulty, match="the database is away"):
        client.execution(ID)


def test_an_answer_that_is_no_json_is_no_barbeque(server: Server, client: Client) -> None:
    server.said.body = b"<html>It works!</html>"
    with pytest.raises(Unreachable, match="is no barbeque"):
        client.execution(ID)


def test_nobody_there_is_unreachable() -> None:
    with Client("http://127.0.0.1:1") as client, pytest.raises(Unreachable, match="no barbeque at"):
        client.queues()


def test_a_proxy_for_the_internet_is_not_asked_for_loopback(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    with Client(f"http://127.0.0.1:{server.server_port}") as client:
        client.ready()
    assert server.said.asked[0][1] == "/readyz"

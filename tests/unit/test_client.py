"""The client against a small server that says what the test wants it to say."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from barbeque_py.answers import Enqueued
from barbeque_py.calls import Job, Many
from barbeque_py.client import Client, Faulty, NotFound, Refused, Unreachable
from barbeque_py.faults import TooMany, fault_of

ID = "01a1ffe6-c56c-72a9-baee-f90fb150ac4e"


@dataclass
class Said:
    """What the server answers, and what it was asked."""

    status: int = 200
    body: bytes = b"{}"
    asked: list[tuple[str, str, dict[str, str], Any]] = field(default_factory=list)

    def next(self) -> tuple[int, dict[str, str], bytes]:
        return self.status, {}, self.body

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
        status, headers, body = said.next()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

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
    with Client(f"http://127.0.0.1:{server.server_port}/", "secret", retries=0) as opened:
        yield opened


def test_enqueue_says_what_was_asked_and_leaves_out_what_was_not(
    server: Server, client: Client
) -> None:
    server.said.answer(201, {"message_id": ID, "status": "pending", "id": None})
    instant = datetime(2026, 11, 30, 8, tzinfo=UTC)
    answer = client.enqueue("shop", "Echo", {"a": [1]}, queue="q", run_at=instant, priority=None)
    method, path, headers, body = server.said.asked[0]
    assert answer.message_id == ID
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
    server.said.answer(201, {"message_id": ID, "status": "pending", "id": None})
    client.enqueue("shop", "Echo", 0, delay=timedelta(minutes=1))
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
    with (
        Client("http://127.0.0.1:1", retries=0) as client,
        pytest.raises(Unreachable, match="no barbeque at"),
    ):
        client.queues()


def test_a_proxy_for_the_internet_is_not_asked_for_loopback(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    with Client(f"http://127.0.0.1:{server.server_port}") as client:
        client.ready()
    assert server.said.asked[0][1] == "/readyz"


class Moody(Said):
    """Says one thing after another."""

    def __init__(self, *answers: tuple[int, dict[str, str]]) -> None:
        super().__init__()
        self.answers = list(answers)

    def next(self) -> tuple[int, dict[str, str], bytes]:
        status, headers = self.answers.pop(0) if self.answers else (200, {})
        good = {"message_id": ID, "status": "pending", "id": None, "outcome": "cancelled"}
        bad = {"error_code": "busy", "message": "not now"}
        return status, headers, json.dumps(good if status < 400 else bad).encode()


@pytest.fixture
def patient(server: Server) -> Iterator[Client]:
    with Client(f"http://127.0.0.1:{server.server_port}", retries=3) as opened:
        yield opened


def slept(client: Client) -> list[float]:
    pauses: list[float] = []
    client.sleep = pauses.append  # type: ignore[assignment, method-assign]  # so that nothing is waited for
    return pauses


def test_an_enqueue_is_repeated_under_its_key_until_it_is_answered(
    server: Server, patient: Client
) -> None:
    server.said = Moody((503, {"Retry-After": "2"}), (429, {"Retry-After": "1"}), (504, {}))
    pauses = slept(patient)
    assert patient.enqueue("shop", "Echo", 1).message_id == ID
    keys = {headers["Idempotency-Key"] for _, _, headers, _ in server.said.asked}
    assert (len(server.said.asked), len(keys)) == (4, 1)
    bodies = {body for _, _, _, body in server.said.asked}
    assert len(bodies) == 1
    for pause, (least, most) in zip(pauses, [(2, 2.25), (1, 1.5), (0, 1)], strict=True):
        assert least <= pause <= most
    patient.enqueue("shop", "Echo", 1)
    assert server.said.asked[-1][2]["Idempotency-Key"] not in keys


def test_patience_ends_and_long_waits_are_the_callers(server: Server, patient: Client) -> None:
    pauses = slept(patient)
    server.said = Moody(*[(503, {})] * 9)
    with pytest.raises(Faulty, match="not now") as faulty:
        patient.status(ID)
    assert (len(server.said.asked), len(pauses)) == (4, 3)
    assert (faulty.value.status, faulty.value.code) == (503, "busy")
    server.said = Moody((429, {"Retry-After": "600"}))
    with pytest.raises(TooMany):
        patient.status(ID)
    assert len(server.said.asked) == 1


def test_what_may_have_been_done_is_not_repeated_unless_that_is_harmless(
    server: Server, patient: Client
) -> None:
    slept(patient)
    for ask, tries in ((patient.retry, 1), (patient.cancel, 2), (patient.status, 2)):
        server.said = Moody((503, {}))
        if tries == 1:
            with pytest.raises(Faulty):
                ask(ID)
        else:
            ask(ID)
        assert len(server.said.asked) == tries
    server.said = Moody((429, {}))
    patient.retry(ID)
    assert len(server.said.asked) == 2
    server.said = Moody((500, {}))
    with pytest.raises(Faulty):
        patient.status(ID)
    assert len(server.said.asked) == 1


def test_nobody_there_is_asked_again_whatever_was_asked() -> None:
    with Client("http://127.0.0.1:1", retries=2) as client:
        pauses = slept(client)
        with pytest.raises(Unreachable):
            client.retry(ID)
        assert len(pauses) == 2


def test_a_fault_has_the_servers_request_id(server: Server, client: Client) -> None:
    server.said = Moody((404, {"X-Request-Id": "r-7"}))
    with pytest.raises(NotFound) as missing:
        client.execution(ID)
    assert (missing.value.request_id, missing.value.code) == ("r-7", "busy")


def test_without_a_url_the_environment_names_server_and_token(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("BARBEQUE_URL", url)
    monkeypatch.setenv("BARBEQUE_TOKEN", "bq_secret")
    with Client() as client:
        client.ready()
    with Client(url) as client:
        client.ready()
    shown = [headers.get("Authorization") for _, _, headers, _ in server.said.asked]
    assert shown == ["Bearer bq_secret", None]
    monkeypatch.delenv("BARBEQUE_URL")
    assert Client().url == "http://127.0.0.1:3003"


def test_of_many_only_those_of_unknown_fate_are_asked_for_again() -> None:
    many = Many([Job("shop", "Echo", number) for number in range(1002)])
    good = Enqueued(ID, "pending", {})
    refused = fault_of(404, {"status_code": 404})
    away = fault_of(503, {"status_code": 503})
    asked: list[list[Any]] = []

    def ask(*answers: Enqueued | Faulty | Refused) -> float:
        call = many.next()
        assert call is not None
        asked.append([(each["message"], each["idempotency_key"]) for each in call.json["jobs"]])
        many.take([*answers, *[good] * (len(asked[-1]) - len(answers))])
        return many.pause

    assert ask(away, refused, away) == 0
    assert ask() > 2
    assert [len(each) for each in asked] == [1000, 2]
    assert ask(away, good) > 2
    assert asked[2] == [asked[0][0], asked[0][2]]
    assert ask(away) == 0
    assert asked[3] == asked[0][:1]
    assert many.next() is None
    assert (many.answers[0], many.answers[1], many.answers[2]) == (away, refused, good)


LOADED = """
import sys
before = set(sys.modules)
import {module}
{use}
ours = sorted(name for name in set(sys.modules) - before if name.startswith("barbeque_py"))
theirs = sorted({{name.partition(".")[0] for name in set(sys.modules) - before}})
print(" ".join(ours)); print(" ".join(theirs))
"""


@pytest.mark.parametrize(
    ("module", "use", "allowed"),
    [
        ("barbeque_py", "", set()),
        ("barbeque_py", "barbeque_py.Client", {"httpx"}),
        ("barbeque_py", "barbeque_py.AsyncClient", {"httpx"}),
        ("barbeque_py.job", "barbeque_py.job.progress(3)", set()),
        ("barbeque_py.testing", "barbeque_py.testing.MemoryClient()", set()),
    ],
)
def test_what_apps_import_loads_little(module: str, use: str, allowed: set[str]) -> None:
    def loaded(code: str) -> tuple[set[str], set[str]]:
        printed = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.split("\n")
        return set(printed[0].split()), set(printed[1].split())

    ours, theirs = loaded(LOADED.format(module=module, use=use))
    known = set(sys.stdlib_module_names) | {"barbeque_py"}
    for each in allowed:
        known |= loaded(LOADED.format(module=each, use=""))[1]
    assert theirs <= known, theirs - known
    heavy = {f"barbeque_py.{name}" for name in ("settings", "store", "aws", "wiring", "cli")}
    assert not ours & heavy
    if module.endswith("job"):
        assert ours == {"barbeque_py", "barbeque_py.job"}
        assert not theirs & {"urllib", "http", "typing", "dataclasses", "logging"}

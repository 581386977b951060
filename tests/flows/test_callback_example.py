"""The example of a backend, run as its page says: both sequences, forgeries, repeats, stops."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from barbeque_py import clock
from barbeque_py.enqueue import Request, enqueue
from barbeque_py.executions import State
from barbeque_py.ids import new_message_id
from barbeque_py.messages import JobMessage, Options
from barbeque_py.signing import signed
from tests.asking import open_client
from tests.flows.pages import ROOT
from tests.flows.place import free_port
from tests.receiver import Receiver, Reply
from tests.waiting import wait_until
from tests.worker.callback_site import Site, site

EXAMPLE = ROOT / "deploy" / "examples" / "callback"


class Example:
    """The example's backend beside an installation that its file was applied to."""

    def __init__(self, at: Site, folder: Path) -> None:
        self.at = at
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = listener.getsockname()[1]
        text = (EXAMPLE / "barbeque.yaml").read_text()
        text = text.replace("8700", str(self.port)).replace("base_delay: 1s", "base_delay: 0s")
        applied = at.http.post(
            "/v2/apply", content=text, headers={"content-type": "application/yaml"}
        )
        assert applied.status_code == 200, applied.text
        self.secret = subprocess.run(
            [sys.executable, "-m", "barbeque_py.cli", "secret", "studio"],
            env={**os.environ, "BARBEQUE_URL": at.url},  # noqa: TID251 - the test's own
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        ).stdout.strip()
        self.log = folder / "backend.log"
        with self.log.open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, str(EXAMPLE / "backend.py"), str(self.port)],
                env={"BARBEQUE_SECRET": self.secret, "PATH": os.defpath},
                stdout=log,
                stderr=log,
            )
        wait_until(self._listens, "the backend listens")

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def enqueue(self, **message: Any) -> str:
        asked = JobMessage(
            new_message_id(), "studio", "Encode", "default", json.dumps(message), options=Options()
        )
        parts = self.at.office.parts
        enqueue(parts.broker, parts.logs, [Request(asked, "default")])
        parts.bell.ring()
        return asked.message_id

    def send(self, method: str, headers: dict[str, str], body: bytes) -> int:
        url = f"http://127.0.0.1:{self.port}/encode"
        return httpx.request(method, url, headers=headers, content=body).status_code

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(60)


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Example]:
    folder = tmp_path_factory.mktemp("example")
    with site(folder) as at:
        made = Example(at, folder)
        try:
            yield made
        finally:
            made.close()


def test_it_succeeds_at_once(example: Example) -> None:
    message_id = example.enqueue(steps=2, seconds=0)
    assert example.at.office.end_of(message_id).state == State.SUCCEEDED
    told = example.at.http.get(f"/v2/job_executions/{message_id}").json()
    assert told["result"] == {"steps": 2}
    assert told["progress"]["text"] == "step 2"
    assert len(told["attempts"]) == 1


def test_it_fails_until_the_end_in_six_runs(example: Example) -> None:
    message_id = example.enqueue(seconds=0, fail=True)
    ended = example.at.office.end_of(message_id)
    assert (ended.state, ended.counted) == (State.FAILED, 6)
    tries = example.at.office.attempts(message_id)
    assert [each.detail for each in tries] == ["as it was asked to"] * 6


def test_it_stops_when_it_is_told(example: Example) -> None:
    message_id = example.enqueue(steps=600)
    example.at.office.running(message_id)
    cancelled = example.at.http.post(f"/v2/job_executions/{message_id}/cancel")
    assert cancelled.status_code == 202
    assert example.at.office.end_of(message_id).state == State.CANCELLED


def test_it_takes_what_is_signed_and_nothing_else(example: Example) -> None:
    url = f"{example.at.url}/v2/attempts/none/result"
    order = {"attempt_id": "a-1", "message": {"seconds": 0}}
    order |= {"callback_url": url, "progress_url": url}
    body, now = json.dumps(order).encode(), int(clock.now().timestamp())
    genuine = signed([example.secret], "a-1", now, body)
    assert example.send("POST", genuine, body) == 202
    assert example.send("POST", genuine, body) == 202
    other = "whsec_" + "A" * 43 + "="
    both = signed([other, example.secret], "a-1", now, body)
    assert example.send("POST", both, body) == 202
    for headers, sent in [
        ({}, body),
        (genuine, body + b" "),
        (signed([other], "a-1", now, body), body),
        (signed([example.secret], "a-1", now - 600, body), body),
        (signed([example.secret], "a-1", now + 600, body), body),
        (genuine | {"webhook-id": "a-2"}, body),
        (genuine | {"webhook-timestamp": str(now + 1)}, body),
        (genuine | {"webhook-timestamp": "soon"}, body),
        (genuine | {"webhook-signature": ""}, body),
        (genuine | {"webhook-signature": "v1,"}, body),
        (genuine | {"webhook-signature": genuine["webhook-signature"][3:]}, body),
    ]:
        assert example.send("POST", headers, sent) == 401
        assert example.send("DELETE", headers, sent) == 401
    log = wait_until(example.log.read_text, "its result was refused")
    assert example.secret not in log
    assert log.count("refused with 404") <= 2, "the repeats started nothing"


def test_on_a_laptop_backends_answer_where_up_listens(tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    environment = {
        "PATH": os.defpath,
        "BARBEQUE_HOME": str(tmp_path / "home"),
        "BARBEQUE_EXECUTOR": "process:",
        "BARBEQUE_WEBHOOK_ALLOW": "127.0.0.1",
    }
    with Receiver(lambda _: Reply(202)) as backend, (tmp_path / "up.log").open("w") as log:
        up = subprocess.Popen(
            [sys.executable, "-m", "barbeque_py.cli", "up", "--port", str(port)],
            env=environment,
            stdout=log,
            stderr=log,
        )
        try:
            with open_client(url) as client:
                wait_until(lambda: _answers(client), "it is up")
                text = (EXAMPLE / "barbeque.yaml").read_text()
                text = text.replace("http://127.0.0.1:8700", backend.url)
                yaml = {"content-type": "application/yaml"}
                assert client.post("/v2/apply", content=text, headers=yaml).status_code == 200
                job = {"application": "studio", "job": "Encode", "queue": "default", "message": {}}
                message_id = client.post("/v2/job_executions", json=job).json()["message_id"]
                wait_until(lambda: backend.received, "the backend is asked")
                asked = backend.received[0].json["callback_url"]
                assert asked.startswith(f"{url}/v2/attempts/{message_id}-1/result?token=")
                assert client.post(asked, json={"result": "ok"}).status_code == 204
                status = client.get(f"/v1/job_executions/{message_id}").json()["status"]
                assert status == "success"
        finally:
            up.terminate()
            up.wait(60)


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False

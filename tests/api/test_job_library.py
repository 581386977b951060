"""The library for inside a job, against the real routes for jobs and real files."""

import json
import socket
import threading
from pathlib import Path

import pytest

from barbeque_py import job
from barbeque_py.ids import AttemptId
from barbeque_py.store import apps
from barbeque_py.tickets import JobUrls
from tests.api.served import Running
from tests.api.test_reports import shown, start


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """No job runs here, whatever runs these tests; and nobody waits."""
    for noun in ("MESSAGE", "MESSAGE_URL", "PROGRESS_FILE", "PROGRESS_URL", "RESULT_FILE"):
        monkeypatch.delenv(f"BARBEQUE_{noun}", raising=False)
    monkeypatch.delenv("BARBEQUE_RESULT_URL", raising=False)
    monkeypatch.setattr(job, "_posted_at", float("-inf"))
    monkeypatch.setattr("barbeque_py.job.time.sleep", lambda _: None)


def by_addresses(api: Running, attempt: AttemptId, monkeypatch: pytest.MonkeyPatch) -> None:
    urls = JobUrls(str(api.client.base_url), api.store.read(apps.installation_secret))
    for name, url in urls.reports(attempt).items():
        monkeypatch.setenv(name, url)
    monkeypatch.setenv("BARBEQUE_MESSAGE_URL", urls.message(attempt))


def test_outside_of_a_job_it_says_so_or_does_nothing() -> None:
    for ask in (job.message, job.attempt):
        with pytest.raises(job.NotInJob, match="no job of barbeque_py runs here"):
            ask()
    job.progress(3, "nowhere")
    assert job.result({"a": 1}) is False


def test_an_attempts_facts_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = {"APP": "a", "JOB": "j", "QUEUE_NAME": "q", "MESSAGE_ID": "m", "ATTEMPT_ID": "m-2"}
    for name, value in (facts | {"RETRY_COUNT": "1", "SENT_TIMESTAMP": "1790000000123"}).items():
        monkeypatch.setenv(f"BARBEQUE_{name}", value)
    monkeypatch.delenv("TRACEPARENT", raising=False)
    found = job.attempt()
    assert (found.app, found.job, found.queue, found.message_id) == ("a", "j", "q", "m")
    assert (found.id, found.retry_count, found.sent_at) == ("m-2", 1, 1790000000.123)
    assert found.traceparent is None


def test_by_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    message, progress, result = (tmp_path / name for name in ("a b.json", "progress", "result"))
    message.write_text('{"n": "ä"}', encoding="utf-8")
    monkeypatch.setenv("BARBEQUE_MESSAGE_URL", message.as_uri())
    monkeypatch.setenv("BARBEQUE_PROGRESS_FILE", str(progress))
    monkeypatch.setenv("BARBEQUE_RESULT_FILE", str(result))
    assert job.message() == {"n": "ä"}
    monkeypatch.setenv("BARBEQUE_MESSAGE", "[1]")
    assert job.message() == [1]
    job.progress(10, "begun")
    job.progress(20, "going")
    assert json.loads(progress.read_text()) == {"percent": 20, "text": "going"}
    assert job.result({"first": "longer"})
    assert job.result(["ü"])
    assert result.read_text(encoding="utf-8") == '["ü"]'
    with pytest.raises(ValueError, match="JSON"):
        job.result(float("nan"))
    progress.unlink()
    progress.mkdir()
    job.progress(30)


def test_by_addresses(small_api: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    attempt = start(small_api)
    by_addresses(small_api, attempt, monkeypatch)
    assert job.message() == {"image": "a.jpg"}
    job.progress(10, "begun")
    job.progress(20, "too soon")
    first = shown(small_api, attempt)["progress"]
    assert isinstance(first, dict)
    assert (first["percent"], first["text"]) == (10, "begun")
    job.progress(100, "done")
    last = shown(small_api, attempt)["progress"]
    assert isinstance(last, dict)
    assert last["percent"] == 100
    assert job.result({"ä": [1]})
    assert shown(small_api, attempt)["result"] == {"ä": [1]}
    with pytest.raises(OSError, match="413"):
        job.result("x" * 70_000)
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    assert job.result(1)


def test_a_server_that_is_away_for_a_while_is_asked_again(
    small_api: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempt = start(small_api)
    answers: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def stammer() -> None:
            for status in (b"503 No", b"429 No", b"204 Yes"):
                connection, _ = listener.accept()
                with connection:
                    answers.append(connection.recv(65536))
                    connection.sendall(b"HTTP/1.1 %s\r\nContent-Length: 0\r\n\r\n" % status)

        thread = threading.Thread(target=stammer)
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        monkeypatch.setenv("BARBEQUE_RESULT_URL", url)
        assert job.result(1)
        thread.join()
    assert len(answers) == 3
    with pytest.raises(OSError, match="refused"):
        job.result(1)
    by_addresses(small_api, attempt, monkeypatch)
    monkeypatch.setenv("BARBEQUE_PROGRESS_URL", url)
    job.progress(50)
    assert shown(small_api, attempt)["progress"] is None

"""What each page says, and how soon, while a system that it needs is away; the faults are real."""

import re
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from typing import cast

import pytest

from barbeque_console.app import create_app
from barbeque_console.parts import Shown
from barbeque_py.brokers.sqs import SqsBroker
from barbeque_py.logstores.s3 import S3LogStore
from barbeque_py.outcomes import Fate, Reason
from barbeque_py.store import Store
from tests.console.inside import Inside
from tests.console.rigs import Place, stored

PAGES = (
    *("/", "/executions", "/failures", "/jobs", "/apps", "/stats", "/timeline", "/queues"),
    *("/workers", "/dead_messages", "/schedules", "/subscriptions", "/notices", "/audit"),
    "/help",
)
IDLE = "No worker is at work"


@pytest.fixture
def refused() -> Iterator[int]:
    """A port at which nobody listens, and nobody else will."""
    with closing(socket.socket()) as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def speak_to(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    """Let AWS be at this port."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")


def texts(fault: str, parts: Shown, *more: str, status: int = 200) -> dict[str, str]:
    """Return what each page says, and print how long they took: to be judged on a calm machine."""
    browser, found, slowest = Inside(create_app(parts)), {}, (0.0, "")
    for path in (*PAGES, *more):
        begun = time.monotonic()
        answer = browser.get(path)
        slowest = max(slowest, (time.monotonic() - begun, path))
        assert answer.status_code == status, (fault, path, answer.text[-2_000:])
        found[path] = answer.text
    print(f"{fault}: {len(found)} pages, the slowest {slowest[1]} in {slowest[0]:.3f} s")
    return found


def test_every_page_tells_that_no_worker_is_at_work(place: Place) -> None:
    for text in texts("no worker", place.parts).values():
        assert f"{IDLE}: none has come yet" in text
        assert "Nothing is started. Jobs are still accepted" in text
    place.see_worker()
    assert not [path for path, text in texts("a worker", place.parts).items() if IDLE in text]
    place.store.shift = timedelta(minutes=5)
    text = Inside(create_app(place.parts)).get("/").text
    assert f"{IDLE}. The last one was seen" in text
    assert re.search(r"was seen <time[^>]*>5 min", text)
    japanese = Inside(create_app(place.parts)).get("/", **{"accept-language": "ja"}).text
    assert "稼働中のワーカーがありません" in japanese


def test_without_a_database_each_page_says_so(place: Place, refused: int) -> None:
    url = f"mysql+pymysql://nobody:canary@127.0.0.1:{refused}/barbeque"
    with closing(Store(url)) as away:
        found = texts("database", replace(place.parts, store=away), status=503)
    for text in found.values():
        assert "The database can&#39;t be used right now" in text
        assert "Missed since" in text
        assert "Jobs that run go on" in text
        assert ">Try again</a>" in text
        assert "canary" not in text


def test_without_a_log_store_all_but_logs_is_there(
    place: Place, refused: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    message_id = place.enqueue()
    place.settle(place.start(), Fate(Reason.EXITED, 3), lines=[stored("x")])
    speak_to(monkeypatch, refused)
    one = f"/job_executions/{message_id}"
    found = texts("log store", replace(place.parts, logs=S3LogStore("bucket", "logs")), one)
    assert "The log store can't be read right now" in found[one]
    assert "How its log ends can't be read right now" in found[one]
    assert "Exit code 3" in found[one]


def test_without_a_broker_pages_are_read_and_what_can_t_be_sent_is_told(
    place: Place, refused: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    speak_to(monkeypatch, refused)
    with closing(SqsBroker("Barbeque-", region="eu-west-1")) as broker:
        parts = replace(place.parts, broker=broker)
        texts("broker", parts)
        begun = time.monotonic()
        answer = Inside(create_app(parts)).post("/jobs/media/Encode/run", {"message": "{}"})
        print(f"broker: an enqueue was answered in {time.monotonic() - begun:.3f} s")
    assert answer.status_code == 503
    assert "The queues&#39; broker does not answer" in answer.text


class Broken:
    """A store with a fault that nobody has thought of."""

    def __getattr__(self, name: str) -> object:
        raise RuntimeError("canary")


def test_what_is_refused_says_what_to_do_and_which_request_it_was(place: Place) -> None:
    browser, one = Inside(create_app(place.parts)), f"/job_executions/{place.enqueue()}"
    broken = Inside(create_app(replace(place.parts, store=cast("Store", Broken()))))
    for code, answer, cure in (
        (403, browser.post(f"{one}/retry", origin="https://evil.example"), "reload the page"),
        (409, browser.post(f"{one}/retry"), "It has changed since you looked"),
        (413, browser.post("/preferences", {"back": "x" * 2_100_000}), "Send less at once"),
        (422, browser.post("/executions/bulk", {"action": "retry"}), "Go back"),
        (500, broken.get("/executions"), "give whoever runs this server"),
    ):
        assert answer.status_code == code, (code, answer.text)
        assert f'<p class="code">{code}</p>' in answer.text
        assert cure in answer.text, (code, answer.text)
        assert answer.headers["x-request-id"] in answer.text
        assert "canary" not in answer.text
        assert (">Try again</a>" in answer.text) is (code == 500)

"""Logs as server-sent events: every line once, over every break, with one reader for all."""

import gzip
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import httpx
import pytest

from barbeque_py.logs import LOG, attempt_prefix, live_key
from barbeque_py.logstores.directory import DirectoryLogStore
from tests.api.served import SUCCESS, UNSEEN, Running, define, parts_of, serving
from tests.stores import opened
from tests.waiting import wait_until


class CountingLogs(DirectoryLogStore):
    """A log store that counts what is read of it."""

    reads = 0

    def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        self.reads += 1
        return super().read(key, start, length)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:

    folder = tmp_path_factory.mktemp("streams")
    with opened(f"sqlite:///{folder / 'b.db'}") as store:
        store.write(define)
        parts = replace(parts_of(store, folder), logs=CountingLogs(folder / "logs"))
        with serving(parts) as running:
            yield running


@pytest.fixture
def running(served: Running) -> Iterator[str]:
    """Return an execution whose first attempt runs."""
    message_id = served.enqueue()
    served.take_in()
    attempt = served.start()
    yield message_id
    served.end(attempt, SUCCESS)


def write(
    served: Running, message_id: str, first: int, count: int, *, sealed: bool = False
) -> None:
    """Write lines of the first attempt's log: a live segment, or the whole sealed log."""
    at = "2026-11-21T20:00:00.000001Z"
    text = "".join(f"{at} {'err' if n % 5 == 4 else 'out'} {n}\n" for n in range(first, count))
    prefix = attempt_prefix("media", "Thumbnail", message_id, 1)
    key = prefix + LOG if sealed else live_key(prefix, first)
    served.parts.logs.put(key, [gzip.compress(text.encode())])


class Follower:
    """One client: the events it had, and the id of the last."""

    def __init__(self, served: Running, message_id: str, query: str = "") -> None:
        self._served = served
        self._path = f"/v2/job_executions/{message_id}/log/stream{query}"
        self.last: str | None = None
        self.numbers: list[int] = []
        self.end: dict[str, Any] | None = None

    def read(self, *, until: int | None = None) -> "Follower":
        """Read to the end, or be cut off behind so many lines."""
        headers = {} if self.last is None else {"Last-Event-ID": self.last}
        with self._served.client.stream("GET", self._path, headers=headers) as answer:
            assert answer.status_code == 200, answer.read()
            assert answer.headers["content-type"].startswith("text/event-stream")
            for event in events(answer):
                self._take(event)
                if self.end is not None or (until is not None and len(self.numbers) >= until):
                    return self
        return self

    def _take(self, event: dict[str, str]) -> None:
        self.last = event.get("id", self.last)
        facts = json.loads(event["data"])
        if event.get("event") == "end":
            self.end = facts
        else:
            self.numbers.append(facts["n"])
            assert facts["text"] == str(facts["n"])


def events(answer: httpx.Response) -> Iterator[dict[str, str]]:
    event: dict[str, str] = {}
    for line in answer.iter_lines():
        if not line and event:
            yield event
            event = {}
        elif line and not line.startswith(":"):
            name, _, value = line.partition(": ")
            event[name] = value


def test_a_sealed_log_is_streamed_whole_or_from_a_line_or_the_end(
    served: Running, running: str
) -> None:
    write(served, running, 0, 2500, sealed=True)
    whole = Follower(served, running).read()
    assert whole.numbers == list(range(2500))
    assert whole.end == {"attempt": 1, "next": 2500, "sealed": True}
    assert Follower(served, running, "?first=2490").read().numbers == list(range(2490, 2500))
    assert Follower(served, running, "?first=-3&attempt=1").read().numbers == [2497, 2498, 2499]
    errors = Follower(served, running, "?stream=err&first=2480").read().numbers
    assert errors == [2484, 2489, 2494, 2499]


def test_cut_off_again_and_again_it_misses_nothing_and_repeats_nothing(
    served: Running, running: str
) -> None:
    write(served, running, 0, 10)
    follower = Follower(served, running)
    for until in (1, 4, 10):
        follower.read(until=until)
    with ThreadPoolExecutor(1) as clients:
        reading = clients.submit(follower.read)
        for first in range(10, 40, 10):
            write(served, running, first, first + 10)
        wait_until(lambda: len(follower.numbers) == 40)
        write(served, running, 0, 45, sealed=True)
        assert reading.result().numbers == list(range(45))
    assert follower.last == "1.45"
    assert follower.read().numbers == list(range(45))


def test_many_who_follow_one_log_cost_what_one_costs(served: Running, running: str) -> None:
    logs = served.parts.logs
    assert isinstance(logs, CountingLogs)
    write(served, running, 0, 5)
    followers = [Follower(served, running) for _ in range(8)]
    with ThreadPoolExecutor(8) as clients:
        reading = [clients.submit(each.read) for each in followers]
        wait_until(lambda: all(len(each.numbers) == 5 for each in followers))
        began = logs.reads
        for first in range(5, 25, 5):
            write(served, running, first, first + 5)
            wait_until(lambda end=first + 5: all(len(each.numbers) == end for each in followers))  # type: ignore[misc]
        cost = logs.reads - began
        write(served, running, 0, 25, sealed=True)
        assert [each.result().numbers for each in reading] == [list(range(25))] * 8
    assert cost < 8 * 4, "each of four batches is read for all eight at once"


def test_it_waits_for_the_first_attempt_and_ends_where_there_will_be_none(
    served: Running,
) -> None:
    message_id = served.enqueue()
    served.take_in()
    follower = Follower(served, message_id)
    with ThreadPoolExecutor(1) as clients:
        reading = clients.submit(follower.read)
        served.post(f"/v2/job_executions/{message_id}/cancel")
        assert reading.result().end == {"attempt": None, "next": 0, "sealed": False}


@pytest.mark.parametrize("last", ["x", "2.5", "1.", "1.-3"])
def test_an_id_of_no_event_of_this_log_is_refused(served: Running, running: str, last: str) -> None:
    path = f"/v2/job_executions/{running}/log/stream?attempt=1"
    assert served.get(path, headers={"Last-Event-ID": last}).status_code == 400
    assert served.get(f"/v2/job_executions/{UNSEEN}/log/stream").status_code == 404
    assert served.get(f"/v2/job_executions/{running}/log/stream?attempt=3").status_code == 404

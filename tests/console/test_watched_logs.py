"""The log of a running task on its page: read where the task writes it, while somebody looks."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from barbeque_py.ids import AttemptId
from barbeque_py.outcomes import Fate, Reason
from barbeque_py.settle import settle
from barbeque_py.watched import Watching
from tests.asking import open_client
from tests.cloud.rig import CloudProcess
from tests.console.rigs import Place, open_place, serve_console
from tests.console.test_logs import numbers_in, numbers_on
from tests.task_logs import TaskLog, await_rest, watching_of
from tests.waiting import wait_until

OK = Fate(Reason.EXITED, 0)


@pytest.fixture
def watching(aws_environment: dict[str, str]) -> Iterator[Watching]:
    with watching_of() as found:
        yield found


@pytest.fixture
def place(watching: Watching, tmp_path: Path) -> Iterator[Place]:
    with open_place(tmp_path) as found:
        yield replace(found, parts=replace(found.parts, watching=watching))


@pytest.fixture
def address(place: Place) -> Iterator[str]:
    with serve_console(place) as found:
        yield found


@pytest.fixture
def browser(address: str) -> Iterator[httpx.Client]:
    with open_client(address) as client:
        yield client


@pytest.fixture
def task(calm_cloud: CloudProcess) -> TaskLog:
    return TaskLog(calm_cloud)


def start(place: Place, task: TaskLog) -> AttemptId:
    place.enqueue()
    attempt = place.start()
    task.attach(place.store, attempt)
    return attempt


def rows(browser: httpx.Client, attempt: AttemptId, first: int) -> httpx.Response:
    path = f"/job_executions/{attempt[:36]}/log/lines"
    return browser.get(path, params={"attempt": 1, "first": first})


def test_the_page_of_a_running_task_opens_at_its_logs_end(
    place: Place, browser: httpx.Client, task: TaskLog
) -> None:
    attempt = start(place, task)
    task.write(*(f"line {number}" for number in range(1_200)))
    page = f"/job_executions/{attempt[:36]}"
    assert numbers_on(browser.get(page)) == list(range(1_001, 1_201))
    assert numbers_on(browser.get(f"{page}/log?line=301")) == list(range(201, 401))
    found = browser.get(f"{page}/log/search?attempt=1&q=LINE+77").text.splitlines()
    assert '"hits":[77,770,' in found[0]
    whole = browser.get(f"{page}/log.txt?attempt=1").text
    assert whole == "".join(f"line {number}\n" for number in range(1_200))


def test_pages_without_a_log_ask_cloudwatch_nothing(
    place: Place, browser: httpx.Client, task: TaskLog, watching: Watching
) -> None:
    attempt = start(place, task)
    task.write("one")
    task.cloud.reset_counts()
    for page in ("/executions", "/executions?state=running", "/queues"):
        assert browser.get(page).status_code == 200
    assert task.calls() == 0
    browser.get(f"/job_executions/{attempt[:36]}")
    await_rest(task, watching)
    assert browser.get("/executions").status_code == 200
    assert task.calls() == 0


def test_a_follower_gets_every_line_once_from_task_and_store(
    place: Place, browser: httpx.Client, task: TaskLog
) -> None:
    attempt = start(place, task)
    seen: list[int] = []

    def follow() -> bool:
        facts = rows(browser, attempt, len(seen)).json()
        numbers = numbers_in(facts["html"])
        seen.extend(numbers)
        assert facts["next"] == len(seen)
        return not facts["live"] and not numbers

    task.write("one", "two")
    wait_until(lambda: follow() or len(seen) == 2)
    task.write("three")
    place.store.write(lambda tx: settle(tx, attempt, OK))
    task.seal(place.store, place.logs, attempt)
    wait_until(follow)
    assert seen == [1, 2, 3]
    assert (
        browser.get(f"/job_executions/{attempt[:36]}/log/text?attempt=1&count=3").text
        == "one\ntwo\nthree\n"
    )


def test_cloudwatch_away_leaves_the_rest_of_the_page(
    place: Place,
    browser: httpx.Client,
    task: TaskLog,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("barbeque_py.cloudwatch._PAUSES", (0.01,))
    attempt = start(place, task)
    task.write("one")
    task.cloud.faults(logs={"down": True})
    wait_until(lambda: rows(browser, attempt, 0).status_code == 503)
    answer = browser.get(f"/job_executions/{attempt[:36]}")
    assert answer.status_code == 200
    assert "can't be read right now where the task writes it" in " ".join(answer.text.split())
    assert "Attempts" in answer.text
    assert task.cloud.endpoint not in answer.text
    assert browser.get(f"/job_executions/{attempt[:36]}/log.txt?attempt=1").status_code == 503

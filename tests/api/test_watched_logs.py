"""Logs that nobody ships: read where the task writes them, only while somebody looks."""

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from barbeque_py import clock
from barbeque_py.apps import App, JobDefinition
from barbeque_py.ids import AttemptId
from barbeque_py.settings import Settings
from barbeque_py.store import Store, apps
from barbeque_py.store.schema import migrate
from barbeque_py.wiring.front import open_front
from tests.api.served import SUCCESS, Running, define, parts_of, serving
from tests.cloud.rig import CloudProcess
from tests.task_logs import GROUP, TaskLog, await_rest, watching_of
from tests.waiting import wait_until


@pytest.fixture
def api(sqlite_store: Store, aws_environment: dict[str, str], tmp_path: Path) -> Iterator[Running]:
    sqlite_store.write(define)
    with (
        watching_of() as watching,
        serving(parts_of(sqlite_store, tmp_path), watching=watching) as running,
    ):
        yield running


@pytest.fixture
def task(calm_cloud: CloudProcess) -> TaskLog:
    calm_cloud.reset_counts()
    return TaskLog(calm_cloud)


def start(api: Running, task: TaskLog) -> AttemptId:
    """Start an attempt whose task this is."""
    api.enqueue()
    assert api.take_in() == 1
    attempt = api.start()
    task.attach(api.store, attempt)
    return attempt


def log(api: Running, attempt: AttemptId, **params: Any) -> dict[str, Any]:
    answer = api.get(f"/v2/job_executions/{attempt[:36]}/log", params=params)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def texts(found: dict[str, Any]) -> list[str]:
    return [line["text"] for line in found["lines"]]


def test_any_stretch_of_a_running_tasks_log_can_be_read(api: Running, task: TaskLog) -> None:
    attempt = start(api, task)
    task.write(*(f"line {number}" for number in range(3_000)), "grün")
    found = log(api, attempt, first=1_990, count=20)
    assert found["lines"][0] == {
        "n": 1_990,
        "at": "2026-11-21T20:00:02.113000Z",
        "stream": "-",
        "text": "line 1990",
        "newline": True,
    }
    assert texts(found) == [f"line {number}" for number in range(1_990, 2_010)]
    assert (found["next"], found["sealed"], found["total"]) == (2_010, False, None)
    assert (found["attempt"], found["ended"]) == (1, False)
    assert texts(log(api, attempt, first=-2)) == ["line 2999", "grün"]
    whole = api.get(f"/v2/job_executions/{attempt[:36]}/log/raw")
    written = "".join(f"line {number}\n" for number in range(3_000)) + "grün\n"
    assert whole.content == written.encode()


def test_nobody_watching_costs_no_call(api: Running, task: TaskLog) -> None:
    attempt = start(api, task)
    task.write("one")
    task.cloud.reset_counts()
    assert api.get(f"/v2/job_executions/{attempt[:36]}").status_code == 200
    assert api.get("/v2/job_executions").status_code == 200
    assert task.calls() == 0
    assert texts(log(api, attempt)) == ["one"]
    assert task.calls() > 0
    assert api.parts.watching is not None
    await_rest(task, api.parts.watching)
    task.write("two")
    api.end(attempt, SUCCESS)
    assert api.get(f"/v2/job_executions/{attempt[:36]}").status_code == 200
    assert task.calls() == 0


def test_many_watchers_of_a_log_cost_the_calls_of_one(api: Running, task: TaskLog) -> None:
    attempt = start(api, task)
    task.write("one")
    task.cloud.reset_counts()
    began = clock.monotonic()
    with ThreadPoolExecutor(25) as watchers:
        waiting = [watchers.submit(log, api, attempt, first=1, wait=20) for _ in range(25)]
        wait_until(lambda: task.calls() >= 3, "it is asked again and again")
        task.write("two")
        assert [texts(each.result()) for each in waiting] == [["two"]] * 25
    assert task.calls() <= 2 + (clock.monotonic() - began) / 2


def test_a_watcher_sees_each_line_once_from_the_start_to_behind_the_seal(
    api: Running, task: TaskLog
) -> None:
    attempt = start(api, task)
    assert log(api, attempt)["lines"] == []
    seen: list[str] = []
    numbers: list[int] = []
    first = 0

    def follow() -> bool:
        nonlocal first
        found = log(api, attempt, first=first, count=7, wait=0.2)
        seen.extend(texts(found))
        numbers.extend(line["n"] for line in found["lines"])
        first = found["next"]
        return bool(found["sealed"] and first == found["total"])

    written = [f"line {number}" for number in range(40)]
    task.write(*written[:10])
    wait_until(lambda: follow() or len(seen) == 10)
    task.write(*written[10:25])
    wait_until(lambda: follow() or len(seen) >= 12)
    task.write(*written[25:])
    api.end(attempt, SUCCESS)
    task.seal(api.store, api.parts.logs, attempt)
    wait_until(follow)
    assert (seen, numbers) == (written, [*range(40)])
    assert api.parts.watching is not None
    await_rest(task, api.parts.watching)
    assert texts(log(api, attempt)) == written
    assert task.calls() == 0


def test_watched_lines_are_masked_like_stored_ones(api: Running, task: TaskLog) -> None:
    api.store.write(lambda tx: apps.put_app(tx, App("media", "media:1", mask=("card=[0-9]+",))))
    secret = {"MAIL_PASSWORD": "correct-horse"}
    job = JobDefinition("media", "Thumbnail", ("thumbnail",), env=secret)
    api.store.write(lambda tx: apps.put_job(tx, job))
    attempt = start(api, task)
    task.write("with correct-horse and card=4711", "plain")
    shown = texts(log(api, attempt))
    assert shown == ["with *** and ***", "plain"]
    assert "correct" not in api.get(f"/v2/job_executions/{attempt[:36]}/log/raw").text
    api.end(attempt, SUCCESS)
    task.seal(api.store, api.parts.logs, attempt)
    assert texts(log(api, attempt)) == shown


def test_before_the_task_is_known_the_log_is_empty_and_nothing_is_asked(
    api: Running, task: TaskLog
) -> None:
    task.handle = ""
    attempt = start(api, task)
    found = log(api, attempt, first=-5, wait=0.3)
    assert (found["lines"], found["next"], found["sealed"]) == ([], 0, False)
    assert api.get(f"/v2/job_executions/{attempt[:36]}/log/raw").content == b""
    assert task.calls() == 0


def test_a_log_that_cloudwatch_does_not_give_is_503(
    api: Running, calm_cloud: CloudProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("barbeque_py.cloudwatch._PAUSES", (0.01,))
    attempt = start(api, TaskLog(calm_cloud, "/no/such/group"))
    for route in ("log", "log/raw"):
        answer = api.get(f"/v2/job_executions/{attempt[:36]}/{route}")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert "/no/such" not in answer.text
    task = TaskLog(calm_cloud)
    other = start(api, task)
    task.write("one")
    assert texts(log(api, other)) == ["one"]
    calm_cloud.faults(logs={"down": True})
    path = f"/v2/job_executions/{other[:36]}/log"
    wait_until(lambda: api.get(path, params={"first": 1}).status_code == 503)
    assert texts(log(api, other)) == ["one"]


def test_a_front_watches_and_loads_nothing_of_aws_before(
    task: TaskLog, aws_environment: dict[str, str], tmp_path: Path
) -> None:
    task.write("one")
    place = f"{task.log_at}/app/{task.handle.rpartition('/')[2]}"
    settings = Settings.from_environment({"BARBEQUE_HOME": str(tmp_path)})
    store = Store(settings.database, create=True)
    migrate(store)
    store.close()
    front = open_front(settings)
    try:
        for log_at in (place, f"firelens:us-east-1:{GROUP}:{place.rpartition(':')[2]}"):
            page = front.watching.read(log_at, first=0, count=9)
            assert [line.text for line in page.lines] == ["one"]
    finally:
        front.close()
    opening = (
        "import sys; from barbeque_py.settings import Settings; "
        "from barbeque_py.wiring.front import open_front; "
        "import barbeque_api.app, barbeque_console.app; "
        f"open_front(Settings.from_environment({{'BARBEQUE_HOME': {str(tmp_path)!r}}})).close(); "
        "sys.exit('boto3' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", opening], check=False).returncode == 0

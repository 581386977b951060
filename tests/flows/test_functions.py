"""Functions of a plain app and tasks of a Django project, enqueued by the app and run as jobs."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from barbeque_py.client import Client
from barbeque_py.faults import NotFound
from tests.flows.place import Place
from tests.waiting import wait_until

PROJECTS = Path(__file__).parents[1] / "projects"
BIN = Path(sys.executable).parent


def manifest() -> str:
    """Return an apply file of both apps; the plain one's jobs as it prints them itself."""
    printed = subprocess.run(
        [sys.executable, "-m", "barbeque_py.run", "shop.jobs:jobs", "--definitions", "none"],
        cwd=PROJECTS / "plain",
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    plain = json.loads(printed)["apps"][0] | {
        "process": {"path": [str(BIN)]},
        "env": {"PYTHONPATH": str(PROJECTS / "plain")},
    }
    command = ["python", "-m", "django", "barbeque_run"]
    once = {"command": command, "report_files": True, "retry": {"limit": 0}}
    web = {
        "name": "web",
        "image": "none",
        "process": {"path": [str(BIN)]},
        "env": {"PYTHONPATH": str(PROJECTS / "web"), "DJANGO_SETTINGS_MODULE": "website.settings"},
        "jobs": [{"name": "Add", **once}, {"name": "Task", **once}],
    }
    for job in plain["jobs"]:
        job["retry"] = {"limit": 0}
    queues = [{"name": "default"}, {"name": "other"}]
    return json.dumps({"apps": [plain, web], "queues": queues})


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    place = Place(tmp_path_factory.mktemp("functions") / "home")
    (place.home.parent / "barbeque.yaml").write_text(manifest())
    try:
        place.up()
        place.say("apply", "-f", "barbeque.yaml")
        yield place
    finally:
        place.down()


@pytest.fixture(scope="module")
def client(place: Place) -> Iterator[Client]:
    with Client(place.url) as client:
        yield client


@pytest.fixture(scope="module")
def shop(client: Client) -> Iterator[Any]:
    """The plain app's module of jobs, as its web process has imported it."""
    sys.path.insert(0, str(PROJECTS / "plain"))
    from shop import jobs  # type: ignore[import-not-found]  # noqa: PLC0415 - a project of its own

    jobs.jobs.client = client
    yield jobs
    sys.path.remove(str(PROJECTS / "plain"))


@pytest.fixture(scope="module")
def tasks(client: Client) -> Iterator[Any]:
    """The Django project's tasks, as its web process has imported them."""
    sys.path.insert(0, str(PROJECTS / "web"))
    os.environ["DJANGO_SETTINGS_MODULE"] = "website.settings"  # noqa: TID251 - as Django wants it
    import django  # noqa: PLC0415 - only here is it set up

    django.setup()
    from website import tasks  # type: ignore[import-not-found]  # noqa: PLC0415

    from barbeque_py.django.tasks import task_backends  # noqa: PLC0415

    task_backends["default"].options["client"] = client
    yield tasks
    sys.path.remove(str(PROJECTS / "web"))


def log(client: Client, message_id: str) -> str:
    return "\n".join(line.text for line in client.logs(message_id, follow=True))


def test_a_function_runs_as_a_job_and_its_return_value_is_the_result(
    shop: Any, client: Client
) -> None:
    message_id = shop.invoice.delay(7, copies=2).message_id
    execution = client.wait(message_id)
    assert execution.succeeded, log(client, message_id)
    assert execution.result == {"order": 7, "copies": 2, "retries": 0}
    assert execution.progress is not None
    assert execution.progress.text == "order 7"


def test_options_stand_with_the_function_or_the_call(shop: Any, client: Client) -> None:
    options: dict[str, Any] = {"tags": {"kind": "quick"}, "key": "w-1"}
    message_id = shop.wait.enqueue([0.1], queue="other", **options).message_id
    execution = client.wait(message_id)
    assert execution.succeeded, log(client, message_id)
    facts = execution.facts
    assert (facts["queue"], facts["priority"]) == ("other", 5)
    assert facts["options"]["tags"] == {"kind": "quick"}
    assert shop.wait.enqueue([0.1], key="w-1").message_id == message_id
    with pytest.raises(NotFound):
        client.result(message_id)


def test_what_can_t_be_a_result_fails_the_job(shop: Any, client: Client) -> None:
    message_id = shop.broken.delay().message_id
    assert client.wait(message_id).state == "failed"
    assert "TypeError: {1} is nothing that JSON has" in log(client, message_id)


def test_a_task_returns_its_value(tasks: Any, client: Client) -> None:
    result = tasks.add.enqueue(20, 22, unit=" km")
    assert (result.status, result.attempts) == ("READY", 0)
    assert client.wait(result.id).succeeded, log(client, result.id)
    result.refresh()
    assert (result.status, result.return_value, result.attempts) == ("SUCCESSFUL", "42 km", 1)
    assert result.enqueued_at <= result.started_at <= result.finished_at
    assert result.last_attempted_at == result.started_at
    assert (result.args, result.kwargs, result.errors) == ([20, 22], {"unit": " km"}, [])
    assert client.execution(result.id).facts["job"] == "Add"
    assert tasks.add.get_result(result.id).return_value == "42 km"


def test_an_async_task_with_a_context_is_enqueued_without_blocking(
    tasks: Any, client: Client
) -> None:
    async def use() -> Any:
        result = await tasks.describe.aenqueue(["a", "b"])
        while not result.is_finished:
            await asyncio.sleep(0.1)
            await result.arefresh()
        return result

    result = asyncio.run(use())
    assert result.return_value == {"attempt": 1, "id": result.id, "words": ["a", "b"]}
    facts = client.execution(result.id).facts
    assert (facts["queue"], facts["priority"], facts["job"]) == ("other", 10, "Task")


def test_what_a_task_raises_is_its_error(tasks: Any, client: Client) -> None:
    result = tasks.check.enqueue(3)
    assert client.wait(result.id).state == "failed"
    result.refresh()
    assert (result.status, result.is_finished) == ("FAILED", True)
    [error] = result.errors
    assert error.exception_class is tasks.TooSmall
    assert "3 is too small" in error.traceback
    with pytest.raises(ValueError, match="failed"):
        _ = result.return_value
    assert "checking" in log(client, result.id)
    assert "TooSmall: 3 is too small" in log(client, result.id)


def test_a_task_that_vanished_has_an_error_too(tasks: Any, client: Client) -> None:
    result = tasks.vanish.enqueue()
    client.wait(result.id)
    result.refresh()
    [error] = result.errors
    assert error.exception_class.__name__ == "AttemptFailed"
    assert "exit code 9" in error.traceback


def test_a_deferred_task_waits_until_it_is_due(tasks: Any, client: Client) -> None:
    due = datetime.now(UTC) + timedelta(hours=1)  # noqa: TID251 - the test's own
    result = tasks.add.using(run_after=due).enqueue(1, 2)
    wait_until(lambda: client.look(result.id).facts.get("stage") == "scheduled")
    assert tasks.add.get_result(result.id).status == "READY"
    assert client.cancel(result.id).outcome == "cancelled"
    result.refresh()
    assert (result.status, result.errors) == ("FAILED", [])


def test_what_is_no_task_of_this_backend_does_not_exist(
    tasks: Any, shop: Any, client: Client
) -> None:
    from barbeque_py.django.tasks import TaskResultDoesNotExist  # noqa: PLC0415

    message_id = shop.invoice.delay(1).message_id
    client.wait(message_id)
    with pytest.raises(TaskResultDoesNotExist):
        tasks.add.get_result(message_id)

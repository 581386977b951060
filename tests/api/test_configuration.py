"""Apply, apps, queues and dead messages."""

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text as text_of

from barbeque_py.apps import App, JobDefinition, Queue
from barbeque_py.store import apps
from tests.api.served import JOB, Running, bury_one, error_code

FILE = """
apps:
  - name: media
    image: media:2
    process: {path: [bin]}
    jobs:
      - name: Encode
        command: [encode]
        queue: default
        timeout: 15m
queues:
  - name: default
    concurrency: 5
  - name: new
"""
YAML = {"content-type": "application/yaml"}


def apply(api: Running, text: str | bytes, **params: Any) -> Any:
    return api.client.post("/v2/apply", content=text, headers=YAML, params=params)


def changes(api: Running, text: str, **params: Any) -> dict[str, str]:
    answer = apply(api, text, base="/srv/media", **params)
    assert answer.status_code == 200, answer.text
    found = answer.json()["changes"]
    return {f"{each['kind']} {each['name']}": each["change"] for each in found}


def test_apply_says_what_it_changed_and_changes_it(api: Running) -> None:
    first = {
        "queue default": "changed",
        "queue new": "created",
        "app media": "changed",
        "job media/Encode": "created",
    }
    assert changes(api, FILE) == first
    assert set(changes(api, FILE).values()) == {"unchanged"}
    found = api.store.read(lambda tx: apps.get_app(tx, "media"))
    assert found == App("media", "media:2", process_path=("/srv/media/bin",))
    assert api.store.read(lambda tx: apps.get_queue(tx, "default")) == Queue("default", 5)
    api.enqueue(queue="new", job="Encode")


def test_apply_keeps_what_the_file_does_not_name_unless_it_prunes(api: Running) -> None:
    api.store.write(lambda tx: apps.put_app(tx, App("other", "o:1")))
    api.store.write(lambda tx: apps.put_job(tx, JobDefinition("other", "Stays", ("x",))))
    changes(api, FILE)
    assert jobs(api) == {"media/Encode", "media/Thumbnail", "other/Stays"}
    assert changes(api, FILE, prune=1)["job media/Thumbnail"] == "removed"
    assert jobs(api) == {"media/Encode", "other/Stays"}


def test_a_dry_run_tells_and_changes_nothing(api: Running) -> None:
    before = api.get("/v2/apps").json()
    assert changes(api, FILE, dry_run=1, prune=1)["job media/Thumbnail"] == "removed"
    assert api.get("/v2/apps").json() == before
    assert api.post("/v2/job_executions", JOB | {"queue": "new"}).status_code == 404


def jobs(api: Running) -> set[str]:
    return {
        f"{a['name']}/{j['name']}" for a in api.get("/v2/apps").json()["apps"] for j in a["jobs"]
    }


def test_a_queue_that_is_nowhere_is_a_problem_with_its_line_and_the_nearest_name(
    api: Running,
) -> None:
    answer = apply(api, FILE.replace("queue: default", "queue: defualt"), base="/srv")
    assert (answer.status_code, error_code(answer)) == (422, "invalid_manifest")
    (problem,) = answer.json()["problems"]
    assert (problem["line"], problem["path"]) == (9, "apps[0].jobs[0].queue")
    assert "'default'" in problem["message"]
    found = api.store.read(lambda tx: apps.get_app(tx, "media"))
    assert found == App("media", "media:1"), "something of a refused file was stored"


def test_every_fault_of_a_file_is_told_with_its_place(small_api: Running) -> None:
    text = FILE.replace("timeout", "timeuot").replace("media:2", '""')
    answer = apply(small_api, text, base="/srv")
    assert (answer.status_code, error_code(answer)) == (422, "invalid_manifest")
    assert {each["line"] for each in answer.json()["problems"]} == {4, 10}
    assert answer.json()["problems"][0].keys() == {"line", "column", "path", "message"}


@pytest.mark.parametrize("text", ["", "[", "a: &a [*a]", "apps: 1", "\x01", "{}\n---\n{}"])
def test_what_is_no_apply_file_is_422(small_api: Running, text: str) -> None:
    answer = apply(small_api, text)
    assert (answer.status_code, error_code(answer)) == (422, "invalid_manifest")


@pytest.mark.parametrize("base", ["bin", ".", "/a\n"])
def test_base_is_an_absolute_path(small_api: Running, base: str) -> None:
    answer = apply(small_api, FILE, base=base)
    assert (answer.status_code, error_code(answer)) == (400, "invalid_parameter")


def test_apply_takes_yaml_of_up_to_1_mib_in_utf_8(small_api: Running) -> None:
    answer = small_api.client.post("/v2/apply", content=FILE)
    assert (answer.status_code, error_code(answer)) == (400, "invalid_parameter")
    assert error_code(apply(small_api, b"a: \xff")) == "invalid_parameter"
    assert error_code(apply(small_api, "#" * (1024 * 1024 + 1))) == "body_too_large"


def test_apps_show_their_jobs(small_api: Running) -> None:
    (app,) = small_api.get("/v2/apps").json()["apps"]
    assert (app["name"], app["image"]) == ("media", "media:1")
    assert app["jobs"][0]["command"] == ["thumbnail"]
    assert app["jobs"][0]["timeout"] == "1h"


def test_what_a_file_says_of_ecs_is_kept_and_shown(api: Running) -> None:
    text = FILE.replace("image: media:2", "image: media:2\n    ecs: {launch: fargate, gpu:}")
    text = text.replace("timeout: 15m", "ecs: {secrets: {A: /a}}")
    assert set(changes(api, text, prune=1)) >= {"app media", "job media/Encode"}
    assert set(changes(api, text).values()) == {"unchanged"}
    (app,) = api.get("/v2/apps").json()["apps"]
    assert app["ecs"] == {"launch": "fargate", "gpu": None}
    assert app["jobs"][0]["ecs"] == {"secrets": {"A": "/a"}}


def test_an_app_says_nothing_that_its_job_outside_the_file_cant_be_run_with(api: Running) -> None:
    job = JobDefinition("media", "Train", ("train",), ecs={"gpu": 1})
    api.store.write(lambda tx: apps.put_job(tx, job))
    text = FILE.replace("image: media:2", "image: media:2\n    ecs: {launch: fargate}")
    answer = apply(api, text, base="/srv")
    assert (answer.status_code, error_code(answer)) == (422, "invalid_manifest")
    (problem,) = answer.json()["problems"]
    assert (problem["line"], problem["path"]) == (5, "apps[0].ecs.gpu")
    assert "of the job Train, which is not in this file" in problem["message"]
    assert changes(api, text, prune=1)["job media/Train"] == "removed"


def test_a_row_of_the_version_before_is_read_and_written_as_it_was(api: Running) -> None:
    app = api.store.read(lambda tx: apps.get_app(tx, "media"))
    assert app is not None
    specs = api.store.read(
        lambda tx: [
            json.loads(row.spec)
            for table in ("apps", "job_definitions")
            for row in tx.execute(text_of(f"SELECT spec FROM {table}"))
        ]
    )
    assert all(not spec.keys() & {"ecs", "logs"} for spec in specs)
    assert (app.ecs, app.logs) == ({}, "awslogs")


def test_queues_show_what_is_on_them(api: Running) -> None:
    for _ in range(3):
        api.enqueue()
    api.take_in()
    api.start()
    api.enqueue(delay_seconds=60)
    default, slow = api.get("/v2/queues").json()["queues"]
    assert 0 < default.pop("oldest_seconds") < 60
    assert default == {
        "name": "default",
        "concurrency": None,
        "paused_at": None,
        "pause_reason": None,
        "paused_until": None,
        "waiting": 2,
        "running": 1,
        "messages": 1,
        "dead": 0,
    }
    assert slow["concurrency"] == 2


def test_a_queue_is_paused_and_resumed(api: Running) -> None:
    answer = api.post("/v2/queues/default/pause")
    assert answer.status_code == 200
    since = answer.json()["paused_at"]
    assert since is not None
    assert api.post("/v2/queues/default/pause").json()["paused_at"] == since
    resumed = {"name": "default", "paused_at": None, "pause_reason": None, "paused_until": None}
    assert api.post("/v2/queues/default/resume").json() == resumed
    for path in ("/v2/queues/nothing/pause", "/v2/queues/nothing/resume"):
        answer = api.post(path)
        assert (answer.status_code, error_code(answer)) == (404, "record_not_found")


def newest_dead(api: Running) -> dict[str, Any]:
    found = api.get("/v2/dead_messages").json()["dead_messages"]
    assert isinstance(found[0], dict)
    return found[0]


def test_a_dead_message_that_was_edited_keeps_its_public_id(api: Running) -> None:
    message_id = bury_one(api, "not JSON")
    found = newest_dead(api)
    assert (found["body"], found["queue"]) == ("not JSON", "default")
    edited = json.dumps(
        {"Type": "JobExecution", "Application": "media", "Job": "Thumbnail", "Message": 1}
    )
    answer = api.post(f"/v2/dead_messages/{found['id']}/send", {"body": edited})
    assert answer.status_code == 201
    assert answer.json() == {"message_id": message_id, "status": "pending", "id": None}
    assert api.get("/v2/dead_messages").json()["dead_messages"] == []
    assert api.take_in() == 1
    assert api.get(f"/v2/job_executions/{message_id}").json()["message"] == "1"


def test_a_dead_message_that_would_die_at_once_is_not_sent(api: Running) -> None:
    bury_one(api)
    number = newest_dead(api)["id"]
    for body in (None, {"body": "still not JSON"}, {"body": "[]"}, {"body": ""}, {"body": 1}):
        answer = api.post(f"/v2/dead_messages/{number}/send", body)
        assert (answer.status_code, error_code(answer)) == (400, "invalid_parameter")
    assert newest_dead(api)["id"] == number
    assert api.messages() == 0


def test_a_dead_message_is_dropped_once(api: Running) -> None:
    bury_one(api)
    path = f"/v2/dead_messages/{newest_dead(api)['id']}"
    assert api.client.delete(path).status_code == 204
    for answer in (api.client.delete(path), api.post(f"{path}/send")):
        assert (answer.status_code, error_code(answer)) == (404, "record_not_found")


def test_dead_messages_are_listed_newest_first_by_pages(api: Running) -> None:
    for number in range(3):
        bury_one(api, f"body {number}")
    first = api.get("/v2/dead_messages?limit=2").json()
    rest = api.get(f"/v2/dead_messages?limit=2&before={first['next']}").json()
    bodies = [each["body"] for page in (first, rest) for each in page["dead_messages"]]
    assert bodies == ["body 2", "body 1", "body 0"]
    assert rest["next"] is None


def test_paths_in_the_file_need_its_directory(small_api: Running, tmp_path: Path) -> None:
    assert apply(small_api, FILE).status_code == 422
    assert apply(small_api, FILE, base=str(tmp_path)).status_code == 200

"""Barbeque's v1 and v2, as its clients know them (BQ-1 to BQ-21)."""

import re
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from barbeque_py import clock
from barbeque_py.apps import App
from barbeque_py.logs import message_key
from barbeque_py.outcomes import Fate, Reason
from barbeque_py.store import Store, apps
from tests.api.served import (
    FAILURE,
    JOB,
    UNSEEN,
    Running,
    bury_one,
    compact,
    define,
    error_code,
    make_ready,
    parts_of,
    serving,
)

UUID = re.compile(r"[a-f\d]{8}-([a-f\d]{4}-){3}[a-f\d]{12}")


def test_enqueue_answers_201_with_a_pending_status_and_nothing_else(api: Running) -> None:
    answer = api.post("/v2/job_executions", JOB)
    message_id = answer.json()["message_id"]
    assert answer.status_code == 201
    assert UUID.fullmatch(message_id)
    assert answer.text == f'{{"message_id":"{message_id}","status":"pending","id":null}}'
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    "message", [{"a": [1, None]}, [], [1, "x"], "text", "", 7, 1.5, True, False]
)
def test_a_message_may_be_any_json_but_null(api: Running, message: object) -> None:
    message_id = api.enqueue(message=message)
    assert api.take_in() == 1
    found = api.get(f"/v1/job_executions/{message_id}?fields=__default__,message").json()
    assert found["message"] == compact(message)


@pytest.mark.parametrize("name", ["application", "job", "message"])
@pytest.mark.parametrize("null", [True, False])
def test_a_missing_or_null_parameter_is_400(small_api: Running, name: str, null: bool) -> None:
    body = {key: value for key, value in JOB.items() if key != name}
    answer = small_api.post("/v2/job_executions", body | ({name: None} if null else {}))
    assert answer.status_code == 400
    assert error_code(answer) == "invalid_parameter"
    assert name in answer.json()["message"]
    assert small_api.messages() == 0


def test_an_unknown_queue_is_404(small_api: Running) -> None:
    answer = small_api.post("/v2/job_executions", JOB | {"queue": "defualt"})
    assert answer.status_code == 404
    assert error_code(answer) == "record_not_found"
    assert answer.json().keys() == {"status_code", "error_code", "message"}


def test_without_a_queue_the_default_one_is_taken(sqlite_store: Store, tmp_path: Path) -> None:
    sqlite_store.write(define)
    with serving(parts_of(sqlite_store, tmp_path), default_queue="slow") as api:
        api.enqueue(queue=None)
        queues = {each["name"]: each["messages"] for each in api.get("/v2/queues").json()["queues"]}
        assert queues == {"default": 0, "slow": 1}


def test_what_is_delayed_is_taken_in_and_scheduled(api: Running) -> None:
    late = api.enqueue(delay_seconds=900)
    api.enqueue(delay_seconds=0)
    api.enqueue(delay_seconds=None)
    assert api.take_in() == 3
    execution = api.get(f"/v2/job_executions/{late}").json()
    due = datetime.fromisoformat(execution["due_at"]) - datetime.fromisoformat(execution["sent_at"])
    assert execution["stage"] == "scheduled"
    assert due.total_seconds() == pytest.approx(900, abs=5)


@pytest.mark.parametrize("delay", [901, -1, 10**30])
def test_a_delay_out_of_range_is_the_service_s_own_400(small_api: Running, delay: int) -> None:
    answer = small_api.post("/v2/job_executions", JOB | {"delay_seconds": delay})
    assert answer.status_code == 400
    assert answer.json().keys() == {"error"}
    assert "delay_seconds" in answer.json()["error"]
    assert small_api.messages() == 0


@pytest.mark.parametrize("delay", [True, False, 1.5, 1.0, "10", [], {}])
def test_a_delay_of_another_type_is_an_invalid_parameter(small_api: Running, delay: object) -> None:
    answer = small_api.post("/v2/job_executions", JOB | {"delay_seconds": delay})
    assert (answer.status_code, error_code(answer)) == (400, "invalid_parameter")


def test_jobs_are_verified_exactly_when_asked_for(sqlite_store: Store, tmp_path: Path) -> None:
    sqlite_store.write(define)
    parts = parts_of(sqlite_store, tmp_path)
    with serving(parts) as api:
        api.enqueue(job="Nothing")
    with serving(replace(parts, verify_enqueued_jobs=True)) as api:
        answer = api.post("/v2/job_executions", JOB | {"job": "Nothing"})
        assert answer.status_code == 400
        sentence = "JobDefinition 'Nothing' isn't defined in 'media' application"
        assert answer.text == compact({"error": sentence})
        api.enqueue()
        assert api.messages() == 2


def test_status_is_pending_until_a_worker_saw_it_and_then_has_an_id(api: Running) -> None:
    message_id = api.enqueue()
    path = f"/v1/job_executions/{message_id}"
    assert api.get(path).json() == {"message_id": message_id, "status": "pending", "id": None}
    api.take_in()
    found = api.get(path).json()
    assert list(found) == ["message_id", "status", "id"]
    assert (found["status"], type(found["id"])) == ("pending", int)


def test_an_unknown_id_is_pending_and_never_404(api: Running) -> None:
    answer = api.get(f"/v1/job_executions/{UNSEEN}?fields=__default__,html_url,message")
    assert answer.status_code == 200
    assert answer.json() == {
        "message_id": UNSEEN,
        "status": "pending",
        "id": None,
        "html_url": None,
        "message": None,
    }


def test_the_statuses_of_a_job_s_life(api: Running) -> None:
    message_id = api.enqueue()

    def status() -> str:
        return str(api.get(f"/v1/job_executions/{message_id}").json()["status"])

    api.take_in()
    attempt = api.start()
    assert status() == "running"
    api.end(attempt, FAILURE)
    assert status() == "retried"
    make_ready(api)
    api.run(FAILURE)
    assert status() == "failed"


@pytest.mark.parametrize(
    ("fate", "status"),
    [
        (Fate(Reason.EXITED, 0), "success"),
        (Fate(Reason.NEVER_STARTED, detail="no such image"), "error"),
    ],
)
def test_the_statuses_of_other_ends(api: Running, fate: Fate, status: str) -> None:
    message_id = api.enqueue_and_run(fate)
    if status == "error":
        make_ready(api)
        api.run(fate)
    assert api.get(f"/v1/job_executions/{message_id}").json()["status"] == status


def test_a_dead_message_is_an_error_without_an_id(api: Running) -> None:
    message_id = bury_one(api)
    facts = api.get(f"/v1/job_executions/{message_id}").json()
    assert facts == {"message_id": message_id, "status": "error", "id": None}


def test_a_message_cancelled_on_its_way_is_cancelled_without_an_id(api: Running) -> None:
    message_id = api.enqueue()
    api.post(f"/v2/job_executions/{message_id}/cancel")
    path = f"/v1/job_executions/{message_id}?fields=__default__,html_url"
    facts = api.get(path).json()
    assert facts == {"message_id": message_id, "status": "cancelled", "id": None, "html_url": None}
    api.take_in()
    facts = api.get(path).json()
    assert facts["status"] == "cancelled"
    assert facts["id"] is not None


def test_html_url_is_made_of_barbeque_host(sqlite_store: Store, tmp_path: Path) -> None:
    sqlite_store.write(define)
    with serving(parts_of(sqlite_store, tmp_path), host_url="https://bq.example.com/x") as api:
        message_id = api.enqueue()
        path = f"/v1/job_executions/{message_id}?fields=__default__,html_url"
        assert api.get(path).json()["html_url"] is None
        api.take_in()
        url = f"https://bq.example.com/x/job_executions/{message_id}"
        assert api.get(path).json()["html_url"] == url
        only = api.get(f"/v1/job_executions/{message_id}?fields=html_url").json()
        assert only == {"html_url": url}


def test_fields_choose_what_is_told(small_api: Running) -> None:
    message_id = small_api.enqueue()
    small_api.take_in()
    path = f"/v1/job_executions/{message_id}?fields="
    two = small_api.get(path + "html_url,message").json()
    assert two == {"html_url": None, "message": '{"image":"a.jpg"}'}
    everything = small_api.get(path + "*").json()
    assert everything == two | {"message_id": message_id, "status": "pending", "id": 1}


def test_every_option_of_a_request_is_kept_and_followed(small_api: Running) -> None:
    trace = f"00-{'a' * 32}-{'b' * 16}-01"
    options = {
        "user_id": "u1",
        "tags": {"order": "17"},
        "notify": {"email": ["a@example.com"]},
        "timeout": 5,
        "concurrency_key": "customer-1",
    }
    body = JOB | options | {"priority": 7, "run_at": "2026-11-21T20:00:00+09:00"}
    headers = {"traceparent": trace}
    message_id = small_api.post("/v2/job_executions", body, headers=headers).json()["message_id"]
    small_api.take_in()
    found = small_api.get(f"/v2/job_executions/{message_id}").json()
    assert found["options"] == options | {"traceparent": trace}
    assert (found["priority"], found["stage"]) == (7, "ready")
    due_at = clock.rfc3339(clock.now() + timedelta(days=300))
    later = small_api.enqueue(run_at=due_at)
    small_api.take_in()
    found = small_api.get(f"/v2/job_executions/{later}").json()
    assert (found["stage"], found["due_at"]) == ("scheduled", due_at)


def test_a_message_too_large_for_its_row_comes_from_the_log_store(api: Running) -> None:
    message_id = api.enqueue(message={"long": "x" * 20_000})
    api.take_in()
    path = f"/v1/job_executions/{message_id}?fields=message"
    assert api.get(path).json() == {"message": compact({"long": "x" * 20_000})}
    api.parts.logs.remove([message_key("media", "Thumbnail", message_id)])
    assert api.get(path).json() == {"message": None}


@pytest.mark.parametrize("bad", ["x", "1", UNSEEN.upper(), UNSEEN + "0", "%2e%2e", UNSEEN[:-1]])
@pytest.mark.parametrize("route", ["/v1/job_executions/{}", "/v2/job_executions/{}"])
def test_what_is_no_message_id_has_no_address(small_api: Running, bad: str, route: str) -> None:
    answer = small_api.get(route.format(bad))
    assert (answer.status_code, error_code(answer)) == (404, "record_not_found")


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_retry_has_an_id_of_its_own_that_answers_for_the_execution(
    api: Running, version: str
) -> None:
    message_id = api.enqueue_and_run()
    answer = api.client.post(f"/{version}/job_executions/{message_id}/retries")
    retry_id = answer.json()["message_id"]
    assert answer.status_code == 201
    assert answer.text == f'{{"message_id":"{retry_id}","status":"pending"}}'
    assert retry_id != message_id
    first, again = (api.get(f"/v1/job_executions/{each}").json() for each in (message_id, retry_id))
    assert first == again
    assert first["status"] == "retried"
    api.start()
    assert api.get(f"/v1/job_executions/{retry_id}").json()["status"] == "retried"


def test_a_delayed_retry_is_due_later(api: Running) -> None:
    message_id = api.enqueue_and_run()
    answer = api.post(f"/v1/job_executions/{message_id}/retries", {"delay_seconds": 900})
    assert answer.status_code == 201
    assert api.get(f"/v2/job_executions/{message_id}").json()["stage"] == "scheduled"


@pytest.mark.parametrize("delay", [901, -1, "1", 1.5, True])
def test_a_retry_s_delay_is_from_0_to_900(small_api: Running, delay: object) -> None:
    message_id = small_api.enqueue_and_run()
    answer = small_api.post(f"/v1/job_executions/{message_id}/retries", {"delay_seconds": delay})
    assert (answer.status_code, error_code(answer)) == (400, "invalid_parameter")


def test_a_retry_of_an_unknown_execution_is_404(api: Running) -> None:
    answer = api.post(f"/v1/job_executions/{UNSEEN}/retries", {})
    assert (answer.status_code, error_code(answer)) == (404, "record_not_found")


def test_a_retry_of_an_open_execution_is_409(api: Running) -> None:
    message_id = api.enqueue()
    api.take_in()
    answer = api.post(f"/v1/job_executions/{message_id}/retries", {})
    assert (answer.status_code, error_code(answer)) == (409, "conflict")


@pytest.mark.parametrize(
    ("image", "locked"),
    [
        ("media", "media:abc"),
        ("media:1", "media:abc"),
        ("localhost:5000/a/b", "localhost:5000/a/b:abc"),
        ("localhost:5000/a/b:1", "localhost:5000/a/b:abc"),
        ("r.example.com/b@sha256:" + "0" * 64, "r.example.com/b:abc"),
        ("localhost:5000/b:1@sha256:" + "0" * 64, "localhost:5000/b:abc"),
    ],
)
def test_a_revision_lock_changes_the_tag_and_nothing_else(
    small_api: Running, image: str, locked: str
) -> None:
    def stored() -> str:
        found = small_api.store.read(lambda tx: apps.get_app(tx, "media"))
        assert found is not None
        return found.image

    small_api.store.write(lambda tx: apps.put_app(tx, App("media", image, mask=("x",))))
    answer = small_api.post("/v1/apps/media/revision_lock", {"revision": "abc"})
    assert (answer.status_code, answer.text) == (201, '{"revision":"abc"}')
    assert stored() == locked
    answer = small_api.client.delete("/v1/apps/media/revision_lock")
    assert (answer.status_code, answer.content) == (204, b"")
    assert stored() == locked.replace(":abc", ":latest")


def test_a_revision_lock_of_an_unknown_app_is_404(api: Running) -> None:
    for answer in (
        api.post("/v1/apps/nothing/revision_lock", {"revision": "abc"}),
        api.client.delete("/v1/apps/nothing/revision_lock"),
    ):
        assert (answer.status_code, error_code(answer)) == (404, "record_not_found")


@pytest.mark.parametrize("revision", [None, "", "a b", "-x", "a:b", "x" * 129, 1, ["a"]])
def test_a_revision_is_a_tag(small_api: Running, revision: object) -> None:
    answer = small_api.post("/v1/apps/media/revision_lock", {"revision": revision})
    assert (answer.status_code, error_code(answer)) == (400, "invalid_parameter")


@pytest.mark.parametrize("accept", ["text/html", "application/xml", "image/png", ""])
def test_answers_are_json_whatever_is_accepted(small_api: Running, accept: str) -> None:
    headers = {"accept": accept}
    assert small_api.post("/v2/job_executions", JOB, headers=headers).json()["status"] == "pending"
    for path, status, code in (
        ("/v1/nothing", 404, "record_not_found"),
        ("/nothing", 404, "record_not_found"),
        ("/v2/apply", 405, "method_not_allowed"),
        (f"/v1/job_executions/{UNSEEN}/", 404, "record_not_found"),
    ):
        answer = small_api.get(path, headers=headers)
        assert (answer.status_code, error_code(answer)) == (status, code)

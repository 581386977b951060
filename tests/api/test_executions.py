"""v2's own words: executions, their cancellation, and their logs."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from barbeque_py import clock
from barbeque_py.store import Store, Tx, lots
from barbeque_py.store import executions as rows
from barbeque_py.store.lots import Begun, Start
from tests.api.served import (
    FAILURE,
    JOB,
    SUCCESS,
    UNSEEN,
    Running,
    compact,
    define,
    error_code,
    make_ready,
    parts_of,
    serving,
)

LINES = ["out one", "err two", "out+ thr", "out ee \u3042"]


def test_an_execution_shows_everything_with_its_attempts(api: Running) -> None:
    message_id = api.enqueue_and_run(FAILURE, priority=7, tags={"a": "b"})
    make_ready(api)
    api.run()
    found = api.get(f"/v2/job_executions/{message_id}").json()
    assert found["message_id"] == message_id
    assert (found["app"], found["job"], found["queue"]) == ("media", "Thumbnail", "default")
    assert (found["state"], found["stage"], found["status"]) == ("succeeded", "done", "success")
    assert (found["priority"], found["options"]) == (7, {"tags": {"a": "b"}})
    assert found["message"] == compact(JOB["message"])
    assert [each["number"] for each in found["attempts"]] == [1, 2]
    assert [each["exit_code"] for each in found["attempts"]] == [3, 0]
    assert [each["counted"] for each in found["attempts"]] == [True, True]
    assert found["attempts"][0]["id"] == f"{message_id}-1"
    assert found["attempts"][0]["log"]["sealed_at"] is None
    for name in ("sent_at", "recorded_at", "due_at", "finished_at"):
        assert found[name].endswith("Z")
        assert found[name][10] == "T"


def test_an_execution_tells_its_steps_and_what_its_attempts_took_up(api: Running) -> None:
    message_id = api.enqueue_and_run(FAILURE)
    make_ready(api)
    attempt = api.start()
    api.store.shift += timedelta(seconds=10)

    def started_before(tx: Tx) -> None:
        begun = Begun(attempt, tx.now - timedelta(seconds=8), tx.now, version=1)
        seen = Start(attempt, "c", None, tx.now, None, attended=True)
        assert lots.mark_each_running(tx, [seen]) == [True]
        assert lots.note_starts(tx, [begun]) == 1

    api.store.write(started_before)
    api.end(attempt, SUCCESS)
    api.store.shift -= timedelta(seconds=10)
    found = api.get(f"/v2/job_executions/{message_id}").json()
    first, second = found["attempts"]
    assert (first["cost"]["cpu"], first["cost"]["memory"]) == (256, 512)
    assert second["cost"]["vcpu_seconds"] == pytest.approx(256 / 1024 * 8, abs=0.1)
    assert second["cost"]["gb_seconds"] == pytest.approx(0.5 * 8, abs=0.1)
    assert found["cost"]["seconds"] == pytest.approx(8, abs=0.1)
    steps = [(each["event"], each["attempt"]) for each in found["timeline"]]
    assert steps[:2] == [("enqueued", None), ("taken in", None)]
    assert [each for each in steps if each[1] == 2] == [
        ("claimed", 2),
        ("called", 2),
        ("started", 2),
        ("ended", 2),
    ]
    assert steps[-1] == ("succeeded", None)
    ended = next(
        each for each in found["timeline"] if each["event"] == "ended" and each["attempt"] == 2
    )
    assert ended["after"] == pytest.approx(8, abs=0.1)


def test_why_it_waits_is_told_also_of_an_id_that_nobody_has_seen(api: Running) -> None:
    message_id = api.enqueue()
    found = api.get(f"/v2/job_executions/{message_id}/waiting").json()
    assert (found["state"], found["waiting"]["cause"]) == (None, "no worker")
    api.take_in()
    found = api.get(f"/v2/job_executions/{message_id}/waiting").json()
    assert (found["state"], found["waiting"]["cause"]) == ("queued", "no worker")
    shown = api.get(f"/v2/job_executions/{message_id}").json()
    assert shown["waiting"] == found["waiting"]
    api.run()
    assert api.get(f"/v2/job_executions/{message_id}/waiting").json()["waiting"] is None
    assert api.get("/v2/job_executions/x/waiting").status_code == 404


def test_an_execution_that_no_worker_saw_is_404(api: Running) -> None:
    message_id = api.enqueue()
    for each in (UNSEEN, message_id):
        answer = api.get(f"/v2/job_executions/{each}")
        assert (answer.status_code, error_code(answer)) == (404, "record_not_found")


def test_lists_are_newest_first_and_go_on_below_the_last_id(api: Running) -> None:
    ids = [api.enqueue() for _ in range(5)]
    api.take_in()
    first = api.get("/v2/job_executions?limit=2").json()
    second = api.get(f"/v2/job_executions?limit=2&before={first['next']}").json()
    third = api.get(f"/v2/job_executions?limit=2&before={second['next']}").json()
    found = [
        each["message_id"] for page in (first, second, third) for each in page["job_executions"]
    ]
    assert found == ids[::-1]
    assert third["next"] is None
    assert "message" not in first["job_executions"][0]


def test_lists_can_be_narrowed_and_hide_tombstones(api: Running) -> None:
    cancelled = api.enqueue()
    api.post(f"/v2/job_executions/{cancelled}/cancel")
    assert listed(api) == []
    assert api.take_in() == 1
    done = api.enqueue_and_run()
    waiting = api.enqueue()
    api.take_in()
    assert listed(api) == [waiting, done, cancelled]
    assert listed(api, state="succeeded") == [done]
    assert listed(api, state="queued", app="media", job="Thumbnail", queue="default") == [waiting]
    for name in ("app", "job", "queue"):
        assert listed(api, **{name: "nothing"}) == []


def test_lists_are_narrowed_by_user_tags_time_status_and_id(api: Running) -> None:
    began = api.store.read(lambda tx: tx.now)
    mine = api.enqueue(user_id="u1", tags={"env": "prod", "size": "a=b"})
    other = api.enqueue(user_id="u2", tags={"env": "prod"})
    api.take_in()
    assert listed(api, user="u1") == [mine]
    assert listed(api, app="media", tag=["env=prod"]) == [other, mine]
    assert listed(api, app="media", tag=["env=prod", "size=a=b"]) == [mine]
    assert listed(api, since=began.isoformat()) == [other, mine]
    assert listed(api, until=began.isoformat()) == []
    assert listed(api, status="pending") == [other, mine]
    assert listed(api, status="success") == []
    assert listed(api, attempt="0", duration=">1s") == listed(api, attempt=">0", exit="137") == []
    assert listed(api, attempt="<=0", text='{"') == [other, mine]
    assert listed(api, id=mine) == [mine]
    assert set(listed(api, id=mine[:8])) >= {mine}
    answer = api.get(f"/v2/job_executions?id={mine[:8]}&before=188188")
    assert (answer.status_code, "before" in answer.json()["message"]) == (400, True)
    shown = api.get("/v2/job_executions", params={"user": "u1"}).json()["job_executions"][0]
    assert (shown["user_id"], shown["retries"]) == ("u1", 0)


@pytest.mark.parametrize(
    ("query", "word"),
    [
        ("colour=red", "colour"),
        ("state=done", "state"),
        ("status=queued", "status"),
        ("since=2026-11-21T20:00:00", "since"),
        ("since=0.0", "since"),
        ("id=0198", "id"),
        ("tag=env=prod", "name the app"),
        ("app=media&tag==x", "NAME=VALUE"),
        ("exit=odd", "exit"),
        ("attempt=%3E", "attempt"),
        ("duration=%3Elong", "duration"),
        ("limit=201", "limit"),
    ],
)
def test_what_a_list_can_not_be_narrowed_by_is_named(api: Running, query: str, word: str) -> None:
    answer = api.get(f"/v2/job_executions?{query}")
    assert (answer.status_code, error_code(answer)) == (400, "invalid_parameter")
    assert word in answer.json()["message"]


def listed(api: Running, **params: Any) -> list[str]:
    found = api.get("/v2/job_executions", params=params).json()["job_executions"]
    return [each["message_id"] for each in found]


def test_cancel_says_what_it_did(api: Running) -> None:
    unseen, waiting = api.enqueue(), api.enqueue()
    assert cancelled(api, unseen) == (200, "cancelled before a worker saw it")
    assert api.take_in() == 2
    assert cancelled(api, waiting) == (200, "cancelled")
    assert cancelled(api, waiting) == (200, "already ended")
    api.enqueue(job="Thumbnail")
    api.take_in()
    running = api.start().rsplit("-", 1)[0]
    assert cancelled(api, running) == (202, "cancel requested")
    assert api.get(f"/v2/job_executions/{running}").json()["cancel_requested_at"] is not None
    assert cancelled(api, running, {"force": True}) == (202, "kill requested")
    answer = api.post(f"/v2/job_executions/{running}/cancel", {"force": "yes"})
    assert answer.status_code == 400


def test_an_app_cancels_its_own_executions_only(api: Running) -> None:
    message_id = api.enqueue()
    api.take_in()
    answer = api.post(f"/v2/job_executions/{message_id}/cancel", {"application": "other"})
    assert (answer.status_code, error_code(answer)) == (404, "record_not_found")
    assert cancelled(api, message_id, {"application": "media"}) == (200, "cancelled")


@pytest.mark.mariadb
def test_a_cancel_that_meets_the_intake_of_its_message_cancels_the_execution(
    mariadb_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mariadb_store.write(define)
    add = rows.add_missing

    def take_in_first(tx: Tx, new: Sequence[dict[str, Any]]) -> None:
        monkeypatch.setattr(rows, "add_missing", add)
        assert api.take_in() == 1
        add(tx, new)

    with serving(parts_of(mariadb_store, tmp_path)) as api:
        message_id = api.enqueue()
        monkeypatch.setattr(rows, "add_missing", take_in_first)
        assert cancelled(api, message_id) == (200, "cancelled")
        assert api.get(f"/v2/job_executions/{message_id}").json()["state"] == "cancelled"


def cancelled(api: Running, message_id: str, body: object = None) -> tuple[int, str]:
    answer = api.post(f"/v2/job_executions/{message_id}/cancel", body)
    assert answer.json()["message_id"] == message_id
    return answer.status_code, answer.json()["outcome"]


def log(api: Running, message_id: str, **params: Any) -> dict[str, Any]:
    answer = api.get(f"/v2/job_executions/{message_id}/log", params=params)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert isinstance(found, dict)
    return found


def test_a_log_is_read_by_line_numbers(small_api: Running) -> None:
    message_id = small_api.enqueue_and_run()
    small_api.write_log(message_id, *LINES, sealed=True)
    whole = log(small_api, message_id)
    assert whole["lines"][1] == {
        "n": 1,
        "at": "2026-11-21T20:00:00.000001Z",
        "stream": "err",
        "text": "two",
        "newline": True,
    }
    assert whole["lines"][2]["newline"] is False
    assert {name: whole[name] for name in ("attempt", "next", "sealed", "total", "ended")} == {
        "attempt": 1,
        "next": 4,
        "sealed": True,
        "total": 4,
        "ended": True,
    }
    assert [each["n"] for each in log(small_api, message_id, first=1, count=2)["lines"]] == [1, 2]
    assert [each["n"] for each in log(small_api, message_id, first=-1)["lines"]] == [3]
    assert [each["n"] for each in log(small_api, message_id, stream="err")["lines"]] == [1]


def test_a_log_follows_what_is_written(small_api: Running) -> None:
    message_id = small_api.enqueue()
    small_api.take_in()
    small_api.start()
    small_api.write_log(message_id, "out one", sealed=False)
    assert log(small_api, message_id)["next"] == 1
    with ThreadPoolExecutor(1) as clients:
        following = clients.submit(log, small_api, message_id, first=1, wait=20)
        time.sleep(0)
        small_api.write_log(message_id, "out two", first=1, sealed=False)
        found = following.result()
    assert [each["text"] for each in found["lines"]] == ["two"]
    assert (found["next"], found["sealed"], found["ended"]) == (2, False, False)


def test_waiting_ends_with_its_time_and_at_once_when_the_log_is_sealed(small_api: Running) -> None:
    message_id = small_api.enqueue()
    small_api.take_in()
    assert log(small_api, message_id) == {
        "attempt": None,
        "lines": [],
        "next": 0,
        "sealed": False,
        "total": None,
        "ended": False,
    }
    attempt = small_api.start()
    began = clock.monotonic()
    assert log(small_api, message_id, wait=0.3)["lines"] == []
    assert clock.monotonic() - began >= 0.3
    small_api.end(attempt, FAILURE)
    small_api.write_log(message_id, "out one", sealed=True)
    began = clock.monotonic()
    assert log(small_api, message_id, first=1, wait=20)["sealed"] is True
    assert clock.monotonic() - began < 18


def test_the_log_of_what_never_ran_is_complete_and_empty(small_api: Running) -> None:
    message_id = small_api.enqueue()
    small_api.take_in()
    small_api.post(f"/v2/job_executions/{message_id}/cancel")
    found = log(small_api, message_id, wait=20)
    assert (found["lines"], found["sealed"], found["ended"]) == ([], True, True)


def test_a_raw_log_is_what_the_job_wrote(small_api: Running) -> None:
    message_id = small_api.enqueue_and_run()
    small_api.write_log(message_id, *LINES, sealed=True)
    answer = small_api.get(f"/v2/job_executions/{message_id}/log/raw?attempt=1")
    assert answer.text == "one\ntwo\nthree \u3042\n"
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert f'filename="{message_id}-1.log"' in answer.headers["content-disposition"]
    answer = small_api.get(f"/v2/job_executions/{message_id}/log/raw?stream=err")
    assert answer.text == "two\n"


@pytest.mark.parametrize("route", ["log", "log/raw"])
def test_a_log_that_is_not_there_is_404(small_api: Running, route: str) -> None:
    message_id = small_api.enqueue_and_run()
    for path in (
        f"/v2/job_executions/{UNSEEN}/{route}",
        f"/v2/job_executions/{message_id}/{route}?attempt=2",
        f"/v2/job_executions/x/{route}",
    ):
        answer = small_api.get(path)
        assert (answer.status_code, error_code(answer)) == (404, "record_not_found")


def test_a_damaged_log_is_503_and_no_short_file(small_api: Running) -> None:
    message_id = small_api.enqueue_and_run()
    small_api.parts.logs.put(f"media/Thumbnail/{message_id}/1/log.gz", [b"no gzip"])
    for route in ("log", "log/raw"):
        answer = small_api.get(f"/v2/job_executions/{message_id}/{route}")
        assert answer.status_code == 503
        assert answer.headers["content-type"] == "application/problem+json"

"""Schedules by HTTP: what the apply file makes, when each runs next, suspend, resume and run."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from barbeque_py.store import Store, tables
from tests.api.served import Running, error_code

FILE = """
apps:
  - name: media
    image: media:1
    jobs:
      - {name: Other, command: other}
      - name: Thumbnail
        command: thumbnail
        schedules:
          - name: nightly
            cron: 30 2 * * *
            timezone: Europe/Berlin
            message: {kind: nightly}
            overlap: skip
          - {name: often, cron: "*/5 * * * *", queue: slow}
queues: [{name: default}, {name: slow}]
"""
NIGHTLY = "/v2/schedules/media/Thumbnail/nightly"


def apply(api: Running, text: str = FILE, **params: Any) -> dict[str, str]:
    """Apply the file; return what became of each schedule."""
    answer = api.client.post(
        "/v2/apply", content=text, params=params, headers={"content-type": "application/yaml"}
    )
    assert answer.status_code == 200, answer.text
    changes = answer.json()["changes"]
    return {each["name"]: each["change"] for each in changes if each["kind"] == "schedule"}


def schedules(api: Running, **params: str) -> dict[str, dict[str, Any]]:
    found = api.get("/v2/schedules", params=params).json()["schedules"]
    return {each["name"]: each for each in found}


def test_the_apply_file_makes_changes_and_removes_schedules(api: Running) -> None:
    keys = ["media/Thumbnail/nightly", "media/Thumbnail/often"]
    assert apply(api, dry_run=True) == dict.fromkeys(keys, "created")
    assert schedules(api) == {}
    assert apply(api) == dict.fromkeys(keys, "created")
    assert apply(api) == dict.fromkeys(keys, "unchanged")
    other = FILE.replace("overlap: skip", "overlap: wait")
    assert apply(api, other) == {keys[0]: "changed", keys[1]: "unchanged"}
    without = "\n".join(line for line in FILE.splitlines() if "often" not in line)
    assert apply(api, without) == {keys[0]: "changed", keys[1]: "removed"}
    assert schedules(api).keys() == {"nightly"}
    assert apply(api, "apps: [{name: media, image: media:1}]") == {}
    assert schedules(api).keys() == {"nightly"}
    gone = apply(api, "apps: [{name: media, image: media:1}]", prune=True)
    assert gone == {keys[0]: "removed"}
    assert schedules(api) == {}


def test_what_is_exported_makes_the_same_schedules(small_api: Running) -> None:
    apply(small_api)
    text = small_api.get("/v2/export").text
    assert set(apply(small_api, text).values()) == {"unchanged"}
    assert len(apply(small_api, text)) == 2
    assert "slow" in small_api.get("/v2/export", params={"app": "media"}).text


def test_a_queue_that_is_not_there_is_told_with_its_line(small_api: Running) -> None:
    answer = small_api.client.post(
        "/v2/apply",
        content=FILE.replace("queue: slow", "queue: slwo"),
        headers={"content-type": "application/yaml"},
    )
    (problem,) = answer.json()["problems"]
    assert problem["path"] == "apps[0].jobs[1].schedules[1].queue"
    assert problem["line"] == 15
    assert "did you mean 'slow'" in problem["message"]


def test_each_is_shown_with_its_next_times(small_api: Running) -> None:
    apply(small_api)
    nightly = schedules(small_api, app="media")["nightly"]
    times = [datetime.fromisoformat(each) for each in nightly.pop("next")]
    assert nightly == {
        "app": "media",
        "job": "Thumbnail",
        "name": "nightly",
        "cron": "30 2 * * *",
        "timezone": "Europe/Berlin",
        "message": {"kind": "nightly"},
        "queue": None,
        "overlap": "skip",
        "catch_up": "one",
        "catch_up_limit": 100,
        "suspended_at": None,
        "suspended_until": None,
        "suspend_reason": None,
        "waiting": None,
        "last_at": None,
        "last_message_id": None,
    }
    assert len(times) == 5
    assert times == sorted(set(times))
    assert {(each.hour, each.minute) for each in times} <= {(0, 30), (1, 30), (1, 0)}
    assert schedules(small_api, app="other") == {}


def test_suspend_and_resume_leave_one_row_of_the_audit_each(small_api: Running) -> None:
    apply(small_api)
    for _ in "ab":
        answer = small_api.post(f"{NIGHTLY}/suspend")
        assert answer.status_code == 200
        assert answer.json()["suspended_at"] is not None
        assert answer.json()["next"] == []
    assert apply(small_api, FILE.replace("skip", "wait"))["media/Thumbnail/nightly"] == "changed"
    assert schedules(small_api)["nightly"]["suspended_at"] is not None
    for _ in "ab":
        answer = small_api.post(f"{NIGHTLY}/resume")
        assert answer.json()["suspended_at"] is None
        assert len(answer.json()["next"]) == 5
    told = ["create", "create", "suspend", "change", "resume"]
    assert audited(small_api.store) == [f"schedule.{each}" for each in told]


def test_a_suspension_has_a_reason_and_an_end(small_api: Running) -> None:
    apply(small_api)
    small_api.post(f"{NIGHTLY}/suspend")
    found = small_api.post(f"{NIGHTLY}/suspend", {"reason": "moved", "lasts": "2h"}).json()
    assert found["suspend_reason"] == "moved"
    since, until = (datetime.fromisoformat(found[f"suspended_{each}"]) for each in ("at", "until"))
    assert until - since >= timedelta(hours=2)
    assert audited(small_api.store)[-2:] == ["schedule.suspend"] * 2
    for wrong in ({"lasts": "soon"}, {"lasts": "0s"}, {"lasts": "367d"}, {"reason": "x" * 501}):
        assert small_api.post(f"{NIGHTLY}/suspend", wrong).status_code == 400
    found = small_api.post(f"{NIGHTLY}/resume").json()
    assert (found["suspended_until"], found["suspend_reason"]) == (None, None)


def test_run_runs_it_now_whatever_the_clock_says(small_api: Running) -> None:
    apply(small_api)
    small_api.post(f"{NIGHTLY}/suspend")
    answer = small_api.post(f"{NIGHTLY}/run")
    assert answer.status_code == 201
    message_id = answer.json()["message_id"]
    assert small_api.take_in() == 1
    found = small_api.get(f"/v2/job_executions/{message_id}").json()
    assert (found["job"], found["message"]) == ("Thumbnail", '{"kind":"nightly"}')
    assert found["options"]["tags"] == {"schedule": "nightly"}
    assert audited(small_api.store)[-1] == "schedule.run"


def audited(store: Store) -> list[str]:
    audit = tables.people.audit
    query = select(audit.c.action).where(audit.c.app == "media", audit.c.action.like("schedule.%"))
    return [row.action for row in store.read(lambda tx: tx.execute(query).all())]


@pytest.mark.parametrize("verb", ["suspend", "resume", "run"])
def test_what_is_not_there_is_404(small_api: Running, verb: str) -> None:
    apply(small_api)
    for name in ("media/Thumbnail/none", "media/Other/nightly", "other/Thumbnail/nightly"):
        answer = small_api.post(f"/v2/schedules/{name}/{verb}")
        assert (answer.status_code, error_code(answer)) == (404, "record_not_found")

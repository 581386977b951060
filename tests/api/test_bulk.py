"""Many executions at once over HTTP: counted, guarded, done, and told of."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from barbeque_py.apps import App
from barbeque_py.identity import EVERYBODY, Scope
from barbeque_py.issue import Wish, issue
from barbeque_py.store import Store, Tx, apps
from barbeque_py.store.tables.people import audit
from barbeque_py.wake import Bell
from tests.api.served import (
    FAILURE,
    JOB,
    SUCCESS,
    UNSEEN,
    Running,
    bury_one,
    compact,
    error_code,
    serving,
)

PATH = "/v2/job_executions/bulk"


def ask(api: Running, action: str = "cancel", **more: Any) -> httpx.Response:
    return api.post(PATH, {"action": action, "filter": {"app": "media"}} | more)


def audited(store: Store) -> list[tuple[str, str]]:
    def read(tx: Tx) -> list[tuple[str, str]]:
        rows = tx.execute(select(audit.c.action, audit.c.app).order_by(audit.c.id))
        return [(row.action, row.app) for row in rows if row.action.startswith("executions.")]

    return store.read(read)


def test_they_are_counted_then_changed_and_audited_once(small_api: Running) -> None:
    ids = [small_api.enqueue(tags={"env": "test"}) for _ in range(3)]
    small_api.take_in()
    counted = ask(small_api, dry_run=True)
    assert counted.json() == {"action": "cancel", "dry_run": True, "found": 3}
    assert audited(small_api.store) == []
    refused = ask(small_api, expected=2)
    assert (refused.status_code, error_code(refused)) == (409, "conflict")
    assert "3 match now, and 2 were expected" in refused.json()["message"]
    wanted = {"app": "media", "tag": ["env=test"]}
    done = ask(small_api, filter=wanted, expected=3)
    assert done.status_code == 200, done.text
    facts = done.json()
    assert (facts["found"], facts["changed"], facts["left_alone"]) == (3, 3, 0)
    assert (facts["filter"], facts["finished_at"] is not None) == (wanted, True)
    assert small_api.get(f"{PATH}/{facts['id']}").json() == facts
    assert small_api.post(f"{PATH}/{facts['id']}").json() == facts
    found = small_api.get("/v2/job_executions?status=cancelled").json()["job_executions"]
    assert [each["message_id"] for each in found] == ids[::-1]
    assert audited(small_api.store) == [("executions.cancel", "media")]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"action": "burn"}, "action"),
        ({"filter": {}}, "empty"),
        ({"filter": None}, "empty"),
        ({"filter": {"colour": "red"}}, "colour"),
        ({"filter": {"state": "done"}}, "state"),
        ({"filter": {"tag": ["a=b"]}}, "name the app"),
        ({"filter": {"app": "media", "limit": 3}}, "limit"),
        ({"image": "newest"}, "image"),
        ({"dry_run": 1.5}, "dry_run"),
        ({"expected": None}, "expected"),
        ({"expected": True}, "expected"),
        ({"more": 1}, "more"),
    ],
)
def test_a_faulty_request_names_its_fault(
    small_api: Running, change: dict[str, Any], word: str
) -> None:
    answer = ask(small_api, **change)
    assert (answer.status_code, error_code(answer)) == (400, "invalid_parameter")
    assert word in answer.json()["message"]


def test_what_takes_long_goes_on_with_the_next_request(
    small_api: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("barbeque_api.bulk._TURN", 0.0)
    monkeypatch.setattr("barbeque_py.bulk._BATCH", 2)
    for _ in range(5):
        small_api.enqueue()
    small_api.take_in()
    answer = ask(small_api, expected=5)
    assert (answer.status_code, answer.json()["changed"]) == (202, 2)
    path = f"{PATH}/{answer.json()['id']}"
    assert small_api.get(path).json()["finished_at"] is None
    codes = [small_api.post(path).status_code for _ in range(2)]
    assert codes == [202, 200]
    assert small_api.get(path).json()["changed"] == 5


def test_an_app_s_token_changes_what_is_its_own(small_api: Running, tmp_path: Path) -> None:
    theirs = small_api.enqueue()
    small_api.take_in()
    small_api.store.write(lambda tx: apps.put_app(tx, App("other", "other:1")))
    with serving(replace(small_api.parts, bell=Bell(tmp_path)), ask_for_tokens=True) as asking:
        shown = {}
        own = {Scope.ENQUEUE, Scope.READ, Scope.LOGS}
        for name, scopes in (("own", own), ("all", {Scope.ADMIN})):
            wish = Wish(name, frozenset(scopes), "other" if name == "own" else None)
            _, text = asking.store.write(lambda tx, wish=wish: issue(tx, EVERYBODY, wish))  # type: ignore[misc]
            shown[name] = {"authorization": f"Bearer {text}"}
        wanted = {"action": "cancel", "filter": {"state": "queued"}, "dry_run": True}
        assert asking.post(PATH, wanted, headers=shown["own"]).json()["found"] == 0
        assert asking.post(PATH, wanted, headers=shown["all"]).json()["found"] == 1
        other = wanted | {"filter": {"app": "media"}}
        assert asking.post(PATH, other, headers=shown["own"]).status_code == 404
        deleting = wanted | {"action": "delete"}
        assert asking.post(PATH, deleting, headers=shown["own"]).status_code == 403
        real = {"action": "cancel", "filter": {"app": "media"}, "expected": 1}
        number = asking.post(PATH, real, headers=shown["all"]).json()["id"]
        assert asking.get(f"{PATH}/{number}", headers=shown["own"]).status_code == 404
        stream = f"/v2/job_executions/{theirs}/log/stream"
        assert asking.get(stream, headers=shown["own"]).status_code == 404
        told = [
            asking.get(f"/v2/job_executions/{each}/waiting", headers=shown["own"]).json()
            for each in (theirs, UNSEEN)
        ]
        assert told[0] == told[1] | {"message_id": theirs}, "as of an id that nobody knows"
        listed = asking.get(f"/v2/job_executions?id={theirs}", headers=shown["own"]).json()
        assert listed["job_executions"] == []


def test_a_bulk_change_that_is_not_there_is_404(small_api: Running) -> None:
    assert small_api.get(f"{PATH}/99999").status_code == 404
    assert small_api.post(f"{PATH}/99999").status_code == 404


def test_a_retry_takes_another_message_small_or_large(small_api: Running) -> None:
    message_id = small_api.enqueue_and_run(FAILURE)
    path = f"/v2/job_executions/{message_id}"
    assert small_api.post(f"{path}/cancel").status_code == 200
    retried = small_api.post(f"{path}/retries", {"message": {"n": 2}})
    assert retried.status_code == 201, retried.text
    assert small_api.get(path).json()["message"] == '{"n":2}'
    small_api.run(SUCCESS)
    large = {"text": "x" * 20_000}
    again = small_api.post(f"{path}/retries", {"message": large})
    assert again.status_code == 201, again.text
    assert small_api.get(path).json()["message"] == compact(large)
    folder = f"media/Thumbnail/{message_id}"
    key = f"{folder}/message-{again.json()['message_id']}.json"
    assert small_api.parts.logs.names(f"{folder}/") == [key]
    refused = small_api.post(f"{path}/retries", {"message": None})
    assert (refused.status_code, "null" in refused.text) == (400, True)


def test_a_pause_has_a_reason_and_queues_tell_their_oldest_and_their_dead(
    small_api: Running,
) -> None:
    paused = small_api.post("/v2/queues/default/pause", {"reason": "a test"}).json()
    assert paused["pause_reason"] == "a test"
    small_api.enqueue()
    small_api.take_in()
    queue = small_api.get("/v2/queues").json()["queues"][0]
    assert (queue["pause_reason"], queue["waiting"], queue["dead"]) == ("a test", 1, 0)
    assert 0 <= queue["oldest_seconds"] < 60
    resumed = small_api.post("/v2/queues/default/resume").json()
    assert (resumed["paused_at"], resumed["pause_reason"]) == (None, None)
    refused = small_api.post("/v2/queues/default/pause", {"reason": "x" * 501})
    assert refused.status_code == 400


def test_a_dead_message_is_sent_again_only_if_intake_would_take_it(small_api: Running) -> None:
    bury_one(small_api)
    number = small_api.get("/v2/dead_messages").json()["dead_messages"][0]["id"]
    body = {"Type": "JobExecution", "Application": "media", "Job": "Nowhere", "Message": {}}
    refused = small_api.post(f"/v2/dead_messages/{number}/send", {"body": compact(body)})
    assert refused.status_code == 400
    assert "no job Nowhere is defined in the app media" in refused.json()["message"]
    body["Job"] = JOB["job"]
    sent = small_api.post(f"/v2/dead_messages/{number}/send", {"body": compact(body)})
    assert sent.status_code == 201, sent.text

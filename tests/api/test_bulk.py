"""Many executions at once over HTTP: counted, guarded, done, and told of."""

from typing import Any

import httpx
import pytest
from sqlalchemy import select

from barbeque_py.store import Store, Tx
from barbeque_py.store.tables import audit
from tests.api.served import FAILURE, JOB, SUCCESS, Running, bury_one, compact, error_code

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

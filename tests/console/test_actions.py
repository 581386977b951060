"""Buttons: forms without scripts, from the console's own pages only."""

import json
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from barbeque_py.executions import State
from barbeque_py.intake import Intake
from barbeque_py.outcomes import Fate, Reason
from barbeque_py.store import apps, attempts, audit, dead
from barbeque_py.store import executions as rows
from barbeque_py.store.executions import Execution
from tests.asking import open_client
from tests.console.rigs import Place, open_place, serve_console

FOREIGN = [
    {},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"sec-fetch-site": "none"},
    {"origin": "https://evil.example"},
    {"origin": "null"},
    {"origin": ""},
]


def found(place: Place, message_id: str) -> Execution:
    execution = place.store.read(lambda tx: rows.by_message_id(tx, message_id))
    assert execution is not None
    return execution


def test_retry_gives_an_ended_execution_another_round(place: Place, browser: httpx.Client) -> None:
    message_id = place.enqueue()
    place.settle(place.start(), Fate(Reason.EXITED, 0))
    page = f"/job_executions/{message_id}"
    assert f'action="{page}/retry"' in browser.get(page).text
    answer = browser.post(f"{page}/retry")
    assert answer.status_code == 303
    assert answer.headers["location"] == f"{page}?notice=retried"
    assert found(place, message_id).round == 2
    after = browser.get(answer.headers["location"]).text
    assert "a new round has begun" in after
    assert f'action="{page}/retry"' not in after


def test_a_second_retry_is_refused_and_changes_nothing(place: Place, browser: httpx.Client) -> None:
    message_id = place.enqueue()
    answer = browser.post(f"/job_executions/{message_id}/retry")
    assert answer.status_code == 409
    assert "has not ended yet" in answer.text
    assert found(place, message_id).round == 1


def test_cancel_ends_what_waits_and_asks_what_runs(place: Place, browser: httpx.Client) -> None:
    runs = place.enqueue()
    place.start()
    waits = place.enqueue()
    for message_id, notice in ((waits, "cancelled"), (runs, "cancelling")):
        answer = browser.post(f"/job_executions/{message_id}/cancel")
        assert answer.headers["location"].endswith(f"?notice={notice}")
    assert found(place, waits).state is State.CANCELLED
    assert found(place, runs).cancel_requested_at is not None
    page = browser.get(f"/job_executions/{runs}").text
    assert "Being stopped" in page
    assert f'action="/job_executions/{runs}/kill"' in page
    answer = browser.post(f"/job_executions/{runs}/kill")
    assert answer.headers["location"].endswith("?notice=killing")
    [attempt] = place.store.read(lambda tx: attempts.of_execution(tx, found(place, runs).id))
    assert attempt.stop_requested_at is not None
    [killed, *_] = place.store.read(lambda tx: audit.newest(tx, audit.Wanted(), most=5))
    assert (killed.action, killed.subject) == ("execution.kill", f"execution:{runs}")


def test_cancelling_an_unknown_id_leaves_no_trace(place: Place, browser: httpx.Client) -> None:
    unknown = "0199f3a0-0000-7000-8000-000000000001"
    assert browser.post(f"/job_executions/{unknown}/cancel").status_code == 404
    assert place.store.read(lambda tx: rows.by_message_id(tx, unknown)) is None


def test_a_queue_is_paused_and_resumed(place: Place, browser: httpx.Client) -> None:
    assert 'href="/queues/slow/pause"' in browser.get("/queues").text
    assert 'action="/queues/slow/pause"' in browser.get("/queues/slow/pause").text
    assert browser.get("/queues/nope/pause").status_code == 404
    said = {"reason": "the disk is full", "lasts": "1h"}
    assert browser.post("/queues/slow/pause", data=said).status_code == 303
    assert "the disk is full" in browser.get("/queues").text
    waits = place.enqueue(queue="slow")
    assert "(the disk is full)" in browser.get(f"/job_executions/{waits}").text
    assert "slow" in place.store.read(apps.paused_queues)
    assert 'action="/queues/slow/resume"' in browser.get("/queues").text
    assert browser.post("/queues/slow/resume").status_code == 303
    assert place.store.read(apps.paused_queues) == {}
    assert browser.post("/queues/nope/pause").status_code == 404


def test_a_dead_message_sent_again_becomes_the_execution_its_sender_knows(
    place: Place, browser: httpx.Client
) -> None:
    body = {"Type": "JobExecution", "Application": "media", "Job": "Flaky", "Message": {"x": 1}}
    place.bury(json.dumps(body), "no job Flaky is defined")
    [message] = place.store.read(dead.newest)
    assert "no job Flaky is defined" in browser.get("/dead_messages").text
    assert browser.post(f"/dead_messages/{message.id}/send").status_code == 303
    assert place.store.read(dead.newest) == []
    Intake(place.store, place.parts.broker, place.logs).take("default", wait=timedelta(0))
    assert message.message_id is not None
    assert found(place, message.message_id).job == "Flaky"
    assert browser.post(f"/dead_messages/{message.id}/send").status_code == 404


def test_a_dead_message_that_can_be_no_job_can_only_be_dropped(
    place: Place, browser: httpx.Client
) -> None:
    place.bury("not json", "not JSON")
    [message] = place.store.read(dead.newest)
    assert "Send again" not in browser.get("/dead_messages").text
    assert browser.post(f"/dead_messages/{message.id}/send").status_code == 409
    assert browser.post(f"/dead_messages/{message.id}/drop").status_code == 303
    assert place.store.read(dead.newest) == []
    assert browser.post(f"/dead_messages/{message.id}/drop").status_code == 404


@pytest.mark.parametrize("headers", FOREIGN)
def test_a_form_of_another_site_is_refused_and_changes_nothing(
    place: Place, address: str, headers: dict[str, str]
) -> None:
    message_id = place.enqueue()
    place.bury("{}", "Type is missing")
    for path in (
        f"/job_executions/{message_id}/cancel",
        "/queues/slow/pause",
        "/dead_messages/1/drop",
    ):
        assert httpx.post(address + path, headers=headers).status_code == 403
    assert found(place, message_id).state is State.QUEUED
    assert place.store.read(apps.paused_queues) == {}
    assert len(place.store.read(dead.newest)) == 1


def test_a_browser_too_old_to_tell_the_site_is_known_by_its_origin(
    place: Place, address: str
) -> None:
    answer = httpx.post(f"{address}/queues/slow/pause", headers={"origin": address})
    assert answer.status_code == 303


def test_reading_changes_nothing(place: Place, browser: httpx.Client) -> None:
    message_id = place.enqueue()
    for action in ("cancel", "retry"):
        assert browser.get(f"/job_executions/{message_id}/{action}").status_code in (404, 405)
    assert found(place, message_id).state is State.QUEUED


def test_a_retry_takes_another_message_if_it_is_one(place: Place, browser: httpx.Client) -> None:
    message_id = place.enqueue(message='{"id":7}')
    place.settle(place.start(), Fate(Reason.EXITED, 0))
    page = f"/job_executions/{message_id}"
    for wrong in ("{", "null", '{"a":1,"a":2}'):
        answer = browser.post(f"{page}/retry", data={"message": wrong})
        assert answer.status_code == 422
        assert "Nothing was changed" in answer.text
    assert found(place, message_id).round == 1
    browser.post(f"{page}/retry", data={"message": '{ "id": 8 }', "image": "current"})
    after = found(place, message_id)
    assert (after.round, after.message) == (2, '{"id":8}')


def test_one_click_defines_a_first_job_and_runs_it_where_there_is_none(tmp_path: Path) -> None:
    with open_place(tmp_path, defined=False) as bare, serve_console(bare) as address:
        headers = {"sec-fetch-site": "same-origin", "origin": address}
        with open_client(address, headers=headers) as browser:
            assert 'action="/sample"' in browser.get("/").text
            shown = browser.post("/sample").headers["location"]
            assert shown == "/executions?notice=enqueued", "without a worker it has no page yet"
            assert "It is enqueued" in browser.get(shown).text
            Intake(bare.store, bare.parts.broker, bare.logs).take("default", wait=timedelta(0))
            assert "Greet" in browser.get("/executions").text
            assert 'action="/sample"' not in browser.get("/").text
            again = browser.post("/sample", headers={"accept-language": "ja"})
            assert again.status_code == 409
            assert "そのページから" in again.text
        done = bare.store.read(lambda tx: audit.newest(tx, audit.Wanted(), most=9))
        assert {"app.create", "job.create", "queue.create"} <= {each.action for each in done}


def test_tags_are_put_on_and_taken_off_one_execution_and_many(
    place: Place, browser: httpx.Client
) -> None:
    one, two = place.enqueue(), place.enqueue()
    page = f"/job_executions/{one}"
    assert f'href="{page}/tags"' in browser.get(page).text
    browser.post(f"{page}/tags", data={"seen": "", "tags": "env=test\nticket = 12"})
    assert found(place, one).options["tags"] == {"env": "test", "ticket": "12"}
    assert "ticket=12" in browser.get(f"{page}/tags").text
    saved = browser.post(f"{page}/tags", data={"seen": "env=test", "tags": "env=live"})
    assert saved.headers["location"] == f"{page}?notice=tagged"
    assert found(place, one).options["tags"] == {"env": "live", "ticket": "12"}, "no other is lost"
    listed = browser.get("/executions?app=media&tag=env%3Dlive").text
    assert one in listed
    assert two not in listed
    for wrong in ("nothing", f"x={'y' * 257}"):
        answer = browser.post(f"{page}/tags", data={"seen": "", "tags": wrong})
        assert answer.status_code == 422

    many = {"action": "tag", "conditions": "app=media"}
    assert 'name="put"' in browser.post("/executions/bulk", data=many | {f"row-{two}": "on"}).text
    chosen = {"which": "chosen", "found": "1", f"row-{two}": "on", "put": "env=live"}
    begin = "/executions/bulk/begin"
    assert "1 execution has other tags" in browser.post(begin, data=many | chosen).text
    assert found(place, two).options["tags"] == {"env": "live"}
    everything = {"which": "all", "found": "2", "put": "looked=at", "taken": "env ticket"}
    assert (
        browser.post(begin, data=many | everything | {"put": "x", "taken": ""}).status_code == 422
    )
    begun = browser.post(begin, data=many | everything).headers["location"]
    assert "2" in browser.post(begun).text
    for each in (one, two):
        assert found(place, each).options["tags"] == {"looked": "at"}
    assert one not in browser.get("/executions?app=media&tag=env%3Dlive").text
    done = [
        each.action
        for each in place.store.read(lambda tx: audit.newest(tx, audit.Wanted(), most=9))
    ]
    assert done == ["executions.tag", *["execution.tag"] * 3]

"""The pages of numbers: what they show is what was counted, and what people do there is kept."""

import json
import threading
from datetime import timedelta
from functools import partial

import httpx
import pytest
from markupsafe import escape

from barbeque_console import ad_hoc
from barbeque_console.jobs import message_of, render
from barbeque_py.executions import State
from barbeque_py.ids import MessageId
from barbeque_py.intake import Intake
from barbeque_py.store import audit, executions, failures, lists
from barbeque_py.store.failures import Standing
from barbeque_py.store.filters import Filter
from tests.console.history import SCHEMA, fill_numbers
from tests.console.rigs import Place
from tests.waiting import wait_until

JOB = "/jobs/media/Encode"


def test_an_installation_in_which_nothing_ran_says_how_to_begin(browser: httpx.Client) -> None:
    page = browser.get("/").text
    assert "Nothing has run yet" in page
    assert "none has reported in" in page
    for path in ("/failures", "/jobs", "/stats", "/stats.csv", "/timeline", "/?app=&range="):
        assert browser.get(path).status_code == 200
    for path in ("/failures/1", "/failures/x", "/jobs/media/None", "/stats?range=9"):
        assert browser.get(path).status_code == 404


def test_numbers_are_shown_and_stars_tags_and_runs_are_kept(
    place: Place, browser: httpx.Client
) -> None:
    fill_numbers(place)
    overview = browser.get("/").text
    assert "error while decoding stream" in overview
    assert "released: media 1" in overview
    assert browser.get("/stats.csv?range=7d").text.count("\n") >= 160
    assert browser.get("/timeline?range=24h").text.count("<rect") > 40
    assert 'aria-pressed="true"' in browser.get(JOB).text
    assert browser.post(f"{JOB}/star").status_code == 303
    assert 'aria-pressed="true"' not in browser.get(JOB).text
    browser.post(f"{JOB}/tags", data={"tags": " night , <b> "})
    assert "&lt;b&gt;, night" in browser.get(JOB).text
    assert browser.get("/jobs?tag=night").text.count('class="starred"') == 1
    assert browser.get("/jobs?q=encode").text.count('class="starred"') == 1


def test_a_job_is_run_from_its_page_and_its_execution_is_shown_once_it_has_a_page(
    place: Place, browser: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill_numbers(place)
    monkeypatch.setattr(ad_hoc, "_PATIENCE", 60.0)  # however slow this machine is
    intake = Intake(place.store, place.parts.broker, place.logs)
    take = partial(intake.take, "default", wait=timedelta(0))
    worker = threading.Thread(target=wait_until, args=(take, "there is a message"))
    worker.start()
    asked = {"field.key": "a/b.mp4", "field.size": "720", "field.fast": "true"}
    shown, _, notice = browser.post(f"{JOB}/run", data=asked).headers["location"].partition("?")
    worker.join()
    assert notice == "notice=enqueued"
    message_id = MessageId(shown.removeprefix("/job_executions/"))
    run = place.store.read(lambda tx: executions.by_message_id(tx, message_id))
    assert run is not None
    assert (run.app, run.job) == ("media", "Encode")
    assert json.loads(run.message or "") == {"key": "a/b.mp4", "size": 720, "fast": True}


def test_what_was_typed_for_a_run_stays_where_it_is_refused(
    place: Place, browser: httpx.Client
) -> None:
    fill_numbers(place)
    for wrong in ({"field.key": ""}, {"field.key": "k<9", "field.size": "7"}, {"message": "{"}):
        answer = browser.post(f"{JOB}/run", data=wrong)
        assert answer.status_code == 422
        assert 'role="alert"' in answer.text
        assert str(escape(wrong.get("field.key", ""))) in answer.text
    plain = browser.post("/jobs/media/Thumbnail/run", data={"message": '{"a":1,<'})
    assert plain.status_code == 422
    assert ">{&#34;a&#34;:1,&lt;</textarea>" in plain.text


def test_a_group_is_judged_and_retried_as_a_whole_and_only_as_asked(
    place: Place, browser: httpx.Client
) -> None:
    fill_numbers(place)
    page = browser.get("/failures?state=new").text
    assert page.count('class="standing new"') == 2
    assert browser.get("/failures?app=media&state=ack").text.count('class="standing ack"') == 1
    browser.post("/failures/1/judge", data={"state": "resolved", "owner": "ann"})
    group = place.store.read(lambda tx: failures.get(tx, 1))
    assert group is not None
    assert (group.state, group.owner, group.times) == (Standing.RESOLVED, "ann", 9)
    assert browser.post("/failures/1/judge", data={"state": "gone"}).status_code == 422
    assert "9 executions of this group have failed" in browser.get("/failures/1/retry").text
    assert browser.post("/failures/1/retry", data={"expected": "8"}).status_code == 409
    assert "9 executions begin" in browser.post("/failures/1/retry", data={"expected": "9"}).text
    for wrong in ("1", "99"):
        answer = browser.post("/failures/2/retry", data={"bulk": wrong})
        assert answer.status_code == 404, "another group's change is not gone on with"
    queued = Filter(failure=1, state=State.QUEUED)
    assert place.store.read(lambda tx: lists.count(tx, queued, most=99)) == 9
    trail = place.store.read(lambda tx: audit.newest(tx, audit.Wanted(None, None, None, None)))
    assert {"failure.judge", "executions.retry"} <= {each.action for each in trail}


def test_a_runbook_is_markdown_and_nothing_else() -> None:
    hostile = "<script>x</script> <img src=x onerror=y> [a](javascript:x) ![b](https://c/d) `<i>`"
    shown = render(hostile)
    for each in ("<script", "<img", 'href="javascript'):
        assert each not in shown
    assert escape("<script>") in shown
    assert message_of({"field.key": "k"}, SCHEMA) == '{"key":"k","fast":false}'

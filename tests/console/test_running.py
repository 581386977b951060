"""The pages of what is at work: they show what there is, and what is done there is done."""

import httpx

from barbeque_py.notices import NoticeState
from barbeque_py.store import Tx, audit, notices, outbox, workers
from tests.console.rigs import Place
from tests.console.running import fill_running, refused


def test_a_worker_is_drained_and_undrained_and_the_silent_one_is_seen(
    place: Place, browser: httpx.Client
) -> None:
    assert "Nobody is at work" in browser.get("/workers").text
    fill_running(place)
    page = browser.get("/workers").text
    for state in ("working", "drained", "silent"):
        assert page.count(f'class="state {state}"') == 1
    assert "4096 CPU units and 16384 MiB in barbeque-production" in page
    assert page.count("starts wait for their turn") == 1
    answer = browser.post("/workers/w3/drain")
    assert answer.headers["location"] == "/workers?notice=draining"
    assert "takes nothing new" in browser.get(answer.headers["location"]).text
    assert browser.get("/workers").text.count('class="state drained"') == 2
    browser.post("/workers/w2/undrain")
    drained = {each.name for each in place.store.read(workers.everyone) if each.drained_at}
    assert drained == {"w3"}
    assert browser.post("/workers/w9/drain").status_code == 404
    trail = place.store.read(lambda tx: audit.newest(tx, audit.Wanted(None, None, None, None)))
    assert [each.action for each in trail] == ["worker.undrain", "worker.drain"]


def test_notices_tell_each_try_and_are_sent_again_one_or_all(
    place: Place, browser: httpx.Client
) -> None:
    assert "Nobody was told anything yet" in browser.get("/notices").text
    place.tell(place.enqueue(), "no such channel")
    fill_running(place)
    notice_id = place.store.read(refused)
    page = browser.get("/notices").text
    assert page.count('class="state unreached"') == 1, "the dead channel is seen at once"
    assert page.count('class="state reached"') == 1
    assert "canary" not in page, "a webhook's address is a secret"
    assert notice_id not in browser.get("/notices?channel=email").text
    one = browser.get(f"/notices/{notice_id}").text
    assert one.count("404 no_service") == 2
    assert one.count("What was sent") == 2
    assert "canary" not in one
    asked = browser.get("/notices/resend?channel=slack").text
    assert "Send 1 again" in asked
    assert browser.post("/notices/resend?channel=slack&expected=2").status_code == 409
    answer = browser.post("/notices/resend?channel=slack&expected=1")
    assert answer.headers["location"] == "/notices?notice=resent-all&channel=slack"
    assert state_of(place, notice_id) is NoticeState.WAITING
    assert place.store.read(outbox.any_due)
    place.store.write(lambda tx: notices.end(tx, _number(tx, notice_id), NoticeState.REFUSED))
    browser.post(f"/notices/{notice_id}/resend")
    assert state_of(place, notice_id) is NoticeState.WAITING
    trail = place.store.read(lambda tx: audit.newest(tx, audit.Wanted(None, None, None, None)))
    assert [each.action for each in trail] == ["notice.resend", "notice.resend"]


def test_a_channel_is_tested_or_it_is_said_why_not(place: Place, browser: httpx.Client) -> None:
    assert browser.post("/notices/test", data={"app": "media"}).status_code == 409
    assert browser.post("/notices/test", data={"app": "media", "target": "?"}).status_code == 422
    assert browser.post("/notices/test", data={"app": "nowhere"}).status_code == 404
    tested = browser.post("/notices/test", data={"app": "media", "target": "#media"})
    assert browser.get(tested.headers["location"]).text.count("#media") >= 1
    assert browser.get("/notices/none").status_code == 404


def _number(tx: Tx, notice_id: str) -> int:
    found = notices.get(tx, notice_id)
    assert found is not None
    return found.id


def state_of(place: Place, notice_id: str) -> NoticeState:
    found = place.store.read(lambda tx: notices.get(tx, notice_id))
    assert found is not None
    return found.state

"""The pages of what is at work: they show what there is, and what is done there is done."""

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

import httpx

from barbeque_py.notices import NoticeState
from barbeque_py.settle import SEAL
from barbeque_py.store import Tx, audit, lanes, notices, outbox, subscriptions, workers
from barbeque_py.store.outbox import Errand
from tests.console.history import fill_numbers
from tests.console.rigs import Place, serve_console
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


def test_a_schedule_is_suspended_resumed_and_run_now(place: Place, browser: httpx.Client) -> None:
    assert "Nothing runs by the clock" in browser.get("/schedules").text
    fill_running(place)
    page = browser.get("/schedules").text
    assert "of several that wait the newest runs" in page
    assert "the newest 100 at most" in page
    one = "/schedules/media/Encode/nightly"
    assert browser.get(one).text.count("UTC</li>") == 10
    browser.post(f"{one}/suspend")
    assert "Nothing until it is resumed" in browser.get(one).text
    assert browser.post(f"{one}/run").headers["location"] == "/executions?notice=enqueued"
    (delivery,) = place.store.write(lambda tx: lanes.lock_visible(tx, "default", 10))
    assert json.loads(delivery.body)["Options"]["tags"] == {"schedule": "nightly"}
    answer = browser.post(f"{one}/resume")
    assert answer.headers["location"] == f"{one}?notice=timed-again"
    assert browser.get("/schedules/media/Encode/gone").status_code == 404
    trail = place.store.read(lambda tx: audit.newest(tx, audit.Wanted(None, None, None, None)))
    asked = [each.action for each in trail]
    assert asked == ["schedule.resume", "schedule.run", "schedule.suspend"]


def test_a_topic_is_subscribed_and_let_go_by_its_name(place: Place) -> None:
    topics = Obedient()
    topic = "arn:aws:sns:eu-west-1:123456789012:uploads"
    asked = {"topic": topic, "queue": "default", "job": "media/Encode"}
    parts = replace(place.parts, topics=topics)
    with serve_console(replace(place, parts=parts)) as address:
        headers = {"sec-fetch-site": "same-origin", "origin": address}
        with httpx.Client(base_url=address, headers=headers) as browser:
            assert browser.post("/subscriptions", data=asked | {"topic": "x"}).status_code == 422
            assert browser.post("/subscriptions", data=asked | {"job": "x/y"}).status_code == 409
            assert browser.post("/subscriptions", data=asked).status_code == 303
            assert topics.heard == {topic}
            page = browser.get("/subscriptions").text
            assert page.count("subscribed</span>") == 1
            [row] = place.store.read(subscriptions.everything)
            remove = f"/subscriptions/{row.id}/remove"
            assert browser.post(remove, data={"typed": "up"}).status_code == 422
            assert browser.post(remove, data={"typed": "uploads"}).status_code == 303
            assert (topics.heard, place.store.read(subscriptions.everything)) == (set(), [])
            assert browser.get(remove).status_code == 404


def test_the_overview_tells_of_the_stuck_the_unreached_and_a_log_store_that_is_away(
    place: Place, browser: httpx.Client
) -> None:
    assert "takes what jobs wrote" in browser.get("/").text
    fill_numbers(place)
    place.tell(place.enqueue(), "no such channel")
    message_id = place.enqueue(job="Encode")
    place.store.shift = -timedelta(days=1)
    while not place.start().startswith(message_id):
        pass
    place.store.shift = timedelta(0)

    place.store.write(fail_to_seal)

    page = browser.get("/").text
    assert "stuck?" in page
    assert "Not told since" in page
    assert "did not take what jobs wrote" in page


def fail_to_seal(tx: Tx) -> None:
    outbox.put(tx, [Errand(SEAL, "x-1", "log", None, "w", timedelta(0))])
    item = outbox.oldest_due(tx)
    assert item is not None
    outbox.postpone(tx, item.id, wait=timedelta(0), error="refused")


def test_an_address_that_is_nearly_right_leads_to_the_page(
    place: Place, browser: httpx.Client
) -> None:
    assert '<a href="/queues">/queues</a>' in browser.get("/queue").text
    assert "Did you mean" not in browser.get("/xyzzy").text
    assert "/docs" not in browser.get("/help").text
    reading = replace(place.parts, read_only=True, with_api=True)
    with serve_console(replace(place, parts=reading)) as address:
        assert "This console is read-only" in httpx.get(address + "/queues").text
        assert 'href="/docs"' in httpx.get(address + "/help").text


class Obedient:
    """An SNS that does all that it is asked."""

    def __init__(self) -> None:
        self.heard: set[str] = set()

    def allow(self, queue: str, topics: Iterable[str]) -> None: ...

    def subscribe(self, queue: str, topic: str) -> str:
        self.heard.add(topic)
        return f"{topic}:1"

    def unsubscribe(self, subscription_arn: str) -> None:
        self.heard.discard(subscription_arn.rpartition(":")[0])

    def confirm(self, topic: str, token: str) -> str:
        return f"{topic}:1"

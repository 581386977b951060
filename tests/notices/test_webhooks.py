"""Webhooks: signed, tried again, refused where they may not go; each delivery is recorded."""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from barbeque_py import signing
from barbeque_py.apps import App
from barbeque_py.backoff import RetryPolicy
from barbeque_py.errors import NoticeRefused, Undelivered
from barbeque_py.executions import State
from barbeque_py.notices import Audience, Channel, Event, Notice, NoticeState, Occasion
from barbeque_py.notifiers.webhook import LONGEST_WAIT, TYPES, WebhookNotifier
from barbeque_py.outbound import Outbound
from barbeque_py.store import apps, notices, signing_secrets
from barbeque_py.store.notices import Delivery, Kept
from barbeque_py.targets import Allowed, read_allowed
from barbeque_worker.courier import Backoff
from tests.receiver import Receiver, Reply
from tests.waiting import wait_until
from tests.worker.callback_site import Site, site

LOOPBACK = read_allowed("127.0.0.0/8")
OCCASION = Occasion(
    Event.FAILED,
    "app",
    "Encode",
    "0198aaaa-bbbb-7ccc-8ddd-eeeeffff0000",
    queue="default",
    attempt=6,
    attempts=6,
    tries=6,
    reason="exited",
    exit_code=3,
    detail='<script> "quoted" \n grün',
    finished_at="2026-11-27T12:00:00.000000Z",
    user_id="ann",
    tags={"team": "media"},
    lines=("a line of the log",),
)


def notice(target: str, event: Event = Event.FAILED) -> Notice:
    facts = OCCASION.to_facts() | {"event": event}
    return Notice("n-1", Channel.WEBHOOK, target, Audience.USER, Occasion.from_facts(facts))


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    backoff = Backoff(first=timedelta(seconds=0.05), longest=timedelta(seconds=1))
    with site(tmp_path_factory.mktemp("webhooks"), backoff=backoff) as made:
        yield made


@pytest.fixture
def at(shared: Site) -> Site:
    shared.backend.answer = lambda _: Reply(200, b'{"result": "ok"}')
    shared.define()
    return shared


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


def secret_of(at: Site) -> str:
    found = at.office.store.write(lambda tx: signing_secrets.of_app(tx, "app"))
    return found[0].secret


def notifier(at: Site, allowed: Allowed = LOOPBACK) -> WebhookNotifier:
    return WebhookNotifier(at.office.store, Outbound(allowed), host_url="https://jobs.example.com")


def notices_of(at: Site, message_id: str) -> list[Kept]:
    execution = at.office.execution(message_id)
    if execution is None:
        return []
    return at.office.store.read(lambda tx: notices.of_execution(tx, execution.id))


def deliveries_of(at: Site, kept: Kept) -> list[Delivery]:
    return at.office.store.read(lambda tx: notices.deliveries_of(tx, kept.id))


def over(at: Site, message_id: str, state: NoticeState) -> Kept:
    def look() -> Kept | None:
        found = [each for each in notices_of(at, message_id) if each.state is state]
        return found[0] if found else None

    return wait_until(look, f"the notice is {state}")


def test_it_is_signed_so_that_an_independent_library_agrees(at: Site, hook: Receiver) -> None:
    receipt = notifier(at).deliver(notice(f"{hook.url}/in?x=1"))
    (got,) = hook.received
    told = Webhook(secret_of(at)).verify(got.body, dict(got.headers))
    assert got.headers["webhook-id"] == "n-1"
    assert got.path == "/in?x=1"
    assert told == json.loads(receipt.request or "")
    assert (told["type"], told["timestamp"]) == ("execution.failed", OCCASION.finished_at)
    facts = told["data"]
    assert facts["exit_code"] == 3
    assert facts["detail"] == OCCASION.detail
    assert facts["user_id"] == "ann"
    assert facts["tags"] == {"team": "media"}
    assert facts["html_url"] == f"https://jobs.example.com/job_executions/{OCCASION.message_id}"
    assert facts["result"] is None
    with pytest.raises(WebhookVerificationError):
        Webhook(signing.new_secret()).verify(got.body, dict(got.headers))
    with pytest.raises(WebhookVerificationError):
        Webhook(secret_of(at)).verify(got.body + b" ", dict(got.headers))


def test_each_event_has_its_type(at: Site, hook: Receiver) -> None:
    assert set(TYPES) == set(Event)
    for event in Event:
        notifier(at).deliver(notice(hook.url, event))
    assert [each.json["type"] for each in hook.received] == list(TYPES.values())


def test_while_a_secret_is_replaced_either_fits(at: Site, hook: Receiver) -> None:
    shown = at.http.get("/v2/apps/app/signing_secrets").json()["signing_secrets"]
    assert [each["retires_at"] for each in shown] == [None]
    before = shown[0]["secret"]
    answer = at.http.post("/v2/apps/app/signing_secrets", json={"overlap": "1h"})
    assert answer.status_code == 201
    assert answer.headers["cache-control"] == "no-store"
    after, old = answer.json()["signing_secrets"]
    assert old["secret"] == before
    assert old["retires_at"]
    notifier(at).deliver(notice(hook.url))
    for each in (after["secret"], before):
        Webhook(each).verify(hook.received[0].body, dict(hook.received[0].headers))
    at.office.store.shift += timedelta(hours=2)
    try:
        notifier(at).deliver(notice(hook.url))
    finally:
        at.office.store.shift -= timedelta(hours=2)
    assert len(hook.received[1].headers["webhook-signature"].split()) == 1
    at.http.post("/v2/apps/app/signing_secrets", json={"overlap": "0s"})
    notifier(at).deliver(notice(hook.url))
    assert len(hook.received[2].headers["webhook-signature"].split()) == 1
    with pytest.raises(WebhookVerificationError):
        Webhook(after["secret"]).verify(hook.received[2].body, dict(hook.received[2].headers))


@pytest.mark.parametrize("body", [{"overlap": "31d"}, {"overlap": -1}, {"more": 1}])
def test_a_rotation_is_asked_for_strictly(at: Site, body: Any) -> None:
    before = secret_of(at)
    assert at.http.post("/v2/apps/app/signing_secrets", json=body).status_code == 400
    assert at.http.post("/v2/apps/none/signing_secrets").status_code == 404
    assert at.http.get("/v2/apps/none/signing_secrets").status_code == 404
    assert secret_of(at) == before


@pytest.mark.parametrize(
    "reply", [Reply(500), Reply(404), Reply(302), Reply(429), Reply(cut=True)], ids=str
)
def test_what_is_not_taken_is_tried_again(at: Site, hook: Receiver, reply: Reply) -> None:
    hook.answer = lambda _: reply
    with pytest.raises(Undelivered) as failed:
        notifier(at).deliver(notice(hook.url))
    assert failed.value.request
    assert failed.value.retry_after is None


@pytest.mark.parametrize(
    ("said", "wait"),
    [
        ("30", timedelta(seconds=30)),
        ("999999", LONGEST_WAIT),
        ("-1", None),
        ("soon", None),
        ("9" * 50, None),
        ("1e9", None),
    ],
)
def test_a_receiver_may_ask_to_be_left_alone(
    at: Site, hook: Receiver, said: str, wait: timedelta | None
) -> None:
    for status in (429, 503):
        hook.answer = lambda _, code=status: Reply(code, headers={"Retry-After": said})  # type: ignore[misc]
        with pytest.raises(Undelivered) as failed:
            notifier(at).deliver(notice(hook.url))
        assert failed.value.retry_after == wait


def test_one_that_is_gone_is_not_asked_again(at: Site, hook: Receiver) -> None:
    hook.answer = lambda _: Reply(410)
    with pytest.raises(NoticeRefused, match="gone"):
        notifier(at).deliver(notice(hook.url))


@pytest.mark.parametrize(
    "target", ["https://169.254.170.2/", "http://example.com/", "https://u:p@example.com/", "no"]
)
def test_nothing_is_sent_where_nothing_may_go(at: Site, target: str) -> None:
    with pytest.raises(NoticeRefused):
        notifier(at, Allowed()).deliver(notice(target))


def test_a_requests_webhook_is_told_of_the_end_with_the_result(at: Site, hook: Receiver) -> None:
    at.backend.answer = lambda _: Reply(200, b'{"result": "ok", "output": {"n": 1}}')
    replies = [Reply(503), Reply(cut=True)]
    hook.answer = lambda _: replies.pop() if replies else Reply(200, b"thank you")
    message_id = at.office.enqueue("Encode", notify={"webhook": f"{hook.url}/hook"})
    kept = over(at, message_id, NoticeState.DELIVERED)
    assert len(hook.received) == 3
    assert len({each.headers["webhook-id"] for each in hook.received}) == 1
    assert len({each.body for each in hook.received}) == 1
    told = at.verified(hook.received[-1])
    assert told["type"] == "execution.succeeded"
    assert told["data"]["message_id"] == message_id
    assert told["data"]["result"] == {"n": 1}
    record = deliveries_of(at, kept)
    assert [each.outcome for each in record] == ["failed", "failed", "delivered"]
    assert record[2].answer == "200 thank you"
    assert all(each.request == hook.received[0].body.decode() for each in record)
    assert all(0 <= each.seconds < 10 for each in record)


def test_one_is_sent_again_under_its_id(at: Site, hook: Receiver) -> None:
    hook.answer = lambda _: Reply(410)
    message_id = at.office.enqueue("Encode", notify={"webhook": f"{hook.url}/s3cret"})
    kept = over(at, message_id, NoticeState.REFUSED)
    hook.answer = lambda _: Reply(200, b"now")
    assert at.http.post(f"/v2/notices/{kept.notice_id}/resend").status_code == 202
    over(at, message_id, NoticeState.DELIVERED)
    assert {each.headers["webhook-id"] for each in hook.received} == {kept.notice_id}
    at.verified(hook.received[-1])
    shown = at.http.get(f"/v2/notices/{kept.notice_id}").json()
    assert [each["outcome"] for each in shown["deliveries"]] == ["refused", "delivered"]
    assert shown["deliveries"][1]["answer"] == "200 now"
    assert shown["deliveries"][1]["request"] == hook.received[-1].body.decode()
    assert "s3cret" not in at.http.get("/v2/notices").text


def test_definitions_and_apps_name_webhooks_for_what_they_wish(at: Site, hook: Receiver) -> None:
    told = {"webhook": f"{hook.url}/job", "hears": ["success", "attempt", "cancelled"]}
    once = RetryPolicy(limit=1, base_delay=timedelta(0), jitter=False)
    at.define("Told", notify=told, retry=once)
    at.office.store.write(
        lambda tx: apps.put_app(tx, App("app", "", notify={"webhook": f"{hook.url}/app"}))
    )
    at.backend.answer = lambda _: Reply(200, b'{"result": "fail"}')
    failed, other = at.office.enqueue("Told"), at.office.enqueue("Encode")
    assert at.office.end_of(failed).state == State.FAILED
    wait_until(lambda: len(types(hook, failed)) == 2, "both failures are told")
    assert types(hook, failed) == ["attempt.failed", "execution.failed"]
    at.office.end_of(other)
    wait_until(lambda: types(hook, other) == ["execution.failed"], "the app's webhook is told")
    assert {each.path for each in hook.received} == {"/job", "/app"}
    at.backend.answer = lambda _: Reply(200, b'{"result": "ok"}')
    good = at.office.enqueue("Told")
    wait_until(lambda: len(types(hook, good)) == 2, "the success is told")
    assert set(types(hook, good)) == {"execution.succeeded", "job.recovered"}


def types(hook: Receiver, message_id: str) -> list[str]:
    """Return what was told of the execution, each notice once."""
    of_it = {
        each.headers["webhook-id"]: each.json["type"]
        for each in list(hook.received)
        if each.json["data"]["message_id"] == message_id
    }
    return list(of_it.values())


def test_a_refused_target_is_shown_and_never_connected_to(at: Site, hook: Receiver) -> None:
    target = f"http://localhost:{hook.server_port}/"
    message_id = at.office.enqueue("Encode", notify={"webhook": target})
    assert at.office.end_of(message_id).state == State.SUCCEEDED
    kept = over(at, message_id, NoticeState.REFUSED)
    assert "BARBEQUE_WEBHOOK_ALLOW" in (kept.reason or "")
    assert hook.connections == 0

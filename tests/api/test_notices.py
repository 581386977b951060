"""Whom an app has told, and what they were told, over HTTP."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from barbeque_py.apps import App
from barbeque_py.notices import Channel, NoticeState
from barbeque_py.store import Tx, apps, notices
from barbeque_py.store import outbox as errands
from barbeque_py.store.tables.people import audit
from barbeque_py.store.tables.posts import outbox
from barbeque_py.tell import Tail, put, tell
from tests.api.served import FAILURE, Running, error_code, make_ready
from tests.notices.samples import a_notice

ANN = {
    "emails": ["ann@example.com", "ann@home.example"],
    "slack": "U024BE7LH",
    "locale": "ja",
    "time_zone": "Asia/Tokyo",
    "hears": ["failure"],
}
PATH = "/v2/apps/media/users/u-1"
LEASE = timedelta(minutes=1)


def actions(api: Running) -> list[str]:
    return api.store.read(
        lambda tx: [row.action for row in tx.execute(select(audit).order_by(audit.c.id))]
    )


def test_a_user_is_kept_replaced_and_forgotten(api: Running) -> None:
    assert api.get(PATH).status_code == 404
    made = api.client.put(PATH, json=ANN)
    assert made.status_code == 201
    assert api.get(PATH).json() == {"app": "media", "user_id": "u-1", **ANN}
    again = api.client.put(PATH, json={"emails": ["ann@example.com"]})
    assert (again.status_code, again.json()["hears"]) == (200, ["failure", "success"])
    assert again.json()["slack"] is None
    assert api.client.delete(PATH).status_code == 204
    assert api.client.delete(PATH).status_code == 404
    assert actions(api) == ["user.put", "user.put", "user.remove"]


@pytest.mark.parametrize("user_id", ["42", "ann@example.com", "team/ann", "あん", "a b", "u" * 255])
def test_an_app_calls_its_users_what_it_likes(small_api: Running, user_id: str) -> None:
    path = f"/v2/apps/media/users/{user_id}"
    assert small_api.client.put(path, json=ANN).status_code == 201
    assert small_api.get(path).json()["user_id"] == user_id


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"emails": "ann@example.com"}, "emails:"),
        ({"emails": ["ann@example.com"] * 11}, "emails:"),
        ({"emails": ["ann@example.com\r\nBcc: thief@example.net"]}, "emails:"),
        ({"emails": ["Ann <ann@example.com>"]}, "emails:"),
        ({"emails": ["ann@exa mple.com"]}, "emails:"),
        ({"emails": ["@example.com"]}, "emails:"),
        ({"emails": [5]}, "emails:"),
        ({"slack": "#media"}, "slack:"),
        ({"slack": "<!channel>"}, "slack:"),
        ({"locale": "tlh"}, "locale:"),
        ({"time_zone": "Mars/Olympus"}, "time_zone:"),
        ({"time_zone": "../../etc/passwd"}, "time_zone:"),
        ({"hears": ["everything"]}, "hears:"),
        ({"hears": "failure"}, "hears:"),
        ({"phone": "1"}, "phone"),
    ],
)
def test_what_is_wrong_is_named(small_api: Running, changes: dict[str, Any], said: str) -> None:
    answer = small_api.client.put(PATH, json=ANN | changes)
    assert answer.status_code == 400
    assert said in answer.json()["message"]
    assert small_api.get(PATH).status_code == 404


def test_an_app_that_is_not_there_has_no_users(small_api: Running) -> None:
    answer = small_api.client.put("/v2/apps/none/users/u-1", json=ANN)
    assert error_code(answer) == "record_not_found"


def told(api: Running) -> str:
    """Let a job fail for good, and tell whom that concerns, as the relay does."""
    app = App("media", "media:1", notify={"email": ["team@example.com"]})
    api.store.write(lambda tx: apps.put_app(tx, app))
    message_id = api.enqueue(user_id="nobody")
    api.take_in()
    api.run(FAILURE)
    make_ready(api)
    api.run(FAILURE)
    return message_id


def test_an_execution_shows_whom_it_concerned(api: Running) -> None:
    message_id = told(api)

    def work(tx: Tx) -> None:
        for item in errands.take(tx, "w", ["here"], most=9, lease=LEASE, busy=[]):
            if item.kind in {"failed", "attempt failed"}:
                tell(tx, item, Tail(("oh no",), 0))

    api.store.write(work)
    found = api.get(f"/v2/job_executions/{message_id}").json()["notices"]
    assert [(each["audience"], each["target"], each["state"]) for each in found] == [
        ("user", None, "nobody"),
        ("admins", "team@example.com", "waiting"),
    ]
    assert "no user nobody" in found[0]["reason"]
    listed = api.get("/v2/notices", params={"app": "media", "state": "waiting"}).json()
    assert [each["id"] for each in listed["notices"]] == [found[1]["id"]]
    assert api.get("/v2/notices", params={"limit": 1}).json()["next"] is not None


def test_a_notice_is_shown_with_its_deliveries_and_sent_again(api: Running) -> None:
    notice = a_notice()
    api.store.write(lambda tx: put(tx, None, [notice]))
    kept = api.store.read(lambda tx: notices.get(tx, notice.id))
    assert kept is not None
    api.store.write(lambda tx: notices.end(tx, kept.id, NoticeState.REFUSED, reason="550 no"))
    path = f"/v2/notices/{notice.id}"
    assert api.get(path).json() | {"deliveries": []} == api.get(path).json()
    assert api.get(path).json()["reason"] == "550 no"
    assert api.post(f"{path}/resend").status_code == 202
    assert api.get(path).json()["state"] == "waiting"
    query = select(outbox.c.done_at, outbox.c.lane).where(outbox.c.subject == notice.id)
    (row,) = api.store.read(lambda tx: tx.execute(query).all())
    assert (row.done_at, row.lane) == (None, "email/ann@example.com")
    assert actions(api) == ["notice.resend"]
    assert api.get("/v2/notices/none").status_code == 404


def test_a_notice_without_an_address_is_not_sent_again(small_api: Running) -> None:
    notice = a_notice(target="", fault="nobody knows them")
    small_api.store.write(lambda tx: put(tx, None, [notice]))
    answer = small_api.post(f"/v2/notices/{notice.id}/resend")
    assert answer.status_code == 409
    assert "nobody knows them" in answer.json()["message"]


def test_a_webhook_of_slack_is_a_secret_that_no_answer_tells(small_api: Running) -> None:
    secret = "https://hooks.slack.com/services/T0/B0/canary"
    notice = a_notice(Channel.SLACK, secret)
    small_api.store.write(lambda tx: put(tx, None, [notice]))
    for path in ("/v2/notices", f"/v2/notices/{notice.id}"):
        answer = small_api.get(path)
        assert "hooks.slack.com/***" in answer.text
        assert "canary" not in answer.text


def test_a_test_goes_to_all_that_the_app_names_or_to_one(small_api: Running) -> None:
    assert small_api.post("/v2/notices/test", {"app": "media"}).status_code == 409
    rules: dict[str, object] = {"email": ["a@example.com", "b@example.com"], "slack": "#media"}
    app = App("media", "media:1", notify=rules)
    small_api.store.write(lambda tx: apps.put_app(tx, app))
    made = small_api.post("/v2/notices/test", {"app": "media"})
    assert (made.status_code, len(made.json()["notices"])) == (202, 3)
    one = {"app": "media", "channel": "slack", "target": "#other"}
    (notice_id,) = small_api.post("/v2/notices/test", one).json()["notices"]
    shown = small_api.get(f"/v2/notices/{notice_id}").json()
    assert (shown["target"], shown["event"], shown["message_id"]) == ("#other", "test", None)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"app": "none"},
        {"app": "media", "channel": "pigeon", "target": "x"},
        {"app": "media", "channel": "email", "target": "x"},
        {"app": "media", "channel": "slack", "target": "https://hooks.slack.com/services/x"},
        {"app": "media", "target": "a@example.com"},
    ],
)
def test_a_test_that_makes_no_sense_is_refused(small_api: Running, body: Any) -> None:
    assert small_api.post("/v2/notices/test", body).status_code in {400, 404}
    assert small_api.get("/v2/notices").json()["notices"] == []

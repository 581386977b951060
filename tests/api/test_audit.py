"""The audit trail: each change that is asked for leaves one row, generated from the routes.

A new route that changes something needs a way to do so in `WAYS`, or a reason in `UNWRITTEN`.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from barbeque_api.app import create_app
from barbeque_py.broker import Parcel
from barbeque_py.store import workers
from tests.api.routes import WRITING, routes_of
from tests.api.served import Running, define, parts_of, serving
from tests.stores import opened

MANIFEST = "apps: [{name: media, image: 'media:1', jobs: [{name: New, command: [x]}]}]"

UNWRITTEN = {
    "POST /v2/job_executions": "enqueuing is what executions themselves tell of",
    "POST /v2/job_executions/batch": "the same",
    "POST /v2/attempts/{attempt_id}/progress": "what jobs tell of themselves",
    "POST /v2/attempts/{attempt_id}/result": "the same",
    "POST /v2/attempts/{attempt_id}/heartbeat": "what an app's backend tells of its own run",
    "POST /v2/attempts/{attempt_id}/log": "the same",
    "POST /v2/job_executions/bulk/{number}": "goes on with what was asked for and recorded",
}


class Obedient:
    """An SNS that does all that it is asked."""

    def allow(self, queue: str, topics: Any) -> None: ...

    def subscribe(self, queue: str, topic: str) -> str:
        return f"{topic}:1"

    def unsubscribe(self, subscription_arn: str) -> None: ...

    def confirm(self, topic: str, token: str) -> str:
        return f"{topic}:1"


def _apply(api: Running) -> Callable[[Running], httpx.Response]:
    headers = {"content-type": "application/yaml"}
    (app,) = api.get("/v2/apps").json()["apps"]
    text = MANIFEST.replace("media:1", app["image"])
    return lambda api: api.client.post("/v2/apply", content=text, headers=headers)


def _retry(api: Running, version: str) -> Callable[[Running], httpx.Response]:
    message_id = api.enqueue()
    drain(api)
    api.post(f"/v2/job_executions/{message_id}/cancel")
    return lambda api: api.post(f"/{version}/job_executions/{message_id}/retries")


def _cancel(api: Running) -> httpx.Response:
    return api.post(f"/v2/job_executions/{api.enqueue()}/cancel")


def _bury(api: Running) -> int:
    body = '{"Type":"JobExecution","Application":"media","Job":"Thumbnail"}'
    api.parts.broker.send("default", [Parcel(body=body, app="media")])
    drain(api)
    return int(api.get("/v2/dead_messages").json()["dead_messages"][0]["id"])


def drain(api: Running) -> None:
    """Take in all that is on the queue."""
    while api.take_in():
        pass


def _send(api: Running) -> httpx.Response:
    body = '{"Type":"JobExecution","Application":"media","Job":"Thumbnail","Message":{}}'
    return api.post(f"/v2/dead_messages/{_bury(api)}/send", {"body": body})


def _subscribe(api: Running, topic: str = "uploads") -> httpx.Response:
    arn = f"arn:aws:sns:eu-west-1:123456789012:{topic}"
    wanted = {"topic": arn, "queue": "default", "app": "media", "job": "Thumbnail"}
    return api.post("/v2/subscriptions", wanted)


def _token(api: Running) -> httpx.Response:
    return api.post("/v2/tokens", {"name": "ci", "scopes": ["read"]})


def _subscribed(api: Running) -> int:
    return int(_subscribe(api, "others").json()["id"])


def _token_id(api: Running) -> str:
    return str(_token(api).json()["id"])


def _schedule(api: Running, verb: str) -> Callable[[Running], httpx.Response]:
    (app,) = api.get("/v2/apps").json()["apps"]
    lines = "command: [x], schedules: [{name: often, cron: '*/5 * * * *'}]"
    text = f"apps: [{{name: media, image: '{app['image']}', jobs: [{{name: Timed, {lines}}}]}}]"
    headers = {"content-type": "application/yaml"}
    assert api.client.post("/v2/apply", content=text, headers=headers).is_success
    if verb == "resume":
        api.post("/v2/schedules/media/Timed/often/suspend")
    return lambda api: api.post(f"/v2/schedules/media/Timed/often/{verb}")


def _worker(api: Running, verb: str) -> Callable[[Running], httpx.Response]:
    api.store.write(lambda tx: workers.see(tx, "host/1/2/abc", "here"))
    if verb == "undrain":
        api.post("/v2/workers/abc/drain")
    return lambda api: api.post(f"/v2/workers/abc/{verb}")


def _test_notice(api: Running) -> httpx.Response:
    wanted = {"app": "media", "channel": "email", "target": "a@example.com"}
    return api.post("/v2/notices/test", wanted)


_USER = "/v2/apps/media/users/u1"
_LOCK = "/v1/apps/media/revision_lock"

Ready = Callable[[Running], Callable[[Running], httpx.Response]]

WAYS: dict[str, Ready] = {
    "POST /v1/job_executions/{message_id}/retries": lambda api: _retry(api, "v1"),
    "POST /v2/job_executions/{message_id}/retries": lambda api: _retry(api, "v2"),
    "POST /v2/job_executions/{message_id}/cancel": lambda api: _cancel,
    "POST /v1/apps/{name}/revision_lock": lambda api: (
        lambda api: api.post(_LOCK, {"revision": "7"})
    ),
    "DELETE /v1/apps/{name}/revision_lock": lambda api: lambda api: api.client.delete(_LOCK),
    "POST /v2/apps/{app}/revisions": lambda api: (
        lambda api: api.post("/v2/apps/media/revisions", {"image": "media:9"})
    ),
    "POST /v2/apps/{app}/rollback": lambda api: lambda api: api.post("/v2/apps/media/rollback"),
    "POST /v2/apply": _apply,
    "POST /v2/job_executions/bulk": lambda api: _later(
        api.enqueue(),
        lambda api, _: api.post(
            "/v2/job_executions/bulk",
            {"action": "cancel", "filter": {"app": "media"}, "expected": 1000},
        ),
    ),
    "PUT /v2/apps/{app}/users/{user_id:path}": lambda api: (
        lambda api: api.client.put(_USER, json={"emails": ["a@example.com"]})
    ),
    "DELETE /v2/apps/{app}/users/{user_id:path}": lambda api: _later(
        api.client.put(_USER, json={"emails": ["b@example.com"]}),
        lambda api, _: api.client.delete(_USER),
    ),
    "POST /v2/notices/test": lambda api: _test_notice,
    "POST /v2/notices/{notice_id}/resend": lambda api: _later(
        _test_notice(api).json()["notices"][0],
        lambda api, notice_id: api.client.post(f"/v2/notices/{notice_id}/resend"),
    ),
    "POST /v2/schedules/{app}/{job}/{name}/suspend": lambda api: _schedule(api, "suspend"),
    "POST /v2/schedules/{app}/{job}/{name}/resume": lambda api: _schedule(api, "resume"),
    "POST /v2/schedules/{app}/{job}/{name}/run": lambda api: _schedule(api, "run"),
    "POST /v2/apps/{app}/signing_secrets": lambda api: (
        lambda api: api.post("/v2/apps/media/signing_secrets")
    ),
    "POST /v2/queues/{name}/pause": lambda api: lambda api: api.post("/v2/queues/slow/pause"),
    "POST /v2/queues/{name}/resume": lambda api: lambda api: api.post("/v2/queues/slow/resume"),
    "POST /v2/workers/{worker}/drain": lambda api: _worker(api, "drain"),
    "POST /v2/workers/{worker}/undrain": lambda api: _worker(api, "undrain"),
    "POST /v2/subscriptions": lambda api: _subscribe,
    "DELETE /v2/subscriptions/{number}": lambda api: _later(
        _subscribed(api), lambda api, number: api.client.delete(f"/v2/subscriptions/{number}")
    ),
    "DELETE /v2/dead_messages/{number}": lambda api: _later(
        _bury(api), lambda api, number: api.client.delete(f"/v2/dead_messages/{number}")
    ),
    "POST /v2/dead_messages/{number}/send": lambda api: _send,
    "POST /v2/tokens": lambda api: _token,
    "POST /v2/tokens/{token_id}/rotate": lambda api: _later(
        _token_id(api), lambda api, number: api.post(f"/v2/tokens/{number}/rotate")
    ),
    "DELETE /v2/tokens/{token_id}": lambda api: _later(
        _token_id(api), lambda api, number: api.client.delete(f"/v2/tokens/{number}")
    ),
}
"""By the route: what makes ready for it, and returns the request."""


def _later(
    thing: Any, ask: Callable[[Running, Any], httpx.Response]
) -> Callable[[Running], httpx.Response]:
    return lambda api: ask(api, thing)


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("audit")
    with ExitStack() as open_parts:
        store = open_parts.enter_context(opened(f"sqlite:///{folder / 'barbeque.db'}"))
        store.write(define)
        topics: Any = Obedient()
        yield open_parts.enter_context(serving(parts_of(store, folder), topics=topics))


def routes() -> list[str]:
    nothing: Any = None
    found = routes_of(create_app(parts_of(nothing, Path("/nowhere"))))
    return [each.name for each in found if each.verb in WRITING and each.name not in UNWRITTEN]


@pytest.mark.parametrize("route", routes())
def test_a_change_that_is_asked_for_leaves_one_row(watched: Running, route: str) -> None:
    assert route in WAYS, "say in WAYS how it changes something, or in UNWRITTEN why nothing"
    ask = WAYS[route](watched)
    before = newest(watched)
    answer = ask(watched)
    assert answer.is_success, answer.text
    after = newest(watched)
    new = [each for each in after if each["id"] not in {old["id"] for old in before}]
    assert len(new) == 1, new
    (row,) = new
    assert row["origin"] == "127.0.0.1"
    assert row["actor"] == "anybody on this machine"
    assert row["before"] or row["after"]


def newest(api: Running) -> list[dict[str, Any]]:
    return list(api.get("/v2/audit?limit=200").json()["audit"])


def test_what_is_refused_leaves_no_row(watched: Running) -> None:
    before = newest(watched)
    watched.post("/v2/queues/nothing/pause")
    watched.post(f"/v2/job_executions/{watched.enqueue()}/retries")
    watched.post("/v2/apps/nothing/revisions", {"image": "x"})
    watched.post("/v2/tokens", {"name": "", "scopes": ["read"]})
    headers = {"content-type": "application/yaml"}
    plan = MANIFEST.replace("New", "Other")
    watched.client.post("/v2/apply?dry_run=1", content=plan, headers=headers)
    assert newest(watched) == before


def test_the_trail_tells_before_and_after_and_no_secret(watched: Running) -> None:
    headers = {"content-type": "application/yaml"}
    job = "jobs: [{name: Hot, command: [x], queue: default, timeout: %s, env: {KEY: %s}}]"
    for timeout, secret in (("5m", "hush-1"), ("10m", "hush-2")):
        text = "apps: [{name: media, image: 'media:1', %s}]" % (job % (timeout, secret))
        assert watched.client.post("/v2/apply", content=text, headers=headers).is_success
    answer = watched.get("/v2/audit?subject=job:media/Hot")
    changed, made = answer.json()["audit"]
    assert (made["action"], changed["action"]) == ("job.create", "job.change")
    assert made["after"]["env"] == ["KEY"]
    assert (changed["before"]["timeout"], changed["after"]["timeout"]) == ("5m", "10m")
    assert changed["app"] == "media"
    assert "hush" not in answer.text


def test_the_trail_is_read_page_by_page_and_narrowed(watched: Running) -> None:
    for verb in ("pause", "resume") * 2:
        watched.post(f"/v2/queues/slow/{verb}")
    every = newest(watched)
    pages: list[dict[str, Any]] = []
    before = ""
    while True:
        page = watched.get(f"/v2/audit?limit=3{before}").json()
        pages += page["audit"]
        if page["next"] is None:
            break
        before = f"&before={page['next']}"
    assert pages == every
    for query, field, value in (
        ("action=queue.pause", "action", "queue.pause"),
        ("subject=queue:slow", "subject", "queue:slow"),
        ("app=media", "app", "media"),
    ):
        found = watched.get(f"/v2/audit?{query}").json()["audit"]
        assert found
        assert all(each[field] == value for each in found)
    assert watched.get("/v2/audit?actor=nobody").json() == {"audit": [], "next": None}

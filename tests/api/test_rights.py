"""Who may ask for what: every route with every identity, generated from the list of routes.

A new route is in it by itself; a path parameter that is new here needs a value in `THEIRS` and
`NOBODYS`, a body that a route insists on stands in `BODIES`.
"""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from barbeque_api.app import create_app
from barbeque_api.gate import JOB_PATHS
from barbeque_api.rights import OPEN_PATHS, ByTicket, Needs, OpenToAll
from barbeque_py.apps import App, JobDefinition, Queue, Subscription
from barbeque_py.broker import Parcel
from barbeque_py.identity import EVERYBODY, FOR_EVERY_APP, Scope
from barbeque_py.ids import attempt_id, new_message_id
from barbeque_py.issue import Wish, issue, revoke
from barbeque_py.release import release
from barbeque_py.schedules import Schedule
from barbeque_py.store import Store, Tx, apps, failures, notices, schedules, subscriptions
from barbeque_py.store import executions as rows
from tests.api.routes import WRITING, Route, routes_of
from tests.api.served import JOB, UNSEEN, Running, parts_of, serving
from tests.notices.samples import a_notice
from tests.stores import opened

SCOPES = frozenset(Scope) - {*FOR_EVERY_APP}
APPLIED = "apps: [{name: mine, image: 'mine:1', jobs: [{name: Thumbnail, command: [x]}]}]"

BODIES: dict[str, Any] = {
    "POST /v2/job_executions": JOB | {"application": "mine"},
    "POST /v2/job_executions/batch": {"jobs": [JOB | {"application": "mine"}]},
    "POST /v1/apps/{name}/revision_lock": {"revision": "2"},
    "POST /v2/apps/{app}/revisions": {"image": "mine:2"},
}


@dataclass(frozen=True)
class World:
    """An API that asks for tokens, with two apps; and who asks it."""

    api: Running
    tokens: dict[str, tuple[str | None, frozenset[Scope], str]]
    """By identity: the app, the scopes and the text of what is shown."""
    theirs: dict[str, Any]
    """What the other app's things are called, by path parameter."""

    def ask(self, route: Route, identity: str, values: dict[str, Any]) -> httpx.Response:
        shown = self.tokens[identity][2]
        headers = {"authorization": f"Bearer {shown}"} if shown else {}
        if route.name == "POST /v2/apply":
            headers["content-type"] = "application/yaml"
            return self.api.client.post(route.path, content=APPLIED, headers=headers)
        body = BODIES.get(route.name, {}) if route.verb in WRITING else None
        return self.api.client.request(
            route.verb, route.at(**values), json=body, headers=headers, timeout=60
        )


NOBODYS: dict[str, Any] = {
    "message_id": UNSEEN,
    "attempt_id": f"{UNSEEN}-1",
    "number": 999_999,
    "token_id": "nothing",
    "app": "nothing",
    "job": "nothing",
    "name": "nothing",
    "worker": "nothing",
    "user_id": "u1",
    "notice_id": UNSEEN,
}


def routes() -> list[Route]:
    """List the routes; the parts behind them are not asked anything."""
    nothing: Any = None
    app: FastAPI = create_app(parts_of(nothing, Path("/nowhere")))
    return routes_of(app)


def define(tx: Tx) -> None:
    apps.put_queue(tx, Queue("default"))
    for name in ("mine", "theirs"):
        apps.put_app(tx, App(name, f"{name}:1"))
        release(tx, EVERYBODY, name, f"{name}:1", pinned=None)
        apps.put_job(tx, JobDefinition(name, "Thumbnail", ("thumbnail",)))
        topic = f"arn:aws:sns:eu-west-1:123456789012:{name}"
        subscriptions.put(tx, Subscription(topic, "default", name, "Thumbnail"))
        schedules.put(tx, Schedule(name, "Thumbnail", name, "0 0 29 2 *"))


def tokens(store: Store) -> Iterator[tuple[str, tuple[str | None, frozenset[Scope], str]]]:
    """Make every kind of identity there is."""

    def make(scopes: frozenset[Scope], app: str | None = None, **more: Any) -> tuple[str, str]:
        wish = Wish("test", scopes, app, **more)
        token, text = store.write(lambda tx: issue(tx, EVERYBODY, wish))
        return token.id, text

    yield "none", (None, frozenset(), "")
    yield "bad", (None, frozenset(), f"bq_{'0' * 12}_{'A' * 43}")
    yield (
        "expired",
        (None, frozenset(), make(frozenset(Scope), lifetime=timedelta(microseconds=1))[1]),
    )
    token_id, text = make(frozenset(Scope))
    store.write(lambda tx: revoke(tx, EVERYBODY, token_id))
    yield "revoked", (None, frozenset(), text)
    for scope in Scope:
        yield f"{scope} of all", (None, frozenset({scope}), make(frozenset({scope}))[1])
    for scope in SCOPES:
        yield f"{scope} of mine", ("mine", frozenset({scope}), make(frozenset({scope}), "mine")[1])
    yield "mine", ("mine", SCOPES, make(SCOPES, "mine")[1])


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("rights")
    with ExitStack() as open_parts:
        store = open_parts.enter_context(opened(f"sqlite:///{folder / 'barbeque.db'}"))
        store.write(define)
        identities = dict(tokens(store))
        parts = parts_of(store, folder)
        with serving(parts) as open_api:
            ids = {name: open_api.enqueue(application=name) for name in ("mine", "theirs")}
            assert open_api.take_in() == 2
            for name in ("mine", "theirs"):
                body = f'{{"Type":"JobExecution","Application":"{name}","Job":"Nothing"}}'
                open_api.parts.broker.send("default", [Parcel(body=body, app=name)])
            open_api.take_in()
            dead = open_api.get("/v2/dead_messages").json()["dead_messages"]
            numbers = {("theirs" in each["body"]): each["id"] for each in dead}
        api = open_parts.enter_context(serving(parts, ask_for_tokens=True))
        theirs = {
            "message_id": ids["theirs"],
            "attempt_id": f"{ids['theirs']}-1",
            "number": numbers[True],
            "token_id": "nothing",
            "app": "theirs",
            "job": "Thumbnail",
            "name": "theirs",
            "user_id": "u1",
            "notice_id": UNSEEN,
        }
        yield World(api, identities, theirs)


ROUTES = routes()


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_every_route_declares_one_right(route: Route) -> None:
    assert len(route.declared) == 1, "add it with dependencies=[needs(Scope...)]"
    (right,) = route.declared
    assert isinstance(right, Needs | OpenToAll | ByTicket)
    assert isinstance(right, OpenToAll) == (route.path in OPEN_PATHS)
    assert isinstance(right, ByTicket) == route.path.startswith(JOB_PATHS)


def allowed(route: Route, identity: str, app: str | None, scopes: frozenset[Scope]) -> bool:
    """Tell whether the identity is let in, as the route declares."""
    if route.scope is None:
        return True
    if route.path == "/v2/audit" and app is None:
        return Scope.ADMIN in scopes
    if route.path == "/v2/workers" and app is not None:
        return False  # it is about everybody's machines
    return route.scope in scopes or Scope.ADMIN in scopes


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_every_identity_may_what_is_declared_and_nothing_else(world: World, route: Route) -> None:
    for identity, (app, scopes, _) in world.tokens.items():
        answer = world.ask(route, identity, NOBODYS | {"app": "mine"})
        told = f"{identity}: {answer.status_code} {answer.text[:200]}"
        if allowed(route, identity, app, scopes):
            assert answer.status_code not in (401, 403), told
            assert answer.status_code < 500, told
        elif identity in ("none", "bad", "expired", "revoked"):
            assert answer.status_code == 401, told
        else:
            assert answer.status_code == 403, told


@pytest.mark.parametrize(
    "route", [each for each in ROUTES if "{" in each.path], ids=lambda route: route.name
)
def test_another_app_s_thing_is_answered_as_one_that_nobody_knows(
    world: World, route: Route
) -> None:
    if route.scope in (None, Scope.ADMIN):
        return
    before = changes(world)
    found = world.ask(route, "mine", world.theirs)
    assert changes(world) == before
    if route.path.endswith("/cancel"):  # of an id that nobody knows yet, it is a promise
        assert found.status_code == 404
        return
    nobodys = NOBODYS | {"message_id": new_message_id()}
    unknown = world.ask(route, "mine", nobodys)
    assert found.status_code == unknown.status_code
    told = found.text
    for name in re.findall(r"{(\w+)(?::\w+)?}", route.path):
        told = told.replace(str(world.theirs[name]), str(nobodys[name]))
    assert told == unknown.text


@pytest.mark.parametrize(
    "route",
    [each for each in ROUTES if each.verb == "GET" and each.scope not in (None, Scope.ADMIN)],
    ids=lambda route: route.name,
)
def test_no_answer_tells_of_another_app(world: World, route: Route) -> None:
    values = NOBODYS | {"app": "mine"}
    answer = world.ask(route, "mine", values)
    assert "theirs" not in answer.text
    assert world.theirs["message_id"] not in answer.text
    for query in ("app=theirs", "limit=200"):
        path = f"{route.at(**values)}?{query}"
        headers = {"authorization": f"Bearer {world.tokens['mine'][2]}"}
        told = world.api.get(path, headers=headers).text.replace("app=theirs", "")
        assert world.theirs["message_id"] not in told
        assert '"app":"theirs"' not in told


def test_a_queue_tells_an_app_of_its_own_executions_alone(world: World) -> None:
    seen = {}
    for identity in ("mine", "admin of all"):
        headers = {"authorization": f"Bearer {world.tokens[identity][2]}"}
        (queue,) = world.api.get("/v2/queues", headers=headers).json()["queues"]
        seen[identity] = queue
    assert seen["mine"]["waiting"] < seen["admin of all"]["waiting"]
    assert seen["mine"]["messages"] is None


def test_an_app_s_token_applies_its_own_definitions_and_makes_nothing_shared(world: World) -> None:
    headers = {
        "authorization": f"Bearer {world.tokens['mine'][2]}",
        "content-type": "application/yaml",
    }
    everyone = {**headers, "authorization": f"Bearer {world.tokens['deploy of all'][2]}"}

    def applied(text: str, shown: dict[str, str] = headers) -> int:
        answer = world.api.client.post("/v2/apply", content=text, headers=shown)
        return answer.status_code

    job = "jobs: [{name: Thumbnail, command: [y]}]"
    before = changes(world)
    assert applied(f"apps: [{{name: theirs, image: 'x:1', {job}}}]") == 403
    assert applied(f"apps: [{{name: nothing, image: 'x:1', {job}}}]") == 403
    assert applied(f"apps: [{{name: nothing, image: 'x:1', {job}}}]", everyone) == 403
    assert applied("queues: [{name: new}]") == 403
    assert applied("queues: [{name: default, concurrency: 3}]", everyone) == 403
    assert changes(world) == before
    own = f"apps: [{{name: mine, image: 'x:1', {job}}}]"
    assert applied(f"{{queues: [{{name: default}}], {own}}}") == 200
    assert applied(f"apps: [{{name: theirs, image: 'x:1', {job}}}]", everyone) == 200


def test_a_dead_message_is_not_a_way_to_another_app_s_jobs(world: World) -> None:
    headers = {"authorization": f"Bearer {world.tokens['mine'][2]}"}
    admin = {"authorization": f"Bearer {world.tokens['admin of all'][2]}"}
    body = '{"Type":"JobExecution","Application":"mine","Job":"Thumbnail","Message":{"x":1}}'
    world.api.parts.broker.send("default", [Parcel(body=body[:-1] + ',"X":1}', app="mine")])
    world.api.take_in()
    found = world.api.get("/v2/dead_messages", headers=headers).json()["dead_messages"]
    number = found[0]["id"]
    for other in (
        body.replace("mine", "theirs"),
        f'{{"Type":"JobRetry","RetryMessageId":"{world.theirs["message_id"]}"}}',
    ):
        answer = world.api.post(
            f"/v2/dead_messages/{number}/send", {"body": other}, headers=headers
        )
        assert answer.status_code == 403, answer.text
    sent = world.api.post(f"/v2/dead_messages/{number}/send", {"body": body}, headers=headers)
    assert sent.status_code == 201, sent.text
    listed = world.api.get("/v2/dead_messages", headers=admin).json()["dead_messages"]
    assert number not in [each["id"] for each in listed]


def test_what_a_log_says_is_for_those_who_may_read_logs(world: World) -> None:
    said, notice = "Error: what the log says", a_notice(app="theirs")

    def fail(tx: Tx) -> None:
        execution = rows.by_message_id(tx, world.theirs["message_id"])
        assert execution is not None
        attempt = attempt_id(execution.message_id, 1)
        failures.leave_unsorted(tx, [attempt])
        found = failures.Unsorted(
            attempt=attempt,
            execution=execution.id,
            number=1,
            message_id=execution.message_id,
            app="theirs",
            job="Thumbnail",
            user_id=None,
            finished_at=tx.now,
            reason="exited",
            exit_code=1,
            detail=None,
            log_lines=0,
            log_error=None,
        )
        failures.sort(tx, [failures.Failed(found, "f" * 32, said)])
        notices.add(tx, None, [notice])
        kept = notices.get(tx, notice.id)
        assert kept is not None
        notices.record(tx, kept.id, notices.Delivery(tx.now, 0.1, "refused", said, "404"))

    world.api.parts.store.write(fail)
    for identity, sees in (("read of all", False), ("admin of all", True)):
        headers = {"authorization": f"Bearer {world.tokens[identity][2]}"}
        for path in ("/v2/failures?app=theirs", f"/v2/notices/{notice.id}"):
            answer = world.api.get(path, headers=headers)
            assert answer.status_code == 200, path
            assert (said in answer.text) is sees, (identity, path)


def changes(world: World) -> Any:
    """Return the newest change that the audit trail knows of."""
    headers = {"authorization": f"Bearer {world.tokens['admin of all'][2]}"}
    return world.api.get("/v2/audit?limit=1", headers=headers).json()

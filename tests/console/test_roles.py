"""Who may ask for what: every route of the console with every role, generated from its routes.

A new route is in it by itself; a path parameter that is new here needs a value in `THEIRS`.
"""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute

from barbeque_console.app import create_app
from barbeque_console.parts import Shown
from barbeque_console.rights import Known, Needs, everything, routes_of, theirs
from barbeque_py import members
from barbeque_py.apps import App, JobDefinition, Subscription
from barbeque_py.broker import Delivery
from barbeque_py.entrance import Entrance
from barbeque_py.identity import EVERYBODY
from barbeque_py.ids import attempt_id, new_message_id
from barbeque_py.notices import Audience, Channel, Event, Notice, Occasion, notice_id
from barbeque_py.roles import Person, read_grants, role_for
from barbeque_py.schedules import Schedule
from barbeque_py.store import Tx, apps, dead, failures, notices, schedules, subscriptions
from barbeque_py.store import executions as rows
from tests.console.inside import SITE, Inside
from tests.console.rigs import Place, open_place

PEOPLE = {
    "nobody": None,
    "without a role": "",
    "viewer": "viewer",
    "viewer who reads logs": "viewer logs:read",
    "operator": "operator",
    "deployer": "deployer",
    "admin": "admin",
    "viewer of mine": "viewer@media",
    "log reader of mine": "viewer@media logs:read@media",
    "operator of mine": "operator@media",
    "deployer of mine": "deployer@media",
    "viewer of all, deployer of theirs": "viewer deployer@theirs",
}


SAID = "Error: what the log says"

_nothing: Any = None
NOWHERE = Shown(store=_nothing, broker=_nothing, logs=_nothing, bell=_nothing)


@dataclass(frozen=True)
class World:
    """A console with an app of one's own and another's, and who asks it."""

    app: Any
    browsers: dict[str, Inside]
    form_keys: dict[str, str]
    place: Place
    owned: dict[str, dict[str, Any]]
    """By whose they are: what things are called, by path parameter."""


def routes() -> list[tuple[APIRoute, object]]:
    """List the routes; the parts behind them are not asked anything."""
    return list(routes_of(create_app(NOWHERE).routes))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with ExitStack() as stack:
        place = stack.enter_context(open_place(tmp_path_factory.mktemp("roles")))
        owned = {name: own(place, name) for name in ("media", "theirs")}
        entrance = Entrance(frozenset({"link", "users"}))
        app = create_app(replace(place.parts, entrance=entrance, host_url=SITE))
        browsers = {who: Inside(app) for who in PEOPLE}
        form_keys = {}
        for number, (who, roles) in enumerate(PEOPLE.items()):
            form_keys[who] = ""
            if roles is not None:
                key = place.store.write(lambda tx, n=number, r=roles: come_in(tx, n, r))  # type: ignore[misc]
                page = browsers[who].post("/login/link", {"key": key})
                assert page.status_code == 303
                text = browsers[who].get("/account").text
                form_keys[who] = text.partition('name="form_key" value="')[2].partition('"')[0]
                assert form_keys[who]
        yield World(app, browsers, form_keys, place, owned)


def come_in(tx: Tx, number: int, roles: str) -> str:
    user = members.add(tx, EVERYBODY, f"p{number}@example.com", read_grants(roles.split()))
    return members.invite(tx, EVERYBODY, user.id)


def own(place: Place, app: str) -> dict[str, Any]:
    """Make what one app has, and a member; return what they are called."""
    message_id = new_message_id()
    email = f"{message_id}@example.com"
    victim = place.store.write(lambda tx: members.add(tx, EVERYBODY, email, frozenset())).id

    def make(tx: Tx) -> int:
        apps.put_app(tx, App(app, image="media:latest"))
        apps.put_job(tx, JobDefinition(app, "Thumbnail", command=("run",)))
        row = rows.new_row(
            message_id=message_id,
            app=app,
            job="Thumbnail",
            queue="default",
            message="{}",
            message_key=None,
            options={},
            priority=0,
            due_at=tx.now,
            sent_at=tx.now,
            recorded_at=tx.now,
        )
        rows.add_missing(tx, [row])
        body = f'{{"Type":"JobExecution","Application":"{app}","Job":"Nothing"}}'
        delivery = Delivery("default", body, "-", new_message_id(), tx.now, 1)
        dead.bury(tx, delivery, reason="x", message_id=delivery.broker_id, app=app)
        return max(each.id for each in dead.newest(tx, before=None, most=9))

    number = place.store.write(make)
    return {
        "message_id": message_id,
        "failure": place.store.write(lambda tx: fail(tx, app, message_id)),
        "number": number,
        "worker": "w1",
        "subscription": place.store.write(lambda tx: hear(tx, app)),
        "notice_id": place.store.write(lambda tx: tell(tx, app)),
        "app": app,
        "job": "Thumbnail",
        "name": "default",
        "attempt": 1,
        "revision": 1,
        "token_id": "nothing",
        "user": victim,
        "view": 1,
    }


def hear(tx: Tx, app: str) -> int:
    """Let the app have a schedule, and a queue hear a topic for it; return the latter's number."""
    schedules.put(tx, Schedule(app, "Thumbnail", "default", "0 0 29 2 *"))
    topic = f"arn:aws:sns:eu-west-1:123456789012:{app}"
    return subscriptions.put(tx, Subscription(topic, "default", app, "Thumbnail")).id


def tell(tx: Tx, app: str) -> str:
    """Let somebody have been told of the app; return the notice's id."""
    occasion = Occasion(Event.FAILED, app, "Thumbnail", new_message_id())
    name = notice_id(occasion, Channel.EMAIL, "ann@example.com")
    made = Notice(name, Channel.EMAIL, "ann@example.com", Audience.ADMINS, occasion)
    notices.add(tx, None, [made])
    return name


def fail(tx: Tx, app: str, message_id: str) -> int:
    """Let what the app has run have failed, in a group of its own; return the group's number."""
    execution = rows.by_message_id(tx, message_id)
    assert execution is not None
    attempt = attempt_id(message_id, 1)
    failures.leave_unsorted(tx, [attempt])
    found = failures.Unsorted(
        attempt=attempt,
        execution=execution.id,
        number=1,
        message_id=message_id,
        app=app,
        job="Thumbnail",
        user_id=None,
        finished_at=tx.now,
        reason="exited",
        exit_code=1,
        detail=None,
        log_lines=0,
        log_error=None,
    )
    failures.sort(tx, [failures.Failed(found, message_id[-32:], SAID)])
    return failures.of_execution(tx, execution.id)[0].id


def ask(world: World, who: str, route: APIRoute, verb: str, whose: str) -> httpx.Response:
    # What is acted on may be gone afterwards, so that each acts on something of its own.
    values = own(world.place, whose) if verb == "POST" else world.owned[whose]
    path = re.sub(r"\{(\w+)(:\w+)?\}", lambda found: str(values[found[1]]), route.path)
    query = f"?app={whose}&attempt=1"
    browser = world.browsers[who]
    if verb == "POST":
        return browser.post(path + query, {"form_key": world.form_keys[who], "app": whose})
    return browser.ask(verb, path + query, headers={"accept": "text/html"})


def expected(declared: object, who: str, whose: str) -> bool:
    """Tell whether they may, as the route declares."""
    roles = PEOPLE[who]
    if not isinstance(declared, Needs | Known):
        return True
    if roles is None:
        return False
    if isinstance(declared, Known):
        return True
    person = Person(who, read_grants(roles.split()))
    if declared.of is theirs:
        return person.apps(declared.scope) != frozenset()
    app = None if declared.of is everything else whose
    return person.may(declared.scope, app)


ROUTES = [
    pytest.param(route, verb, declared, id=f"{verb} {route.path}")
    for route, declared in routes()
    for verb in sorted(route.methods or ())
    if verb != "HEAD" and not route.path.startswith("/logout")
]


@pytest.mark.parametrize(("route", "verb", "declared"), ROUTES)
def test_every_route_lets_in_whom_it_declares(
    world: World, route: APIRoute, verb: str, declared: object
) -> None:
    for whose in ("theirs", "media"):
        for who, roles in PEOPLE.items():
            if whose == "media" and "mine" not in who:
                continue  # whose it is changes nothing for them
            answer = ask(world, who, route, verb, whose)
            place = f"{who}, {whose}: {answer.status_code}"
            assert answer.status_code < 500, place
            if expected(declared, who, whose):
                refused = isinstance(declared, Needs) and is_refused(answer)
                assert not refused, place
            elif roles is None:
                sent_away = answer.headers.get("location", "").startswith("/login")
                assert sent_away if verb == "GET" else answer.status_code == 401, place
            else:
                assert is_refused(answer), place
                assert names_what_is_missing(answer, declared), place


def is_refused(answer: httpx.Response) -> bool:
    """Tell whether the answer is that they may not; a thing of another app's is not there."""
    return "This needs the role" in answer.text or "Nothing has this address" in answer.text


def names_what_is_missing(answer: httpx.Response, declared: object) -> bool:
    if answer.status_code == 404:
        return True
    assert isinstance(declared, Needs)
    return f"This needs the role {role_for(declared.scope)}" in answer.text


def test_a_list_shows_no_other_app_however_often_the_address_names_one(world: World) -> None:
    browser, other = world.browsers["viewer of mine"], world.owned["theirs"]["message_id"]
    asked = "app=media&app=theirs&app=media"
    for path in ("/executions", "/executions/export.csv", "/executions/export.json"):
        answer = browser.get(f"{path}?{asked}")
        assert answer.status_code == 400, path
        assert other not in answer.text, path
    assert "execution" not in browser.get(f"/executions/count?{asked}").text


def test_a_line_of_a_log_is_for_those_who_may_read_logs(world: World) -> None:
    failure = world.owned["media"]["failure"]
    paths = ["/failures", f"/failures/{failure}", "/jobs/media/Thumbnail", "/"]
    for who, sees in (("viewer of mine", False), ("log reader of mine", True)):
        for path in paths:
            page = world.browsers[who].get(f"{path}?app=media")
            assert page.status_code == 200, path
            assert re.search(r"/failures/\d", page.text), (who, path)
            assert (SAID in page.text) is sees, (who, path)


def test_an_address_with_a_number_that_no_row_has_is_nowhere(world: World) -> None:
    numbered = [
        (route.path, verb)
        for route, _ in routes()
        for verb in sorted((route.methods or set()) - {"HEAD"})
        if ":number}" in route.path
    ]
    assert len(numbered) > 10
    for address, verb in numbered:
        for number in ("x", "9" * 30):
            path = re.sub(r"\{\w+:number\}", number, address).replace("{app}", "media")
            for who in ("admin", "deployer of mine"):
                form = {"form_key": world.form_keys[who]}
                browser = world.browsers[who]
                answer = browser.post(path, form) if verb == "POST" else browser.get(path)
                assert answer.status_code == 404, (who, verb, path)


def test_a_page_that_declares_nothing_does_not_start() -> None:
    app = create_app(NOWHERE)
    app.add_api_route("/new", lambda: None)
    with pytest.raises(RuntimeError, match="does not say who may ask"):
        list(routes_of(app.routes))


def test_a_view_is_shared_by_who_may_act_on_what_it_shows(world: World) -> None:
    for who, app, status in (
        ("viewer of mine", "media", 403),
        ("operator of mine", "media", 303),
        ("operator of mine", "theirs", 403),
    ):
        form = {"name": app, "conditions": f"app={app}", "form_key": world.form_keys[who]}
        answer = world.browsers[who].post("/executions/views", form | {"shared": "1"})
        assert answer.status_code == status, (who, app)
        assert world.browsers[who].post("/executions/views", form).status_code == 303


def test_a_list_shows_one_of_theirs_to_who_may_not_see_all(world: World) -> None:
    browser = world.browsers["viewer of mine"]
    answer = browser.get("/executions?status=queued")
    assert answer.headers["location"] == "/executions?status=queued&app=media"
    page = browser.get(answer.headers["location"]).text
    assert "Thumbnail" in page
    assert "theirs" not in page

"""Nobody acts in another's name: sessions, forms of other sites, cookies, ways in. One table.

Each case does what an attacker would, and is refused; after each the queue that it tries to pause
is as it was.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import httpx
import pytest

from barbeque_console.app import create_app
from barbeque_py import members
from barbeque_py.entrance import Entrance
from barbeque_py.identity import EVERYBODY, Scope
from barbeque_py.issue import Wish, issue
from barbeque_py.passwords import digest
from barbeque_py.roles import read_grants
from barbeque_py.setting_entrance import read_networks, read_roles
from barbeque_py.store import Tx, apps, audit
from barbeque_py.store.audit import Wanted
from tests.console.inside import SITE, Inside
from tests.console.rigs import Place, open_place

GOOD = "correct horse battery"
SECRET = "s" * 40
PAUSE, RESUME = "/queues/default/pause", "/queues/default/resume"
SIGNED_IN = ("ann@example.com", "bob@example.com")


@dataclass
class World:
    """A console that asks who comes, and browsers of those who have come."""

    place: Place
    app: Any
    numbers: dict[str, int] = field(default_factory=dict)

    def browser(self, email: str = "") -> Inside:
        """Return a browser; with an address, one that has logged in."""
        found = Inside(self.app)
        if email:
            answer = found.post("/login", {"email": email, "password": GOOD, "next": "/queues"})
            assert answer.status_code == 303, answer.text
            assert answer.headers["location"] == "/queues"
        return found

    def form_key(self, browser: Inside) -> str:
        page = browser.get("/queues").text
        return page.partition('name="form_key" value="')[2].partition('"')[0]

    def pause(self, browser: Inside, **headers: str | None) -> httpx.Response:
        """Send the form as its own page does, but for these headers."""
        return browser.post(PAUSE, {"form_key": self.form_key(browser)}, **headers)

    def paused(self) -> bool:
        return "default" in self.place.store.read(apps.paused_queues)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with ExitStack() as stack:
        place = stack.enter_context(open_place(tmp_path_factory.mktemp("sessions")))
        entrance = Entrance(
            frozenset({"users", "link", "proxy"}),
            read_roles("@example.com=admin"),
            peers=read_networks("10.0.0.0/8"),
            proxy_secret=SECRET,
        )
        parts = replace(place.parts, entrance=entrance, host_url=SITE)
        found = World(place, create_app(parts))
        kept = digest(GOOD)

        def add(tx: Tx) -> None:
            for email in SIGNED_IN:
                user = members.add(tx, EVERYBODY, email, read_grants(["admin"]))
                members.set_password(tx, EVERYBODY, user.id, kept)
                found.numbers[email] = user.id

        place.store.write(add)
        yield found


Act = Callable[[World], httpx.Response]


def headers(**given: str | None) -> Act:
    """Send the form with the right key, but with these headers."""
    return lambda world: world.pause(world.browser("ann@example.com"), **given)


def key(make: Callable[[World, Inside], str | None]) -> Act:
    """Send the form as the browser does, but with this for its key."""

    def act(world: World) -> httpx.Response:
        ann = world.browser("ann@example.com")
        shown = make(world, ann)
        return ann.post(PAUSE, {} if shown is None else {"form_key": shown})

    return act


def ask(verb: str, path: str = PAUSE, **more: Any) -> Act:
    """Ask with another method, as who is logged in."""

    def act(world: World) -> httpx.Response:
        ann = world.browser("ann@example.com")
        own = {"sec-fetch-site": "same-origin", "origin": SITE}
        return ann.ask(verb, path, headers=own | more.pop("headers", {}), **more)

    return act


def shows(make: Callable[[World, str], str], *, host: bool = True) -> Act:
    """Look at a page with this instead of the key of a session that is good."""

    def act(world: World) -> httpx.Response:
        ann = world.browser("ann@example.com")
        [(cookie, own)] = ann.cookies.items()
        ann.cookies = {cookie if host else cookie.removeprefix("__Host-"): make(world, own)}
        return ann.get("/queues")

    return act


def after(change: Callable[[World, Inside], Any]) -> Act:
    """Look at a page with a session to which something has happened meanwhile."""

    def act(world: World) -> httpx.Response:
        ann = world.browser("ann@example.com")
        own = dict(ann.cookies)
        try:
            change(world, ann)
            ann.cookies = own
            return ann.get("/queues")
        finally:
            world.place.store.shift = timedelta(0)
            number = world.numbers["ann@example.com"]
            write = world.place.store.write
            write(lambda tx: members.set_disabled(tx, EVERYBODY, number, disabled=False))

    return act


def leave(path: str) -> Callable[[World, Inside], Any]:
    def act(world: World, ann: Inside) -> None:
        answer = ann.post(path, {"form_key": world.form_key(ann)})
        assert answer.headers["location"].startswith("/login"), answer.text
        assert ann.cookies == {}

    return act


def leave_elsewhere(world: World, ann: Inside) -> None:
    leave("/logout/everywhere")(world, world.browser("ann@example.com"))


def wait(**length: int) -> Callable[[World, Inside], Any]:
    def act(world: World, ann: Inside) -> None:
        world.place.store.shift = timedelta(**length)

    return act


def disable(world: World, ann: Inside) -> None:
    number = world.numbers["ann@example.com"]
    write = world.place.store.write
    write(lambda tx: members.set_disabled(tx, EVERYBODY, number, disabled=True))


def change_password(world: World, ann: Inside) -> None:
    other = world.browser("ann@example.com")
    form = {"form_key": world.form_key(other), "old": GOOD, "new": GOOD}
    assert other.post("/account/password", form).status_code == 303
    assert other.get("/queues").status_code == 200, "the one that changed it is out, too"


def log_in_again(world: World, ann: Inside) -> None:
    answer = ann.post("/login", {"email": "bob@example.com", "password": GOOD})
    assert answer.status_code == 303


def planted(world: World) -> httpx.Response:
    """Let the victim log in with a cookie that the attacker has set and knows."""
    victim = Inside(world.app)
    name = next(iter(world.browser("ann@example.com").cookies))
    victim.cookies = {name: "A" * 43}
    victim.post("/login", {"email": "ann@example.com", "password": GOOD})
    assert victim.cookies[name] != "A" * 43
    attacker = Inside(world.app)
    attacker.cookies = {name: "A" * 43}
    return attacker.get("/queues")


def log_in(form: dict[str, str], **given: str | None) -> Act:
    return lambda world: world.browser().post("/login", form, **given)


def link_twice(world: World) -> httpx.Response:
    made = world.place.store.write(lambda tx: members.let_in(tx, EVERYBODY))
    page = world.browser().get(f"/login/link?key={made}")
    assert "Come in" in page.text
    again = world.browser().get(f"/login/link?key={made}")
    assert "Come in" in again.text, "looking at the link has used it up"
    assert world.browser().post("/login/link", {"key": made}).headers["location"] == "/"
    return world.browser().post("/login/link", {"key": made})


def link_from_elsewhere(world: World) -> httpx.Response:
    made = world.place.store.write(lambda tx: members.let_in(tx, EVERYBODY))
    return world.browser().post("/login/link", {"key": made}, sec_fetch_site="cross-site")


def proxied(peer: str = "10.1.2.3", **given: str) -> Act:
    def act(world: World) -> httpx.Response:
        shown = {"x-forwarded-email": "ceo@example.com", "x-barbeque-proxy-secret": SECRET}
        shown |= {name.replace("_", "-"): each for name, each in given.items()}
        return Inside(world.app, peer=peer).get("/queues", **shown)

    return act


def proxied_without_key(world: World) -> httpx.Response:
    shown = {"x_forwarded_email": "ceo@example.com", "x_barbeque_proxy_secret": SECRET}
    return Inside(world.app, peer="10.1.2.3").post(PAUSE, {}, **shown)


def bearer(world: World) -> httpx.Response:
    wish = Wish("api", frozenset({Scope.ADMIN}))
    _, text = world.place.store.write(lambda tx: issue(tx, EVERYBODY, wish))
    return world.browser().get("/queues", authorization=f"Bearer {text}")


def read_only(world: World) -> httpx.Response:
    parts = replace(world.place.parts, entrance=Entrance(frozenset({"users"})), read_only=True)
    quiet = World(world.place, create_app(parts))
    return quiet.pause(quiet.browser("ann@example.com"))


CREDENTIALS = {"email": "ann@example.com", "password": GOOD}
CASES: dict[str, Act] = {
    "a form of who has not logged in": lambda world: world.browser().post(PAUSE),
    "a browser that says nothing": headers(sec_fetch_site=None, origin=None),
    "another site's form": headers(sec_fetch_site="cross-site", origin="https://evil.example"),
    "a sibling site's form": headers(sec_fetch_site="same-site"),
    "a form that no page sent": headers(sec_fetch_site="none"),
    "an old browser with another site's form": headers(
        sec_fetch_site=None, origin="https://evil.example"
    ),
    "words that contradict each other": headers(origin="https://evil.example"),
    "a hidden origin": headers(origin="null"),
    "another port": headers(sec_fetch_site=None, origin=f"{SITE}:8443"),
    "a host that begins like ours": headers(sec_fetch_site=None, origin=f"{SITE}.evil.example"),
    "no key": key(lambda world, ann: None),
    "an empty key": key(lambda world, ann: ""),
    "a wrong key": key(lambda world, ann: "0" * 64),
    "the key of another's session": key(
        lambda world, ann: world.form_key(world.browser("bob@example.com"))
    ),
    "the key of another session of oneself": key(
        lambda world, ann: world.form_key(world.browser("ann@example.com"))
    ),
    "the session's own key": key(lambda world, ann: next(iter(ann.cookies.values()))),
    "a key in the address": lambda world: (ann := world.browser("ann@example.com")).post(
        f"{PAUSE}?form_key={world.form_key(ann)}"
    ),
    "a form as JSON": ask("POST", json={"form_key": "x"}),
    "a GET that changes": ask("GET", RESUME),
    "a HEAD that changes": ask("HEAD", RESUME),
    "another method": ask("PUT"),
    "a method in disguise": ask("GET", f"{RESUME}?_method=POST", headers={"x-http-method": "POST"}),
    "a logout by a link": ask("GET", "/logout"),
    "a logout by another site": lambda world: world.browser("ann@example.com").post(
        "/logout", sec_fetch_site="cross-site"
    ),
    "a body without end": ask("POST", content=b"form_key=" + b"x" * 2_200_000),
    "a made-up key of a session": shows(lambda world, own: "A" * 43),
    "what the database keeps of a session": shows(lambda world, own: members.digest_of(own)),
    "half a key": shows(lambda world, own: own[:-1]),
    "a very long key": shows(lambda world, own: own * 100),
    "a cookie that any page of the host can set": shows(lambda world, own: own, host=False),
    "a session after its logout": after(leave("/logout")),
    "a session after a logout everywhere": after(leave_elsewhere),
    "a session that was idle": after(wait(hours=8, seconds=1)),
    "a session that is old": after(wait(days=7, seconds=1)),
    "a session of who was disabled": after(disable),
    "a session of before the password was changed": after(change_password),
    "a session of before somebody else came in": after(log_in_again),
    "a session that was planted": planted,
    "a login by another site": log_in(CREDENTIALS, sec_fetch_site="cross-site"),
    "a login without a password": log_in({"email": "ann@example.com"}),
    "a login in an address": lambda world: (
        (nobody := world.browser()).get(f"/login?email=ann@example.com&password={GOOD}"),
        nobody.get("/queues"),
    )[1],
    "a link that was used": link_twice,
    "a link that another site follows": link_from_elsewhere,
    "a proxy that shows no secret": proxied(x_barbeque_proxy_secret=""),
    "a proxy that shows another secret": proxied(x_barbeque_proxy_secret="t" * 40),
    "a proxy that is not named": proxied(peer="192.0.2.1"),
    "a proxy that vouches for nobody": proxied(x_forwarded_email="nobody"),
    "a proxy that vouches for a stranger": proxied(x_forwarded_email="eve@evil.example"),
    "a form through the proxy without a key": proxied_without_key,
    "a token of the API": bearer,
    "a change where all is read-only": read_only,
}


@pytest.mark.parametrize("name", CASES)
def test_it_is_refused(world: World, name: str) -> None:
    answer = CASES[name](world)
    refused = answer.status_code in (400, 401, 403, 404, 405, 413, 429)
    sent_away = answer.status_code == 303 and answer.headers["location"].startswith("/login")
    assert refused or sent_away, (answer.status_code, answer.text[:500])
    assert "set-cookie" not in answer.headers, answer.headers
    assert not world.paused()


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_what_asks_before_it_changes_only_asks(world: World, method: str) -> None:
    answer = ask(method, f"{PAUSE}?_method=POST", headers={"x-http-method": "POST"})(world)
    assert answer.status_code == 200
    assert not world.paused()


def test_whoever_is_let_in_acts_in_their_own_name(world: World) -> None:
    ann = world.browser("ann@example.com")
    assert world.pause(ann).status_code == 303
    assert world.paused()
    again = {"form_key": world.form_key(ann)}
    old = {"sec_fetch_site": None, "origin": SITE}  # a browser that knows no Sec-Fetch-Site
    assert ann.post("/queues/default/resume", again, **old).status_code == 303
    assert not world.paused()
    scripted = ann.post(PAUSE, {}, x_form_key=again["form_key"])
    assert scripted.status_code == 303, scripted.text
    boss = {"x-forwarded-email": "CEO@example.com", "x-barbeque-proxy-secret": SECRET}
    proxy = Inside(world.app, peer="10.1.2.3")
    page = proxy.get("/queues", **boss).text
    form = {"form_key": page.partition('name="form_key" value="')[2].partition('"')[0]}
    given: dict[str, str | None] = {name.replace("-", "_"): each for name, each in boss.items()}
    assert proxy.post("/queues/default/resume", form, **given).status_code == 303
    rows = world.place.store.read(lambda tx: audit.newest(tx, Wanted(subject="queue:default")))
    assert [(row.action, row.actor, row.origin) for row in rows[:4]] == [
        ("queue.resume", "ceo@example.com", "10.1.2.3"),
        ("queue.pause", "ann@example.com", "198.51.100.7"),
        ("queue.resume", "ann@example.com", "198.51.100.7"),
        ("queue.pause", "ann@example.com", "198.51.100.7"),
    ]


def test_the_cookie_is_for_this_site_alone(world: World) -> None:
    answer = world.browser().post("/login", CREDENTIALS)
    cookie = answer.headers["set-cookie"]
    name, _, rest = cookie.partition("=")
    assert name.startswith("__Host-barbeque_")
    flags = {each.strip().lower() for each in rest.split(";")[1:]}
    assert {"secure", "httponly", "samesite=lax", "path=/", "max-age=604800"} <= flags
    assert not any(each.startswith("domain") for each in flags)
    parts = replace(world.place.parts, entrance=Entrance(frozenset({"users"})))
    plain = Inside(create_app(parts), site="http://127.0.0.1:3003")
    cookie = plain.post("/login", CREDENTIALS).headers["set-cookie"]
    assert cookie.startswith("barbeque_")
    assert "secure" not in cookie.lower()
    assert "httponly" in cookie.lower()


@pytest.mark.parametrize("cut", [True, False])
def test_all_of_it_works_under_a_path(world: World, cut: bool) -> None:
    """A proxy may cut the path off or not; the browser sees it either way."""
    entrance = Entrance(frozenset({"users"}))
    parts = replace(world.place.parts, entrance=entrance, host_url=f"{SITE}/jobs")
    browser, before = Inside(create_app(parts)), "" if cut else "/jobs"
    assert browser.get(f"{before}/queues").headers["location"] == "/jobs/login?next=%2Fqueues"
    page = browser.get(f"{before}/login?next=/queues").text
    assert 'action="/jobs/login"' in page
    answer = browser.post(f"{before}/login", CREDENTIALS | {"next": "/queues"})
    assert answer.headers["location"] == "/jobs/queues"
    assert answer.headers["strict-transport-security"] == "max-age=31536000"
    page = browser.get(f"{before}/queues").text
    assert 'href="/jobs/queues/default/pause"' in page
    assert 'action="/queues' not in page


@pytest.mark.parametrize(
    "following",
    ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:x", "/\r\nx", "x"],
)
def test_a_login_leads_to_pages_of_ours_only(world: World, following: str) -> None:
    answer = world.browser().post("/login", CREDENTIALS | {"next": following})
    assert answer.headers["location"] == "/"

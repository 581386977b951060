"""A provider vouches for people by OpenID Connect: over real HTTP, with real keys, and faults."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import httpx
import pytest

from barbeque_console.app import create_app
from barbeque_py import members
from barbeque_py.entrance import Entrance
from barbeque_py.entrance import Provider as Wanted
from barbeque_py.identity import EVERYBODY
from barbeque_py.roles import write_grants
from barbeque_py.setting_entrance import read_roles
from barbeque_py.store import users
from tests.console import provider as providers
from tests.console.inside import SITE, Inside
from tests.console.provider import CLIENT, SECRET, Provider
from tests.console.rigs import Place, open_place, serve

ANN = {"email": "Ann@example.com", "email_verified": True, "groups": ["ops"], "name": "Ann"}


@dataclass
class World:
    """A console, and the provider it asks."""

    place: Place
    app: Any
    provider: Provider

    def begin(self, browser: Inside, path: str = "/login/oidc?next=/queues") -> str:
        """Go to the provider and be sent back; return where to."""
        begun = browser.get(path)
        assert begun.status_code == 303, begun.text
        sent = httpx.get(begun.headers["location"])
        assert sent.status_code == 302
        back = sent.headers["location"]
        assert back.startswith(f"{SITE}/login/oidc/callback?")
        return back.removeprefix(SITE)

    def come_in(self, browser: Inside | None = None) -> httpx.Response:
        browser = browser or Inside(self.app)
        return browser.get(self.begin(browser))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with ExitStack() as stack:
        place = stack.enter_context(open_place(tmp_path_factory.mktemp("oidc")))
        provider = Provider()
        provider.url = stack.enter_context(serve(provider.app()))
        yield World(place, None, provider)


@pytest.fixture
def world(site: World) -> World:
    """The same place with a console that knows nothing of the provider yet, which has no faults."""
    fresh = Provider(url=site.provider.url, person=dict(ANN), keys=[site.provider.keys[0]])
    site.provider.__dict__.update(fresh.__dict__)
    entrance = Entrance(
        frozenset({"oidc"}),
        read_roles("@example.com=viewer, group:ops=operator@media"),
        Wanted(site.provider.url, CLIENT, SECRET),
    )
    parts = replace(site.place.parts, entrance=entrance, host_url=SITE)
    return World(site.place, create_app(parts), site.provider)


def test_whom_the_provider_vouches_for_comes_in_with_the_roles_of_the_rules(world: World) -> None:
    browser = Inside(world.app)
    page = browser.get("/login")
    assert "Continue with 127.0.0.1" in page.text
    answer = world.come_in(browser)
    assert answer.status_code == 303, answer.text
    assert answer.headers["location"] == "/queues"
    account = browser.get("/account").text
    assert "ann@example.com" in account
    assert "viewer operator@media" in account
    assert not any("sign_in" in name for name in browser.cookies), "what was under way is kept"
    user = world.place.store.read(lambda tx: users.by_email(tx, "ann@example.com"))
    assert user
    assert (write_grants(user.grants), user.name) == ("", "Ann")
    world.provider.rotate()
    assert world.come_in().status_code == 303, "keys that were changed are not read anew"
    assert world.provider.asked.count("metadata") == 2, "the provider is asked again and again"
    world.provider.person = {}
    other = Inside(world.app)
    assert world.come_in(other).status_code == 303
    assert "info@example.com" in other.get("/account").text


def edit(**facts: Any) -> Callable[[World], None]:
    """Let the ID token say this; None: nothing of it."""

    def prepare(world: World) -> None:
        def change(claims: dict[str, Any]) -> None:
            claims |= facts
            for name, value in facts.items():
                if value is None:
                    del claims[name]

        world.provider.change_claims = change

    return prepare


def signed(sign: Callable[[Provider, dict[str, Any]], str]) -> Callable[[World], None]:
    def prepare(world: World) -> None:
        world.provider.sign = sign

    return prepare


def answered(**facts: Any) -> Callable[[World], None]:
    def prepare(world: World) -> None:
        world.provider.change_answer = lambda answer: answer.update(facts)

    return prepare


def sent_back(**facts: str) -> Callable[[World], None]:
    def prepare(world: World) -> None:
        world.provider.redirected = facts

    return prepare


def disabled(world: World) -> None:
    def keep_out(tx: Any) -> None:
        user = users.by_email(tx, "gone@example.com") or members.add(
            tx, EVERYBODY, "gone@example.com", frozenset()
        )
        members.set_disabled(tx, EVERYBODY, user.id, disabled=True)

    world.place.store.write(keep_out)
    world.provider.person["email"] = "gone@example.com"


FAULTS: dict[str, Callable[[World], None]] = {
    "another issuer": edit(iss="https://evil.example"),
    "no issuer": edit(iss=None),
    "for another client": edit(aud="other"),
    "for another client, too, without saying who asked": edit(aud=[CLIENT, "other"]),
    "asked for by another client": edit(azp="other"),
    "another nonce": edit(nonce="n" * 48),
    "no nonce": edit(nonce=None),
    "over": edit(exp=1),
    "without an end": edit(exp=None),
    "of tomorrow": edit(iat=4_000_000_000),
    "of nobody": edit(sub=None),
    "an access token that was exchanged": edit(at_hash="AAAAAAAAAAAAAAAAAAAAAA"),
    "an address that is not verified": edit(email_verified=False),
    "an address that may be anybody's": edit(email_verified=None),
    "an address that is a list": edit(email=["ann@example.com"]),
    "a stranger": edit(email="eve@evil.example", groups=[]),
    "a domain that ends like ours": edit(email="eve@notexample.com", groups=[]),
    "who was disabled": disabled,
    "signed by nobody": signed(providers.with_nothing),
    "signed with the client's secret": signed(providers.with_shared_secret),
    "signed with the public key": signed(providers.with_public_key),
    "signed with a strange key": signed(providers.with_strange_key),
    "no ID token": answered(id_token=None),
    "an ID token that is none": answered(id_token="e30.e30."),
    "a refusal": sent_back(error="access_denied"),
    "an answer of another issuer": sent_back(iss="https://evil.example"),
    "a code that is none": sent_back(code="stolen"),
    "another state": sent_back(state="s" * 48),
}


@pytest.mark.parametrize("name", FAULTS)
def test_who_is_not_vouched_for_as_it_should_be_stays_outside(world: World, name: str) -> None:
    FAULTS[name](world)
    browser = Inside(world.app)
    answer = world.come_in(browser)
    assert answer.status_code == 403, answer.text
    assert browser.cookies == {}
    assert "alert" in answer.text


def test_what_one_browser_began_no_other_goes_on_with(world: World) -> None:
    attacker, victim = Inside(world.app), Inside(world.app)
    back = world.begin(attacker)
    assert victim.get(back).status_code == 403, "a login of somebody else is taken over"
    victim.get("/login/oidc")
    assert victim.get(back).status_code == 403
    assert attacker.get(back).status_code == 303
    assert attacker.get(back).status_code == 403, "what was under way is good twice"
    forged = Inside(world.app)
    again = world.begin(forged)
    [(name, kept)] = forged.cookies.items()
    forged.cookies[name] = kept[:-2] + "xx"
    assert forged.get(again).status_code == 403


def test_a_provider_that_can_not_be_asked_is_told_of(world: World) -> None:
    def lie(metadata: dict[str, Any]) -> None:
        metadata["issuer"] = "https://evil.example"

    world.provider.change_metadata = lie
    answer = Inside(world.app).get("/login/oidc")
    assert answer.status_code == 503
    assert "believed" in answer.text
    assert "evil" not in answer.text
    world.provider.change_metadata = lambda metadata: metadata.pop("jwks_uri")
    assert Inside(world.app).get("/login/oidc").status_code == 503

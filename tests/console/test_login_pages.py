"""The pages of logging in, of oneself, of settings and of the audit trail, in a real browser."""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import pytest
from playwright.sync_api import expect

from barbeque_py import members
from barbeque_py.entrance import Entrance
from barbeque_py.identity import EVERYBODY
from barbeque_py.passwords import digest
from barbeque_py.roles import read_grants
from barbeque_py.setting_values import EnvironmentName
from tests.console.looks import Viewer, open_browser, open_viewer
from tests.console.rigs import Place, open_place, serve_console

GOOD = "correct horse battery"


@dataclass(frozen=True)
class World:
    place: Place
    viewer: Viewer
    number: int


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with ExitStack() as stack:
        place = stack.enter_context(open_place(tmp_path_factory.mktemp("pages")))
        kept = digest(GOOD)

        def add(tx: Any) -> int:
            ann = members.add(tx, EVERYBODY, "ann@example.com", read_grants(["admin"]), name="Ann")
            members.set_password(tx, EVERYBODY, ann.id, kept)
            bob = members.add(
                tx, EVERYBODY, "bob@example.com", read_grants(["viewer", "operator@media"])
            )
            return bob.id

        number = place.store.write(add)
        entrance = Entrance(frozenset({"users", "link"}))
        named = replace(
            place.parts, entrance=entrance, environment=EnvironmentName("production", "red")
        )
        address = stack.enter_context(serve_console(replace(place, parts=named)))
        browser = stack.enter_context(open_browser())
        viewer = stack.enter_context(open_viewer(browser, address))
        yield World(place, viewer, number)


def test_a_person_logs_in_makes_a_token_and_a_member_and_leaves(world: World) -> None:
    log_in(world.viewer)
    make_a_token(world.viewer)
    link = make_a_member(world)
    world.viewer.look("about", "/settings/about")
    world.viewer.look("audit", "/audit")
    row = world.viewer.page.locator("tbody tr").first
    expect(row).to_contain_text("user.roles")
    expect(row).to_contain_text("ann@example.com")
    leave(world.viewer)
    come_in_by(world.viewer, link)


def log_in(viewer: Viewer) -> None:
    page = viewer.page
    viewer.look("login", "/queues")
    page.fill("#email", "ann@example.com")
    page.fill("#password", "wrong")
    viewer.forgiven = "403"
    page.click("button:has-text('Log in')")
    expect(page.get_by_role("alert")).to_have_text("Address or password is wrong.")
    viewer.settle("login-wrong")
    viewer.forgiven = None
    page.fill("#password", GOOD)
    page.click("button:has-text('Log in')")
    expect(page.locator("h1")).to_have_text("Queues")
    page.click(".viewer summary")
    expect(page.locator(".viewer .who")).to_have_text("ann@example.com")
    viewer.settle("menu")
    viewer.look("account", "/account")


def make_a_token(viewer: Viewer) -> None:
    page = viewer.page
    viewer.look("tokens-none", "/settings/tokens")
    page.fill("#name", "hello web")
    page.select_option("#app", "media")
    page.click("button:has-text('Make it')")
    shown = page.locator(".copyable pre").inner_text()
    assert re.fullmatch(r"bq_[a-z0-9]{12}_[\w-]{43}", shown)
    viewer.settle("token-made")
    viewer.look("tokens", "/settings/tokens")
    assert shown not in page.content()
    page.click("summary:has-text('Revoke')")
    page.click("button:has-text('Revoke it')")
    expect(page.locator("td .state")).to_have_text("revoked")


def make_a_member(world: World) -> str:
    viewer, page = world.viewer, world.viewer.page
    viewer.look("members", "/settings/members")
    page.fill("#email", "eve@example.com")
    page.click("button:has-text('Make a link')")
    link = page.locator(".copyable pre").inner_text()
    viewer.settle("member-made")
    viewer.look("member", f"/settings/members/{world.number}")
    page.select_option("[name='role@media']", "deployer")
    page.click("main button:has-text('Save')")
    expect(page.locator("[name='role@media']")).to_have_value("deployer")
    return link.removeprefix(viewer.address)


def leave(viewer: Viewer) -> None:
    viewer.go("/account")
    viewer.page.locator("main").get_by_role("button", name="Log out", exact=True).click()
    expect(viewer.page.get_by_role("status")).to_have_text("You have logged out.")


def come_in_by(viewer: Viewer, link: str) -> None:
    page = viewer.page
    viewer.look("link", link)
    page.click("button:has-text('Come in')")
    expect(page.locator(".viewer .who")).to_have_text("eve@example.com")
    viewer.go("/account")
    viewer.settle("account-new")
    page.fill("#new", "a good one of mine")
    page.click("main button:has-text('Save')")
    expect(page.get_by_role("status")).to_contain_text("Your password is another one")
    viewer.forgiven = "403"
    viewer.look("forbidden", "/settings/members")
    expect(page.locator("h1")).to_contain_text("This needs the role admin")
    viewer.forgiven = None

"""The pages of logging in, of oneself, of settings and of the audit trail, in a real browser."""

import csv
import io
import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import pytest
from playwright.sync_api import expect

from barbeque_console.app import create_app
from barbeque_py import members
from barbeque_py.entrance import Entrance
from barbeque_py.identity import EVERYBODY
from barbeque_py.passwords import digest
from barbeque_py.roles import read_grants
from barbeque_py.setting_values import EnvironmentName
from barbeque_py.store import audit
from tests.console.inside import Inside
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
    page.click("button:has-text('Save')")
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
    page.wait_for_url(re.compile("executions"))
    viewer.go("/account")
    viewer.settle("account-new")
    page.fill("#new", "a good one of mine")
    page.click("button:has-text('Save')")
    expect(page.get_by_role("status")).to_contain_text("Your password is another one")
    viewer.forgiven = "403"
    viewer.look("forbidden", "/settings/members")
    expect(page.locator("h1")).to_contain_text("This needs the role admin")
    viewer.forgiven = None


def test_the_audit_trail_is_narrowed_paged_and_handed_out(tmp_path: Any) -> None:
    with open_place(tmp_path) as place:

        def fill(tx: Any) -> None:
            for number in range(120):
                audit.record(
                    tx,
                    replace(EVERYBODY, name="=ann" if number % 2 else "bob"),
                    "app.change" if number % 3 else "queue.pause",
                    f"app:{'media' if number % 5 else 'other'}",
                    before={"n": number, "same": 1},
                    after={"n": number + 1, "same": 1, "made": [number]},
                )

        place.store.write(fill)
        browser = Inside(create_app(place.parts))
        first = browser.get("/audit")
        assert first.text.count("<tr>") == 51
        assert "same" not in first.text.partition("<tbody>")[2]
        assert "<del>119</del> → <ins>120</ins>" in first.text
        older = re.search(r'href="(\?before=\d+)" rel="next"', first.text)
        assert older
        second = browser.get(f"/audit{older[1]}")
        newer = re.search(r'href="(\?after=\d+)" rel="prev"', second.text)
        assert newer
        assert "<del>119</del>" in browser.get(f"/audit{newer[1]}").text
        some = browser.get("/audit?actor=bob&action=queue.pause&app=media")
        assert 0 < some.text.count("<tr>") < 51
        assert "=ann" not in some.text.partition("<tbody>")[2]
        assert "No such change" in browser.get("/audit?since=2999-01-01").text
        assert "No such change" in browser.get("/audit?until=2000-01-01").text
        assert browser.get("/audit?since=nonsense&until=").status_code == 200
        table = list(csv.DictReader(io.StringIO(browser.get("/audit.csv?actor=%3Dann").text)))
        assert len(table) == 60
        assert table[0]["actor"] == "'=ann", "a spreadsheet takes it for a formula"
        rows = [json.loads(line) for line in browser.get("/audit.json").text.splitlines()]
        assert len(rows) == 120
        assert rows[0]["after"] == {"n": 120, "same": 1, "made": [119]}

"""In a real browser: an execution's page keeps up with it, and its buttons do what they say."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from barbeque_py.outcomes import Fate, Reason
from tests.console.looks import open_browser, open_viewer
from tests.console.rigs import Place, stored


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with open_browser() as browser:
        yield browser


@pytest.fixture
def page(chromium: Browser, address: str) -> Iterator[Page]:
    """A page that complains about any error and any request to elsewhere."""
    with open_viewer(chromium, address) as viewer:
        yield viewer.page


def test_the_next_attempt_takes_the_place_of_the_last(
    place: Place, address: str, page: Page
) -> None:
    message_id = place.enqueue()
    place.settle(place.start(), Fate(Reason.EXITED, 3), lines=[stored("first try")])
    page.goto(f"{address}/job_executions/{message_id}")
    expect(page.locator(".log-rows")).to_contain_text("first try")
    place.settle(place.start_again(), Fate(Reason.EXITED, 0), lines=[stored("second try")])
    expect(page.locator("#log-title")).to_have_text("Log of attempt 2")
    expect(page.locator(".log-rows")).to_contain_text("second try")
    expect(page.locator(".log-rows")).not_to_contain_text("first try")


def test_who_wants_to_is_told_when_it_ends(place: Place, address: str, page: Page) -> None:
    page.context.grant_permissions(["notifications"], origin=address)
    page.add_init_script(
        "window.told = []; const Real = Notification; window.Notification = class extends Real {"
        "constructor(title, options) { super(title, options); told.push(title); } };"
    )
    message_id = place.enqueue()
    attempt = place.start()
    page.goto(f"{address}/job_executions/{message_id}")
    page.get_by_role("button", name="Tell me when it ends").click()
    expect(page.locator("#tell")).to_have_attribute("aria-pressed", "true")
    page.get_by_text("Copy as…").click()  # what somebody has opened stays, and what is new waits
    place.settle(attempt, Fate(Reason.EXITED, 0), lines=[stored("done")])
    expect(page.locator(".log-rows")).to_contain_text("done")
    expect(page.locator(".options[open]")).to_have_count(1)
    page.keyboard.press("Escape")
    expect(page.locator("h1")).to_contain_text("succeeded")
    expect(page).to_have_title(re.compile("^succeeded: media/"))
    assert page.evaluate("told") == ["succeeded: media/Thumbnail"]
    expect(page.locator("[data-watch]")).to_have_count(0)


def test_the_buttons_do_what_they_say(place: Place, address: str, page: Page) -> None:
    message_id = place.enqueue()
    page.goto(f"{address}/job_executions/{message_id}")
    page.locator("#cancel").click()
    page.get_by_role("button", name="Cancel this execution").click()
    expect(page.locator("h1")).to_contain_text("cancelled")
    expect(page.get_by_text("It is cancelled.")).to_be_visible()
    expect(page).not_to_have_url(re.compile("notice"))
    page.get_by_role("button", name="Retry").click()
    expect(page.locator("h1")).to_contain_text("queued")

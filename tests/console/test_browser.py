"""In a real browser: a growing log is followed live, and nothing leaves the origin."""

import threading
from collections.abc import Iterator
from contextlib import closing

import pytest
from playwright.sync_api import Browser, Page, expect

from barbeque_py.outcomes import Fate, Reason
from barbeque_py.settle import settle
from tests.console.looks import open_browser, open_viewer
from tests.console.rigs import GrowingLog, Place, stored


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with open_browser() as browser:
        yield browser


@pytest.fixture
def page(chromium: Browser, address: str) -> Iterator[Page]:
    """A page that complains about any error and any request to elsewhere."""
    with open_viewer(chromium, address) as viewer:
        yield viewer.page


def at_end(page: Page) -> bool:
    script = "box => box.scrollHeight - box.scrollTop - box.clientHeight < 24"
    return bool(page.locator("#lines").evaluate(script))


def test_a_growing_log_is_followed_to_the_end_of_the_job(
    place: Place, address: str, page: Page
) -> None:
    message_id = place.enqueue()
    page.goto(f"{address}/job_executions/{message_id}")
    expect(page.locator("h1")).to_contain_text("queued")
    attempt, source = place.start(), GrowingLog()
    shipment = place.shipment(attempt, source)
    shipping = threading.Thread(target=shipment.run)
    with closing(shipment):
        shipping.start()
        try:
            source.write(*(f"line {n} <b>" for n in range(1, 101)))
            expect(page.locator("#L100 span")).to_have_text("line 100 <b>")
            expect(page.locator("h1")).to_contain_text("running")
            assert at_end(page)
            _follow_only_at_the_end(page, source)
        finally:
            source.end()
            shipping.join()
        place.store.write(lambda tx: settle(tx, attempt, Fate(Reason.EXITED, 0)))
        place.record_seal(attempt, shipment)
    expect(page.locator("h1")).to_contain_text("succeeded")
    expect(page.get_by_role("button", name="Retry")).to_be_visible()
    expect(page.locator(".needs-script")).to_be_hidden()
    texts = page.locator("#lines .line > span").all_text_contents()
    assert texts == [line.split(b" ", 2)[2].decode() for line in source.lines]


def _follow_only_at_the_end(page: Page, source: GrowingLog) -> None:
    page.locator("#lines").evaluate("box => { box.scrollTop = 100 }")
    source.write("while the reader is elsewhere", stream="err")
    expect(page.locator("#L101 i")).to_have_text("err")
    assert page.locator("#lines").evaluate("box => box.scrollTop") == 100
    page.get_by_label("Follow").uncheck()
    source.write("while nobody follows")
    page.get_by_label("Follow").check()
    expect(page.locator("#L102")).to_have_count(1)
    page.locator("#lines").evaluate("box => { box.scrollTop = box.scrollHeight }")
    source.write("and on")
    expect(page.locator("#L103")).to_have_count(1)
    assert at_end(page)


def test_the_next_attempt_takes_the_place_of_the_last(
    place: Place, address: str, page: Page
) -> None:
    message_id = place.enqueue()
    place.settle(place.start(), Fate(Reason.EXITED, 3), lines=[stored("first try")])
    page.goto(f"{address}/job_executions/{message_id}")
    expect(page.locator("#lines")).to_contain_text("first try")
    place.settle(place.start_again(), Fate(Reason.EXITED, 0), lines=[stored("second try")])
    expect(page.locator("#log-title")).to_have_text("Log of attempt 2")
    expect(page.locator("#lines")).to_contain_text("second try")
    expect(page.locator("#lines")).not_to_contain_text("first try")


def test_the_buttons_do_what_they_say(place: Place, address: str, page: Page) -> None:
    message_id = place.enqueue()
    page.goto(f"{address}/job_executions/{message_id}")
    page.locator("#cancel").click()
    page.get_by_role("button", name="Cancel this execution").click()
    expect(page.locator("h1")).to_contain_text("cancelled")
    expect(page.get_by_text("It is cancelled.")).to_be_visible()
    assert "notice" not in page.url
    page.get_by_role("button", name="Retry").click()
    expect(page.locator("h1")).to_contain_text("queued")

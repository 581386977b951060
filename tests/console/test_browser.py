"""In a real browser: a growing log is followed live, and nothing leaves the origin."""

import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from barbeque_py.outcomes import Fate, Reason
from barbeque_py.settle import settle
from tests.console.rigs import GrowingLog, Place, stored
from tests.parts import missing

CHROMIUM = Path("/usr/bin/chromium")
_ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
]
_SIZES = {"wide": (1280, 900), "narrow": (360, 740)}


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        missing("Chromium", f"no {CHROMIUM} on this machine (Debian: chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=_ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Browser, address: str) -> Iterator[Page]:
    """A page that complains about any error and any request to elsewhere."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    found = context.new_page()
    complaints: list[str] = []
    found.on("console", lambda message: complaints.append(message.text))
    found.on("pageerror", lambda error: complaints.append(str(error)))
    found.on(
        "request",
        lambda request: None if request.url.startswith(address) else complaints.append(request.url),
    )
    yield found
    context.close()
    assert complaints == []


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


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", ["wide", "narrow"])
def test_no_page_scrolls_sideways_or_has_faint_words(
    place: Place, address: str, chromium: Browser, scheme: str, size: str
) -> None:
    message_id = _fill(place)
    width, height = _SIZES[size]
    context = chromium.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if scheme == "dark" else "light",
    )
    page = context.new_page()
    for path in ("/", f"/job_executions/{message_id}", "/queues", "/dead_messages", "/nothing"):
        page.goto(address + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        assert page.evaluate(_FAINT) == [], path
    context.close()


def _fill(place: Place) -> str:
    message_id = place.enqueue(message='{"long":"' + "x" * 300 + '"}')
    fate = Fate(Reason.EXITED, 3, "unbroken" * 40)
    lines = [stored("y" * 400, stream="err"), stored("word " * 100)]
    place.settle(place.start(), fate, lines=lines)
    place.tell(message_id, "r" * 200 + " said no")
    place.enqueue(queue="slow")
    place.enqueue(job="Encode")
    place.bury('{"z":"' + "z" * 300 + '"}', "a reason " * 20 + "w" * 100)
    return message_id


_FAINT = """() => {
  const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const paint = (colours) => {
    canvas.clearRect(0, 0, 1, 1);
    for (const colour of colours) { canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); }
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const light = (rgb) => {
    const [r, g, b] = rgb.map((c) => c / 255).map(
      (c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    const found = [];
    for (let each = element; each; each = each.parentElement)
      found.unshift(getComputedStyle(each).backgroundColor);
    return found;
  };
  const faint = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
    if (!own || !element.checkVisibility()) continue;
    if (element.matches(":disabled, noscript, option")) continue;
    const ground = behind(element);
    const text = getComputedStyle(element).color;
    const pair = [light(paint(ground)), light(paint([...ground, text]))].sort((a, b) => b - a);
    const contrast = (pair[0] + 0.05) / (pair[1] + 0.05);
    if (contrast < 4.5) faint.push(`${element.tagName}.${element.className}: ${contrast}`);
  }
  return faint;
}"""

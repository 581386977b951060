"""The log viewer in a real browser: 50 MB, a log that grows through cuts, hostile lines."""

import re
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field

import pytest
from playwright.sync_api import Browser, Page, expect

from barbeque_py.outcomes import Fate, Reason
from barbeque_py.settle import settle
from tests.api.test_enqueue_outages import Door
from tests.console.long_logs import write_long_log
from tests.console.looks import Viewer, open_browser, open_viewer
from tests.console.rigs import GrowingLog, Place, open_place, serve_console, stored
from tests.console.test_log_lines import hostile_texts

OK = Fate(Reason.EXITED, 0)
LINES = 470_000
ODD = {
    5: b"::group::Setup",
    9: b"a needle in a group",
    12: b"::endgroup::",
    123_455: b"\x1b[31mERROR\x1b[0m no needle here",
    300_000: b"panic: a Needle",
}
_TOP = "box => Number(box.querySelector('.ll').dataset.n)"


@dataclass
class Site:
    """A console and the browser that looks at it."""

    place: Place
    address: str
    browser: Browser


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with (
        open_place(tmp_path_factory.mktemp("viewer")) as place,
        serve_console(place) as address,
        open_browser() as browser,
    ):
        yield Site(place, address, browser)


@pytest.fixture
def viewer(site: Site) -> Iterator[Viewer]:
    with open_viewer(site.browser, site.address) as found:
        yield found


@pytest.fixture(scope="module")
def long(site: Site) -> str:
    return write_long_log(site.place, LINES, ODD)


def row(page: Page, number: int) -> str:
    return f'log-view .ll[data-n="{number}"]:not(.absent)'


def top(page: Page) -> int:
    return int(page.locator("[data-part=box]").evaluate(_TOP))


def test_a_log_of_fifty_megabytes(viewer: Viewer, long: str) -> None:
    page = viewer.page
    viewer.go(long)
    expect(page.locator(row(page, LINES))).to_be_in_viewport()
    expect(page.locator("[data-part=place]")).to_contain_text("/ 470,000")
    page.locator("[data-part=goto]").fill("123456")
    page.keyboard.press("Enter")
    expect(page.locator(f"{row(page, 123_456)}.here")).to_be_in_viewport()
    expect(page.locator(f"{row(page, 123_456)} .c1")).to_have_text("ERROR")
    _wheel_moves_by_lines(page)
    page.locator("[data-part=box]").press("Home")
    expect(page.locator(row(page, 1))).to_be_in_viewport()
    page.keyboard.press("e")
    expect(page.locator(f"{row(page, 123_456)}.here")).to_be_in_viewport()
    page.keyboard.press("e")
    expect(page.locator(f"{row(page, 300_001)}.here")).to_be_in_viewport()
    expect(page.locator("[data-part=errors] b")).to_have_text("2 / 2")
    page.keyboard.press(":")
    page.keyboard.type("@21:00")
    page.keyboard.press("Enter")
    expect(page.locator(f"{row(page, 36_001)}.here")).to_be_in_viewport()
    expect(page).to_have_url(re.compile("#L36001$"))
    assert page.locator(".ll").count() < 100
    viewer.assert_calm()


def _wheel_moves_by_lines(page: Page) -> None:
    """The scroll bar is too short for as many lines; my first viewer moved 625 of them here."""
    before = top(page)
    page.locator("[data-part=box]").hover()
    page.mouse.wheel(0, 500)
    page.wait_for_function(f"{top_of(page)} === {before + 25}")
    page.mouse.wheel(0, -500)
    page.wait_for_function(f"{top_of(page)} === {before}")


def top_of(page: Page) -> str:
    return f"({_TOP})(document.querySelector('[data-part=box]'))"


def test_searching_filtering_and_the_way_back(viewer: Viewer, long: str) -> None:
    page = viewer.page
    viewer.go(long)
    expect(page.locator(row(page, LINES))).to_be_in_viewport()
    page.keyboard.press("/")
    page.keyboard.type("needle")
    page.keyboard.press("Enter")
    expect(page.locator("[data-part=found] b")).to_have_text("1 / 3")
    expect(page.locator(f"{row(page, 10)}.here mark")).to_have_text("needle")
    page.keyboard.press("n")
    expect(page.locator(f"{row(page, 123_456)}.here mark")).to_be_in_viewport()
    page.keyboard.press("N")
    page.keyboard.press("N")
    expect(page.locator(f"{row(page, 300_001)}.here mark")).to_have_text("Needle")
    page.get_by_title("Capital letters matter").click()
    expect(page.locator("[data-part=found] b")).to_contain_text("/ 2")
    page.get_by_title("Show only the lines that match").click()
    expect(page.locator(".ll")).to_have_count(2)
    expect(page).to_have_url(re.compile("q=needle.*case=1"))
    page.locator(f"{row(page, 123_456)} .ln").click()
    expect(page.locator(f"{row(page, 123_456)}.here")).to_be_in_viewport()
    expect(page.locator(row(page, 123_457))).to_be_in_viewport()
    page.get_by_title("Regular expression (RE2)").click()
    page.locator("[data-part=q]").fill("(")
    page.keyboard.press("Enter")
    viewer.forgiven = r"400 \(Bad Request\)"
    expect(page.locator("[data-part=found] b")).to_contain_text("no pattern")


def test_ranges_are_addresses_and_copies_are_clean(viewer: Viewer, long: str) -> None:
    page = viewer.page
    viewer.context.grant_permissions(["clipboard-read", "clipboard-write"])
    viewer.go(f"{long}#L123454-L123456")
    expect(page.locator(f"{row(page, 123_455)}.chosen")).to_be_in_viewport()
    expect(page.locator("[data-part=chosen] b")).to_contain_text("123,454\N{EN DASH}123,456")
    page.locator(f"{row(page, 123_455)} .ln").click()
    page.locator(f"{row(page, 123_456)} .ln").click(modifiers=["Shift"])
    expect(page).to_have_url(re.compile("#L123455-L123456$"))
    page.get_by_role("button", name="Copy lines").click()
    expect(page.locator(".log-chosen.copied")).to_be_visible()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.splitlines()[1:] == ["ERROR no needle here"]
    page.evaluate("location.hash = '#L7'")
    expect(page.locator(f"{row(page, 7)}.chosen")).to_be_in_viewport()
    _groups_fold(page)


def _groups_fold(page: Page) -> None:
    heading = page.locator(f"{row(page, 6)}.g .lt")
    expect(heading).to_have_attribute("data-took", "0.7 s")
    heading.click()
    expect(page.locator(row(page, 7))).to_have_count(0)
    expect(page.locator(row(page, 14))).to_be_in_viewport()
    page.keyboard.press("o")
    page.get_by_role("button", name="Setup").click()
    page.evaluate("location.hash = '#L9'")
    expect(page.locator(f"{row(page, 9)}.chosen")).to_be_in_viewport()
    page.keyboard.press("f")
    expect(page.locator("log-view.full")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("log-view.full")).to_have_count(0)


@dataclass
class Growing:
    """A job that runs, and what it writes."""

    place: Place
    path: str
    source: GrowingLog = field(default_factory=GrowingLog)


@contextmanager
def growing(place: Place) -> Iterator[Growing]:
    message_id = place.enqueue()
    attempt = place.start()
    job = Growing(place, f"/job_executions/{message_id}/log")
    shipment = place.shipment(attempt, job.source)
    shipping = threading.Thread(target=shipment.run)
    with closing(shipment):
        shipping.start()
        try:
            yield job
        finally:
            job.source.end()
            shipping.join()
        place.store.write(lambda tx: settle(tx, attempt, OK))
        place.record_seal(attempt, shipment)


def test_a_growing_log_is_followed_through_cuts_to_its_end(site: Site) -> None:
    with (
        closing(Door(site.address)) as door,
        open_viewer(site.browser, f"http://127.0.0.1:{door.port}") as viewer,
    ):
        page = viewer.page
        viewer.forgiven = "net::ERR"
        with growing(site.place) as job:
            viewer.go(job.path)
            expect(page.locator(".log-none")).to_contain_text("has written nothing yet")
            job.source.write(*(f"line {n} <b>" for n in range(1, 301)))
            expect(page.locator(row(page, 300))).to_be_in_viewport()
            door.close()
            door.open()
            job.source.write(*(f"line {n}" for n in range(301, 401)))
            expect(page.locator(row(page, 400))).to_be_in_viewport()
            _follows_only_at_the_end(page, job.source)
        expect(page.locator(".log-facts")).to_contain_text("complete")
        texts = _read_all(page)
    assert texts == [each.split(b" ", 2)[2].decode() for each in job.source.lines]


def _follows_only_at_the_end(page: Page, source: GrowingLog) -> None:
    page.locator("[data-part=box]").hover()
    here = top(page) - 30
    page.mouse.wheel(0, -600)
    expect(page.get_by_label("Follow")).not_to_be_checked()
    page.wait_for_function(f"{top_of(page)} === {here}")
    source.write(*["while the reader is elsewhere"] * 240, stream="err")
    expect(page.locator("[data-part=news]")).to_contain_text("240 new lines")
    assert top(page) == here
    page.locator("[data-part=news]").click()
    expect(page.locator(f"{row(page, 640)} i")).to_have_text("err")
    expect(page.get_by_label("Follow")).to_be_checked()
    source.write("and on")
    expect(page.locator(row(page, 641))).to_be_in_viewport()


def _read_all(page: Page) -> list[str]:
    """Read all lines as they are shown, from the top on, a page after the other."""
    seen: dict[int, str] = {}
    page.locator("[data-part=box]").press("Home")
    while len(seen) < 641:
        expect(page.locator(".ll.absent")).to_have_count(0)
        rows = page.locator(".ll").evaluate_all(
            "rows => rows.map((row) => [Number(row.dataset.n), row.querySelector('.lt').innerText])"
        )
        numbers = [number for number, _ in rows]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        seen |= dict(rows)
        page.locator("[data-part=box]").press("PageDown")
    return [seen[number] for number in sorted(seen)]


def test_hostile_lines_bring_no_element_of_their_own(site: Site, viewer: Viewer) -> None:
    message_id = site.place.enqueue()
    texts = [text.replace("\ud800", "") for text in hostile_texts(200)]
    lines = [stored(text, number=n) for n, text in enumerate(texts)]
    site.place.settle(site.place.start(), OK, lines=lines)
    page = viewer.page
    said: list[str] = []
    page.on("dialog", lambda dialog: said.append(dialog.message))
    viewer.go(f"/job_executions/{message_id}/log")
    expect(page.locator(row(page, 200))).to_be_in_viewport()
    facts = page.evaluate(
        """async (path) => {
          const answer = await fetch(`${path}/lines?attempt=1&first=0&count=200&q=a`);
          const box = document.querySelector('[data-part=rows]');
          const made = document.createElement('div');
          made.innerHTML = (await answer.json()).html;
          box.append(made);
          const all = [...made.querySelectorAll('*'), ...box.querySelectorAll('*')];
          const ours = ['DIV', 'A', 'SPAN', 'I', 'EM', 'MARK'];
          const unsafe = all.filter((each) => !ours.includes(each.tagName)
            || [...each.attributes].some((one) => /^on|^style$|^src/.test(one.name))
            || (each.href && !/^https?:/.test(each.href)));
          await new Promise((done) => setTimeout(done, 50));
          return [made.children.length, unsafe.map((each) => each.outerHTML)];
        }""",
        f"/job_executions/{message_id}/log",
    )
    assert facts == [200, []]
    assert said == []


def test_all_of_a_log_can_be_read_without_scripts(site: Site, long: str) -> None:
    with open_viewer(site.browser, site.address, scripts=False) as viewer:
        page = viewer.page
        viewer.go(f"{long}?line=123456#L123456")
        assert page.locator(".ll").count() == 200
        expect(page.locator("#L123456")).to_be_in_viewport()
        expect(page.get_by_role("button", name="Top")).to_have_count(0)
        page.get_by_role("link", name=re.compile("Older")).click()
        expect(page.locator(".ll").first).to_have_attribute("data-n", "123156")
        page.get_by_label("Find in the whole log").fill("needle")
        page.get_by_role("button", name="Find").click()
        expect(page.locator(".ll")).to_have_count(3)

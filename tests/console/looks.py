"""A real browser that looks at pages: in both themes, wide and at 360 px, and complains."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    expect,
    sync_playwright,
)

from tests.parts import missing

CHROMIUM = Path("/usr/bin/chromium")
AXE = Path(__file__).parents[2] / "console/ui/node_modules/axe-core/axe.min.js"
PICTURES = os.environ.get("BARBEQUE_LOOKS")  # noqa: TID251 - tests have no settings
"""A directory for pictures of every page that is looked at; unset: none are taken."""

_ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
]
_PATIENCE = 60_000
"""Milliseconds that a page may take on a machine that is busy."""
_WIDE, _NARROW = (1280, 900), (360, 740)
_TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
_JUDGE = """async ([tags, only]) => {
  const runOnly = only ? {type: 'rule', values: only} : {type: 'tag', values: tags};
  const found = await axe.run(document, {runOnly, resultTypes: ['violations']});
  const exempt = (each, node) => each.id === 'target-size' && String(node.target).endsWith('.ln');
  return found.violations.flatMap((each) => each.nodes.filter((node) => !exempt(each, node))
    .map((node) => `${each.id}: ${node.target} ${node.failureSummary}`));
}"""
"""The numbers of lines are as high as the lines; "go to line" does the same in full size."""


@contextmanager
def open_browser() -> Iterator[Browser]:
    """Start the browser that this machine has."""
    if not CHROMIUM.exists():
        missing("Chromium", f"no {CHROMIUM} on this machine (Debian: chromium)")
    expect.set_options(timeout=_PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=_ARGUMENTS)
        yield browser
        browser.close()


@dataclass(slots=True)
class Viewer:
    """One person's browser: a context, a page, and whatever the page complained about."""

    context: BrowserContext
    page: Page
    address: str
    complaints: list[str] = field(default_factory=list)
    forgiven: str | None = None
    """Complaints that are meant to be: a regular expression."""

    def go(self, path: str) -> None:
        """Load the page."""
        self.page.goto(self.address + path)

    def look(self, name: str, path: str) -> None:
        """Load the page and look at it in every way; assert that nothing is wrong with it.

        Checked are axe's rules of WCAG 2.2 AA in both themes and at 360 px, that nothing is wider
        than the screen or moves while it loads, that no request leaves the origin, and that the
        console stays empty.
        """
        self._resize(_WIDE)
        self.page.emulate_media(color_scheme="light")
        self.go(path)
        self.settle(name)

    def shifted(self) -> list[str]:
        """Return what has moved by itself since the page began, if that is more than a little."""
        moves = self.page.evaluate("moves")
        total = sum(each for each, _ in moves)
        where = ", ".join(sorted({node for _, nodes in moves for node in nodes}))
        return [f"its layout shifts by {total:.3f}: {where}"] if total > _MOST_SHIFT else []

    def settle(self, name: str) -> None:
        """Look at the page as it stands now."""
        self.page.evaluate(AXE.read_text())
        faults = self._judge(name, "light-wide")
        faults += self.shifted()
        self.page.emulate_media(color_scheme="dark")
        faults += self._judge(name, "dark-wide", "color-contrast")
        self._resize(_NARROW)
        faults += self._judge(name, "dark-360", "color-contrast", "target-size", "label")
        wide = self.page.evaluate("document.documentElement.scrollWidth")
        if wide > _NARROW[0]:
            faults.append(f"{wide} px wide at {_NARROW[0]} px: {self.page.evaluate(_WIDEST)}")
        if PICTURES:
            self.page.emulate_media(color_scheme="light")
            self._picture(name, "light-360")
        self._resize(_WIDE)
        self.page.emulate_media(color_scheme="light")
        assert faults == [], "\n".join([name, *faults])
        self.assert_calm()

    def assert_calm(self) -> None:
        """Assert that the page has complained of nothing."""
        forgiven = re.compile(self.forgiven or "(?!)")
        complaints = [each for each in self.complaints if not forgiven.search(each)]
        self.complaints.clear()
        assert complaints == [], "\n".join(complaints)

    def _resize(self, size: tuple[int, int]) -> None:
        self.page.set_viewport_size({"width": size[0], "height": size[1]})

    def _judge(self, name: str, way: str, *only: str) -> list[str]:
        self._picture(name, way)
        found: list[str] = self.page.evaluate(_JUDGE, [_TAGS, list(only) or None])
        return [f"{way}: {each}" for each in found]

    def _picture(self, name: str, way: str) -> None:
        if PICTURES:
            Path(PICTURES).mkdir(parents=True, exist_ok=True)
            self.page.screenshot(path=f"{PICTURES}/{name}-{way}.png")


_MOST_SHIFT = 0.02
_MOVES = """
globalThis.moves = [];
new PerformanceObserver((list) => {
  for (const each of list.getEntries()) if (!each.hadRecentInput)
    moves.push([each.value, each.sources.map(({node}) => node?.parentElement
      ? `${node.nodeName} ${node.className ?? ''} in ${node.parentElement.className}` : 'gone')]);
}).observe({type: 'layout-shift', buffered: true});
"""
"""Gathers how far things move that nobody has touched: parts of the window, and which they are."""
_WIDEST = """() => [...document.querySelectorAll('body *')].filter(
  (each) => each.getBoundingClientRect().right > innerWidth + 1).map(
  (each) => each.tagName + '.' + each.className).slice(-3).join(', ')"""


def _complaint(message: ConsoleMessage) -> str:
    return f"{message.text} at {message.location.get('url', '')}"


@contextmanager
def open_viewer(browser: Browser, address: str, *, scripts: bool = True) -> Iterator[Viewer]:
    """Hand out a browser of one person; at its end nothing may have been complained about."""
    context = browser.new_context(
        viewport={"width": _WIDE[0], "height": _WIDE[1]},
        java_script_enabled=scripts,
        locale="en",
        reduced_motion="reduce",
    )
    context.set_default_timeout(_PATIENCE)
    context.add_init_script(_MOVES)
    page = context.new_page()
    viewer = Viewer(context, page, address)
    origin = "/".join(address.split("/")[:3])
    page.on("console", lambda message: viewer.complaints.append(_complaint(message)))
    page.on("pageerror", lambda error: viewer.complaints.append(str(error)))
    page.on(
        "request",
        lambda request: (
            None if request.url.startswith(origin) else viewer.complaints.append(request.url)
        ),
    )
    try:
        yield viewer
        viewer.assert_calm()
    finally:
        context.close()

"""How soon the largest thing of a page is painted, on a desktop and on a slow phone."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from playwright.sync_api import Browser

from barbeque_py.setting_values import EnvironmentName
from tests.console.history import fill_numbers
from tests.console.looks import open_browser, open_viewer
from tests.console.rigs import open_place, serve_console
from tests.console.test_looks import fill

pytestmark = pytest.mark.soak

PAGES = ("/", "/executions", "/job_executions/{failed}", "/job_executions/{failed}/log")
DESKTOP, SLOW = 1.0, 1.5
"""Seconds within which the largest thing is there."""
_PAINTED = """() => new Promise((tell) => {
  new PerformanceObserver((list) => tell(list.getEntries().at(-1).startTime / 1000))
    .observe({type: 'largest-contentful-paint', buffered: true});
})"""
_LINE = {
    "offline": False,
    "latency": 150,
    "downloadThroughput": 200_000,
    "uploadThroughput": 94_000,
}
"""150 ms and 1.6 Mbit/s, in bytes a second."""


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Browser, str, str]]:
    with open_place(tmp_path_factory.mktemp("paint")) as place, open_browser() as browser:
        failed = fill(place)
        fill_numbers(place)
        named = replace(place.parts, environment=EnvironmentName("production", "red"))
        with serve_console(replace(place, parts=named)) as address:
            yield browser, address, failed


@pytest.mark.parametrize("slow", [False, True], ids=["desktop", "slow"])
@pytest.mark.parametrize("path", PAGES)
def test_the_largest_thing_of_a_page_is_there_soon(
    seen: tuple[Browser, str, str], path: str, slow: bool
) -> None:
    browser, address, failed = seen
    times = sorted(_paint(browser, address, path.format(failed=failed), slow) for _ in range(5))
    print(f"{path} {'slow' if slow else 'desktop'}: {times[2]:.2f} s of {times}")
    assert times[2] <= (SLOW if slow else DESKTOP)


def _paint(browser: Browser, address: str, path: str, slow: bool) -> float:
    """Load the page in a browser that has nothing of it yet."""
    with open_viewer(browser, address) as viewer:
        if slow:
            session = viewer.context.new_cdp_session(viewer.page)
            session.send("Network.enable")
            session.send("Network.emulateNetworkConditions", _LINE)
            session.send("Emulation.setCPUThrottlingRate", {"rate": 4})
        viewer.go(path)
        return float(viewer.page.evaluate(_PAINTED))

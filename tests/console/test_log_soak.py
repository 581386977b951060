"""Logs at their full size: a GB of ten million lines, and two hundred who watch one log."""

import asyncio
import json
import random
import re
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import expect

from barbeque_py.logstores.directory import DirectoryLogStore
from tests.asking import open_client
from tests.console.long_logs import write_long_log
from tests.console.looks import open_browser, open_viewer
from tests.console.rigs import GrowingLog, Place, open_place, serve_console
from tests.contracts.logstore_rigs import WatchedLogStore

pytestmark = pytest.mark.soak

LINES = 10_000_000
ODD = {5_000_000: b"panic: needle in the middle", LINES - 2: b"the last needle"}
VIEWERS = 200


@dataclass
class Site:
    """A console with a very long log, and the path of that."""

    place: Place
    address: str
    log: str


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with open_place(tmp_path_factory.mktemp("soak")) as place:
        began = time.monotonic()
        log = write_long_log(place, LINES, ODD)
        print(f"\nwritten in {time.monotonic() - began:.0f} s")
        with serve_console(place) as address:
            yield Site(place, address, log)


def memory() -> float:
    """Return how much memory this process, which serves, takes, in MiB."""
    status = Path("/proc/self/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+)", status)
    assert found
    return int(found[1]) / 1024


def timed(act: object) -> float:
    began = time.monotonic()
    assert callable(act)
    act()
    return 1000 * (time.monotonic() - began)


def tell(what: str, times: list[float]) -> float:
    ordered = sorted(times)
    p95 = ordered[int(len(ordered) * 0.95)]
    print(f"{what}: p50 {statistics.median(ordered):.0f} ms, p95 {p95:.0f} ms, {len(times)} times")
    return p95


def test_any_line_is_at_hand_at_the_server(site: Site) -> None:
    chance = random.Random(1)
    with open_client(site.address) as client:

        def window() -> None:
            first = chance.randrange(LINES - 200)
            query = f"attempt=1&first={first}&count=200"
            facts = client.get(f"{site.log}/lines?{query}").json()
            assert f'data-n="{first + 200}"' in facts["html"]

        def tail() -> None:
            assert f'data-n="{LINES}"' in client.get(site.log).text

        assert tell("a page at the tail", [timed(tail) for _ in range(100)]) <= 50
        assert tell("200 lines anywhere", [timed(window) for _ in range(300)]) <= 50


@pytest.mark.parametrize("query", [{"q": "needle"}, {"q": r"NEE[d]le\b", "regex": "1"}])
def test_all_of_a_log_is_searched_in_flat_memory(site: Site, query: dict[str, str]) -> None:
    before, began = memory(), time.monotonic()
    hits: list[int] = []
    first, most = 0.0, 0.0
    with (
        open_client(site.address) as client,
        client.stream("GET", f"{site.log}/search", params={"attempt": 1, **query}) as answer,
    ):
        for line in answer.iter_lines():
            found = json.loads(line).get("hits", [])
            hits += found
            first = first or (time.monotonic() - began if found else 0)
            most = max(most, memory())
    took = time.monotonic() - began
    print(f"{query}: first hit {first:.1f} s, whole {took:.1f} s, memory +{most - before:.0f} MiB")
    assert hits == list(ODD)
    assert took <= 15
    assert most - before < 64


def test_any_line_is_at_hand_in_the_browser(site: Site) -> None:
    chance = random.Random(2)
    with open_browser() as browser, open_viewer(browser, site.address) as viewer:
        page = viewer.page
        viewer.go(site.log)
        expect(page.locator(f'.ll[data-n="{LINES}"]')).to_be_in_viewport()

        def go() -> None:
            number = chance.randrange(1, LINES)
            page.locator("[data-part=goto]").fill(str(number))
            page.keyboard.press("Enter")
            page.wait_for_selector(f'.ll.here[data-n="{number}"]:not(.absent)')

        p95 = tell("go to a line", [timed(go) for _ in range(40)])
        heap = page.evaluate("performance.memory.usedJSHeapSize") / 1e6
        nodes = page.evaluate("document.querySelectorAll('*').length")
        print(f"heap {heap:.1f} MB, {nodes} elements")
        assert nodes < 1500
        assert p95 <= 500


def test_two_hundred_watch_one_log(site: Site, tmp_path: Path) -> None:
    calls: list[str] = []
    inner = DirectoryLogStore(site.place.home / "logs")
    watched = WatchedLogStore(inner, lambda verb, key: calls.append(f"{verb} {key}"))
    site.place.enqueue()
    attempt = site.place.start()
    source = GrowingLog()
    shipment = site.place.shipment(attempt, source)
    shipping = threading.Thread(target=shipment.run)
    shown = replace(site.place.parts, logs=watched)
    with closing(shipment), serve_console(replace(site.place, parts=shown)) as address:
        shipping.start()
        before = memory()
        try:
            path = f"/job_executions/{attempt[:36]}/log/stream?attempt=1"
            delays = asyncio.run(_watch(address + path, source))
        finally:
            source.end()
            shipping.join()
        seconds = 20 + 5
        print(f"{len(calls) / seconds:.0f} calls/s to the store, +{memory() - before:.0f} MiB")
        assert tell(f"a line with {VIEWERS} viewers", delays) <= 2000
        # Each look of the one reader takes two or three calls: names, a segment, perhaps again.
        assert len(calls) < 30 * seconds


async def _watch(address: str, source: GrowingLog) -> list[float]:
    """Let all watch while forty lines are written; return how late each was at each."""
    written: dict[int, float] = {}
    delays: list[float] = []

    async def watch(client: httpx.AsyncClient) -> None:
        seen = 0
        async with client.stream("GET", address) as answer:
            async for line in answer.aiter_lines():
                if not line.startswith("data: "):
                    continue
                now = time.monotonic()
                following = json.loads(line[6:])["next"]
                delays.extend(1000 * (now - written[each]) for each in range(seen, following))
                seen = following
                if seen == 40:
                    return

    limits = httpx.Limits(max_connections=VIEWERS)
    async with httpx.AsyncClient(timeout=60, limits=limits) as client:
        watching = [asyncio.create_task(watch(client)) for _ in range(VIEWERS)]
        await asyncio.sleep(5)
        for number in range(40):
            written[number] = time.monotonic()
            source.write(f"line {number}")
            await asyncio.sleep(0.5)
        await asyncio.gather(*watching)
    assert len(delays) == 40 * VIEWERS
    return delays

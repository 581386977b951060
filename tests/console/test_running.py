"""The pages of what is at work: they show what there is, and what is done there is done."""

import httpx

from barbeque_py.store import audit, workers
from tests.console.rigs import Place
from tests.console.running import fill_running


def test_a_worker_is_drained_and_undrained_and_the_silent_one_is_seen(
    place: Place, browser: httpx.Client
) -> None:
    assert "Nobody is at work" in browser.get("/workers").text
    fill_running(place)
    page = browser.get("/workers").text
    for state in ("working", "drained", "silent"):
        assert page.count(f'class="state {state}"') == 1
    assert "4096 CPU units and 16384 MiB in barbeque-production" in page
    assert page.count("starts wait for their turn") == 1
    answer = browser.post("/workers/w3/drain")
    assert answer.headers["location"] == "/workers?notice=draining"
    assert "takes nothing new" in browser.get(answer.headers["location"]).text
    assert browser.get("/workers").text.count('class="state drained"') == 2
    browser.post("/workers/w2/undrain")
    drained = {each.name for each in place.store.read(workers.everyone) if each.drained_at}
    assert drained == {"w3"}
    assert browser.post("/workers/w9/drain").status_code == 404
    trail = place.store.read(lambda tx: audit.newest(tx, audit.Wanted(None, None, None, None)))
    assert [each.action for each in trail] == ["worker.undrain", "worker.drain"]

"""Workers killed around each step of an order: an attempt has one effect at its backend."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from barbeque_py.executions import State
from tests.crash.workers import Workers
from tests.receiver import Received, Reply
from tests.waiting import wait_until
from tests.worker.callback_site import Site, site

POINTS = [
    "before a start of a callback",
    "after a start of a callback",
    "before the commit of Posting.order",
    "after the commit of Posting.order",
    "before a POST is sent",
    "after a POST is answered",
    "before a callback is forgotten",
    "after a callback is forgotten",
]
AT_ONCE = ["before the commit of Posting._take", "after the commit of Posting._take"]


class Backend:
    """Does each attempt once, however often it is ordered, and says so until it is heard."""

    def __init__(self) -> None:
        self.effects: Counter[str] = Counter()
        self.orders: list[Received] = []
        self.at_once = False
        self._guard = threading.Lock()

    def take(self, order: Received) -> Reply:
        facts = order.json
        with self._guard:
            self.orders.append(order)
            begun = facts["attempt_id"] in self.effects
            if not begun:
                self.effects[facts["attempt_id"]] += 1
        if self.at_once:
            return Reply(200, b'{"result": "ok"}')
        if not begun:
            threading.Thread(target=_tell, args=(facts["callback_url"],), daemon=True).start()
        return Reply(202)


def _tell(url: str) -> None:
    time.sleep(0.2)
    while True:
        try:
            if httpx.post(url, json={"result": "ok"}).status_code < 500:
                return
        except httpx.TransportError:
            time.sleep(0.1)


@pytest.fixture(scope="module")
def at(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("dying"), working=False, BARBEQUE_LEASE="2s") as made:
        made.define()
        yield made


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    made = Workers()
    yield made
    assert made.end() == []


@pytest.mark.parametrize("point", POINTS + AT_ONCE)
def test_a_worker_that_dies_there_leaves_one_effect(
    at: Site, workers: Workers, tmp_path: Path, point: str
) -> None:
    backend = Backend()
    backend.at_once = point in AT_ONCE
    at.backend.answer = backend.take
    journal = tmp_path / "journal"
    order: dict[str, Any] = {
        "environment": at.office.environment,
        "log": str(tmp_path / "log"),
        "journal": str(journal),
        "seed": 1,
        "mutant": "",
    }
    message_id = at.office.enqueue("Encode")
    workers.order(**order, point=point)
    wait_until(lambda: journal.exists() and point in journal.read_text(), f"it died {point}")
    wait_until(lambda: _all_dead(workers), "its death is told")
    workers.order(**order)
    assert at.office.end_of(message_id).state == State.SUCCEEDED
    attempt = f"{message_id}-1"
    assert [each.id for each in at.office.attempts(message_id)] == [attempt]
    assert backend.effects == {attempt: 1}
    assert len({each.body for each in backend.orders}) == 1
    assert {each.headers["webhook-id"] for each in backend.orders} == {attempt}
    wait_until(lambda: attempt not in at.office.parts.callbacks.remains(), "it is forgotten")
    workers.kill_one()
    wait_until(lambda: _all_dead(workers), "the other one is dead, too")


def _all_dead(workers: Workers) -> bool:
    workers.listen()
    return not workers.alive

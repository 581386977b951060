"""`/metrics` tells the truth: each metric of the docs is there, and moves with its cause."""

import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from barbeque_py import clock
from barbeque_py.apps import App, Queue
from barbeque_py.broker import Parcel
from barbeque_py.cancel import cancel
from barbeque_py.errors import (
    ConfigurationError,
    ExecutorUnavailable,
    LaunchRefused,
    NoCapacity,
    Throttled,
)
from barbeque_py.executor import Executor, Quota
from barbeque_py.identity import EVERYBODY, Scope
from barbeque_py.intake import Intake
from barbeque_py.issue import Wish, issue
from barbeque_py.outcomes import Fate, Reason
from barbeque_py.setting_addresses import Address
from barbeque_py.settle import settle
from barbeque_py.store import Store, Tx, apps, pauses, quotas
from barbeque_worker.loop import Loop
from barbeque_worker.station import Lease
from barbeque_worker.vitals import Vitals, watched_at
from tests.api.served import JOB, parts_of, serving
from tests.flows.place import free_port
from tests.seeing.scraping import Samples, documented, names, read, scrape, total
from tests.store.world import claim_some
from tests.stores import MariaDb
from tests.waiting import wait_until
from tests.worker.office import Office

READY = "barbeque_worker_ready"
GONE = Quota("gone", burst=1, rate=0.01)
ROOM = "room:here/256x512"


class Moody:
    """An executor that says no to the first starts, each time for another reason."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._moods = [
            Throttled("not so fast"),
            NoCapacity("no room"),
            LaunchRefused("no such image", blame_definition=True),
        ]
        self._blind = 3

    def __getattr__(self, name: str) -> Any:
        return getattr(self._executor, name)

    def start(self, *given: Any) -> Any:
        if self._moods:
            raise self._moods.pop(0)
        return self._executor.start(*given)

    def sightings(self, *given: Any) -> Any:
        self._blind -= 1
        if self._blind >= 0:
            raise ExecutorUnavailable("it does not say")
        return self._executor.sightings(*given)


class Watcher:
    """Somebody who scrapes the API and a worker now and then."""

    def __init__(self, office: Office) -> None:
        self.office = office
        self.vitals = Vitals()
        self.scrapes: list[Samples] = []

    def scrape(self) -> Samples:
        parts = parts_of(self.office.store, self.office.home)
        found = {**scrape(parts), **read(self.vitals.page().decode())}
        self.scrapes.append(found)
        return found

    def until(self, name: str, least: float = 1, **labels: str) -> None:
        """Scrape until the metric has come to so much more than at first."""
        first = total(self.scrapes[0], name, **labels)
        wait_until(
            lambda: total(self.scrape(), name, **labels) >= first + least, f"{name} {labels}"
        )

    def moved(self) -> set[str]:
        """Return the names whose numbers have changed."""
        found = set()
        for name in names(self.scrapes[-1]):
            sums = {total(scrape, name) + total(scrape, f"{name}_count") for scrape in self.scrapes}
            if len(sums) > 1:
                found.add(name)
        return found


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    """An installation whose Slack is away, and that has no mail."""
    slack = f"http://127.0.0.1:{free_port()}"
    more = {"BARBEQUE_SLACK": "xoxb-1-nobody-of-ours", "BARBEQUE_SLACK_API": slack}
    office = Office(tmp_path, "process:?slots=4", more=more)
    chosen: dict[str, object] = {
        "slack": "#media",
        "email": ["ann@example.com"],
        "hears": ["failure"],
    }
    office.store.write(lambda tx: apps.put_app(tx, App("app", "", notify=chosen)))
    yield office
    office.close()


def test_every_metric_of_the_docs_is_there_and_moves(office: Office) -> None:
    watcher = Watcher(office)
    watcher.scrape()
    assert total(watcher.scrapes[0], "barbeque_worker_ready") == 0
    leave_things_undone(office)
    with serving(parts_of(office.store, office.home)) as api:
        job = JOB | {"application": "app", "job": "well"}
        for _ in range(2):
            asked = api.post("/v2/job_executions", job, headers={"idempotency-key": "1"})
            assert asked.status_code == 201
    office.parts.broker.send("default", [Parcel(body="no job", app="app")])
    watcher.until("barbeque_messages", 3, queue="default")
    begin_work(office, watcher)
    for answer in ("throttled", "no_capacity", "refused", "started"):
        watcher.until("barbeque_launch_calls_total", answer=answer)
    run_jobs(office, watcher)
    assert total(without_database(office), "barbeque_database_up") == 0
    last = watcher.scrape()
    assert names(last) == documented()
    fixed = {"barbeque_database_up"}
    assert watcher.moved() == documented() - fixed
    queued = total(last, "barbeque_enqueued_total", queue="default")
    assert queued - total(watcher.scrapes[0], "barbeque_enqueued_total", queue="default") == 2
    assert total(last, "barbeque_http_requests_total", route="/v2/job_executions", status="201")
    assert total(last, "barbeque_throttled_seconds") > 0


def begin_work(office: Office, watcher: Watcher) -> None:
    """Start a worker whose executor is moody, with the vitals that are scraped."""
    office.work(wrap=Moody, vitals=watcher.vitals)


def run_jobs(office: Office, watcher: Watcher) -> None:
    """Let jobs end in every way, and wait until that is told."""
    office.define("badly", "exit 1")
    office.define("nap", "sleep 600", concurrency=1)
    office.enqueue("badly")
    naps = [office.enqueue("nap") for _ in range(2)]
    watcher.until("barbeque_waiting", queue="default", stage="held")
    watcher.until("barbeque_finished_total", app="app", outcome="failed")
    watcher.until("barbeque_retries_total", 2, app="app", reason="failed")
    watcher.until("barbeque_leases_expired_total")
    watcher.until("barbeque_notices_total", channel="slack", outcome="failed")
    watcher.until("barbeque_notices_total", channel="email", outcome="refused")
    watcher.until("barbeque_worker_ready")
    for nap in naps:
        office.store.write(partial(cancel, message_id=nap))
    office.parts.bell.ring()
    watcher.until("barbeque_finished_total", 2, outcome="cancelled")


def without_database(office: Office) -> Samples:
    """Scrape an API whose database is not there."""
    with closing(Store(f"sqlite:///{office.home / 'none.db'}")) as away:
        return scrape(replace(parts_of(office.store, office.home), store=away))


def leave_things_undone(office: Office) -> None:
    """Make everything there that is to be told of before a worker comes."""
    office.define("well", "true")
    office.define("later", "true")

    def make(tx: Tx) -> None:
        apps.put_queue(tx, Queue("paused"))
        apps.pause_queue(tx, "paused", reason="maintenance")
        pauses.pause(tx, ROOM, "no room")
        quotas.take(tx, [GONE])

    office.store.write(make)
    office.enqueue("later", delay=600)
    for _ in range(3):
        office.enqueue("well")
    intake = Intake(office.store, office.parts.broker, office.parts.logs)
    assert intake.take("default", wait=timedelta(0)) == 4
    place, soon = office.parts.executor.place(), timedelta(seconds=0.1)
    first, _ = claim_some(office.store, 2, owner="gone", place=place, lease=soon)
    office.store.write(lambda tx: settle(tx, first.attempt, Fate(Reason.EXITED, 0)))


def test_a_token_for_metrics_opens_them_and_nothing_else(
    sqlite_store: Store, tmp_path: Path
) -> None:
    wish = Wish("prometheus", frozenset({Scope.METRICS}))
    token = sqlite_store.write(lambda tx: issue(tx, EVERYBODY, wish))[1]
    with serving(parts_of(sqlite_store, tmp_path), ask_for_tokens=True) as api:
        shown = {"authorization": f"Bearer {token}"}
        assert api.get("/metrics").status_code == 401
        assert api.get("/v2/queues", headers=shown).status_code == 403
        page = api.get("/metrics", headers=shown)
        assert page.headers["cache-control"] == "no-store"
        found = read(page.text)
        assert total(found, "barbeque_http_requests_total", route="/v2/queues", status="403")
        api.get("/no/such/thing", headers=shown)
        found = read(api.get("/metrics", headers=shown).text)
        assert total(found, "barbeque_http_requests_total", route="-", status="404")


@pytest.mark.mariadb
def test_a_database_that_has_stopped_in_the_middle_is_told_of_and_waited_for_by_nobody(
    mariadb: MariaDb, mariadb_url: str, tmp_path: Path
) -> None:
    at = f"127.0.0.1:{free_port()}"
    more = {"BARBEQUE_WORKER_LISTEN": at}
    office = Office(tmp_path, "process:?slots=1", database=mariadb_url, more=more)
    try:
        office.work_apart()
        wait_until(lambda: said_by(at, "/readyz") == 200, "the worker is ready")
        with serving(parts_of(office.store, tmp_path)) as api:
            with mariadb.frozen():
                began = clock.monotonic()
                assert total(read(api.get("/metrics").text), "barbeque_database_up") == 0
                answer = api.get("/readyz")
                assert answer.status_code == 503
                assert "has not answered" in answer.json()["reasons"][0]
                assert clock.monotonic() - began < 60  # five where a machine is free
                assert api.get("/livez").status_code == 200
                wait_until(lambda: said_by(at, "/readyz") == 503, "the worker is not ready")
                why = "the database has not taken its heartbeat for long"
                wait_until(lambda: why in httpx.get(f"http://{at}/readyz").json()["reasons"])
                assert said_by(at, "/livez") == 200
                assert total(read(httpx.get(f"http://{at}/metrics").text), READY) == 0
            wait_until(lambda: said_by(at, "/readyz") == 200, "the worker is ready again")
            wait_until(lambda: api.get("/readyz").status_code == 200, "the API is")
        assert said_by(at, "/v2/queues") == 404
        wait_until(lambda: total(read(httpx.get(f"http://{at}/metrics").text), READY) == 1)
    finally:
        office.close()


def said_by(address: str, path: str) -> int:
    """Return the status of the worker's answer, 0 when nobody listens."""
    try:
        return httpx.get(f"http://{address}{path}", timeout=30).status_code
    except httpx.ConnectError:
        return 0


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_loop_that_has_ended_is_no_life() -> None:
    vitals, loop = Vitals(), Loop("brief", sys.exit)
    lease = Lease(timedelta(minutes=1))
    lease.renewed(clock.monotonic())
    vitals.begin(lease, lambda: [loop])
    assert vitals.faults() == [], "it is about to begin"
    loop.start()
    loop.join(60)
    assert vitals.faults() == vitals.hindrances() == ["brief has ended"]
    with watched_at(Address("127.0.0.1", port := free_port()), vitals):
        assert said_by(f"127.0.0.1:{port}", "/livez") == 503
        with pytest.raises(ConfigurationError, match="BARBEQUE_WORKER_LISTEN"):
            watched_at(Address("127.0.0.1", port), vitals).__enter__()

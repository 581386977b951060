"""Connections killed and transactions that meet: whole transactions are run again, once each."""

import random
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any

import pytest
from sqlalchemy import event, text

from barbeque_py.executions import AttemptState, State
from barbeque_py.ids import AttemptId
from barbeque_py.seal import seal_all
from barbeque_py.settle import Told, settle_all
from barbeque_py.store import Store, Tx, attempts, leases, limits, lots, outbox
from barbeque_py.store.lots import Start
from tests.store.world import (
    FAILURE,
    LEASE,
    PLACE,
    SUCCESS,
    attempts_of,
    claim_some,
    counters,
    define,
    enqueue,
    find,
    later,
    set_limit,
)
from tests.stores import MariaDb

pytestmark = pytest.mark.mariadb


@pytest.fixture
def store(mariadb_url: str) -> Iterator[Store]:
    with closing(Store(mariadb_url)) as opened:
        yield opened


def number_of(connection: Any) -> int:
    """Return the server's number of the connection."""
    return int(connection.exec_driver_sql("SELECT CONNECTION_ID()").scalar_one())


@contextmanager
def killed_at_its_commit(store: Store, server: MariaDb, *, after_it: bool) -> Iterator[list[int]]:
    """Kill the connection of the next commit, before or after the server has carried it out."""
    killed: list[int] = []

    def kill(connection: Any) -> None:
        if killed:
            return
        number = number_of(connection)
        if after_it:
            connection.connection.dbapi_connection.commit()
        killed.append(number)
        server.execute(f"KILL {number}")

    event.listen(store.engine, "commit", kill)
    yield killed
    event.remove(store.engine, "commit", kill)


@pytest.fixture(params=["before the commit", "after the commit"])
def after_it(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "after the commit")


def outbox_subjects(store: Store) -> list[str]:
    return [each.subject for each in store.read(lambda tx: outbox.at_place(tx, PLACE))]


def test_a_connection_killed_in_the_middle_runs_the_work_again_from_the_start(
    store: Store, mariadb: MariaDb
) -> None:
    tries: list[int] = []

    def work(tx: Tx) -> int:
        tries.append(number_of(tx._connection))
        limits.ensure(tx, ["app:media"])
        limits.take(tx, Counter(["app:media"]))
        if len(tries) == 1:
            mariadb.execute(f"KILL {tries[0]}")
        return limits.lock(tx, ["app:media"])["app:media"].used

    assert store.write_together(work) == 1
    assert len(set(tries)) == 2, "the second time on another connection"
    assert counters(store) == {"app:media": 1}


def test_a_settlement_whose_commit_was_cut_off_is_settled_once(
    store: Store, mariadb: MariaDb, after_it: bool
) -> None:
    define(store)
    ids = [enqueue(store) for _ in range(3)]
    claimed = [each.attempt for each in claim_some(store)]
    told = dict.fromkeys(claimed, Told(FAILURE))
    with killed_at_its_commit(store, mariadb, after_it=after_it) as killed:
        settled = store.write(lambda tx: settle_all(tx, told))
    assert len(killed) == 1
    assert len(settled) == (0 if after_it else 3), "what was committed is not settled again"
    for each in ids:
        found = find(store, each)
        assert (found.state, found.counted) == (State.RETRYING, 1)
    assert counters(store) == {}
    assert sorted(outbox_subjects(store)) == sorted(claimed)


def test_a_claim_whose_commit_was_cut_off_is_found_again(
    store: Store, mariadb: MariaDb, after_it: bool
) -> None:
    define(store)
    ids = [enqueue(store) for _ in range(4)]
    with killed_at_its_commit(store, mariadb, after_it=after_it):
        first = claim_some(store, 2)
    rest = claim_some(store, 4)
    later(store, seconds=6)
    resumed = store.read(lambda tx: leases.unstarted_of(tx, "worker-1"))
    assert len(first) == 2
    assert len(rest) == (0 if after_it else 2)
    assert sorted(each.id[:36] for each in resumed) == sorted(ids), "each has one attempt"
    assert counters(store)["place:here"] == 4


def test_a_start_and_a_seal_whose_commits_were_cut_off_are_recorded_once(
    store: Store, mariadb: MariaDb, after_it: bool
) -> None:
    define(store)
    ids = [enqueue(store) for _ in range(2)]
    claimed = [each.attempt for each in claim_some(store)]

    def mark(tx: Tx) -> list[bool]:
        until = tx.now + LEASE
        starts = [Start(each, "task", tx.now, until, 1, attended=True) for each in claimed]
        return lots.mark_each_running(tx, starts)

    with killed_at_its_commit(store, mariadb, after_it=after_it):
        assert store.write(mark) == [not after_it] * 2
    assert {attempts_of(store, each)[0].state for each in ids} == {AttemptState.RUNNING}
    store.write(lambda tx: settle_all(tx, dict.fromkeys(claimed, Told(SUCCESS))))
    items = store.read(lambda tx: outbox.at_place(tx, PLACE))
    with killed_at_its_commit(store, mariadb, after_it=after_it):
        store.write(lambda tx: seal_all(tx, [(each, None) for each in items]))
    assert outbox_subjects(store) == []
    assert all(attempts_of(store, each)[0].log_sealed_at for each in ids)


def test_works_that_share_a_transaction_are_all_run_again_after_a_deadlock(store: Store) -> None:
    scopes = ["app:a", "app:b"]
    store.write(lambda tx: limits.ensure(tx, scopes))
    both_hold_one = threading.Barrier(2)
    tries = [0, 0]

    def cross(number: int) -> None:
        mine, other = scopes if number else reversed(scopes)

        def work(tx: Tx) -> None:
            tries[number] += 1
            limits.lock(tx, [mine])
            if tries[number] == 1:
                both_hold_one.wait(60)
            limits.take(tx, Counter([mine]))
            limits.lock(tx, [other])
            limits.take(tx, Counter([other]))

        with closing(Store(store.url.render_as_string(hide_password=False))) as own:
            own.write_together(work)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(cross, range(2)))
    assert sum(tries) == 3, "one of them was the victim, once"
    assert counters(store) == {"app:a": 2, "app:b": 2}


def test_two_workers_that_settle_and_claim_against_each_other_lose_nothing(
    store: Store, mariadb: MariaDb
) -> None:
    """Batches that overlap, in any order, under limits that hold back."""
    for app in ("a", "b", "c"):
        define(store, app, concurrency=4)
    set_limit(store, f"place:{PLACE}", 10)
    for number in range(90):
        enqueue(store, "abc"[number % 3])
    done: Counter[AttemptId] = Counter()
    guard, over = threading.Lock(), threading.Event()

    def work(own: Store) -> None:
        while len(done) < 90 and not over.is_set():
            claim_some(own, 5)
            live = own.read(lambda tx: attempts.live_at(tx, [PLACE]))
            batch = [each.id for each in live]
            random.shuffle(batch)
            told = dict.fromkeys(batch[:7], Told(SUCCESS))
            settled = own.write_each(_settle_lots, told)
            with guard:
                done.update(settled)

    urls = [store.url.render_as_string(hide_password=False)] * 2
    own = [Store(url) for url in urls]
    with ThreadPoolExecutor(8) as pool:
        working = [pool.submit(work, own[number % 2]) for number in range(8)]
        try:
            for each in working:
                each.result(120)
        finally:
            over.set()
    for opened in own:
        opened.close()
    assert len(done) == sum(done.values()) == 90, "each was settled by one"
    assert counters(store) == {}
    assert len(outbox_subjects(store)) == 90
    assert store.read(lambda tx: tx.execute(text("SELECT COUNT(*) FROM attempts")).scalar()) == 90


def _settle_lots(tx: Tx, lots_told: Any) -> list[list[AttemptId]]:
    told: dict[AttemptId, Told] = {}
    for lot in lots_told:
        told |= lot
    settled = set(settle_all(tx, told))
    news = []
    for lot in lots_told:
        news.append([each for each in lot if each in settled])
        settled -= lot.keys()
    return news

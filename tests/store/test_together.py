"""Threads that write at the same time share a transaction, and nobody pays for another's fault."""

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event

from barbeque_py.errors import StoreUnavailable
from barbeque_py.store import Store, Tx, limits
from barbeque_py.store.together import MOST, Together
from tests.waiting import wait_until

Work = Callable[[Tx], Any]


class Line:
    """A transaction that is under way, and the threads that wait behind it."""

    def __init__(self, store: Store, pool: ThreadPoolExecutor) -> None:
        self._store = store
        self._pool = pool
        self._over = threading.Event()
        self._first = self._pool.submit(store.write_together, self._hold)
        wait_until(lambda: store._writers._under_way, "a transaction is under way")

    def _hold(self, tx: Tx) -> None:
        self._over.wait(60)

    def add(self, *works: Work) -> list[Future[Any]]:
        """Have each work wait in a thread of its own."""
        before = len(self._store._writers._waiting)
        futures = [self._pool.submit(self._store.write_together, each) for each in works]
        wait_until(
            lambda: len(self._store._writers._waiting) == before + len(works), "all of them wait"
        )
        return futures

    def go_on(self) -> None:
        """Let the transaction end."""
        self._over.set()
        self._first.result(60)


@pytest.fixture
def pool() -> Any:
    with ThreadPoolExecutor(MOST + 20) as pool:
        yield pool


@contextmanager
def commits_counted(store: Store) -> Any:
    """Count the commits of transactions that write."""
    counted: list[object] = []

    def count(connection: object) -> None:
        counted.append(connection)

    event.listen(store.engine, "commit", count)
    yield counted
    event.remove(store.engine, "commit", count)


def add(scope: str) -> Callable[[Tx], str]:
    def work(tx: Tx) -> str:
        limits.ensure(tx, [scope])
        return scope

    return work


def scopes(store: Store) -> set[str]:
    return {each.scope for each in store.read(limits.read_all)}


def test_who_comes_alone_runs_at_once_in_its_own_thread(store: Store) -> None:
    seen = store.write_together(lambda _: threading.current_thread())
    assert seen is threading.current_thread()


def test_those_that_wait_share_one_commit_and_each_has_its_own_result(
    store: Store, pool: ThreadPoolExecutor
) -> None:
    line = Line(store, pool)
    waiting = line.add(*[add(f"app:{number}") for number in range(20)])
    with commits_counted(store) as commits:
        line.go_on()
        assert [each.result(60) for each in waiting] == [f"app:{number}" for number in range(20)]
    assert len(commits) == 2, "the one that was under way, and one for all who waited"
    assert scopes(store) == {f"app:{number}" for number in range(20)}


def test_no_more_than_fifty_share_a_transaction(store: Store, pool: ThreadPoolExecutor) -> None:
    line = Line(store, pool)
    waiting = line.add(*[add(f"app:{number}") for number in range(MOST + 5)])
    with commits_counted(store) as commits:
        line.go_on()
        assert len({each.result(60) for each in waiting}) == MOST + 5
    assert len(commits) == 3


def test_a_verb_is_called_once_for_all_that_wait_with_it(
    store: Store, pool: ThreadPoolExecutor
) -> None:
    asked: list[list[int]] = []

    def double(tx: Tx, numbers: Sequence[int]) -> list[int]:
        asked.append(sorted(numbers))
        return [2 * each for each in numbers]

    line = Line(store, pool)
    waiting = [pool.submit(store.write_each, double, number) for number in range(9)]
    wait_until(lambda: len(store._writers._waiting) == 9, "all of them wait")
    line.go_on()
    assert [each.result(60) for each in waiting] == [2 * number for number in range(9)]
    assert asked == [list(range(9))]


def test_a_work_that_fails_hurts_nobody_else(store: Store, pool: ThreadPoolExecutor) -> None:
    def fail(tx: Tx) -> None:
        limits.ensure(tx, ["app:bad"])
        raise KeyError("bad")

    line = Line(store, pool)
    good = line.add(add("app:a"), add("app:b"))
    bad = line.add(fail)
    more = line.add(add("app:c"))
    line.go_on()
    assert [each.result(60) for each in (*good, *more)] == ["app:a", "app:b", "app:c"]
    with pytest.raises(KeyError):
        bad[0].result(60)
    assert scopes(store) == {"app:a", "app:b", "app:c"}


def test_a_store_that_is_away_is_told_to_all_that_wait(pool: ThreadPoolExecutor) -> None:
    asked: list[int] = []
    begun, over = threading.Event(), threading.Event()

    def run(work: Callable[[None], list[Any]]) -> list[Any]:
        asked.append(len(asked))
        if len(asked) == 1:
            begun.set()
            over.wait(60)
            return work(None)
        raise StoreUnavailable("it is away")

    together = Together[None](run)
    first = pool.submit(together.ask, lambda _, items: items, 1)
    assert begun.wait(60)
    others = [pool.submit(together.ask, lambda _, items: items, number) for number in range(5)]
    wait_until(lambda: len(together._waiting) == 5, "all of them wait")
    over.set()
    assert first.result(60) == 1
    for each in others:
        with pytest.raises(StoreUnavailable, match="it is away"):
            each.result(60)
    assert len(asked) == 2, "one of them asked, for all"


def test_the_line_goes_on_behind_one_that_is_interrupted(pool: ThreadPoolExecutor) -> None:
    begun, over = threading.Event(), threading.Event()

    def run(work: Callable[[None], list[Any]]) -> list[Any]:
        if not begun.is_set():
            begun.set()
            over.wait(60)
            raise KeyboardInterrupt
        return work(None)

    together = Together[None](run)
    first = pool.submit(together.ask, lambda _, items: items, 1)
    assert begun.wait(60)
    others = [pool.submit(together.ask, lambda _, items: items, number) for number in range(3)]
    wait_until(lambda: len(together._waiting) == 3, "all of them wait")
    over.set()
    assert isinstance(first.exception(20), KeyboardInterrupt)
    assert [each.result(60) for each in others] == [0, 1, 2]
    assert together.ask(lambda _, items: items, 7) == 7


def test_many_threads_lose_nothing(store: Store, pool: ThreadPoolExecutor) -> None:
    store.write(lambda tx: limits.ensure(tx, ["app:a"]))

    def count(tx: Tx) -> None:
        limits.lock(tx, ["app:a"])
        limits.take(tx, Counter(["app:a"]))

    done = [pool.submit(store.write_together, count) for _ in range(300)]
    for each in done:
        each.result(60)
    assert store.read(lambda tx: limits.read(tx, ["app:a"]))["app:a"].used == 300


def test_what_nobody_waits_for_is_written_together_and_told_afterwards(store: Store) -> None:
    told: list[tuple[Any, Exception | None]] = []
    begun, over = threading.Event(), threading.Event()

    def hold(_: Tx, items: Sequence[int]) -> Sequence[int]:
        begun.set()
        over.wait(60)
        return items

    def put(tx: Tx, items: Sequence[str]) -> Sequence[str]:
        if "app:bad" in items:
            raise KeyError("bad")
        limits.ensure(tx, items)
        return items

    def done(result: Any, error: Exception | None) -> None:
        told.append((result, error))
        if result == "app:1":
            raise ValueError("the others are told all the same")

    store.write_behind(hold, 0, done)
    assert begun.wait(60)
    wanted = [f"app:{number}" for number in range(9)]
    for each in wanted:
        store.write_behind(put, each, done)
    assert told == []
    with commits_counted(store) as commits:
        over.set()
        wait_until(lambda: len(told) == 10, "all are told")
    assert told[1:] == [(each, None) for each in wanted]
    assert len(commits) == 2, "the one that was under way, and one for all the others"
    store.write_behind(put, "app:bad", done)
    store.write_behind(put, "app:9", done)
    wait_until(lambda: len(told) == 12, "these, too")
    assert sorted(str(result) for result, _ in told[10:]) == ["None", "app:9"]
    assert scopes(store) == {*wanted, "app:9"}


def test_a_store_that_closes_writes_what_waits(database_url: str, other_store: Store) -> None:
    closing = Store(database_url)
    for number in range(60):
        closing.write_behind(_ensure, f"app:{number}", lambda *_: None)
    closing.close()
    assert len(scopes(other_store)) == 60


def _ensure(tx: Tx, wanted: Sequence[str]) -> Sequence[str]:
    limits.ensure(tx, wanted)
    return wanted

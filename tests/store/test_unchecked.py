"""When running attempts that nobody attends to are looked at, and by whom."""

from datetime import timedelta

from barbeque_py.ids import AttemptId
from barbeque_py.store import Store, Tx, attempts, unchecked
from tests.store.world import PLACE, claim_some, define, enqueue, later

MINUTE, AT_LATEST = timedelta(minutes=1), timedelta(minutes=5)


def run_some(store: Store, count: int) -> None:
    """Let so many attempts run that nobody attends to."""
    define(store)
    for _ in range(count):
        enqueue(store)
    claims = claim_some(store, count)
    assert len(claims) == count
    store.write(lambda tx: _mark(tx, [each.attempt for each in claims]))


def _mark(tx: Tx, ids: list[AttemptId]) -> None:
    for attempt in ids:
        attempts.mark_running(
            tx,
            attempt,
            handle="arn:task",
            started_at=tx.now,
            deadline_at=tx.now + timedelta(hours=1),
            attended=False,
        )


def take(store: Store) -> int:
    """Take what is to be looked at, and return how many."""
    found = store.write(lambda tx: unchecked.take(tx, [PLACE], age=MINUTE, at_latest=AT_LATEST))
    return len(found)


def test_a_few_are_looked_at_together_and_only_every_five_minutes(store: Store) -> None:
    run_some(store, 3)
    later(store, minutes=4)
    run_some(store, 2)
    assert take(store) == 0
    later(store, minutes=1)
    assert take(store) == 5
    later(store, minutes=4, seconds=59)
    assert take(store) == 0
    later(store, seconds=2)
    assert take(store) == 5


def test_a_whole_batch_is_looked_at_as_soon_as_all_of_it_is_a_minute_old(store: Store) -> None:
    run_some(store, unchecked.BATCH - 1)
    later(store, seconds=30)
    run_some(store, 2)
    later(store, seconds=40)
    assert take(store) == 0
    later(store, seconds=30)
    assert take(store) == unchecked.BATCH
    assert take(store) == 0


def test_what_another_worker_is_taking_is_left_to_it(store: Store, other_store: Store) -> None:
    if store.sqlite:
        return  # one writer at a time: the second one comes after the first
    run_some(store, 3)
    later(store, minutes=6)
    later(other_store, minutes=6)

    def take_both(tx: Tx) -> tuple[int, int]:
        first = unchecked.take(tx, [PLACE], age=MINUTE, at_latest=AT_LATEST)
        return len(first), take(other_store)

    assert store.write(take_both) == (3, 0)


def test_nothing_runs_and_nothing_is_looked_at(store: Store) -> None:
    assert take(store) == 0

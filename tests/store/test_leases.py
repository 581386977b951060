"""Leases and duties: what one worker holds no other takes, until it is let go."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from barbeque_py.executions import AttemptState
from barbeque_py.ids import AttemptId
from barbeque_py.store import Store, Tx, attempts, leases, stops, tables, workers
from tests.store.world import (
    LEASE,
    PLACE,
    SUCCESS,
    a_body,
    claim_one,
    claim_some,
    define,
    end,
    enqueue,
    later,
    mark_running,
    take_in,
)


def claimed(store: Store, count: int = 1) -> list[AttemptId]:
    define(store)
    take_in(store, *[a_body() for _ in range(count)])
    return [each.attempt for each in claim_some(store, count)]


def take_over(
    store: Store, owner: str = "worker-2", *, place: str = PLACE, dead: tuple[str, ...] = ()
) -> list[AttemptId]:
    def take(tx: Tx) -> list[AttemptId]:
        found = leases.take_over(tx, [place], owner, LEASE, dead_owners=dead)
        return [each.id for each in found]

    return store.write(take)


def test_a_drained_worker_takes_over_only_what_nobody_can_have_to_start(store: Store) -> None:
    fresh, running = claimed(store, 2)
    mark_running(store, running)
    later(store, seconds=91)

    def take(tx: Tx) -> list[AttemptId]:
        found = leases.take_over(tx, [PLACE], "worker-2", LEASE, started=True)
        return [each.id for each in found]

    assert store.write(take) == [running]
    assert take_over(store, "worker-3") == [fresh]


def look(store: Store, attempt: AttemptId) -> attempts.Attempt:
    found = store.read(lambda tx: attempts.get(tx, attempt))
    assert found is not None
    return found


def renew(store: Store, owner: str = "worker-1") -> int:
    return store.write(lambda tx: leases.renew(tx, owner, LEASE))


def test_an_attempt_is_taken_over_only_after_its_lease(store: Store) -> None:
    (attempt,) = claimed(store)
    later(store, seconds=89)
    assert take_over(store) == []
    later(store, seconds=2)
    assert take_over(store) == [attempt]
    found = look(store, attempt)
    assert (found.owner, found.epoch) == ("worker-2", 2)
    later(store, seconds=60)
    assert take_over(store, "worker-3") == []
    later(store, seconds=60)
    assert take_over(store, "worker-3") == [attempt]
    assert look(store, attempt).epoch == 3


def test_a_renewal_moves_every_lease_of_the_owner_and_no_other(store: Store) -> None:
    mine = claimed(store, 2)
    enqueue(store)
    (other,) = claim_some(store, owner="worker-9")
    later(store, seconds=60)
    assert renew(store) == 2
    later(store, seconds=60)
    assert take_over(store) == [other.attempt]
    assert {look(store, each).owner for each in mine} == {"worker-1"}


def test_an_owner_that_lost_its_attempt_renews_nothing(store: Store) -> None:
    claimed(store)
    later(store, seconds=100)
    take_over(store)
    assert renew(store) == 0


def test_an_ended_attempt_is_neither_renewed_nor_taken_over(store: Store) -> None:
    (attempt,) = claimed(store)
    end(store, attempt, SUCCESS)
    assert renew(store) == 0
    later(store, days=1)
    assert take_over(store, dead=("worker-1",)) == []


def test_a_released_attempt_is_adopted_at_once_but_for_those_under_way(store: Store) -> None:
    kept, given = claimed(store, 2)
    released = store.write(lambda tx: leases.release(tx, "worker-1", but=[kept]))
    assert released == 1
    assert take_over(store) == [given]


def test_of_a_dead_owner_the_running_are_adopted_at_once_and_the_starting_are_not(
    store: Store,
) -> None:
    running, starting = claimed(store, 2)
    mark_running(store, running)
    assert take_over(store, dead=("worker-1",)) == [running]
    assert look(store, starting).owner == "worker-1"


def test_nobody_takes_over_what_is_at_another_place(store: Store) -> None:
    (attempt,) = claimed(store)
    later(store, days=1)
    assert take_over(store, place="there") == []
    assert store.read(leases.live_places) == [PLACE]
    assert store.read(lambda tx: leases.owners_at(tx, [PLACE])) == ["worker-1"]
    assert take_over(store) == [attempt]


def test_two_workers_never_take_over_the_same_attempt(store: Store, other_store: Store) -> None:
    wanted = claimed(store, 40)
    store.shift = other_store.shift = timedelta(seconds=100)

    def work(number: int) -> list[AttemptId]:
        return take_over([store, other_store][number % 2], f"rescuer-{number}")

    with ThreadPoolExecutor(8) as pool:
        taken = [each for mine in pool.map(work, range(8)) for each in mine]
    taken += take_over(store)
    assert sorted(taken) == sorted(wanted)
    assert {look(store, each).epoch for each in wanted} == {2}


def test_a_stop_is_asked_for_once_and_a_start_seen_once(store: Store) -> None:
    (attempt,) = claimed(store)
    assert mark_running(store, attempt)
    assert not mark_running(store, attempt)
    assert look(store, attempt).state is AttemptState.RUNNING
    ask = lambda tx: stops.request_stop(tx, attempt, "timed out", grace=LEASE)  # noqa: E731 - twice
    assert store.write(ask)
    assert not store.write(ask)
    end(store, attempt, SUCCESS)
    assert not mark_running(store, attempt)


def duty(store: Store, owner: str, every: int = 600) -> bool:
    def take(tx: Tx) -> bool:
        return workers.take_duty(
            tx, "prune", owner, every=timedelta(seconds=every), lease=timedelta(seconds=120)
        )

    return store.write(take)


def test_a_duty_is_one_workers_until_its_lease_ends_or_it_is_done(store: Store) -> None:
    assert duty(store, "a")
    assert duty(store, "a"), "its owner goes on"
    assert not duty(store, "b")
    later(store, seconds=121)
    assert duty(store, "b")
    assert not duty(store, "a")
    store.write(lambda tx: workers.finish_duty(tx, "prune", "a"))
    assert not duty(store, "a"), "only its owner can say that it is done"
    store.write(lambda tx: workers.finish_duty(tx, "prune", "b"))
    assert not duty(store, "a")
    later(store, seconds=601)
    assert duty(store, "a")


def test_of_eight_that_want_a_new_duty_one_has_it(store: Store, other_store: Store) -> None:
    for _ in range(5):
        with ThreadPoolExecutor(8) as pool:
            chosen = [store, other_store] * 4
            assert sum(pool.map(duty, chosen, "abcdefgh")) == 1
        store.write(lambda tx: tx.execute(tables.fleet.duties.delete()))


def test_a_worker_is_alive_for_a_minute_after_it_was_seen(store: Store) -> None:
    for owner in ("a", "b"):
        store.write(lambda tx, owner=owner: workers.see(tx, owner, PLACE))  # type: ignore[misc]
    later(store, seconds=50)
    store.write(lambda tx: workers.see(tx, "b", "there"))
    assert [each.id for each in store.read(workers.alive)] == ["a", "b"]
    later(store, seconds=20)
    (alive,) = store.read(workers.alive)
    assert (alive.id, alive.place) == ("b", "there")
    assert workers.places([alive]) == {"there"}
    store.write(lambda tx: workers.leave(tx, "b"))
    assert store.read(workers.alive) == []
    store.write(lambda tx: workers.forget_silent(tx, timedelta(0)))


def test_what_ended_is_remembered_and_read_back(store: Store) -> None:
    define(store)
    enqueue(store)
    attempt = claim_one(store)
    facts = {"log_lines": 3, "log_bytes": 99, "log_error_lines": 0, "log_truncated": False}
    store.write(lambda tx: attempts.record_seal(tx, attempt, facts))
    found = look(store, attempt)
    assert found.log_sealed_at is not None
    assert (found.log_lines, found.log_truncated) == (3, False)
    known = store.read(lambda tx: attempts.known(tx, [attempt, AttemptId("nobody-1")]))
    assert list(known) == [attempt]

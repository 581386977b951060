"""Limits hold under many claimers, wake what they held back, and come back to zero."""

import random
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from barbeque_py import clock
from barbeque_py.executions import ENDED, Stage
from barbeque_py.ids import AttemptId
from barbeque_py.outcomes import Fate, Reason
from barbeque_py.store import Store, Tx, attempts, limits
from tests.store.world import (
    FAILURE,
    PLACE,
    SUCCESS,
    claim_one,
    claim_some,
    claimed_ids,
    counters,
    define,
    end,
    enqueue,
    everything,
    find,
    later,
    ripen,
    set_columns,
    set_limit,
    stages,
)

LIMITS = {"app:media": 7, "job:media/Encode": 3, "queue:default": 9, f"place:{PLACE}": 8}


def test_limits_hold_with_eight_claimers_and_come_back_to_zero(
    store: Store, other_store: Store
) -> None:
    define(store, concurrency=LIMITS["job:media/Encode"])
    define(store, job="Thumbnail")
    define(store, app="shop", job="Mail")
    for scope, most in LIMITS.items():
        set_limit(store, scope, most)
    for number in range(60):
        app, job = [("media", "Encode"), ("media", "Thumbnail"), ("shop", "Mail")][number % 3]
        key = {} if number % 4 else {"concurrency_key": "disc"}
        enqueue(store, app, job, **key)

    def work(number: int) -> int:
        chosen, chance = [store, other_store][number % 2], random.Random(number)
        until, over, done = clock.monotonic() + 120, 0, 0
        while any(each.state not in ENDED for each in everything(chosen)):
            assert clock.monotonic() < until, stages(chosen)
            claims = claim_some(chosen, chance.randint(1, 4), owner=f"worker-{number}")
            over += over_the_limit(chosen)
            for each in claims:
                end(chosen, each.attempt, SUCCESS)
                done += 1
        assert over == 0
        return done

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(work, range(8))) == 60
    assert counters(store) == {}
    assert stages(store) == {Stage.DONE: 60}


def over_the_limit(store: Store) -> int:
    """Count the scopes that have more live attempts than they may, or another number than told."""

    def look(tx: Tx) -> int:
        found = limits.lock(tx, LIMITS)
        live = [scope for scopes in attempts.live_scopes(tx) for scope in scopes]
        return sum(
            live.count(scope) != limit.used or live.count(scope) > LIMITS[scope]
            for scope, limit in found.items()
        )

    return store.write(look)


def test_a_queues_limit_stops_the_lane_and_sets_nothing_aside(store: Store) -> None:
    define(store)
    set_limit(store, "queue:default", 2)
    ids = [enqueue(store) for _ in range(5)]
    first = claim_some(store)
    assert claimed_ids(first) == ids[:2]
    assert claim_some(store) == []
    assert stages(store) == {Stage.READY: 3, Stage.ACTIVE: 2}
    end(store, first[0].attempt, SUCCESS)
    assert claimed_ids(claim_some(store)) == ids[2:3]


def test_a_places_slots_are_a_limit_for_that_place_only(store: Store) -> None:
    define(store)
    set_limit(store, "place:here", 1)
    ids = [enqueue(store) for _ in range(3)]
    assert claimed_ids(claim_some(store)) == ids[:1]
    assert claim_some(store) == []
    assert claimed_ids(claim_some(store, place="there")) == ids[1:]


def test_another_queue_goes_on_while_one_is_full(store: Store) -> None:
    define(store)
    define(store, job="Urgent", queue="urgent")
    set_limit(store, "queue:default", 0)
    enqueue(store)
    urgent = enqueue(store, job="Urgent", queue="urgent")
    assert claim_some(store) == []
    assert claimed_ids(claim_some(store, queue="urgent")) == [urgent]


def test_of_those_with_the_same_key_one_runs(store: Store) -> None:
    define(store)
    ids = [enqueue(store, concurrency_key="disc-1") for _ in range(3)]
    other = enqueue(store, concurrency_key="disc-2")
    first = claim_some(store)
    assert claimed_ids(first) == [ids[0], other]
    assert [find(store, each).held_by for each in ids[1:]] == ["key:media/disc-1"] * 2
    end(store, first[0].attempt, SUCCESS)
    assert [find(store, each).stage for each in ids[1:]] == [Stage.READY, Stage.HELD]


def test_the_same_key_of_another_app_is_another_key(store: Store) -> None:
    define(store)
    define(store, app="shop", job="Mail")
    enqueue(store, concurrency_key="disc")
    enqueue(store, "shop", "Mail", concurrency_key="disc")
    assert len(claim_some(store)) == 2


def test_a_keys_counter_is_forgotten_only_when_idle_and_then_means_the_same(store: Store) -> None:
    define(store)
    first, second = (enqueue(store, concurrency_key="disc") for _ in range(2))
    attempt = claim_one(store, first)
    claim_some(store)
    assert forget_keys(store) == 0
    end(store, attempt, SUCCESS)
    end(store, claim_one(store, second), SUCCESS)
    assert forget_keys(store) == 1
    ids = [enqueue(store, concurrency_key="disc") for _ in range(2)]
    assert claimed_ids(claim_some(store)) == ids[:1]


def forget_keys(store: Store) -> int:
    """Forget idle keys as the recount does."""
    return store.write(lambda tx: limits.forget_idle_keys(tx, 100))


def test_a_keys_own_limit_is_not_forgotten(store: Store) -> None:
    define(store)
    set_limit(store, "key:media/disc", 2)
    assert forget_keys(store) == 0
    for _ in range(3):
        enqueue(store, concurrency_key="disc")
    assert len(claim_some(store)) == 2


def test_a_full_key_does_not_block_the_queue(store: Store) -> None:
    define(store)
    attempt = None
    for number in range(600):
        enqueue(store, concurrency_key="disc")
        attempt = attempt or (claim_one(store) if number == 0 else None)
    free = enqueue(store)
    assert claimed_ids(claim_some(store, 1)) == [free]


def test_a_raised_limit_wakes_exactly_as_many_as_fit(store: Store) -> None:
    define(store, concurrency=1)
    for _ in range(6):
        enqueue(store)
    claim_some(store)
    assert stages(store) == {Stage.HELD: 5, Stage.ACTIVE: 1}
    set_limit(store, "job:media/Encode", 3)
    assert stages(store) == {Stage.READY: 2, Stage.HELD: 3, Stage.ACTIVE: 1}
    set_limit(store, "job:media/Encode", None)
    assert stages(store) == {Stage.READY: 5, Stage.ACTIVE: 1}


def test_a_limit_lowered_below_what_runs_starts_nothing_until_it_falls(store: Store) -> None:
    define(store)
    ids = [enqueue(store) for _ in range(6)]
    running = claim_some(store, 4)
    set_limit(store, "app:media", 2)
    for each in running[:2]:
        assert claim_some(store) == []
        end(store, each.attempt, SUCCESS)
    assert claim_some(store) == []
    assert counters(store)["app:media"] == 2
    end(store, running[2].attempt, SUCCESS)
    assert claimed_ids(claim_some(store)) == [ids[4]]


def test_each_end_wakes_one_and_the_most_urgent_first(store: Store) -> None:
    define(store, concurrency=1)
    running = enqueue(store)
    attempt = claim_one(store, running)
    low, high, middle = (enqueue(store, priority=each) for each in (-5, 50, 0))
    assert claim_some(store) == []
    for message_id in (high, middle, low):
        end(store, attempt, FAILURE if message_id == high else SUCCESS)
        assert stages(store).get(Stage.READY, 0) == 1
        attempt = claim_one(store, message_id)
    end(store, attempt, SUCCESS)


def test_one_woken_and_then_held_by_another_limit_leaves_its_slot_to_the_next(
    store: Store,
) -> None:
    define(store, concurrency=1)
    define(store, job="Thumbnail")
    running = enqueue(store)
    attempt = claim_one(store, running)
    key = claim_key(store)
    both, plain = enqueue(store, concurrency_key="disc"), enqueue(store)
    claim_some(store)
    set_aside(store, both, "job:media/Encode")
    assert find(store, plain).held_by == "job:media/Encode"
    end(store, attempt, SUCCESS)
    assert [find(store, each).stage for each in (both, plain)] == [Stage.READY, Stage.HELD]
    assert claimed_ids(claim_some(store)) == [plain]
    assert find(store, both).held_by == "key:media/disc"
    end(store, key, SUCCESS)
    assert find(store, both).stage is Stage.READY


def claim_key(store: Store) -> AttemptId:
    """Let a job without a limit of its own take the key."""
    return claim_one(store, enqueue(store, job="Thumbnail", concurrency_key="disc"))


def set_aside(store: Store, message_id: str, scope: str) -> None:
    """Let this limit hold the execution, whichever did."""
    set_columns(store, find(store, message_id).id, held_by=scope)


def test_a_full_limit_and_an_interruption_leak_no_slot(store: Store) -> None:
    define(store, concurrency=2)
    for _ in range(5):
        enqueue(store)
    for fate in (Fate(Reason.INTERRUPTED), Fate(Reason.VANISHED), Fate(Reason.CANCELLED), SUCCESS):
        for each in claim_some(store):
            end(store, each.attempt, fate)
        assert counters(store) == {}
        later(store, days=1)
        ripen(store)


def test_a_held_execution_keeps_its_place_among_the_oldest(store: Store) -> None:
    define(store, concurrency=1)
    ids = [enqueue(store) for _ in range(4)]
    for message_id in ids:
        attempt = claim_one(store, message_id)
        assert claim_some(store) == []
        end(store, attempt, SUCCESS)


def test_a_scheduled_retry_counts_under_no_limit(store: Store) -> None:
    define(store, concurrency=1)
    first, second = enqueue(store), enqueue(store)
    end(store, claim_one(store, first), FAILURE)
    assert find(store, first).due_at <= clock.now() + timedelta(seconds=16)
    claim_one(store, second)

"""An attempt is settled once: state, budget, slots, held neighbours and outbox together."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import select

from barbeque_py import clock
from barbeque_py.executions import AttemptState, Stage, State
from barbeque_py.ids import AttemptId
from barbeque_py.outcomes import Fate, Reason
from barbeque_py.settle import SEAL, settle
from barbeque_py.store import Store, attempts, stops, tables
from tests.store.world import (
    FAILURE,
    LEASE,
    PLACE,
    SUCCESS,
    attempts_of,
    claim_one,
    claim_some,
    counters,
    define,
    end,
    enqueue,
    everything,
    find,
    later,
    mark_running,
    ripen,
)

ASKED = [Reason.TIMED_OUT, Reason.CANCELLED]


def outbox_of(store: Store) -> list[tuple[str, str]]:
    query = select(tables.posts.outbox.c.kind, tables.posts.outbox.c.subject)
    return store.read(lambda tx: [(row.kind, row.subject) for row in tx.execute(query)])


def stop(store: Store, attempt: AttemptId, reason: Reason) -> bool:
    return store.write(lambda tx: stops.request_stop(tx, attempt, reason, grace=LEASE))


def test_a_success_ends_everything_at_once(store: Store) -> None:
    define(store)
    message_id = enqueue(store)
    attempt = claim_one(store)
    mark_running(store, attempt)
    assert sum(counters(store).values()) == 4
    settlement = end(store, attempt, SUCCESS)
    assert settlement is not None
    found, tried = find(store, message_id), attempts_of(store, message_id)[0]
    assert (found.state, found.stage, found.counted) == (State.SUCCEEDED, Stage.DONE, 1)
    assert found.finished_at is not None
    assert (tried.state, tried.exit_code, tried.counted) == (AttemptState.ENDED, 0, True)
    assert tried.request is None
    assert counters(store) == {}
    assert outbox_of(store) == [(SEAL, attempt)]


def test_settling_again_changes_nothing(store: Store) -> None:
    define(store)
    message_id = enqueue(store)
    attempt = claim_one(store)
    end(store, attempt, FAILURE)
    before = everything(store), attempts_of(store, message_id), counters(store), outbox_of(store)
    later(store, minutes=5)
    for fate in (FAILURE, SUCCESS, Fate(Reason.VANISHED)):
        assert end(store, attempt, fate) is None
    after = everything(store), attempts_of(store, message_id), counters(store), outbox_of(store)
    assert after == before


def test_an_old_attempt_can_not_be_settled_while_the_next_one_runs(store: Store) -> None:
    define(store)
    message_id = enqueue(store)
    first = claim_one(store)
    end(store, first, FAILURE)
    later(store, days=1)
    ripen(store)
    second = claim_one(store, message_id)
    assert end(store, first, SUCCESS) is None
    assert find(store, message_id).state is State.RUNNING
    assert end(store, second, SUCCESS) is not None


def test_of_eight_that_settle_at_once_exactly_one_wins(store: Store, other_store: Store) -> None:
    define(store)
    for fate in (SUCCESS, FAILURE, Fate(Reason.INTERRUPTED), Fate(Reason.VANISHED)):
        enqueue(store)
        attempt = claim_one(store)

        def race(chosen: Store, attempt: AttemptId = attempt, fate: Fate = fate) -> bool:
            return end(chosen, attempt, fate) is not None

        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(race, [store, other_store] * 4)) == 1
        assert counters(store) == {}
    assert len(outbox_of(store)) == 4


def test_an_unknown_attempt_is_nobodys(store: Store) -> None:
    assert end(store, AttemptId("019ac000-0000-7000-8000-000000000000-1"), SUCCESS) is None


def test_a_failure_waits_as_its_definition_says(store: Store) -> None:
    define(store)
    message_id = enqueue(store)
    settlement = end(store, claim_one(store), FAILURE)
    assert settlement is not None
    assert settlement.wait is not None
    found = find(store, message_id)
    assert (found.state, found.stage) == (State.RETRYING, Stage.SCHEDULED)
    wait = found.due_at - clock.now()
    assert timedelta(seconds=-5) <= wait <= timedelta(seconds=15)


@pytest.mark.parametrize(
    "uncounted", [Fate(Reason.INTERRUPTED), Fate(Reason.NEVER_STARTED, blame_definition=False)]
)
def test_an_interruption_costs_no_try(store: Store, uncounted: Fate) -> None:
    define(store)
    message_id = enqueue(store)
    end(store, claim_one(store), uncounted)
    found = find(store, message_id)
    assert (found.state, found.counted, found.uncounted) == (State.QUEUED, 0, 1)
    assert attempts_of(store, message_id)[0].counted is False


def test_a_stop_that_we_asked_for_names_the_end(store: Store) -> None:
    define(store)
    for reason in ASKED:
        message_id = enqueue(store)
        attempt = claim_one(store)
        assert stop(store, attempt, reason)
        assert not stop(store, attempt, Reason.INTERRUPTED)
        end(store, attempt, Fate(Reason.EXITED, exit_code=143))
        assert attempts_of(store, message_id)[0].reason == reason


def test_a_job_that_exits_0_when_it_is_stopped_has_timed_out_or_succeeded(store: Store) -> None:
    define(store)
    for reason, state in zip(ASKED, [State.RETRYING, State.SUCCEEDED], strict=True):
        message_id = enqueue(store)
        attempt = claim_one(store, message_id)
        stop(store, attempt, reason)
        end(store, attempt, SUCCESS)
        assert find(store, message_id).state is state


def test_what_ended_before_the_stop_was_asked_for_keeps_its_own_end(store: Store) -> None:
    define(store)
    message_id = enqueue(store)
    attempt = claim_one(store)
    ended = clock.now() - timedelta(seconds=30)
    stop(store, attempt, Reason.TIMED_OUT)
    end(store, attempt, Fate(Reason.EXITED, exit_code=0, finished_at=ended))
    assert find(store, message_id).state is State.SUCCEEDED
    assert find(store, message_id).finished_at == ended


@pytest.mark.parametrize("reason", [Reason.OUT_OF_MEMORY, Reason.NEVER_STARTED])
def test_out_of_memory_is_said_even_after_a_stop(store: Store, reason: Reason) -> None:
    define(store)
    message_id = enqueue(store)
    attempt = claim_one(store)
    stop(store, attempt, Reason.TIMED_OUT)
    end(store, attempt, Fate(reason))
    assert attempts_of(store, message_id)[0].reason == reason


def test_a_job_whose_definition_is_gone_is_settled_by_the_defaults(store: Store) -> None:
    define(store)
    message_id = enqueue(store)
    attempt = claim_one(store)
    store.write(lambda tx: tx.execute(tables.definitions.job_definitions.delete()))
    end(store, attempt, FAILURE)
    assert find(store, message_id).state is State.RETRYING


def test_a_long_detail_fits_its_column(store: Store) -> None:
    define(store)
    message_id = enqueue(store)
    end(store, claim_one(store), Fate(Reason.NEVER_STARTED, detail="\N{BANANA}" * 30_000))
    assert attempts_of(store, message_id)[0].detail == "\N{BANANA}" * 4000


def test_a_deadline_and_a_cancel_make_an_attempt_due_to_stop(store: Store) -> None:
    define(store)
    for _ in range(2):
        enqueue(store)
    short, long = (each.attempt for each in claim_some(store))
    mark_running(store, short, timeout=60)
    mark_running(store, long, timeout=3600)
    assert not mark_running(store, long), "it is known to be running"
    for seconds, due in ((0, set()), (61, {short}), (3600, {short, long})):
        store.shift = timedelta(seconds=seconds)
        found = store.read(lambda tx: stops.due_to_act(tx, [PLACE], "worker-1"))
        assert {each.id for each in found} == due


def test_an_end_that_is_the_first_thing_told_keeps_the_handle(store: Store) -> None:
    define(store)
    for _ in range(2):
        enqueue(store)
    unseen, seen = (each.attempt for each in claim_some(store))
    mark_running(store, seen)
    for attempt in (unseen, seen):
        store.write(lambda tx, attempt=attempt: settle(tx, attempt, SUCCESS, handle="a task"))  # type: ignore[misc]
    found = store.read(lambda tx: attempts.known(tx, [unseen, seen]))
    assert [found[each].handle for each in (unseen, seen)] == ["a task", "container"]

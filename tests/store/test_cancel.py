"""A cancel finds an execution wherever it stands."""

from datetime import timedelta

import pytest

from barbeque_py import clock
from barbeque_py.cancel import Cancelled, cancel
from barbeque_py.errors import UnknownExecution
from barbeque_py.executions import Stage, State
from barbeque_py.ids import AttemptId, new_message_id
from barbeque_py.outcomes import Fate, Reason
from barbeque_py.retry import retry
from barbeque_py.store import Store, Tx, dead, stops
from tests.store.world import (
    FAILURE,
    PLACE,
    SUCCESS,
    a_body,
    attempts_of,
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
    mark_running,
    ripen,
    set_limit,
    take_in,
)


def cancelled(store: Store, message_id: str, app: str = "media") -> Cancelled:
    return store.write(lambda tx: cancel(tx, message_id, app=app))


def assert_it_never_starts(store: Store, message_id: str) -> None:
    later(store, days=400)
    ripen(store)
    assert message_id not in claimed_ids(claim_some(store))
    found = find(store, message_id)
    assert (found.state, found.stage, found.held_by) == (State.CANCELLED, Stage.DONE, None)
    assert found.finished_at is not None


def test_a_ready_execution_is_cancelled_at_once(store: Store) -> None:
    define(store)
    message_id = enqueue(store)
    assert cancelled(store, message_id) is Cancelled.AT_ONCE
    assert_it_never_starts(store, message_id)


def test_a_scheduled_execution_is_cancelled_at_once(store: Store) -> None:
    define(store)
    message_id = enqueue(store, run_at=clock.now() + timedelta(days=300))
    assert cancelled(store, message_id) is Cancelled.AT_ONCE
    assert_it_never_starts(store, message_id)


def test_a_held_execution_is_cancelled_at_once(store: Store) -> None:
    define(store, concurrency=1)
    first, message_id = enqueue(store), enqueue(store)
    attempt = claim_one(store, first)
    assert claim_some(store) == []
    assert find(store, message_id).stage is Stage.HELD
    assert cancelled(store, message_id) is Cancelled.AT_ONCE
    end(store, attempt, SUCCESS)
    assert_it_never_starts(store, message_id)


def test_a_retrying_execution_is_cancelled_at_once(store: Store) -> None:
    define(store)
    message_id = enqueue(store)
    end(store, claim_one(store), FAILURE)
    assert find(store, message_id).state is State.RETRYING
    assert cancelled(store, message_id) is Cancelled.AT_ONCE
    assert_it_never_starts(store, message_id)


def test_a_running_execution_keeps_state_and_slot_until_its_fate_is_known(store: Store) -> None:
    define(store)
    message_id = enqueue(store)
    attempt = claim_one(store)
    mark_running(store, attempt)
    before = counters(store)
    assert cancelled(store, message_id) is Cancelled.REQUESTED
    found = find(store, message_id)
    assert (found.state, found.stage) == (State.RUNNING, Stage.ACTIVE)
    assert found.cancel_requested_at is not None
    assert counters(store) == before
    due = store.read(lambda tx: stops.due_to_act(tx, [PLACE], "worker-1"))
    assert [each.id for each in due] == [attempt]
    end(store, attempt, Fate(Reason.EXITED, exit_code=143))
    assert find(store, message_id).state is State.CANCELLED
    assert counters(store) == {}


def test_a_running_execution_that_succeeds_all_the_same_has_succeeded(store: Store) -> None:
    define(store)
    message_id = enqueue(store)
    attempt = claim_one(store)
    cancelled(store, message_id)
    end(store, attempt, SUCCESS)
    assert find(store, message_id).state is State.SUCCEEDED


def test_a_claimed_attempt_is_told_before_it_is_launched(store: Store) -> None:
    define(store)
    message_id = enqueue(store)
    claim_one(store)
    cancelled(store, message_id)
    assert attempts_of(store, message_id)[0].cancel_requested_at is not None


@pytest.mark.parametrize("fate", [SUCCESS, Fate(Reason.VANISHED)])
def test_an_ended_execution_can_not_be_cancelled(store: Store, fate: Fate) -> None:
    define(store, at_most_once=True)
    message_id = enqueue(store)
    end(store, claim_one(store), fate)
    before = find(store, message_id)
    assert cancelled(store, message_id) is Cancelled.TOO_LATE
    assert find(store, message_id) == before


def test_a_repeated_cancel_says_the_same_and_changes_nothing(store: Store) -> None:
    define(store)
    waiting, running = enqueue(store), enqueue(store)
    cancelled(store, waiting)
    claim_one(store, running)
    cancelled(store, running)
    before = everything(store)
    later(store, seconds=5)
    assert cancelled(store, waiting) is Cancelled.TOO_LATE
    assert cancelled(store, running) is Cancelled.REQUESTED
    assert everything(store) == before


def test_a_second_cancel_takes_nothing_of_the_grace_and_only_force_does(store: Store) -> None:
    define(store)
    message_id = enqueue(store)
    attempt = claim_one(store)
    mark_running(store, attempt)
    grace = timedelta(seconds=30)

    def due() -> list[AttemptId]:
        found = store.read(lambda tx: stops.due_to_act(tx, [PLACE], "worker-1"))
        return [each.id for each in found]

    cancelled(store, message_id)
    store.write(lambda tx: stops.request_stop(tx, attempt, Reason.CANCELLED, grace=grace))
    later(store, seconds=5)
    assert cancelled(store, message_id) is Cancelled.REQUESTED
    assert due() == []
    killed = store.write(lambda tx: cancel(tx, message_id, force=True))
    assert (killed, due()) == (Cancelled.KILL, [attempt])
    end(store, attempt, Fate(Reason.EXITED, exit_code=137))
    assert find(store, message_id).state is State.CANCELLED


def test_what_was_never_asked_to_stop_is_killed_by_force_with_the_first_look(store: Store) -> None:
    define(store)
    message_id = enqueue(store)
    mark_running(store, claim_one(store))
    store.write(lambda tx: cancel(tx, message_id, force=True))
    [attempt] = store.read(lambda tx: stops.due_to_act(tx, [PLACE], "worker-1"))
    assert attempt.stop_requested_at is not None
    assert attempt.stop_reason == Reason.CANCELLED


def test_a_message_cancelled_before_it_arrives_never_starts_and_is_kept(store: Store) -> None:
    define(store)
    message_id = str(new_message_id())
    assert cancelled(store, message_id) is Cancelled.UNSEEN
    assert cancelled(store, message_id) is Cancelled.UNSEEN
    assert find(store, message_id).tombstone
    take_in(store, a_body(message_id=message_id, message='{"n":7}'))
    found = find(store, message_id)
    assert (found.app, found.job, found.message) == ("media", "Encode", '{"n":7}')
    assert not found.tombstone
    assert store.read(dead.newest) == []
    assert_it_never_starts(store, message_id)


def test_a_message_cancelled_by_an_operator_is_cancelled_whoever_sent_it(store: Store) -> None:
    define(store)
    message_id = str(new_message_id())
    cancelled(store, message_id, app="")
    take_in(store, a_body(message_id=message_id))
    assert_it_never_starts(store, message_id)


def test_the_message_of_another_app_is_not_affected(store: Store) -> None:
    define(store)
    message_id = str(new_message_id())
    cancelled(store, message_id, app="stranger")
    take_in(store, a_body(message_id=message_id))
    found = find(store, message_id)
    assert (found.state, found.reason, found.finished_at) == (State.QUEUED, None, None)
    assert claimed_ids(claim_some(store)) == [message_id]


def test_a_filled_tombstone_can_be_retried_and_an_empty_one_not(store: Store) -> None:
    define(store)
    message_id = str(new_message_id())
    cancelled(store, message_id)

    def again(tx: Tx) -> None:
        retry(tx, message_id, retry_id=str(new_message_id()))

    with pytest.raises(UnknownExecution):
        store.write(again)
    take_in(store, a_body(message_id=message_id))
    store.write(again)
    assert claimed_ids(claim_some(store)) == [message_id]


def test_a_cancelled_one_that_was_woken_leaves_its_slot_to_another(store: Store) -> None:
    define(store, concurrency=1)
    first, second, third = (enqueue(store) for _ in range(3))
    attempt = claim_one(store, first)
    claim_some(store)
    end(store, attempt, SUCCESS)
    assert find(store, second).stage is Stage.READY
    cancelled(store, second)
    assert find(store, third).stage is Stage.READY


def test_a_delivery_after_the_cancel_does_not_bring_it_back(store: Store) -> None:
    define(store)
    body = a_body(message_id=str(new_message_id()))
    take_in(store, body)
    message_id = everything(store)[0].message_id
    cancelled(store, message_id)
    take_in(store, body, body)
    assert_it_never_starts(store, message_id)
    assert find(store, message_id).note is None


def test_a_scheduled_limit_is_left_alone_by_a_cancel(store: Store) -> None:
    define(store)
    set_limit(store, "app:media", 0)
    message_id = enqueue(store)
    assert claim_some(store) == []
    cancelled(store, message_id)
    set_limit(store, "app:media", None)
    assert_it_never_starts(store, message_id)

"""A retry by hand gives an ended execution another round."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from barbeque_py.cancel import cancel
from barbeque_py.errors import StillOpen, UnknownExecution
from barbeque_py.executions import Stage, State
from barbeque_py.ids import new_message_id
from barbeque_py.outcomes import Fate, Reason
from barbeque_py.retry import retry
from barbeque_py.store import Store, Tx
from barbeque_py.store import executions as rows
from tests.store.world import (
    FAILURE,
    SUCCESS,
    attempts_of,
    claim_one,
    define,
    end,
    enqueue,
    find,
    later,
    ripen,
)


def retried(store: Store, message_id: str, retry_id: str = "", **facts: Any) -> str:
    chosen = retry_id or str(new_message_id())
    store.write(lambda tx: retry(tx, message_id, retry_id=chosen, **facts))
    return chosen


def fail_for_good(store: Store, message_id: str) -> None:
    while find(store, message_id).state is not State.FAILED:
        later(store, days=1)
        ripen(store)
        end(store, claim_one(store, message_id), FAILURE)


def test_a_retry_has_a_fresh_budget_and_the_numbers_go_on(store: Store) -> None:
    define(store)
    message_id = enqueue(store)
    fail_for_good(store, message_id)
    retried(store, message_id)
    found = find(store, message_id)
    assert (found.round, found.counted, found.uncounted, found.counted_before) == (2, 0, 0, 6)
    assert (found.state, found.stage, found.reason) == (State.QUEUED, Stage.READY, None)
    assert found.finished_at is None
    fail_for_good(store, message_id)
    tried = attempts_of(store, message_id)
    assert [each.number for each in tried] == list(range(1, 13))
    assert [each.round for each in tried] == [1] * 6 + [2] * 6


def test_a_retry_after_interruptions_may_be_interrupted_20_times_again(store: Store) -> None:
    define(store)
    message_id = enqueue(store)
    for _ in range(2):
        for _ in range(21):
            later(store, hours=1)
            ripen(store)
            end(store, claim_one(store, message_id), Fate(Reason.INTERRUPTED))
        found = find(store, message_id)
        assert (found.state, found.could_not_start) == (State.FAILED, True)
        retried(store, message_id)
        assert not find(store, message_id).could_not_start


def test_what_succeeded_and_what_was_cancelled_can_be_retried(store: Store) -> None:
    define(store)
    message_id = enqueue(store)
    end(store, claim_one(store), SUCCESS)
    retried(store, message_id)
    store.write(lambda tx: cancel(tx, message_id))
    retried(store, message_id)
    attempt = claim_one(store, message_id)
    assert attempts_of(store, message_id)[-1].cancel_requested_at is None
    end(store, attempt, FAILURE)
    assert find(store, message_id).state is State.RETRYING


def test_a_repeated_retry_is_a_no_op_in_every_state(store: Store) -> None:
    define(store)
    message_id = enqueue(store)
    end(store, claim_one(store), SUCCESS)
    retry_id = retried(store, message_id)
    assert_a_repeat_changes_nothing(store, message_id, retry_id)
    attempt = claim_one(store)
    assert_a_repeat_changes_nothing(store, message_id, retry_id)
    end(store, attempt, FAILURE)
    assert_a_repeat_changes_nothing(store, message_id, retry_id)
    fail_for_good(store, message_id)
    assert_a_repeat_changes_nothing(store, message_id, retry_id)


def assert_a_repeat_changes_nothing(store: Store, message_id: str, retry_id: str) -> None:
    before = find(store, message_id)
    retried(store, message_id, retry_id)
    assert find(store, message_id) == before


def test_the_id_of_a_retry_finds_the_execution(store: Store) -> None:
    define(store)
    message_id = enqueue(store)
    end(store, claim_one(store), SUCCESS)
    retry_id = retried(store, message_id)
    assert find(store, retry_id).message_id == message_id


def test_a_retry_of_a_retry_is_one_of_the_execution(store: Store) -> None:
    define(store)
    message_id = enqueue(store)
    end(store, claim_one(store), SUCCESS)
    retry_id = retried(store, message_id)
    end(store, claim_one(store), SUCCESS)
    retried(store, retry_id)
    assert find(store, message_id).round == 3


def test_an_open_execution_can_not_be_retried(store: Store) -> None:
    define(store)
    message_id = enqueue(store)
    with pytest.raises(StillOpen, match="queued"):
        retried(store, message_id)
    attempt = claim_one(store)
    with pytest.raises(StillOpen, match="running"):
        retried(store, message_id)
    end(store, attempt, FAILURE)
    with pytest.raises(StillOpen, match="retrying"):
        retried(store, message_id)


def test_a_refused_retry_leaves_no_trace_even_if_its_transaction_commits(store: Store) -> None:
    define(store)
    message_id = enqueue(store)
    retry_id = str(new_message_id())

    def refuse(tx: Tx) -> None:
        with pytest.raises(StillOpen):
            retry(tx, message_id, retry_id=retry_id)

    store.write(refuse)
    assert store.read(lambda tx: rows.by_message_id(tx, retry_id)) is None
    end(store, claim_one(store), SUCCESS)
    retried(store, message_id, retry_id)
    assert find(store, message_id).state is State.QUEUED


def test_what_no_worker_has_seen_can_not_be_retried(store: Store) -> None:
    with pytest.raises(UnknownExecution):
        retried(store, str(new_message_id()))


def test_a_retry_waits_for_its_delay(store: Store) -> None:
    define(store)
    message_id = enqueue(store)
    end(store, claim_one(store), SUCCESS)
    retried(store, message_id, delay=timedelta(seconds=900))
    later(store, seconds=890)
    assert ripen(store) == 0
    later(store, seconds=11)
    assert ripen(store) == 1
    claim_one(store, message_id)


def test_of_eight_equal_retries_at_once_one_starts_a_round(
    store: Store, other_store: Store
) -> None:
    define(store)
    message_id = enqueue(store)
    end(store, claim_one(store), SUCCESS)
    retry_id = str(new_message_id())
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda each: retried(each, message_id, retry_id), [store, other_store] * 4))
    assert find(store, message_id).round == 2


def test_of_eight_different_retries_at_once_one_starts_a_round(
    store: Store, other_store: Store
) -> None:
    define(store)
    message_id = enqueue(store)
    end(store, claim_one(store), SUCCESS)

    def attempt(chosen: Store) -> bool:
        try:
            retried(chosen, message_id)
        except StillOpen:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(attempt, [store, other_store] * 4)) == 1
    assert find(store, message_id).round == 2

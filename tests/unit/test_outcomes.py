"""The one decision: what follows an attempt."""

import random
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barbeque_py.backoff import INTERRUPTIONS, RetryPolicy
from barbeque_py.executions import MOVES, State
from barbeque_py.outcomes import Fate, Reason, Round, Settlement, decide

PLAIN = RetryPolicy(jitter=False)
FIRST, LAST = Round(1, 0, 0), Round(1, 5, 0)

EXIT_0 = Fate(Reason.EXITED, exit_code=0)
EXIT_1 = Fate(Reason.EXITED, exit_code=1)
UNKNOWN_EXIT = Fate(Reason.EXITED)
OUT_OF_MEMORY = Fate(Reason.OUT_OF_MEMORY, exit_code=137)
TIMED_OUT = Fate(Reason.TIMED_OUT, exit_code=143)
TIMED_OUT_WITH_0 = Fate(Reason.TIMED_OUT, exit_code=0)
NO_SUCH_IMAGE = Fate(Reason.NEVER_STARTED)
BROKEN_PULL = Fate(Reason.NEVER_STARTED, blame_definition=False)
INTERRUPTED = Fate(Reason.INTERRUPTED, exit_code=137)
VANISHED = Fate(Reason.VANISHED)
CANCELLED = Fate(Reason.CANCELLED, exit_code=143)

SUCCEEDED = Settlement(State.SUCCEEDED, counted=True)
AGAIN = Settlement(State.RETRYING, counted=True, wait=timedelta(seconds=15))
FAILED = Settlement(State.FAILED, counted=True)
ERROR = Settlement(State.FAILED, counted=True, could_not_start=True)
STOPPED = Settlement(State.CANCELLED, counted=False)
COUNTED_FAILURES = [EXIT_1, UNKNOWN_EXIT, OUT_OF_MEMORY, TIMED_OUT, TIMED_OUT_WITH_0, VANISHED]

FATES = st.builds(
    Fate,
    reason=st.sampled_from(Reason),
    exit_code=st.none() | st.integers(0, 255),
    blame_definition=st.booleans(),
)


def settlement(fate: Fate, so_far: Round, policy: RetryPolicy = PLAIN, **facts: Any) -> Settlement:
    asked = {"cancel_requested": False, "at_most_once": False} | facts
    return decide(fate, so_far, policy, chance=random.Random(1), **asked)


@pytest.mark.parametrize("so_far", [FIRST, LAST, Round(3, 99, 99)])
def test_exit_0_succeeds_whatever_was_before(so_far: Round) -> None:
    for asked in (True, False):
        assert settlement(EXIT_0, so_far, cancel_requested=asked) == SUCCEEDED


@pytest.mark.parametrize("fate", [*COUNTED_FAILURES, NO_SUCH_IMAGE])
def test_a_failure_counts_and_is_tried_again(fate: Fate) -> None:
    assert settlement(fate, FIRST) == AGAIN


@pytest.mark.parametrize("fate", COUNTED_FAILURES)
def test_the_sixth_failure_of_a_round_is_the_last(fate: Fate) -> None:
    assert settlement(fate, Round(1, 4, 0)).state is State.RETRYING
    assert settlement(fate, LAST) == FAILED


def test_a_job_that_could_not_be_started_ends_as_an_error() -> None:
    assert settlement(NO_SUCH_IMAGE, LAST) == ERROR


def test_a_limit_of_0_means_one_run() -> None:
    assert settlement(EXIT_1, FIRST, RetryPolicy(limit=0)) == FAILED


@pytest.mark.parametrize("fate", [INTERRUPTED, BROKEN_PULL])
def test_an_interruption_is_not_counted(fate: Fate) -> None:
    for so_far in (FIRST, LAST, Round(1, 0, INTERRUPTIONS - 1)):
        after = settlement(fate, so_far)
        assert (after.state, after.counted) == (State.QUEUED, False)
        assert after.wait is not None
        assert after.wait <= timedelta(minutes=5)


@pytest.mark.parametrize("fate", [INTERRUPTED, BROKEN_PULL])
def test_past_20_interruptions_a_round_has_failed(fate: Fate) -> None:
    assert INTERRUPTIONS == 20
    assert settlement(fate, Round(1, 0, 20)) == Settlement(
        State.FAILED, counted=False, could_not_start=True
    )


@pytest.mark.parametrize("fate", [*COUNTED_FAILURES, INTERRUPTED, BROKEN_PULL])
def test_a_cancel_wins_over_every_end_but_success(fate: Fate) -> None:
    for so_far in (FIRST, LAST, Round(1, 0, INTERRUPTIONS)):
        assert settlement(fate, so_far, cancel_requested=True) == STOPPED


def test_what_was_cancelled_stays_cancelled() -> None:
    assert settlement(CANCELLED, FIRST) == STOPPED


def test_at_most_once_gives_up_on_what_vanished() -> None:
    assert settlement(VANISHED, FIRST, at_most_once=True) == FAILED


@pytest.mark.parametrize("fate", [EXIT_1, OUT_OF_MEMORY, TIMED_OUT, NO_SUCH_IMAGE, INTERRUPTED])
def test_at_most_once_concerns_nothing_that_is_known(fate: Fate) -> None:
    assert settlement(fate, FIRST, at_most_once=True) == settlement(fate, FIRST)


@given(FATES, st.builds(Round, *[st.integers(0, 30)] * 3), st.booleans(), st.booleans())
def test_every_decision_is_one_the_machine_allows(
    fate: Fate, so_far: Round, cancel: bool, once: bool
) -> None:
    after = settlement(fate, so_far, cancel_requested=cancel, at_most_once=once)
    assert after.state in MOVES[State.RUNNING]
    assert (after.wait is not None) == (after.state in (State.QUEUED, State.RETRYING))
    assert after.counted or after.state in (State.QUEUED, State.FAILED, State.CANCELLED)
    assert not after.could_not_start or after.state is State.FAILED


@given(st.lists(st.sampled_from([EXIT_1, INTERRUPTED, VANISHED]), min_size=30, max_size=30))
def test_no_round_has_more_than_six_counted_and_21_uncounted_ends(fates: list[Fate]) -> None:
    counted = uncounted = 0
    for fate in fates:
        after = settlement(fate, Round(1, counted, uncounted))
        counted, uncounted = counted + after.counted, uncounted + (not after.counted)
        if after.state is State.FAILED:
            break
    assert after.state is State.FAILED
    assert counted <= 6
    assert uncounted <= 21

"""How long an execution waits: Barbeque's min(base * 2^n, max), full jitter when on."""

import random
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barbeque_py.backoff import RetryPolicy, delay_after, delay_after_interruption

CHANCE = random.Random(1)
POLICIES = st.builds(
    RetryPolicy,
    limit=st.integers(0, 50),
    base_delay=st.timedeltas(timedelta(0), timedelta(days=1)),
    max_delay=st.none() | st.timedeltas(timedelta(0), timedelta(days=30)),
    jitter=st.booleans(),
)


@pytest.mark.parametrize(
    ("failures", "seconds"), [(1, 15), (2, 30), (3, 60), (4, 120), (5, 240), (6, 480), (11, 15360)]
)
def test_the_wait_doubles_from_the_base(failures: int, seconds: int) -> None:
    policy = RetryPolicy(jitter=False)
    assert delay_after(policy, failures, CHANCE) == timedelta(seconds=seconds)


@pytest.mark.parametrize(("failures", "seconds"), [(1, 15), (3, 60), (4, 100), (5, 100), (9, 100)])
def test_no_wait_is_longer_than_the_maximum(failures: int, seconds: int) -> None:
    policy = RetryPolicy(jitter=False, max_delay=timedelta(seconds=100))
    assert delay_after(policy, failures, CHANCE) == timedelta(seconds=seconds)


def test_the_defaults_are_those_of_barbeque() -> None:
    assert RetryPolicy() == RetryPolicy(5, timedelta(seconds=15), None, jitter=True)


def test_jitter_spreads_waits_over_the_whole_span() -> None:
    waits = [delay_after(RetryPolicy(), 4, CHANCE).total_seconds() for _ in range(4000)]
    assert 0 <= min(waits) < 1
    assert 119 < max(waits) <= 120
    assert sum(waits) / len(waits) == pytest.approx(60, abs=3)


@given(POLICIES, st.integers(1, 10**6))
def test_every_wait_is_a_finite_time_up_to_the_maximum(policy: RetryPolicy, failures: int) -> None:
    wait = delay_after(policy, failures, CHANCE)
    longest = policy.max_delay or timedelta(days=365)
    assert timedelta(0) <= wait <= longest or policy.max_delay == timedelta(0) == wait


@pytest.mark.parametrize(
    ("times", "seconds"), [(1, 1), (2, 2), (5, 16), (9, 256), (10, 300), (20, 300)]
)
def test_after_an_interruption_the_wait_is_at_most_five_minutes(times: int, seconds: int) -> None:
    waits = [delay_after_interruption(times, CHANCE).total_seconds() for _ in range(200)]
    assert seconds / 2 <= min(waits) <= max(waits) <= seconds

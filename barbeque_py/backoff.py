"""How often an execution is tried again, and how long it waits in between."""

import random
from dataclasses import dataclass
from datetime import timedelta

INTERRUPTIONS = 20
"""Uncounted ends a round may have before it fails: an engine that never keeps a job alive."""

_LONGEST = timedelta(days=365)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Barbeque's rule: wait min(base * 2^n, max) after a failure, n counted from 0.

    With jitter it is a uniform share of that. A limit of 5 is five retries, so six runs.
    """

    limit: int = 5
    base_delay: timedelta = timedelta(seconds=15)
    max_delay: timedelta | None = None
    jitter: bool = True


def delay_after(policy: RetryPolicy, failures: int, chance: random.Random) -> timedelta:
    """Return how long to wait after this many counted failures (at least one) of the round."""
    longest = policy.max_delay if policy.max_delay is not None else _LONGEST
    exponent = min(failures - 1, 40)
    wait = min(policy.base_delay.total_seconds() * (1 << exponent), longest.total_seconds())
    return timedelta(seconds=chance.uniform(0, wait) if policy.jitter else wait)


def delay_after_interruption(interruptions: int, chance: random.Random) -> timedelta:
    """Return how long to wait after an uncounted end: from a second up to five minutes."""
    wait = min(1 << min(interruptions - 1, 20), 300)
    return timedelta(seconds=chance.uniform(wait / 2, wait))

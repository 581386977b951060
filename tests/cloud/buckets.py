"""AWS's token buckets in front of ECS, with the published rates."""

from dataclasses import dataclass
from typing import Final

from barbeque_py import clock
from tests.cloud.knobs import Knobs
from tests.cloud.service import AwsFault

RATES: Final = {
    "modify": (40, 100),
    "fargate calls": (20, 20),
    "fargate launches": (20, 100),
    "spot launches": (20, 100),
    "read": (20, 100),
    "register": (1, 20),
    "definitions": (20, 50),
    "tags": (10, 20),
}
"""Refill per second, and burst."""

OPERATIONS: Final = {
    "RunTask": "modify",
    "StopTask": "modify",
    "DescribeTasks": "read",
    "ListTasks": "read",
    "RegisterTaskDefinition": "register",
    "DeregisterTaskDefinition": "register",
    "DescribeTaskDefinition": "definitions",
    "ListTaskDefinitions": "definitions",
    "TagResource": "tags",
}


@dataclass(slots=True)
class _Bucket:
    level: float
    filled_at: float


class Buckets:
    """All buckets of one account and Region; they let everything pass while turned off."""

    def __init__(self, knobs: Knobs) -> None:
        self._knobs = knobs
        self._buckets: dict[str, _Bucket] = {}

    def take(self, name: str, count: int = 1) -> None:
        """Take tokens out of the bucket, or raise ThrottlingException."""
        if not self._knobs.buckets:
            self._buckets.clear()
            return
        rate, burst = (each * self._knobs.scale for each in RATES[name])
        now = clock.monotonic()
        bucket = self._buckets.setdefault(name, _Bucket(burst, now))
        bucket.level = min(burst, bucket.level + (now - bucket.filled_at) * rate)
        bucket.filled_at = now
        if bucket.level < count:
            raise AwsFault("ThrottlingException", "Rate exceeded")
        bucket.level -= count

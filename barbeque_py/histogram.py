"""How long things took, in few numbers: counts in buckets that grow by a fifth."""

import json
from collections import Counter
from collections.abc import Iterable
from datetime import timedelta
from math import floor, log2

_STEPS = 4
"""Buckets from one duration to its double: the middle of one is at most 9 % off."""
_UNIT = 0.001
"""Seconds where the first bucket begins; whatever is shorter is in it, too."""


class Histogram(Counter[int]):
    """Counts of durations, by bucket; two are added with `+` or `update`."""

    def see(self, span: timedelta) -> None:
        """Count one duration."""
        self[_bucket_of(span.total_seconds())] += 1

    def quantile(self, share: float) -> timedelta | None:
        """Return the duration that this share of all does not exceed; None of nothing."""
        left = share * self.total()
        for bucket in sorted(self):
            left -= self[bucket]
            if left <= 0:
                return _middle_of(bucket)
        return None

    def write(self) -> str:
        """Return the counts as a text that `read` reads."""
        return json.dumps(self, separators=(",", ":"))


def read(text: str) -> Histogram:
    """Return the counts that `write` has written."""
    return Histogram({int(bucket): count for bucket, count in json.loads(text).items()})


def merged(found: Iterable[Histogram]) -> Histogram:
    """Return the counts of all of them."""
    total = Histogram()
    for each in found:
        total.update(each)
    return total


def _bucket_of(seconds: float) -> int:
    return max(0, floor(log2(max(seconds, _UNIT) / _UNIT) * _STEPS))


def _middle_of(bucket: int) -> timedelta:
    return timedelta(seconds=_UNIT * 2 ** ((bucket + 0.5) / _STEPS))

"""The only place that asks what time it is."""

import time
from datetime import UTC, datetime


def now() -> datetime:
    """Return this machine's time, in UTC, to the microsecond."""
    return datetime.now(UTC)


def monotonic() -> float:
    """Return seconds that only ever go forward; for waiting and for the life of a lease."""
    return time.monotonic()


def milliseconds(instant: datetime) -> int:
    """Return the instant as milliseconds since 1970, as SQS and Barbeque count."""
    return int(instant.timestamp() * 1000)


def from_milliseconds(count: int) -> datetime:
    """Return the UTC instant that many milliseconds after 1970."""
    return datetime.fromtimestamp(count / 1000, UTC)


def rfc3339(instant: datetime) -> str:
    """Write the instant as RFC 3339 in UTC with microseconds, `2026-11-21T20:00:00.000000Z`."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

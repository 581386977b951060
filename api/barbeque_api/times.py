"""Instants as answers write them."""

from datetime import datetime

from barbeque_py import clock


def written(instant: datetime | None) -> str | None:
    """Return the instant as RFC 3339 in UTC, None for none."""
    return None if instant is None else clock.rfc3339(instant)

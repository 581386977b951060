"""Instants as answers write them."""

from datetime import datetime
from typing import Annotated, overload

from pydantic import WithJsonSchema

from barbeque_py import clock

Instant = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]
"""RFC 3339 in UTC."""


@overload
def written(instant: datetime) -> Instant: ...
@overload
def written(instant: datetime | None) -> Instant | None: ...
def written(instant: datetime | None) -> Instant | None:
    """Return the instant as RFC 3339 in UTC, None for none."""
    return None if instant is None else clock.rfc3339(instant)

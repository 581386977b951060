"""A time as people write one, in a log that tells which day they mean."""

import re
from datetime import UTC, datetime, timedelta

_WRITTEN = re.compile(
    r"(?:(\d{4})-(\d\d)-(\d\d)[T ])?(\d{1,2}):(\d\d)(?::(\d\d)(?:[.](\d{1,6})\d*)?)?Z?", re.ASCII
)


def read_instant(text: str, span: tuple[str, str] | None) -> datetime | None:
    """Return the instant (UTC) that is meant: without a date, the first such one of the log.

    `span` are the times of the log's first and last line. None where this is no time.
    """
    found = _WRITTEN.fullmatch(text.strip())
    if found is None or span is None:
        return None
    year, month, day, hour, minute, second, part = found.groups()
    begin, end = (datetime.fromisoformat(each[:26]).replace(tzinfo=UTC) for each in span)
    date = (int(year), int(month), int(day)) if year else (begin.year, begin.month, begin.day)
    clock = (int(hour), int(minute), int(second or 0), int((part or "").ljust(6, "0")))
    try:
        instant = datetime(*date, *clock, tzinfo=UTC)
    except ValueError:
        return None
    next_day = instant + timedelta(days=1)
    is_tomorrow = not year and instant < begin and next_day <= end
    return next_day if is_tomorrow else instant

"""Running attempts that nobody attends to, and when it is time to look at them."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import bindparam, select, update

from barbeque_py.executions import AttemptState
from barbeque_py.store.attempts import Attempt, read
from barbeque_py.store.database import Tx
from barbeque_py.store.tables.runs import attempts

BATCH = 100
"""How many one look takes in: as many as one call tells of."""


def take(tx: Tx, places: Sequence[str], *, age: timedelta, at_latest: timedelta) -> list[Attempt]:
    """Take those that were not looked at for longest, up to `BATCH`, if it is time for a look.

    It is time once a whole batch was not looked at for `age`, or one for `at_latest`; then the
    batch is filled up with younger ones, whose own look is the later for it. They count as looked
    at from now on, so that no two workers look at the same.
    """
    asked = {"places": list(places)}
    times = [row.checked_at for row in tx.execute(_OLDEST_TIMES, asked)]
    if not _is_time(times, tx.now, age=age, at_latest=at_latest):
        return []
    found = [read(row) for row in tx.execute(_LOCK_OLDEST, asked)]
    times = [each.checked_at for each in found if each.checked_at is not None]
    if not _is_time(times, tx.now, age=age, at_latest=at_latest):
        return []  # another worker was first
    tx.execute(_CHECK, {"ids": [each.id for each in found], "now": tx.now})
    return found


def _is_time(
    times: Sequence[datetime], now: datetime, *, age: timedelta, at_latest: timedelta
) -> bool:
    if not times:
        return False
    return times[0] <= now - at_latest or (len(times) == BATCH and times[-1] <= now - age)


_RUNNING = (
    attempts.c.place.in_(bindparam("places", expanding=True)),
    attempts.c.state == AttemptState.RUNNING,
    attempts.c.checked_at.is_not(None),
)
_OLDEST_TIMES = (
    select(attempts.c.checked_at).where(*_RUNNING).order_by(attempts.c.checked_at).limit(BATCH)
)
_LOCK_OLDEST = (
    select(attempts)
    .where(*_RUNNING)
    .order_by(attempts.c.checked_at)
    .limit(BATCH)
    .with_for_update(skip_locked=True)
)
_CHECK = (
    update(attempts)
    .where(attempts.c.id.in_(bindparam("ids", expanding=True)))
    .values(checked_at=bindparam("now", type_=attempts.c.checked_at.type))
)

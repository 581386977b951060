"""Leases on attempts: who attends to which, and what is taken over from whom."""

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import and_, or_, select, update

from barbeque_py.executions import AttemptState
from barbeque_py.ids import AttemptId
from barbeque_py.store.attempts import LIVE, Attempt, read
from barbeque_py.store.database import Tx
from barbeque_py.store.tables.runs import attempts

_JUST_CLAIMED = timedelta(seconds=5)
"""How long a claim may take from its commit to the thread that starts it."""


def unstarted_of(tx: Tx, owner: str) -> list[Attempt]:
    """Return the owner's attempts that were claimed a while ago and not seen running since."""
    query = select(attempts).where(
        attempts.c.state == AttemptState.STARTING,
        attempts.c.owner == owner,
        attempts.c.claimed_at < tx.now - _JUST_CLAIMED,
    )
    return [read(row) for row in tx.execute(query)]


def live_places(tx: Tx) -> list[str]:
    """Return the places at which attempts have not ended."""
    found = tx.execute(_LIVE_PLACES)
    return sorted({row.place for row in found})


_LIVE_PLACES = (
    select(attempts.c.state, attempts.c.place).where(attempts.c.state.in_(LIVE)).distinct()
)  # of each group in the index one row, where the place alone would take all of them


def renew(tx: Tx, owner: str, lease: timedelta) -> int:
    """Renew every lease of this owner in one statement."""
    renewed = tx.execute(
        update(attempts)
        .where(attempts.c.owner == owner, attempts.c.state.in_(LIVE))
        .values(lease_until=tx.now + lease)
    )
    return renewed.rowcount


def release(tx: Tx, owner: str, *, but: Sequence[AttemptId]) -> int:
    """Give this owner's leases up, so that another worker adopts the attempts at once."""
    released = tx.execute(
        update(attempts)
        .where(attempts.c.owner == owner, attempts.c.state.in_(LIVE), attempts.c.id.not_in(but))
        .values(lease_until=tx.now)
    )
    return released.rowcount


def take_over(
    tx: Tx,
    places: Sequence[str],
    owner: str,
    lease: timedelta,
    *,
    dead_owners: Sequence[str] = (),
    started: bool = False,
) -> list[Attempt]:
    """Take over up to 50 live attempts at these places whose lease has ended.

    Of running ones, those of owners known to be dead too: nobody can start them any more, so only
    their log waits for somebody. With `started` none that may still have to be started.
    """
    orphaned = and_(
        attempts.c.state == AttemptState.RUNNING, attempts.c.owner.in_(list(dead_owners))
    )
    free = or_(attempts.c.lease_until <= tx.now, orphaned)
    states = [AttemptState.RUNNING] if started else LIVE
    query = (
        select(attempts)
        .where(attempts.c.place.in_(list(places)), attempts.c.state.in_(states), free)
        .limit(50)
        .with_for_update(skip_locked=True)
    )
    found = [read(row) for row in tx.execute(query)]
    for attempt in found:
        tx.execute(
            update(attempts)
            .where(attempts.c.id == attempt.id)
            .values(owner=owner, epoch=attempt.epoch + 1, lease_until=tx.now + lease)
        )
    return found


def owners_at(tx: Tx, places: Sequence[str]) -> list[str]:
    """Return who owns live attempts at these places."""
    found = tx.execute(_LIVE_OWNERS)
    return sorted({row.owner for row in found if row.place in places})


_LIVE_OWNERS = (
    select(attempts.c.state, attempts.c.place, attempts.c.owner)
    .where(attempts.c.state.in_(LIVE))
    .distinct()
)

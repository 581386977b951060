"""How each address fares to which notices go: told by the newest of them."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, select

from barbeque_py.notices import Channel, NoticeState
from barbeque_py.store.database import Tx
from barbeque_py.store.tables.posts import notices

_LOOKED_AT = 200
"""The newest of each state are looked at."""

_LATELY = 20_000
"""How many notices back that is at most: what failed before says nothing of today."""

_TOLD = (
    NoticeState.DELIVERED,
    NoticeState.REFUSED,
    NoticeState.GIVEN_UP,
    NoticeState.WAITING,
)


@dataclass(frozen=True, slots=True)
class Health:
    """How one address fares."""

    channel: Channel
    target: str
    delivered_at: datetime | None = None
    """When it was last told something."""
    failed_at: datetime | None = None
    """When the newest notice was made that it could not be told."""
    reason: str | None = None
    """Why not."""
    waiting: int = 0
    """How many of the newest notices wait for it, tried already or not."""

    @property
    def dead(self) -> bool:
        """Whether nothing has reached it since something did not."""
        if self.failed_at is None:
            return False
        return self.delivered_at is None or self.delivered_at < self.failed_at


def read(tx: Tx, *, app: str | None = None) -> list[Health]:
    """Return the addresses lately in use, by all or one app: those that are dead first."""
    found: dict[tuple[str, str], Health] = {}
    for row in _rows(tx, app):
        key = (row.channel, row.target)
        known = found.get(key) or Health(Channel(row.channel), row.target)
        found[key] = _with(known, row)
    _look_again(tx, app, found)
    return sorted(found.values(), key=lambda each: (not each.dead, each.channel, each.target))


def _rows(tx: Tx, app: str | None) -> Iterator[Any]:
    columns = ("channel", "target", "state", "reason", "tries", "made_at", "done_at")
    for state in _TOLD:
        query = _lately(tx, app, *columns).where(notices.c.state == state)
        yield from tx.execute(query.order_by(notices.c.id.desc()).limit(_LOOKED_AT))


def _look_again(tx: Tx, app: str | None, found: dict[tuple[str, str], Health]) -> None:
    """Look farther back for what reached those that seem dead: others may be told far more."""
    dead = {target for (_, target), each in found.items() if each.dead}
    for row in _told(tx, app, dead) if dead else ():
        known = found.get((row.channel, row.target))
        if known is not None:
            found[row.channel, row.target] = replace(known, delivered_at=row.at)


def _told(tx: Tx, app: str | None, targets: Collection[str]) -> Iterator[Any]:
    query = _lately(tx, app, "channel", "target").add_columns(
        func.max(notices.c.done_at).label("at")
    )
    told = (notices.c.state == NoticeState.DELIVERED, notices.c.target.in_(sorted(targets)))
    yield from tx.execute(query.where(*told).group_by(notices.c.channel, notices.c.target))


def _lately(tx: Tx, app: str | None, *columns: str) -> Select[Any]:
    newest = tx.execute(select(func.max(notices.c.id))).scalar_one_or_none() or 0
    query = select(*[notices.c[each] for each in columns]).where(notices.c.id > newest - _LATELY)
    return query if app is None else query.where(notices.c.app == app)


def _with(known: Health, row: Any) -> Health:
    """Return the address with what this notice, one of the newest of its state, tells of it."""
    if row.state == NoticeState.DELIVERED:
        return replace(known, delivered_at=max(row.done_at, known.delivered_at or row.done_at))
    if row.state == NoticeState.WAITING:
        known = replace(known, waiting=known.waiting + 1)
        if not row.tries:
            return known
    if known.failed_at is None or row.made_at > known.failed_at:
        return replace(known, failed_at=row.made_at, reason=row.reason)
    return known

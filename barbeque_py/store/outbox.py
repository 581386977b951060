"""What must be done once this transaction has committed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Integer,
    bindparam,
    delete,
    not_,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.dialects import mysql, sqlite

from barbeque_py.store.bulk import change_each, insert_each
from barbeque_py.store.database import Tx
from barbeque_py.store.prepared import Prepared
from barbeque_py.store.tables.posts import outbox


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to do, and how often it was tried."""

    id: int
    kind: str
    lane: str
    subject: str
    tries: int
    last_error: str | None
    fresh: bool = False
    """Whether nobody else can have begun with it."""
    place: str | None = None
    """The only place at which it can be done."""


@dataclass(frozen=True, slots=True)
class Errand:
    """What is to be done, due after `wait`; `owner` alone may take it for `head_start`."""

    kind: str
    subject: str
    lane: str
    place: str | None
    owner: str
    head_start: timedelta
    wait: timedelta = timedelta(0)


def put(tx: Tx, errands: Sequence[Errand]) -> None:
    """Add the errands, each once per kind and subject."""
    if errands:
        insert_each(tx, outbox, [_row(tx, each) for each in errands], once_per="dedupe")


def put_again(tx: Tx, errand: Errand) -> None:
    """Add the errand, or let it be done once more, as if it had never been tried."""
    row = _row(tx, errand) | {"done_at": None, "last_error": None, "lease_until": None}
    kept = ("kind", "subject", "dedupe")
    changes = {name: value for name, value in row.items() if name not in kept}
    if tx.sqlite:
        adding = sqlite.insert(outbox).values(row)
        tx.execute(adding.on_conflict_do_update(index_elements=["dedupe"], set_=changes))
    else:
        tx.execute(mysql.insert(outbox).values(row).on_duplicate_key_update(changes))


def _row(tx: Tx, errand: Errand) -> dict[str, Any]:
    return {
        "kind": errand.kind,
        "lane": errand.lane,
        "place": errand.place,
        "subject": errand.subject,
        "dedupe": f"{errand.kind}:{errand.subject}",
        "due_at": tx.now + errand.wait,
        "tries": 0,
        "owner": errand.owner,
        "lease_until": tx.now + errand.head_start,
    }


@dataclass(frozen=True, slots=True)
class Kind:
    """Which lanes are meant: those that failed last time (`ailing`), or the others."""

    ailing: bool
    lanes: Sequence[str] = ()
    """Lanes known to fail; an item that failed before tells it of its own lane."""
    prefixes: Sequence[str] = ()
    """What lanes begin with all of which are known to fail."""

    def condition(self) -> ColumnElement[bool]:
        """Return what holds for the items of these lanes."""
        failing = or_(
            outbox.c.tries > 0,
            *([outbox.c.lane.in_(list(self.lanes))] if self.lanes else []),
            *[outbox.c.lane.startswith(each, autoescape=True) for each in self.prefixes],
        )
        return failing if self.ailing else not_(failing)


_NO_LANE = [""]
"""What stands for an empty list of lanes: no lane has this name."""
_MORE = 16
"""How many rows more are looked at, as several may be of one lane."""


def take(  # noqa: PLR0913 - what narrows the choice
    tx: Tx,
    owner: str,
    places: Sequence[str],
    *,
    most: int,
    lease: timedelta,
    busy: Sequence[str],
    kind: Kind | None = None,
) -> list[Item]:
    """Lease up to `most` due items, one of each lane; with `kind` of such lanes only.

    Lanes in `busy` are left out, and those of which another worker has an item on lease.
    """
    found = tx.rows(
        _due(kind),
        now=tx.now,
        me=owner,
        places=list(places),
        busy=list(busy) or _NO_LANE,
        most=most + _MORE,
    )
    due = [_Due(*row) for row in found]
    one_per_lane = {each.lane: each for each in reversed(due)}
    taken = sorted(one_per_lane.values(), key=lambda each: (each.due_at, each.id))[:most]
    if taken:
        leased = {"owner": owner, "lease_until": tx.now + lease}
        change_each(tx, outbox, {each.id: leased for each in taken})
    return [
        _item(each, fresh=each.tries == 0 and each.owner in (None, "", owner)) for each in taken
    ]


@dataclass(frozen=True, slots=True)
class _Due:
    """What of a due item must be known to take it."""

    id: int
    kind: str
    lane: str
    place: str | None
    subject: str
    tries: int
    last_error: str | None
    owner: str | None
    due_at: datetime


_theirs = select(outbox.c.lane).where(
    outbox.c.done_at.is_(None),
    outbox.c.owner != bindparam("me"),
    outbox.c.lease_until > bindparam("now"),
)
_free = or_(
    outbox.c.lease_until.is_(None),
    outbox.c.lease_until <= bindparam("now"),
    outbox.c.owner == bindparam("me"),
)


def _due_where(condition: ColumnElement[bool]) -> Prepared:
    return Prepared(
        select(*[outbox.c[name] for name in _Due.__slots__])
        .where(
            outbox.c.done_at.is_(None),
            outbox.c.due_at <= bindparam("now"),
            _free,
            or_(outbox.c.place.is_(None), outbox.c.place.in_(bindparam("places", expanding=True))),
            outbox.c.lane.not_in(bindparam("busy", expanding=True)),
            outbox.c.lane.not_in(_theirs),
            condition,
        )
        .order_by(outbox.c.due_at, outbox.c.id)
        .limit(bindparam("most", type_=Integer))
        .with_for_update(skip_locked=True)
    )


_ANY_KIND = _due_where(true())
_USUAL = {each: _due_where(Kind(each).condition()) for each in (True, False)}


def _due(kind: Kind | None) -> Prepared:
    """Return the query for what is due; while no lane is known to fail it is always the same."""
    if kind is None:
        return _ANY_KIND
    if not kind.lanes and not kind.prefixes:
        return _USUAL[kind.ailing]
    return _due_where(kind.condition())


def _item(row: Any, *, fresh: bool) -> Item:
    return Item(
        row.id, row.kind, row.lane, row.subject, row.tries, row.last_error, fresh, row.place
    )


def keep(tx: Tx, numbers: Sequence[int], owner: str, lease: timedelta) -> None:
    """Renew the owner's leases of items still being worked on.

    An item that was put off just now is nobody's: a lease of it would only make it wait.
    """
    tx.change(_KEEP, ids=list(numbers), owner=owner, until=tx.now + lease)


def hold(tx: Tx, number: int, owner: str, lease: timedelta) -> bool:
    """Renew the owner's lease of an item; False when it is done, or another worker's by now."""
    held = tx.execute(
        update(outbox)
        .where(outbox.c.id == number, outbox.c.owner == owner, outbox.c.done_at.is_(None))
        .values(lease_until=tx.now + lease)
    )
    return held.rowcount == 1


def finish(tx: Tx, numbers: Sequence[int]) -> None:
    """Mark the items as done."""
    tx.change(_FINISH, ids=list(numbers), now=tx.now)


_THESE = update(outbox).where(outbox.c.id.in_(bindparam("ids", expanding=True)))
_KEEP = Prepared(
    _THESE.where(outbox.c.owner == bindparam("owner"), outbox.c.done_at.is_(None)).values(
        lease_until=bindparam("until")
    )
)
_FINISH = Prepared(_THESE.values(done_at=bindparam("now")))


def postpone(tx: Tx, number: int, *, wait: timedelta, error: str) -> None:
    """Put the item off after a failure."""
    tx.execute(
        update(outbox)
        .where(outbox.c.id == number, outbox.c.done_at.is_(None))
        .values(
            due_at=tx.now + wait,
            tries=outbox.c.tries + 1,
            owner=None,
            lease_until=None,
            last_error=error[:2000],
        )
    )


def set_aside(tx: Tx, number: int, owner: str, *, wait: timedelta, lease: timedelta) -> None:
    """Let the owner go on with the item after `wait`; it is still the owner's, and no failure."""
    tx.execute(
        update(outbox)
        .where(outbox.c.id == number, outbox.c.done_at.is_(None))
        .values(due_at=tx.now + wait, owner=owner, lease_until=tx.now + wait + lease)
    )


def release(tx: Tx, owner: str) -> None:
    """Give up what this owner has leased."""
    tx.execute(
        update(outbox)
        .where(outbox.c.owner == owner, outbox.c.done_at.is_(None))
        .values(owner=None, lease_until=None)
    )


def places(tx: Tx) -> list[str]:
    """Return the places at which something is left to be done."""
    query = (
        select(outbox.c.place)
        .where(outbox.c.done_at.is_(None), outbox.c.place.is_not(None))
        .distinct()
    )
    return [row.place for row in tx.execute(query)]


def owners(tx: Tx) -> list[str]:
    """Return who has leased items that are not done."""
    query = (
        select(outbox.c.owner)
        .where(outbox.c.done_at.is_(None), outbox.c.owner.is_not(None))
        .distinct()
    )
    return [row.owner for row in tx.execute(query)]


def at_place(tx: Tx, place: str) -> list[Item]:
    """Return what is left to be done at the place."""
    query = select(outbox).where(outbox.c.done_at.is_(None), outbox.c.place == place)
    return [
        Item(row.id, row.kind, row.lane, row.subject, row.tries, row.last_error)
        for row in tx.execute(query)
    ]


def forget_done(tx: Tx, age: timedelta, most: int) -> int:
    """Delete up to `most` items that were done that long ago."""
    old = select(outbox.c.id).where(outbox.c.done_at < tx.now - age).limit(most)
    numbers = [row.id for row in tx.execute(old)]
    if numbers:
        tx.execute(delete(outbox).where(outbox.c.id.in_(numbers)))
    return len(numbers)


def any_due(tx: Tx, *, but: Sequence[str] = ()) -> bool:
    """Tell whether anything is due, without locking it; `but` names lanes that don't count."""
    return bool(tx.rows(_ANY_DUE, now=tx.now, busy=list(but) or _NO_LANE))


_ANY_DUE = Prepared(
    select(outbox.c.id)
    .where(
        outbox.c.done_at.is_(None),
        outbox.c.due_at <= bindparam("now"),
        outbox.c.lane.not_in(bindparam("busy", expanding=True)),
    )
    .limit(1)
)


def oldest_failing(tx: Tx, kind: str) -> Item | None:
    """Return of this kind the item that is due for longest after it has failed."""
    query = (
        select(outbox)
        .where(outbox.c.done_at.is_(None), outbox.c.kind == kind, outbox.c.tries > 0)
        .order_by(outbox.c.due_at)
        .limit(1)
    )
    row = tx.execute(query).one_or_none()
    return None if row is None else _item(row, fresh=False)


def oldest_due(tx: Tx) -> Item | None:
    """Return the item that has been due for longest."""
    query = select(outbox).where(outbox.c.done_at.is_(None)).order_by(outbox.c.due_at).limit(1)
    row = tx.execute(query).one_or_none()
    if row is None:
        return None
    return _item(row, fresh=False)

"""Task definitions as rows: what was registered under which content, by one worker at a time."""

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import delete, or_, select, update
from sqlalchemy.dialects import mysql, sqlite

from barbeque_py.store.database import Tx
from barbeque_py.store.tables.fleet import task_definitions

_rows = task_definitions


@dataclass(frozen=True, slots=True)
class Registration:
    """What a worker that wants a task definition was told: its ARN, or whether to register it."""

    arn: str | None
    ours: bool = False
    """Whether the asker is to register it now; else another one does."""


def find(tx: Tx, content: str) -> str | None:
    """Return the ARN of the task definition with this content, None while it has none."""
    query = select(_rows.c.arn).where(_rows.c.content == content)
    return tx.execute(query).scalar_one_or_none()


def claim(
    tx: Tx, content: str, *, place: str, family: str, owner: str, lease: timedelta
) -> Registration:
    """Return the ARN, or take the registration upon us for `lease` unless another one has."""
    row = {"content": content, "place": place, "family": family}
    if tx.sqlite:
        tx.execute(sqlite.insert(_rows).values(row).on_conflict_do_nothing())
    else:
        adding = mysql.insert(_rows).values(row)
        tx.execute(adding.on_duplicate_key_update(content=_rows.c.content))
    taken = tx.execute(
        update(_rows)
        .where(
            _rows.c.content == content,
            _rows.c.arn.is_(None),
            or_(_rows.c.lease_until.is_(None), _rows.c.lease_until <= tx.now),
        )
        .values(owner=owner, lease_until=tx.now + lease)
    )
    return Registration(find(tx, content), ours=taken.rowcount == 1)


def put_off(tx: Tx, content: str, owner: str, wait: timedelta) -> None:
    """Give our claim back: whoever asks first after `wait` may register it."""
    tx.execute(
        update(_rows)
        .where(_rows.c.content == content, _rows.c.owner == owner, _rows.c.arn.is_(None))
        .values(lease_until=tx.now + wait)
    )


def record(tx: Tx, content: str, arn: str) -> str:
    """Record the ARN unless there is one already; return the one that holds."""
    tx.execute(
        update(_rows)
        .where(_rows.c.content == content, _rows.c.arn.is_(None))
        .values(arn=arn, registered_at=tx.now, lease_until=None)
    )
    return find(tx, content) or arn


def forget(tx: Tx, content: str, arn: str) -> bool:
    """Forget that the content has this ARN, which is of no use any more; False if it hasn't."""
    gone = tx.execute(delete(_rows).where(_rows.c.content == content, _rows.c.arn == arn))
    return gone.rowcount == 1

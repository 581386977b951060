"""Finds an attempt by what the outside world calls it."""

from sqlalchemy import select

from barbeque_py.ids import AttemptId
from barbeque_py.store.database import Tx
from barbeque_py.store.tables.runs import attempts

SHORTEST_HANDLE = 12
"""Characters: how short Docker writes the id of a container."""


def by_handle(tx: Tx, text: str) -> AttemptId | None:
    """Return an attempt whose task ARN or container id begins like this; None when there is none.

    What is shorter than `SHORTEST_HANDLE` finds nothing.
    """
    if len(text) < SHORTEST_HANDLE:
        return None
    handle = attempts.c.handle
    query = select(attempts.c.id).where(handle >= text, handle < f"{text}\U0010ffff")
    found = tx.execute(query.order_by(handle).limit(1)).scalar()
    return None if found is None else AttemptId(found)

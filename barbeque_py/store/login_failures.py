"""Logins that failed, counted by account and by where they came from."""

from datetime import timedelta

from sqlalchemy import delete, select, update
from sqlalchemy.dialects import mysql, sqlite

from barbeque_py.store.database import Tx
from barbeque_py.store.tables.people import login_failures as rows

WINDOW = timedelta(minutes=15)


def spend(tx: Tx, scope: str, *, most: int) -> timedelta | None:
    """Count one more try; None while there are not too many, else how long to wait.

    It is counted before it is known to fail, so that many at once are not more than one by one.
    """
    first = {"scope": scope, "tries": 0, "since": tx.now}
    if tx.sqlite:
        tx.execute(sqlite.insert(rows).values(first).on_conflict_do_nothing())
    else:
        tx.execute(mysql.insert(rows).values(first).on_duplicate_key_update(scope=rows.c.scope))
    lock = select(rows.c.tries, rows.c.since).where(rows.c.scope == scope).with_for_update()
    row = tx.execute(lock).one()
    tries, since = row.tries, row.since
    if since <= tx.now - WINDOW:
        tries, since = 0, tx.now
    tries += 1
    one = update(rows).where(rows.c.scope == scope)
    tx.execute(one.values(tries=tries, since=since))
    return None if tries <= most else since + WINDOW - tx.now


def forgive(tx: Tx, scope: str) -> None:
    """Take one try back: it did not fail."""
    fewer = update(rows).where(rows.c.scope == scope, rows.c.tries > 0)
    tx.execute(fewer.values(tries=rows.c.tries - 1))


def forget(tx: Tx, scope: str) -> None:
    """Forget what failed there, and by the way what failed long ago."""
    tx.execute(delete(rows).where(rows.c.scope == scope))
    tx.execute(delete(rows).where(rows.c.since <= tx.now - WINDOW))

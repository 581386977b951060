"""What people put on jobs for themselves: a star, and tags."""

from collections.abc import Collection

from sqlalchemy import delete, select
from sqlalchemy.dialects import mysql, sqlite

from barbeque_py.store.database import Tx
from barbeque_py.store.tables.people import marks

STAR = ""
"""The tag of a job that is starred."""

Job = tuple[str, str]
"""An app's name and a job's."""


def of_person(tx: Tx, person: str) -> dict[Job, set[str]]:
    """Return the person's tags of each job; a starred one has `STAR` among them."""
    found: dict[Job, set[str]] = {}
    for row in tx.execute(select(marks).where(marks.c.person == person)):
        found.setdefault((row.app, row.job), set()).add(row.tag)
    return found


def put(tx: Tx, person: str, job: Job, tags: Collection[str]) -> None:
    """Leave the person's job with these tags and no other."""
    own = (marks.c.person == person, marks.c.app == job[0], marks.c.job == job[1])
    tx.execute(delete(marks).where(*own, marks.c.tag.not_in(list(tags))))
    rows = [
        {"person": person, "app": job[0], "job": job[1], "tag": tag} for tag in sorted(set(tags))
    ]
    if not rows:
        return
    if tx.sqlite:
        tx.execute(sqlite.insert(marks).on_conflict_do_nothing(), rows)
    else:
        tx.execute(mysql.insert(marks).on_duplicate_key_update(tag=marks.c.tag), rows)

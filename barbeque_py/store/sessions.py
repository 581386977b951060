"""Sessions of the console as rows, and the links that open one; never what a browser shows.

What lets somebody in is random, 256 bits, and is kept as its SHA-256 only.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, insert, select, update

from barbeque_py.roles import Grants, read_grants, write_grants
from barbeque_py.store.database import Tx
from barbeque_py.store.tables.people import login_links, sessions

IDLE = timedelta(hours=8)
LONGEST = timedelta(days=7)
SEEN_KEPT = timedelta(minutes=1)
"""How exactly the time of a session's last use is kept."""


@dataclass(frozen=True, slots=True)
class Session:
    """One browser that somebody has logged in with."""

    digest: str
    user: int | None
    """Their number among the users; None for who came by a link of the machine itself."""
    name: str
    grants: Grants
    """What the way they came gives them, beside what they have as a user."""
    way: str
    origin: str
    browser: str
    made_at: datetime
    seen_at: datetime
    """To the minute."""
    expires_at: datetime

    def is_live(self, now: datetime) -> bool:
        """Tell whether it is good."""
        return now < min(self.expires_at, self.seen_at + IDLE)


@dataclass(frozen=True, slots=True)
class Link:
    """What opens one session, once."""

    digest: str
    user: int | None
    name: str
    """Who comes by it, where that is no user."""
    expires_at: datetime


def add(tx: Tx, session: Session) -> None:
    """Keep a new session; those that are over are forgotten by the way."""
    _forget_old(tx)
    values = {name: getattr(session, name) for name in Session.__slots__}
    values["roles"] = write_grants(values.pop("grants"))
    tx.execute(insert(sessions).values(values))


def get(tx: Tx, digest: str) -> Session | None:
    """Return the session; also one that is over."""
    row = tx.execute(select(sessions).where(sessions.c.digest == digest)).one_or_none()
    return None if row is None else _session(row)


def of_user(tx: Tx, user: int) -> list[Session]:
    """Return the user's sessions that are good, the newest first."""
    query = select(sessions).where(sessions.c.user == user).order_by(sessions.c.made_at.desc())
    return [each for each in map(_session, tx.execute(query)) if each.is_live(tx.now)]


def see(tx: Tx, digest: str) -> None:
    """Keep that the session is in use."""
    tx.execute(update(sessions).where(sessions.c.digest == digest).values(seen_at=tx.now))


def end(tx: Tx, digest: str) -> bool:
    """Forget the session; False when there was none."""
    return tx.execute(delete(sessions).where(sessions.c.digest == digest)).rowcount == 1


def end_all(tx: Tx, user: int, *, but: str = "") -> int:
    """Forget all sessions of the user, but perhaps one; return how many."""
    theirs = delete(sessions).where(sessions.c.user == user, sessions.c.digest != but)
    return tx.execute(theirs).rowcount


def end_named(tx: Tx, name: str) -> int:
    """Forget all sessions of who is no user but has this name; return how many."""
    theirs = delete(sessions).where(sessions.c.user.is_(None), sessions.c.name == name)
    return tx.execute(theirs).rowcount


def add_link(tx: Tx, link: Link) -> None:
    """Keep a new link; one that the user had is good no more."""
    if link.user is not None:
        tx.execute(delete(login_links).where(login_links.c.user == link.user))
    values = {name: getattr(link, name) for name in Link.__slots__}
    tx.execute(insert(login_links).values(values))


def get_link(tx: Tx, digest: str) -> Link | None:
    """Return the link if it is good still."""
    good = (login_links.c.digest == digest, login_links.c.expires_at > tx.now)
    row = tx.execute(select(login_links).where(*good)).one_or_none()
    return None if row is None else Link(**row._mapping)  # noqa: SLF001 - public name


def take_link(tx: Tx, digest: str) -> Link | None:
    """Use the link up, and return it; None when it is not good, or another was first."""
    found = get_link(tx, digest)
    taken = tx.execute(delete(login_links).where(login_links.c.digest == digest)).rowcount == 1
    return found if taken else None


def drop_links(tx: Tx, user: int) -> None:
    """Forget the links of the user."""
    tx.execute(delete(login_links).where(login_links.c.user == user))


def _forget_old(tx: Tx) -> None:
    for table in (sessions, login_links):
        late = select(table.c.digest).where(table.c.expires_at <= tx.now).limit(100)
        for digest in tx.execute(late).scalars().all():
            tx.execute(delete(table).where(table.c.digest == digest))


def _session(row: Any) -> Session:
    facts = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it
    return Session(grants=read_grants(facts.pop("roles").split()), **facts)

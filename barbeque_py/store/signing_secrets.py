"""The secrets that sign what an app is sent: one, and two while it is being replaced."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import delete, insert, or_, select, update

from barbeque_py.signing import new_secret
from barbeque_py.store.database import Tx
from barbeque_py.store.tables.definitions import apps
from barbeque_py.store.tables.posts import signing_secrets


@dataclass(frozen=True, slots=True)
class SigningSecret:
    """One secret of an app, and until when it signs; the newest has no end."""

    secret: str = field(repr=False)
    made_at: datetime
    retires_at: datetime | None


def of_app(tx: Tx, app: str) -> list[SigningSecret]:
    """Return the secrets that sign for the app now, the newest first; the first call makes one."""
    found = _current(tx, app)
    if not found:
        tx.execute(select(apps.c.name).where(apps.c.name == app).with_for_update())
        found = _current(tx, app) or [_add(tx, app)]
    return found


def rotate(tx: Tx, app: str, *, keep: timedelta) -> list[SigningSecret]:
    """Make a new secret; the one before signs beside it for `keep`, older ones no more."""
    tx.execute(select(apps.c.name).where(apps.c.name == app).with_for_update())
    before = _current(tx, app)[:1]
    one = signing_secrets.c
    tx.execute(delete(signing_secrets).where(one.app == app, one.retires_at.is_not(None)))
    tx.execute(update(signing_secrets).where(one.app == app).values(retires_at=tx.now + keep))
    kept = [SigningSecret(each.secret, each.made_at, tx.now + keep) for each in before]
    return [_add(tx, app), *(kept if keep else [])]


def _current(tx: Tx, app: str) -> list[SigningSecret]:
    one = signing_secrets.c
    query = (
        select(one.secret, one.made_at, one.retires_at)
        .where(one.app == app, or_(one.retires_at.is_(None), one.retires_at > tx.now))
        .order_by(one.id.desc())
    )
    return [SigningSecret(**row._mapping) for row in tx.execute(query)]  # noqa: SLF001 - public name


def _add(tx: Tx, app: str) -> SigningSecret:
    made = SigningSecret(new_secret(), tx.now, None)
    tx.execute(
        insert(signing_secrets).values(app=app, secret=made.secret, made_at=tx.now, retires_at=None)
    )
    return made

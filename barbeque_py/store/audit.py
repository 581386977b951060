"""Who changed what, and when: rows are only ever added."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, insert, select

from barbeque_py import strict_json
from barbeque_py.identity import Identity
from barbeque_py.store.database import Tx
from barbeque_py.store.tables.people import audit

_LONGEST = 60_000
"""Characters of JSON that a row keeps of either side: what the smallest column holds."""


def record(  # noqa: PLR0913 - the facts of one row
    tx: Tx,
    who: Identity,
    action: str,
    subject: str,
    *,
    app: str | None = None,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """Add a row in the transaction of the change itself; what is told of it must hold no secret.

    `action` is `noun.verb`, as in `queue.pause`; `subject` names the thing: `queue:default`,
    `app:media`, `job:media/Thumbnail`, `execution:<message_id>`. `app` is whose it is, where the
    subject does not say it: that app's people may read the row. `before` and `after` are the facts
    that changed; None where there was or is nothing.
    """
    tx.execute(
        insert(audit).values(
            at=tx.now,
            actor=who.name[:200],
            origin=who.origin[:100],
            action=action,
            subject=subject[:300],
            app=app or _app_of(subject),
            before=_text(before),
            after=_text(after),
        )
    )


def _app_of(subject: str) -> str | None:
    kind, _, name = subject.partition(":")
    return name.partition("/")[0][:128] if kind in ("app", "job", "schedule") else None


def _text(facts: Mapping[str, Any] | None) -> str | None:
    if facts is None:
        return None
    text = strict_json.dumps(dict(facts))
    return text if len(text) <= _LONGEST else strict_json.dumps({"cut": text[:1000]})


@dataclass(frozen=True, slots=True)
class Entry:
    """One change that was asked for."""

    id: int
    at: datetime
    actor: str
    origin: str
    action: str
    subject: str
    app: str | None
    before: str | None
    """What there was, as JSON."""
    after: str | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which rows are asked for; None is any."""

    app: str | None = None
    subject: str | None = None
    actor: str | None = None
    action: str | None = None
    since: datetime | None = None
    until: datetime | None = None


def newest(tx: Tx, wanted: Wanted, *, before: int | None = None, most: int = 50) -> list[Entry]:
    """Return rows, the newest first, those with an id below `before` only."""
    query = _narrowed(tx, wanted).order_by(audit.c.id.desc()).limit(most)
    if before is not None:
        query = query.where(audit.c.id < before)
    return [Entry(**row._mapping) for row in tx.execute(query)]  # noqa: SLF001 - public name


def newer(tx: Tx, wanted: Wanted, *, after: int, most: int = 50) -> list[Entry]:
    """Return the rows that follow the one with the id `after`, the newest first."""
    query = _narrowed(tx, wanted).where(audit.c.id > after).order_by(audit.c.id).limit(most)
    found = [Entry(**row._mapping) for row in tx.execute(query)]  # noqa: SLF001 - public name
    return found[::-1]


def _narrowed(tx: Tx, wanted: Wanted) -> Select[Any]:
    query = select(audit)
    for name in ("app", "subject", "actor", "action"):
        value = getattr(wanted, name)
        if value is not None:
            query = query.where(audit.c[name] == value)
    if wanted.since is not None:
        # By ids as well, which grow with time: of an index by time alone all had to be sorted.
        query = query.where(audit.c.at >= wanted.since, audit.c.id >= _first(tx, wanted.since))
    if wanted.until is not None:
        query = query.where(audit.c.at < wanted.until)
    return query


def _first(tx: Tx, since: datetime) -> int:
    """Return the id of the first row since then, or what is above all of them."""
    query = select(audit.c.id).where(audit.c.at >= since).order_by(audit.c.at, audit.c.id).limit(1)
    return tx.execute(query).scalar() or (1 << 62)

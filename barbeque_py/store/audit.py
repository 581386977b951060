"""Who changed what, and when: rows are only ever added."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import insert, select

from barbeque_py import strict_json
from barbeque_py.identity import Identity
from barbeque_py.store.database import Tx
from barbeque_py.store.tables import audit

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


def newest(tx: Tx, wanted: Wanted, *, before: int | None = None, most: int = 50) -> list[Entry]:
    """Return rows, the newest first, those with an id below `before` only."""
    query = select(audit).order_by(audit.c.id.desc()).limit(most)
    for name in Wanted.__slots__:
        value = getattr(wanted, name)
        if value is not None:
            query = query.where(audit.c[name] == value)
    if before is not None:
        query = query.where(audit.c.id < before)
    return [Entry(**row._mapping) for row in tx.execute(query)]  # noqa: SLF001 - public name

"""Who changed what, and when: rows are only ever added."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import insert

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
    return name.partition("/")[0][:128] if kind in ("app", "job") else None


def _text(facts: Mapping[str, Any] | None) -> str | None:
    if facts is None:
        return None
    text = strict_json.dumps(dict(facts))
    return text if len(text) <= _LONGEST else strict_json.dumps({"cut": text[:1000]})

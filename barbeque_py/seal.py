"""Record that an attempt's log is sealed, or that nothing of it is left."""

from collections.abc import Sequence

from barbeque_py.ids import AttemptId
from barbeque_py.logs import LogFacts
from barbeque_py.store import Tx, lots, outbox
from barbeque_py.store.outbox import Item


def seal(tx: Tx, item: Item, facts: LogFacts | None) -> None:
    """Record what the log holds, None for a log that is lost, and finish the outbox's item."""
    seal_all(tx, [(item, facts)])


def seal_all(tx: Tx, sealed: Sequence[tuple[Item, LogFacts | None]]) -> list[None]:
    """Do what `seal` does for many logs, in as many statements as one takes."""
    lots.record_seals(tx, {AttemptId(item.subject): _columns_of(facts) for item, facts in sealed})
    outbox.finish(tx, [item.id for item, _ in sealed])
    return [None] * len(sealed)


def _columns_of(facts: LogFacts | None) -> dict[str, int | str | None]:
    return {
        "log_lines": facts.lines if facts else 0,
        "log_bytes": facts.bytes if facts else 0,
        "log_error_lines": facts.error_lines if facts else 0,
        "log_truncated": facts.truncated if facts else False,
        "log_error": facts.error if facts else None,
    }

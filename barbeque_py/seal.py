"""Record that an attempt's log is sealed, or that nothing of it is left."""

from barbeque_py.ids import AttemptId
from barbeque_py.logs import LogFacts
from barbeque_py.store import Tx, attempts, outbox
from barbeque_py.store.outbox import Item


def seal(tx: Tx, item: Item, facts: LogFacts | None) -> None:
    """Record what the log holds, None for a log that is lost, and finish the outbox's item."""
    attempts.record_seal(
        tx,
        AttemptId(item.subject),
        {
            "log_lines": facts.lines if facts else 0,
            "log_bytes": facts.bytes if facts else 0,
            "log_error_lines": facts.error_lines if facts else 0,
            "log_truncated": facts.truncated if facts else False,
        },
    )
    outbox.finish(tx, item.id)

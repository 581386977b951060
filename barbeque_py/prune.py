"""Forget what is past its retention, in batches that never hold the tables for long."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial

from barbeque_py.logs import message_key
from barbeque_py.logstore import LogStore
from barbeque_py.store import Store, Tx, failures, notices, outbox, retention, rollups, workers
from barbeque_py.store.retention import Old
from barbeque_py.store.rollups import Span

REMEMBERED = timedelta(days=45)
"""How long an id is known at least, so that a late duplicate is still recognised."""

_BATCH = 200
_ABREAST = 8
"""Executions whose logs are removed at once: S3 takes some 50 ms for one."""
_OUTBOX_AGE = timedelta(days=7)
_SILENT_WORKER = timedelta(days=1)


def prune(store: Store, logs: LogStore, keep: timedelta) -> int:
    """Forget one batch of executions that ended longer than `keep` ago; return how many.

    Their logs go first: a crash in between leaves a row without a log, never a log without a row.
    """
    old = store.read(lambda tx: retention.ended_before(tx, tx.now - keep, _BATCH))
    with ThreadPoolExecutor(_ABREAST) as pool:
        list(pool.map(partial(_remove_logs, logs), old))
    store.write(lambda tx: _forget(tx, [execution.id for execution in old], keep))
    return len(old)


def _remove_logs(logs: LogStore, execution: Old) -> None:
    if not execution.job:  # a tombstone that no message has filled
        return
    folder = message_key(execution.app, execution.job, execution.message_id)
    logs.remove(logs.names(folder.rpartition("/")[0] + "/"))


def _forget(tx: Tx, numbers: Sequence[int], keep: timedelta) -> None:
    retention.forget(tx, numbers)
    notices.forget(tx, keep, _BATCH)
    outbox.forget_done(tx, _OUTBOX_AGE, _BATCH)
    retention.forget_dead_messages(tx, REMEMBERED, _BATCH)
    workers.forget_silent(tx, _SILENT_WORKER)
    rollups.forget(tx, Span.HOUR, tx.now - keep, _BATCH)
    rollups.forget(tx, Span.DAY, tx.now - 2 * keep, _BATCH)  # to compare with the time before
    failures.forget(tx, tx.now - keep, _BATCH)

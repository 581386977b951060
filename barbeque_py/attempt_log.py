"""An attempt's log as people read it: where it is being written, or from the log store.

Attempts that nobody attends to have a `log_at` in their row: their lines are in the log store only
once the log is sealed. Until then they are watched where the task writes them.
"""

from collections.abc import Iterator
from threading import Event

from barbeque_py.errors import ExecutorUnavailable, NoSuchLog
from barbeque_py.logs import Page, attempt_prefix, raw_chunks, read_lines
from barbeque_py.logstore import LogStore
from barbeque_py.masks import Mask, compile_masks, secret_values
from barbeque_py.store import Store, Tx, apps
from barbeque_py.store.attempts import Attempt
from barbeque_py.store.executions import Execution
from barbeque_py.watched import Watching

_STRETCH = 1_000
"""Lines that a download takes at a time from a log that is watched."""
_PAUSE = 1.0
"""Seconds without a new line after which a download has all there is."""


class LogReader:
    """Reads logs of attempts; without `watching` from the log store alone."""

    def __init__(self, store: Store, logs: LogStore, watching: Watching | None) -> None:
        self._store = store
        self._logs = logs
        self._watching = watching

    def lines(
        self,
        execution: Execution,
        attempt: Attempt,
        *,
        first: int,
        count: int,
        stream: str | None = None,
    ) -> Page:
        """Return lines as `logs.read_lines` does; their numbers are the same wherever they are.

        Raises `LogStoreUnavailable`, and `ExecutorUnavailable` where the log is being written.
        """
        if self._is_watched(attempt):
            return self._watch(execution, attempt, first=first, count=count, stream=stream)
        prefix = prefix_of(execution, attempt)
        return read_lines(self._logs, prefix, first=first, count=count, stream=stream)

    def chunks(
        self, execution: Execution, attempt: Attempt, *, stream: str | None = None
    ) -> Iterator[bytes]:
        """Yield what the attempt wrote so far, as `logs.raw_chunks` does; raises as `lines`."""
        if not self._is_watched(attempt):
            yield from raw_chunks(self._logs, prefix_of(execution, attempt), stream=stream)
            return
        first, waited = 0, False
        while True:
            page = self._watch(execution, attempt, first=first, count=_STRETCH, stream=stream)
            if page.next > first:
                yield "".join(line.text + "\n" * line.newline for line in page.lines).encode()
            elif waited:
                return
            else:
                Event().wait(_PAUSE)
            first, waited = page.next, page.next == first

    def _is_watched(self, attempt: Attempt) -> bool:
        return self._watching is not None and is_unshipped(attempt)

    def _watch(
        self, execution: Execution, attempt: Attempt, *, first: int, count: int, stream: str | None
    ) -> Page:
        if not (self._watching and attempt.log_at and attempt.handle):  # no task is known yet
            return Page([], max(first, 0), sealed=False, total=None)
        from barbeque_py.task_log import log_of_task  # noqa: PLC0415 - loads AWS's libraries

        try:
            return self._watching.read(
                log_of_task(attempt.log_at, attempt.handle),
                first=first,
                count=count,
                stream=stream,
                mask=lambda: self._mask(execution),
            )
        except NoSuchLog as error:
            raise ExecutorUnavailable(f"the log of {attempt.id}: {error}") from error

    def _mask(self, execution: Execution) -> Mask | None:
        return self._store.read(lambda tx: mask_of(tx, execution))


def is_unshipped(attempt: Attempt) -> bool:
    """Tell whether the log store has nothing of the log yet, because nobody ships it."""
    return bool(attempt.log_at) and attempt.log_sealed_at is None


def prefix_of(execution: Execution, attempt: Attempt) -> str:
    """Return where the log store keeps the log."""
    return attempt_prefix(execution.app, execution.job, execution.message_id, attempt.number)


def mask_of(tx: Tx, execution: Execution) -> Mask | None:
    """Return what nobody may read in the logs of the execution, by its app and job of now."""
    app = apps.get_app(tx, execution.app)
    job = apps.get_job(tx, execution.app, execution.job)
    environment = {**(app.env if app else {}), **(job.env if job else {})}
    return compile_masks(secret_values(environment), app.mask if app else ())

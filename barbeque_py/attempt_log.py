"""An attempt's log as people read it: where it is being written, or from the log store.

Attempts that nobody attends to have a `log_at` in their row: their lines are in the log store only
once the log is sealed. Until then they are watched where the task writes them.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from barbeque_py.apps import App, JobDefinition
from barbeque_py.callbacks import LOG_AT
from barbeque_py.errors import ExecutorUnavailable, NoSuchLog
from barbeque_py.log_reading import Log, raw_chunks
from barbeque_py.logs import Page, attempt_prefix, written
from barbeque_py.logstore import LogStore
from barbeque_py.masks import Mask, compile_masks, secret_values
from barbeque_py.store import Store, Tx, apps
from barbeque_py.store.attempts import Attempt
from barbeque_py.store.executions import Execution
from barbeque_py.watched import Watching

_REMEMBERED = 64
"""Sealed logs that a reader keeps in mind; a large one's index takes a few 100 KiB."""


class LogReader:
    """Reads logs of attempts; without `watching` from the log store alone."""

    def __init__(self, store: Store, logs: LogStore, watching: Watching | None) -> None:
        self._store = store
        self._logs = logs
        self._watching = watching
        self._guard = threading.Lock()
        self._sealed: OrderedDict[str, Log] = OrderedDict()

    @contextmanager
    def opened(self, execution: Execution, attempt: Attempt) -> Iterator[Log | None]:
        """Hand out the attempt's log for many readings, None while nobody writes it yet.

        Raises as `lines` does.
        """
        if self._watching is None or not is_unshipped(attempt):
            yield self._log(prefix_of(execution, attempt), attempt)
        elif (place := _place(attempt)) is None:
            yield None
        else:
            with (
                _gone_is_away(attempt),
                self._watching.opened(place, mask=lambda: self._mask(execution)) as log,
            ):
                yield log

    def _log(self, prefix: str, attempt: Attempt) -> Log:
        """Return the log in the store; those of the last sealed ones know their index already."""
        if attempt.log_sealed_at is None:
            return Log(self._logs, prefix)
        with self._guard:
            log = self._sealed.pop(prefix, None) or Log(self._logs, prefix)
            self._sealed[prefix] = log
            if len(self._sealed) > _REMEMBERED:
                self._sealed.popitem(last=False)
        return log

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
        if self._watching is None or not is_unshipped(attempt):
            return self._log(prefix_of(execution, attempt), attempt).page(first, count, stream)
        if (place := _place(attempt)) is None:
            return Page([], max(first, 0), sealed=False, total=None)
        with _gone_is_away(attempt):
            return self._watching.read(
                place,
                first=first,
                count=count,
                stream=stream,
                mask=lambda: self._mask(execution),
            )

    def chunks(
        self, execution: Execution, attempt: Attempt, *, stream: str | None = None
    ) -> Iterator[bytes]:
        """Yield what the attempt wrote so far, as `logs.raw_chunks` does; raises as `lines`."""
        if self._watching is None or not is_unshipped(attempt):
            yield from raw_chunks(self._logs, prefix_of(execution, attempt), stream=stream)
            return
        if (place := _place(attempt)) is not None:
            with _gone_is_away(attempt):
                for lines in self._watching.take(place, mask=lambda: self._mask(execution)):
                    if lines:  # an empty batch is only a sign of life
                        yield b"".join(written(lines, stream))

    def _mask(self, execution: Execution) -> Mask | None:
        return self._store.read(lambda tx: mask_of(tx, execution))


def is_unshipped(attempt: Attempt) -> bool:
    """Tell whether the log store has nothing of the log yet, because nobody ships it."""
    return bool(attempt.log_at) and attempt.log_sealed_at is None


def _place(attempt: Attempt) -> str | None:
    """Return where the log is being written, None while nobody writes it yet."""
    if attempt.log_at == LOG_AT:
        return f"{LOG_AT}{attempt.id}"
    if not attempt.log_at or not attempt.handle:
        return None
    from barbeque_py.task_log import log_of_task  # noqa: PLC0415 - loads AWS's libraries

    return log_of_task(attempt.log_at, attempt.handle)


@contextmanager
def _gone_is_away(attempt: Attempt) -> Iterator[None]:
    """Tell of a log that is gone as of one that can't be read: it is not known to be empty."""
    try:
        yield
    except NoSuchLog as error:
        raise ExecutorUnavailable(f"the log of {attempt.id}: {error}") from error


def prefix_of(execution: Execution, attempt: Attempt) -> str:
    """Return where the log store keeps the log."""
    return attempt_prefix(execution.app, execution.job, execution.message_id, attempt.number)


def mask_of(tx: Tx, execution: Execution) -> Mask | None:
    """Return what nobody may read in the logs of the execution, by its app and job of now."""
    job = (execution.app, execution.job)
    return masks_of(tx, [job])[job]


def masks_of(tx: Tx, jobs: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Mask | None]:
    """Return what nobody may read in the logs of these jobs, each given as (app, job)."""
    wanted = set(jobs)
    known = {name: apps.get_app(tx, name) for name in sorted({app for app, _ in wanted})}
    defined = apps.get_jobs(tx, wanted)
    return {job: _mask_of(known[job[0]], defined.get(job)) for job in wanted}


def _mask_of(app: App | None, job: JobDefinition | None) -> Mask | None:
    environment = {**(app.env if app else {}), **(job.env if job else {})}
    return compile_masks(secret_values(environment), app.mask if app else ())

"""Opens the log store, and logs where they are still being written."""

from threading import Lock
from typing import TYPE_CHECKING

from barbeque_py.callbacks import LOG_AT
from barbeque_py.executors.callback import CallbackLog
from barbeque_py.ids import AttemptId
from barbeque_py.logs import LogSource
from barbeque_py.logstore import LogStore
from barbeque_py.logstores.directory import DirectoryLogStore
from barbeque_py.settings import Settings
from barbeque_py.store import Store, apps

if TYPE_CHECKING:
    from barbeque_py.cloudwatch import CloudWatch


def open_logs(settings: Settings) -> LogStore:
    """Return the log store that BARBEQUE_LOGS names; touches nothing yet."""
    url = settings.logs
    if url.kind == "directory":
        return DirectoryLogStore(url.path)
    from barbeque_py.logstores.s3 import S3LogStore  # noqa: PLC0415

    return S3LogStore(url.bucket, url.prefix, region=url.region or settings.aws_region)


class TaskLogs:
    """Opens logs where they are written; AWS is first spoken to when a task's is read."""

    def __init__(self, logs: LogStore, store: Store) -> None:
        self._logs = logs
        self._store = store
        self._opened: CloudWatch | None = None
        self._guard = Lock()

    def open_log(self, log_at: str) -> LogSource:
        """Return the log at that place; raises `ValueError` when it is none."""
        if log_at.startswith(LOG_AT):
            return CallbackLog(self._store, AttemptId(log_at.removeprefix(LOG_AT)))
        from barbeque_py.cloudwatch import CloudWatch  # noqa: PLC0415
        from barbeque_py.firelens import Firelens  # noqa: PLC0415
        from barbeque_py.task_log import is_by_firelens  # noqa: PLC0415

        with self._guard:
            opened = self._opened = self._opened or CloudWatch()
        if is_by_firelens(log_at):
            # S3 has the whole only after the task's end.
            installation = self._store.read(apps.installation_name)
            source = Firelens(self._logs, installation, opened)
            return source.open_log(log_at, trusted=False)
        return opened.open_log(log_at)

    def close(self) -> None:
        """Close the connections."""
        if self._opened is not None:
            self._opened.close()

"""The clients that apps may use, and what the contract suite does to the jobs behind them."""

import asyncio
import gzip
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from barbeque_py.answers import LogLine
from barbeque_py.apps import JobDefinition
from barbeque_py.asking import Asking
from barbeque_py.async_asking import AsyncAsking
from barbeque_py.async_client import AsyncClient
from barbeque_py.backoff import RetryPolicy
from barbeque_py.calls import Call
from barbeque_py.client import Client
from barbeque_py.ids import AttemptId, attempt_id
from barbeque_py.logs import LOG, attempt_prefix
from barbeque_py.outcomes import Fate, Reason
from barbeque_py.report import report
from barbeque_py.reports import Progress, Report
from barbeque_py.store import Store, apps, attempts
from barbeque_py.store import executions as rows
from barbeque_py.store.schema import migrate
from barbeque_py.testing import AsyncMemoryClient, Memory, MemoryClient
from tests.api.served import define, parts_of, serving

T = TypeVar("T")

AGAIN, ONCE = "Thumbnail", "Once"
"""A job that is tried twice, and one that is not."""


class ClientRig(ABC):
    """One client, and a hand on the jobs behind it."""

    client: Asking

    @abstractmethod
    def start(self, message_id: str) -> None:
        """Let the next attempt begin."""

    @abstractmethod
    def progress(self, message_id: str, percent: float, text: str) -> None:
        """Let the running attempt tell how far it is."""

    @abstractmethod
    def finish(
        self,
        message_id: str,
        *,
        exit_code: int = 0,
        result: Any = None,
        log: Sequence[str] = (),
        late: bool = False,
    ) -> None:
        """Let the running attempt end so; of the job AGAIN the first failure is not the end.

        Its log is stored by then; when it is `late`, a moment after.
        """

    @abstractmethod
    def close(self) -> None:
        """Leave nothing behind."""


class Awaited(Asking):
    """A client that is awaited, driven from code that does not await."""

    def __init__(self, client: AsyncAsking) -> None:
        self._client = client
        self._loop = asyncio.new_event_loop()

    def ask(self, call: Call[T]) -> T:
        return self._loop.run_until_complete(self._client.ask(call))

    def close(self) -> None:
        self._loop.run_until_complete(self._client.close())
        self._loop.close()

    def logs(
        self, message_id: str, attempt: int | None = None, *, follow: bool = False
    ) -> Iterator[LogLine]:
        async def read() -> list[LogLine]:
            return [each async for each in self._client.logs(message_id, attempt, follow=follow)]

        return iter(self._loop.run_until_complete(read()))


def _driven(name: str) -> Callable[..., Any]:
    def call(self: Awaited, *words: Any, **options: Any) -> Any:
        return self._loop.run_until_complete(getattr(self._client, name)(*words, **options))

    return call


for _name in (
    *("enqueue", "enqueue_many", "status", "execution", "look", "wait", "result"),
    *("retry", "cancel"),
):
    setattr(Awaited, _name, _driven(_name))


class MemoryRig(ClientRig):
    """A client in memory."""

    def __init__(self, *, awaited: bool) -> None:
        if awaited:
            self.memory = Memory()
            self.client: Asking = Awaited(AsyncMemoryClient(self.memory))
        else:
            self.client = self.memory = MemoryClient()

    def start(self, message_id: str) -> None:
        self.memory.start(message_id)

    def progress(self, message_id: str, percent: float, text: str) -> None:
        self.memory.progress(message_id, percent, text)

    def finish(
        self,
        message_id: str,
        *,
        exit_code: int = 0,
        result: Any = None,
        log: Sequence[str] = (),
        late: bool = False,
    ) -> None:
        job = self.memory.job(message_id)
        retrying = job.job == AGAIN and len(job.attempts) == 1
        self.memory.finish(
            message_id, exit_code=exit_code, result=result, log=log, retrying=retrying
        )

    def close(self) -> None:
        self.client.close()


class HttpRig(ClientRig):
    """A client that speaks to a real API, whose worker is the test."""

    def __init__(self, folder: Path, *, awaited: bool) -> None:
        self._open = ExitStack()
        store = Store(f"sqlite:///{folder}/barbeque.db", create=True)
        self._open.callback(store.close)
        migrate(store)
        store.write(define)
        once = JobDefinition("media", ONCE, ("once",), retry=RetryPolicy(limit=0))
        store.write(lambda tx: apps.put_job(tx, once))
        self.api = self._open.enter_context(serving(parts_of(store, folder)))
        url = str(self.api.client.base_url)
        self.client = Awaited(AsyncClient(url)) if awaited else Client(url)

    def start(self, message_id: str) -> None:
        self.api.take_in()
        self.api.store.shift += timedelta(minutes=1)
        self.api.store.write(lambda tx: rows.ripen(tx, 10))
        attempt = self.api.start()
        assert attempt.startswith(self._own(message_id))

    def progress(self, message_id: str, percent: float, text: str) -> None:
        told = {self._attempt(message_id): Report(Progress(percent, text))}
        self.api.store.write(lambda tx: report(tx, told))

    def finish(
        self,
        message_id: str,
        *,
        exit_code: int = 0,
        result: Any = None,
        log: Sequence[str] = (),
        late: bool = False,
    ) -> None:
        attempt = self._attempt(message_id)
        if result is not None:
            import json  # noqa: PLC0415

            told = {attempt: Report(result=json.dumps(result))}
            self.api.store.write(lambda tx: report(tx, told))
        self.api.end(attempt, Fate(Reason.EXITED, exit_code))
        execution = self.client.execution(message_id).facts
        number = len(execution["attempts"])
        prefix = attempt_prefix("media", execution["job"], self._own(message_id), number)
        if late:
            threading.Timer(0.5, self._store_log, (attempt, prefix, log)).start()
        else:
            self._store_log(attempt, prefix, log)

    def _store_log(self, attempt: AttemptId, prefix: str, log: Sequence[str]) -> None:
        lines = [f"2026-11-21T20:00:00.000001Z out {text}\n".encode() for text in log]
        self.api.parts.logs.put(prefix + LOG, [gzip.compress(b"".join(lines))])
        facts = {"log_lines": len(lines), "log_bytes": 1, "log_error_lines": 0}
        self.api.store.write(
            lambda tx: attempts.record_seal(tx, attempt, facts | {"log_truncated": False})
        )

    def close(self) -> None:
        self.client.close()
        self._open.close()

    def _own(self, message_id: str) -> str:
        return str(self.client.execution(message_id).message_id)

    def _attempt(self, message_id: str) -> AttemptId:
        execution = self.client.execution(message_id)
        return attempt_id(execution.message_id, len(execution.attempts))

"""What an app can ask, as methods: the same for every client that does not await."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

from barbeque_py import calls
from barbeque_py.answers import Cancelled, Enqueued, Execution, LogLine
from barbeque_py.calls import Call, Job, JobOptions
from barbeque_py.faults import Faulty, NotFound, Refused

T = TypeVar("T")


class Asking(ABC):
    """Asks a barbeque_py. Every call raises `Unreachable`, `Faulty` or `Refused` (see faults)."""

    @abstractmethod
    def ask(self, call: Call[T]) -> T:
        """Make the call, again where that may help, and return what it reads."""

    @abstractmethod
    def close(self) -> None:
        """Give up what it holds open."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def enqueue(self, app: str, job: str, message: Any, **options: Unpack[JobOptions]) -> Enqueued:
        """Ask for one run of the job; the answer has its `message_id`.

        The request is repeated until it is answered, under one key: there is one execution.
        """
        return self.ask(calls.enqueue(Job(app, job, message, **options)))

    def enqueue_many(self, jobs: Sequence[Job]) -> list[Enqueued | Refused | Faulty]:
        """Ask for many runs; the answers are in the jobs' order, each its own.

        Of one that is Faulty it is not known whether it was taken, also after it was asked for
        again: give the same `Job` later.
        """
        many = calls.Many(jobs)
        while (call := many.next()) is not None:
            many.take(self.ask(call))
            self.sleep(many.pause)
        return many.answers

    def status(self, message_id: str) -> str:
        """Return Barbeque's word: pending, running, retried, success, failed, error, cancelled."""
        return self.ask(calls.status(message_id))

    def execution(self, message_id: str) -> Execution:
        """Return what is known of the execution; NotFound while no worker has seen it."""
        return self.ask(calls.execution(message_id))

    def look(self, message_id: str) -> Execution:
        """Return the execution; of one that no worker has seen, what its status tells."""
        try:
            return self.execution(message_id)
        except NotFound:
            return Execution.unseen(message_id, self.status(message_id))

    def wait(
        self,
        message_id: str,
        *,
        timeout: timedelta | None = None,
        on_progress: Callable[[Execution], None] | None = None,
    ) -> Execution:
        """Return the execution once it has ended, however. Raises `WaitTimedOut`.

        `on_progress` is called whenever its job has newly told how far it is.
        """
        waiting = calls.Waiting(timeout, on_progress)
        while not waiting.ended(execution := self.look(message_id)):
            self.sleep(waiting.pause(message_id))
        return execution

    def result(self, message_id: str, attempt: int | None = None) -> Any:
        """Return the JSON that the newest attempt told, or this one; NotFound while it has none."""
        return self.ask(calls.result(message_id, attempt))

    def logs(
        self, message_id: str, attempt: int | None = None, *, follow: bool = False
    ) -> Iterator[LogLine]:
        """Yield the lines of the newest attempt's log, or this one's; followed, to its last."""
        reading = calls.Reading(message_id, attempt, follow=follow)
        while not reading.done:
            yield from reading.take(self.ask(reading.call()))

    def retry(
        self,
        message_id: str,
        *,
        delay: timedelta | None = None,
        image: str | None = None,
        message: Any = None,
    ) -> Enqueued:
        """Give an execution that has ended another round; Conflict while it is open.

        `image` is `same`, the one it ran, unless given, or `current`, the app's of today; a
        `message` takes the place of the one it had.
        """
        return self.ask(calls.retry(message_id, delay=delay, image=image, message=message))

    def cancel(self, message_id: str, *, force: bool = False) -> Cancelled:
        """Stop the execution wherever it stands, also one that no worker has seen yet.

        With `force` one that runs is killed without its grace period; for admins.
        """
        return self.ask(calls.cancel(message_id, force=force))

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)

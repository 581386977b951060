"""The backend for Django's tasks: enqueues them as jobs and reads what became of them."""

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any

from asgiref.sync import sync_to_async
from django.core.exceptions import ImproperlyConfigured
from django.utils import timezone
from django.utils.module_loading import import_string

from barbeque_py import clock
from barbeque_py.answers import Attempt, Execution
from barbeque_py.asking import Asking
from barbeque_py.client import Client
from barbeque_py.django.tasks import (
    BaseTaskBackend,
    Task,
    TaskError,
    TaskResult,
    TaskResultDoesNotExist,
    TaskResultStatus,
    task_enqueued,
)
from barbeque_py.faults import NotFound
from barbeque_py.jobs import plain

DEFAULT_JOB = "Task"

_OPTIONS = {"app", "job", "jobs", "url", "token", "client"}
_SEEN_WITHIN = 5.0
"""Seconds that a worker may take to take in what was just enqueued."""
_STATUSES = {
    "queued": TaskResultStatus.READY,
    "retrying": TaskResultStatus.READY,
    "running": TaskResultStatus.RUNNING,
    "succeeded": TaskResultStatus.SUCCESSFUL,
    "failed": TaskResultStatus.FAILED,
    "cancelled": TaskResultStatus.FAILED,
}


class AttemptFailed(Exception):
    """The attempt ended before the task itself could say why: killed, timed out, out of memory."""


class BarbequeBackend(BaseTaskBackend):  # type: ignore[misc]  # Django has no types
    """Runs tasks as jobs of one app.

    OPTIONS: `app` (required), the barbeque_py app; `job`, the definition that runs tasks ("Task"),
    and `jobs`, definitions for some of them by the path of their function; `url` and `token`,
    else BARBEQUE_URL and BARBEQUE_TOKEN. QUEUES are names of barbeque_py's queues.
    """

    supports_defer = True
    supports_async_task = True
    supports_get_result = True
    supports_priority = True

    def __init__(self, alias: str, params: Mapping[str, Any]) -> None:
        super().__init__(alias, params)
        strangers = self.options.keys() - _OPTIONS
        if strangers or "app" not in self.options:
            raise ImproperlyConfigured(
                f"TASKS[{alias!r}]: OPTIONS needs app, and knows {', '.join(sorted(_OPTIONS))}"
            )

    @cached_property
    def client(self) -> Asking:
        """What speaks to barbeque_py; OPTIONS may have one ready, as tests do."""
        given: Asking | None = self.options.get("client")
        return given or Client(self.options.get("url"), self.options.get("token"))

    def enqueue(self, task: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Enqueue the task; the result's id is the job's message_id."""
        self.validate_task(task)
        message = {
            "task": task.module_path,
            "backend": self.alias,
            "args": plain(list(args)),
            "kwargs": plain(dict(kwargs)),
        }
        answer = self.client.enqueue(
            self.options["app"],
            self.job_of(task.module_path),
            message,
            queue=task.queue_name,
            priority=task.priority,
            run_at=_aware(task.run_after),
        )
        result = result_of(task, answer.message_id, message, enqueued_at=clock.now())
        task_enqueued.send(type(self), task_result=result)
        return result

    async def aenqueue(self, task: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Enqueue the task without keeping the event loop waiting."""
        return await sync_to_async(self.enqueue, thread_sensitive=False)(task, args, kwargs)

    def get_result(self, result_id: str) -> Any:
        """Return how the task stands. Raises `TaskResultDoesNotExist`."""
        execution = self._look(result_id)
        message = json.loads(execution.facts["message"])
        if execution.facts["app"] != self.options["app"] or "task" not in message:
            raise TaskResultDoesNotExist(result_id)
        task = import_string(message["task"])
        assert isinstance(task, Task), f"{message['task']} is no task any more"
        enqueued_at = datetime.fromisoformat(execution.facts["sent_at"])
        result = result_of(task, execution.message_id, message, enqueued_at=enqueued_at)
        for name, value in self._facts(execution).items():
            object.__setattr__(result, name, value)
        return result

    async def aget_result(self, result_id: str) -> Any:
        """Return how the task stands without keeping the event loop waiting."""
        return await sync_to_async(self.get_result, thread_sensitive=False)(result_id)

    def job_of(self, path: str) -> str:
        """Return the name of the definition that runs the task."""
        jobs: Mapping[str, str] = self.options.get("jobs", {})
        return jobs.get(path, str(self.options.get("job", DEFAULT_JOB)))

    def _look(self, result_id: str) -> Execution:
        """Return the execution, waiting a little for a worker that has not taken it in yet."""
        until = clock.monotonic() + _SEEN_WITHIN
        while True:
            try:
                return self.client.execution(result_id)
            except NotFound:
                if clock.monotonic() > until:
                    raise TaskResultDoesNotExist(result_id) from None
            time.sleep(0.1)

    def _facts(self, execution: Execution) -> dict[str, Any]:
        begun = [each for each in execution.attempts if each.started_at is not None]
        finished = execution.facts["finished_at"] if execution.ended else None
        return {
            "status": _STATUSES[execution.state],
            "started_at": begun[0].started_at if begun else None,
            "last_attempted_at": begun[-1].started_at if begun else None,
            "finished_at": datetime.fromisoformat(finished) if finished else None,
            "worker_ids": [str(each.facts["id"]) for each in begun],
            "errors": list(self._errors(execution)),
            "_return_value": execution.result if execution.succeeded else None,
        }

    def _errors(self, execution: Execution) -> Iterable[Any]:
        for attempt in execution.attempts:
            if attempt.finished_at is not None and attempt.exit_code != 0:
                yield self._error(execution.message_id, attempt)

    def _error(self, message_id: str, attempt: Attempt) -> Any:
        if attempt.facts["has_result"]:
            told = self.client.result(message_id, attempt.number)
            if isinstance(told, dict) and told.keys() == {"exception", "traceback"}:
                return TaskError(
                    exception_class_path=told["exception"], traceback=told["traceback"]
                )
        path = f"{AttemptFailed.__module__}.{AttemptFailed.__qualname__}"
        words = f"{attempt.reason}, exit code {attempt.exit_code}: {attempt.detail or ''}"
        return TaskError(exception_class_path=path, traceback=words)


def result_of(
    task: Any, message_id: str, message: Mapping[str, Any], *, enqueued_at: datetime
) -> Any:
    """Return the result of a task that was enqueued and has not begun."""
    return TaskResult(
        task=task,
        id=message_id,
        status=TaskResultStatus.READY,
        enqueued_at=enqueued_at,
        started_at=None,
        last_attempted_at=None,
        finished_at=None,
        args=message["args"],
        kwargs=message["kwargs"],
        backend=message["backend"],
        errors=[],
        worker_ids=[],
    )


def _aware(instant: datetime | None) -> datetime | None:
    if instant is None or instant.tzinfo is not None:
        return instant
    aware: datetime = timezone.make_aware(instant)
    return aware

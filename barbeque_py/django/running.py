"""Runs, in a job's container, the task that the job is; its return value is the job's result."""

import traceback
from datetime import UTC, datetime
from typing import Any

from django.utils.module_loading import import_string

from barbeque_py import clock, job
from barbeque_py.django.backend import result_of
from barbeque_py.django.tasks import (
    TaskContext,
    TaskError,
    TaskResultStatus,
    task_backends,
    task_finished,
    task_started,
)
from barbeque_py.run import tell

_TRACEBACK = 16_000
"""Characters of a traceback that are kept; of a longer one the end."""


def run_task() -> int:
    """Run the task of this job's message; return the exit code."""
    message, attempt = job.message(), job.attempt()
    task = import_string(message["task"])
    sent_at = datetime.fromtimestamp(attempt.sent_at, UTC)
    result = result_of(task, attempt.message_id, message, enqueued_at=sent_at)
    earlier = [f"{attempt.message_id}-{number + 1}" for number in range(attempt.retry_count)]
    _set(result, status=TaskResultStatus.RUNNING, worker_ids=[*earlier, attempt.id])
    _set(result, started_at=clock.now(), last_attempted_at=clock.now())
    sender = type(task_backends[message["backend"]])
    task_started.send(sender, task_result=result)
    try:
        _call(task, result)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the task's failure
        _fail(result, error)
    else:
        _set(result, finished_at=clock.now(), status=TaskResultStatus.SUCCESSFUL)
    task_finished.send(sender, task_result=result)
    return int(result.status != TaskResultStatus.SUCCESSFUL)


def _call(task: Any, result: Any) -> None:
    context = [TaskContext(task_result=result)] if task.takes_context else []
    value = task.call(*context, *result.args, **result.kwargs)
    tell(value)
    _set(result, _return_value=value)


def _fail(result: Any, error: Exception) -> None:
    """Tell the error as the attempt's result, from which `get_result` reads it."""
    words = "".join(traceback.format_exception(error))
    path = f"{type(error).__module__}.{type(error).__qualname__}"
    result.errors.append(TaskError(exception_class_path=path, traceback=words))
    _set(result, finished_at=clock.now(), status=TaskResultStatus.FAILED)
    traceback.print_exception(error)
    job.result({"exception": path, "traceback": words[-_TRACEBACK:]})


def _set(result: Any, **facts: Any) -> None:
    """Change what Django keeps frozen for everybody but backends."""
    for name, value in facts.items():
        object.__setattr__(result, name, value)

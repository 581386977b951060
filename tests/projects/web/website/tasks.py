"""The project's tasks."""

from typing import Any

from django_tasks import task

from barbeque_py.django.tasks import TaskContext


class TooSmall(Exception):
    """What a task may raise."""


@task
def add(one: int, other: int, *, unit: str = "") -> str:
    """Return the sum."""
    return f"{one + other}{unit}"


@task(takes_context=True, priority=10, queue_name="other")
async def describe(context: TaskContext, words: list[str]) -> dict[str, Any]:
    """Return what a task can know of itself."""
    return {"attempt": context.attempt, "id": context.task_result.id, "words": words}


@task
def check(size: int) -> None:
    """Raise if it is too small."""
    print("checking")
    if size < 10:
        raise TooSmall(f"{size} is too small")


@task
def vanish() -> None:
    """End without a word."""
    import os  # noqa: PLC0415

    os._exit(9)

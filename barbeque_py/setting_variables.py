"""What a setting is: a variable of the environment, what it means, and how its text is read."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

GIVEN_TO_JOBS = frozenset(
    {
        "BARBEQUE_APP",
        "BARBEQUE_ATTEMPT_ID",
        "BARBEQUE_JOB",
        "BARBEQUE_MESSAGE",
        "BARBEQUE_MESSAGE_ID",
        "BARBEQUE_MESSAGE_URL",
        "BARBEQUE_PROGRESS_FILE",
        "BARBEQUE_PROGRESS_URL",
        "BARBEQUE_QUEUE_NAME",
        "BARBEQUE_RESULT_FILE",
        "BARBEQUE_RESULT_URL",
        "BARBEQUE_RETRY_COUNT",
        "BARBEQUE_SENT_TIMESTAMP",
    }
)
"""What a job finds in its environment: not settings, and no reason for a warning."""

FORMER = {
    "BARBEQUE_LOG_TO_STDOUT": "logs of the worker always go to standard error",
    "BARBEQUE_MAX_RETRY_DELAY": "it is a setting of barbeque_client, or retry.max_delay of a job",
    "BARBEQUE_S3_BUCKET_NAME": "BARBEQUE_LOGS says where logs are kept",
    "BARBEQUE_SQS_NAME_PREFIX": "BARBEQUE_BROKER says what carries messages",
    "BARBEQUE_WORKER_NUM": "BARBEQUE_EXECUTOR says how much runs at once, as in docker:?slots=8",
}
"""Barbeque's settings that we have not, with what takes their place."""


@dataclass(frozen=True, slots=True)
class Variable:
    """What a setting is called, what it means, and how its text is read."""

    name: str
    default: str
    """The text that stands for an unset variable; empty where that means: not set."""
    meaning: str
    example: str
    read: Callable[[str], Any]
    show: Callable[[str], str] = str
    """Makes the text fit to be shown: takes secrets out."""
    instead: str = ""
    """Another variable, which is read where this one is unset."""


@dataclass(frozen=True, slots=True)
class Row:
    """One setting as people are shown it; the value is None when nothing was read."""

    variable: str
    default: str
    meaning: str
    example: str
    value: str | None = None


def hide(_: str) -> str:
    """Return what is shown of a secret."""
    return "***"


def setting(
    name: str, default: str, meaning: str, *, example: str, read: Callable[[str], Any], **show: Any
) -> Any:
    """Return a dataclass's field that is read from the variable."""
    return field(metadata={"variable": Variable(name, default, meaning, example, read, **show)})

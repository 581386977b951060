"""What may be run: apps, their image, and the jobs they define."""

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from barbeque_py.backoff import RetryPolicy

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}")
"""What apps, jobs and keys may be called: Barbeque's names, Ruby classes like `A::B` included."""

QUEUE_NAME = re.compile(r"[A-Za-z0-9_-]{1,70}")
"""What queues may be called: SQS's characters, and room for a prefix."""

TOPIC = re.compile(
    r"(?=.{1,300}$)arn:aws[a-z-]*:sns:[a-z0-9-]{1,32}:\d{12}:[A-Za-z0-9_-]{1,256}(\.fifo)?",
    re.ASCII,
)
"""The ARNs of SNS topics."""

DEFAULT_TIMEOUT = timedelta(hours=1)
DEFAULT_GRACE = timedelta(seconds=30)
DEFAULT_LOGS = "awslogs"


@dataclass(frozen=True, slots=True)
class Revision:
    """One released image of an app."""

    id: int
    """Its row, which attempts name."""
    app: str
    number: int
    """Counts the app's revisions from 1."""
    image: str
    """As it was named."""
    pinned: str | None
    """What the name meant, which can't change any more; None while nobody has found out."""
    pinned_at: datetime | None
    rollback_of: int | None
    """The number of the revision that this one brought back."""
    made_by: str
    made_at: datetime
    note: str | None


@dataclass(frozen=True, slots=True)
class App:
    """An owner of one image and some jobs."""

    name: str
    image: str
    description: str = ""
    env: dict[str, str] = field(default_factory=dict)
    process_path: tuple[str, ...] = ()
    """Absolute directories in which process mode finds the jobs' commands."""
    mask: tuple[str, ...] = ()
    """Regular expressions; what they match is `***` before a log is stored."""
    notify: dict[str, object] = field(default_factory=dict)
    """Who is told, as the apply file says it; see `notices.rules_of`."""
    logs: str = DEFAULT_LOGS
    """How ECS carries the jobs' logs: `awslogs` or `firelens`."""
    ecs: dict[str, Any] = field(default_factory=dict)
    """How ECS runs the jobs, in the apply file's keys; see `ecs_settings`."""
    revision: int | None = field(default=None, compare=False)
    """The row of the revision that is current; None where the image was never released."""
    pinned: str | None = field(default=None, compare=False)
    """The image that the revision is pinned to; None while it is not."""


@dataclass(frozen=True, slots=True)
class JobDefinition:
    """A command that an app lets others run, or a job that its own backend runs."""

    app: str
    name: str
    command: tuple[str, ...]
    queue: str = "default"
    timeout: timedelta = DEFAULT_TIMEOUT
    grace: timedelta = DEFAULT_GRACE
    """How long a job may take to end after SIGTERM before SIGKILL."""
    cpu: int = 256
    """1024 is one vCPU, as ECS counts."""
    memory: int = 512
    """MiB."""
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    concurrency: int | None = None
    """How many may run at once; None is no limit."""
    priority: int = 0
    env: dict[str, str] = field(default_factory=dict)
    at_most_once: bool = False
    message_file: bool = False
    """Whether the message is also put into the container as a file."""
    report_files: bool = False
    """Whether the container is given files to tell its progress and result in."""
    capabilities: tuple[str, ...] = ()
    """Linux capabilities the container keeps; all others are dropped."""
    network: str = "bridge"
    pids: int = 512
    """How many processes and threads the container may have."""
    expected: timedelta | None = None
    """How long an attempt should take: people are warned of one that takes longer."""
    notify: dict[str, object] = field(default_factory=dict)
    """Who is told, over what the app says; see `notices.rules_of`."""
    ecs: dict[str, Any] = field(default_factory=dict)
    """How ECS runs this job, over what its app says; see `ecs_settings`."""
    runbook: str = ""
    """What people should know when it fails, in Markdown."""
    message_schema: dict[str, Any] = field(default_factory=dict)
    """A JSON Schema of its message, of which the console makes a form."""
    callback: str = ""
    """The address of the app's backend that runs the job itself; empty where a container does."""


@dataclass(frozen=True, slots=True)
class Queue:
    """A named lane: it has a limit and can be paused."""

    name: str
    concurrency: int | None = None


@dataclass(frozen=True, slots=True)
class Subscription:
    """An SNS topic that a queue hears, and the job that its messages start."""

    topic: str
    queue: str
    app: str
    job: str

"""What a Barbeque database says, in our words: its definitions and its history."""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import IntEnum

import yaml

from barbeque_py.addresses import SLACK
from barbeque_py.apps import NAME, QUEUE_NAME, TOPIC, App, JobDefinition, Queue, Subscription
from barbeque_py.backoff import RetryPolicy
from barbeque_py.executions import State
from barbeque_py.images import IMAGE, registry_of

TIMEOUT = timedelta(days=30)
"""What jobs are given, as Barbeque lets them run for ever: the longest there is."""

_MOST_RETRIES = 100
_LONGEST_DELAY = timedelta(days=30)
_UNPRINTED = re.compile(r"[\x00-\x1f\x7f]+")
_LONGEST_MENTION = 300


class Status(IntEnum):
    """Barbeque's states of executions and retries, as it stores them."""

    PENDING = 0
    SUCCESS = 1
    FAILED = 2
    RETRIED = 3
    ERROR = 4
    RUNNING = 5


ENDED = frozenset({Status.SUCCESS, Status.FAILED, Status.ERROR})


@dataclass(frozen=True, slots=True)
class FormerJob:
    """A job definition with what belongs to it; None where there is no such row."""

    id: int
    app: str
    name: str
    command: str
    """YAML of a list, as Rails serializes it."""
    retry: RetryPolicy | None
    slack: "FormerSlack | None"


@dataclass(frozen=True, slots=True)
class FormerSlack:
    """Where a job's notices go, and which."""

    channel: str
    success: bool
    last_failure_only: bool
    text: str


@dataclass(frozen=True, slots=True)
class FormerTry:
    """One retry of an execution, or the execution's own first run."""

    message_id: str
    status: Status
    created_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class FormerExecution:
    """An execution, with its retries in the order in which they were asked for."""

    id: int
    message_id: str
    definition: int | None
    queue: int | None
    status: Status
    created_at: datetime
    finished_at: datetime | None
    retries: Sequence[FormerTry] = ()

    @property
    def tries(self) -> list[FormerTry]:
        """All runs. The first one's own status is lost where a retry followed: that has its place.

        A success may be retried, too; but what is retried has failed, as a rule.
        """
        status = Status.FAILED if self.retries else self.status
        first = FormerTry(self.message_id, status, self.created_at, self.finished_at)
        return [first, *self.retries]

    @property
    def ended_at(self) -> datetime | None:
        """When it was over; None while it is open."""
        over = self.status in ENDED and self.tries[-1].status in ENDED
        return self.last_seen_at if over else None

    @property
    def last_seen_at(self) -> datetime:
        """When its last run ended, or began where that is not known."""
        last = self.tries[-1]
        return last.finished_at or last.created_at


@dataclass(frozen=True, slots=True)
class Former:
    """Everything of the database but its history."""

    apps: Sequence[App] = ()
    jobs: Sequence[FormerJob] = ()
    queues: Mapping[int, str] = field(default_factory=dict)
    """Names by id."""
    topics: Sequence[tuple[str, int, int]] = ()
    """Of each subscription the ARN, and the ids of its queue and its job definition."""


@dataclass(slots=True)
class Wanted:
    """What of it can be ours, and in `unfit` why the rest can't."""

    apps: list[App] = field(default_factory=list)
    jobs: list[JobDefinition] = field(default_factory=list)
    queues: list[Queue] = field(default_factory=list)
    subscriptions: list[Subscription] = field(default_factory=list)
    unfit: list[str] = field(default_factory=list)


def translate(former: Former, *, has_default_registry: bool) -> Wanted:
    """Say what the definitions are in our words."""
    wanted = Wanted()
    for app in former.apps:
        image = image_of(app.image, has_default_registry=has_default_registry)
        if NAME.fullmatch(app.name) is None:
            wanted.unfit.append(f"the app {app.name!r}: our names have A-Z a-z 0-9 _ . : - only")
        elif IMAGE.fullmatch(image) is None:
            wanted.unfit.append(f"the app {app.name}: {app.image!r} is not an image's name")
        else:
            wanted.apps.append(App(app.name, image, description=app.description))
    for name in former.queues.values():
        if QUEUE_NAME.fullmatch(name) is None:
            wanted.unfit.append(f"the queue {name!r}: our names have up to 70 of A-Z a-z 0-9 _ -")
        else:
            wanted.queues.append(Queue(name))
    _translate_jobs(former, wanted)
    _translate_topics(former, wanted)
    return wanted


def _translate_jobs(former: Former, wanted: Wanted) -> None:
    apps = {app.name for app in wanted.apps}
    for job in former.jobs:
        about = f"the job {job.app}/{job.name}"
        if job.app not in apps:
            wanted.unfit.append(f"{about}: its app is not taken over")
        elif NAME.fullmatch(job.name) is None:
            wanted.unfit.append(f"{about}: our names have A-Z a-z 0-9 _ . : - only")
        elif not (command := read_command(job.command)):
            wanted.unfit.append(f"{about}: its command is empty or can't be read")
        else:
            wanted.jobs.append(_job(job, command))
            if job.slack is not None and channel_of(job.slack) is None:
                wanted.unfit.append(f"{about}: {job.slack.channel!r} is not a Slack channel")


def _job(job: FormerJob, command: tuple[str, ...]) -> JobDefinition:
    return JobDefinition(
        job.app,
        job.name,
        command,
        timeout=TIMEOUT,
        retry=job.retry or RetryPolicy(limit=0),
        notify=notify_of(job.slack),
    )


def _translate_topics(former: Former, wanted: Wanted) -> None:
    jobs = {(job.app, job.name) for job in wanted.jobs}
    queues = {queue.name for queue in wanted.queues}
    by_id = {job.id: (job.app, job.name) for job in former.jobs}
    for topic, queue, definition in former.topics:
        owner, name = by_id.get(definition), former.queues.get(queue)
        if TOPIC.fullmatch(topic) is None or owner not in jobs or name not in queues:
            wanted.unfit.append(f"the topic {topic!r}: it, its queue or its job is not taken over")
        else:
            wanted.subscriptions.append(Subscription(topic, str(name), *owner))


def image_of(image: str, *, has_default_registry: bool) -> str:
    """Return what Barbeque pulls under the name.

    There every first part before a slash is a registry, so that the default one is for names
    without a slash only; here it must look like a host.
    """
    named = "/" in image and registry_of(image) is None
    return f"docker.io/{image}" if has_default_registry and named else image


def read_command(text: str) -> tuple[str, ...]:
    """Return the command of a definition; nothing where it is empty or no list of words."""
    try:
        value = yaml.safe_load(text)
        words = shlex.split(value) if isinstance(value, str) else value
    except (yaml.YAMLError, ValueError):
        return ()
    if not isinstance(words, list) or not all(isinstance(w, str | int | float) for w in words):
        return ()
    return tuple(map(str, words))


def retry_of(limit: int, base_delay: float, max_delay: int | None, *, jitter: bool) -> RetryPolicy:
    """Return a row's policy, within our bounds; a base above the longest delay is that delay."""
    longest = None if max_delay is None else min(timedelta(seconds=max_delay), _LONGEST_DELAY)
    base = min(timedelta(seconds=max(base_delay, 0.0)), longest or _LONGEST_DELAY)
    return RetryPolicy(min(max(limit, 0), _MOST_RETRIES), base, longest, jitter)


def channel_of(slack: FormerSlack) -> str | None:
    """Return the channel as ours are written, with its #; None where none can be called that."""
    names = (slack.channel, f"#{slack.channel}")
    return next((name for name in names if SLACK.fullmatch(name)), None)


def notify_of(slack: FormerSlack | None) -> dict[str, object]:
    """Return whom a job tells what, as the apply file says it."""
    channel = channel_of(slack) if slack is not None else None
    if slack is None or channel is None:
        return {}
    failures = "failure" if slack.last_failure_only else "attempt"
    on = ["success", failures] if slack.success else [failures]
    mention = _UNPRINTED.sub(" ", slack.text)[:_LONGEST_MENTION]
    told: dict[str, object] = {"slack": channel, "hears": on}
    return told | ({"mention": mention} if mention else {})


def state_of(status: Status) -> tuple[State, bool]:
    """Return the state of what has ended, and whether it could not be started."""
    if status is Status.SUCCESS:
        return State.SUCCEEDED, False
    return State.FAILED, status is Status.ERROR

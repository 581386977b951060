"""The form of the apply file: every key, its type and its range."""

from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from barbeque_py.apps import DEFAULT_GRACE, DEFAULT_TIMEOUT
from barbeque_py.durations import format_duration
from barbeque_py.manifest_ecs import ECS_FORMS, EcsForm
from barbeque_py.manifest_fields import (
    Capability,
    Command,
    Concurrency,
    Delay,
    Email,
    Environment,
    Expected,
    Form,
    Grace,
    Image,
    MentionText,
    Name,
    QueueName,
    Regex,
    SlackPlace,
    SomeText,
    TargetUrl,
    Template,
    Text,
    Timeout,
    Topic,
    Window,
    distinct,
)
from barbeque_py.manifest_schedules import ScheduleForm


class ProcessForm(Form):
    """How process mode runs the app's jobs."""

    path: list[SomeText] = []
    """Directories in which commands are found, relative to this file."""


class TemplatesForm(Form):
    """An app's own words, as Jinja templates; what they may show is in docs/notices.md."""

    subject: Template | None = None
    """The first line of every notice."""
    body: Template | None = None
    """The rest, in place of our sentences, facts and lines; an empty line parts paragraphs."""


class NotifyForm(Form):
    """Who is told how a job ended; what a job says goes before what its app says, key by key."""

    slack: SlackPlace | None = None
    """A Slack channel, as in "#media", a channel's or member's id, or an incoming webhook."""
    email: list[Email] = []
    """Email addresses."""
    webhook: TargetUrl | None = None
    """An address that is sent a signed request."""
    hears: Annotated[
        list[Literal["success", "failure", "attempt", "cancelled"]], AfterValidator(distinct)
    ] = ["failure"]
    """What they are told of: `failure` is one for good, `attempt` each failed attempt."""
    mention: MentionText = ""
    """What Slack messages about failures begin with, as in "<!here>"."""
    digest: Window = Field(default="10m", json_schema_extra={"default": "10m"})
    """How long the same failure is gathered before it is told again, up to 1d; 0s tells each."""
    locale: Literal["en", "ja"] = "en"
    """The language they are told in."""
    templates: TemplatesForm = Field(default_factory=TemplatesForm)
    """Your own words in place of ours."""


class RetryForm(Form):
    """How often a failed job is tried again: after min(base_delay * 2^n, max_delay)."""

    limit: int = Field(default=5, ge=0, le=100)
    """How many retries follow the first run."""
    base_delay: Delay = Field(default=timedelta(seconds=15), json_schema_extra={"default": "15s"})
    """How long the first retry waits at most."""
    max_delay: Delay | None = None
    """The longest any retry waits; no limit unless given."""
    jitter: bool = True
    """Whether a retry waits a random share of its time, so that many don't come at once."""

    @model_validator(mode="after")
    def _in_order(self) -> "RetryForm":
        if self.max_delay is not None and self.max_delay < self.base_delay:
            raise ValueError("max_delay is shorter than base_delay")
        return self


class CallbackForm(Form):
    """A job that the app's own backend runs."""

    url: TargetUrl
    """Where the backend takes the job; a private address must be in BARBEQUE_WEBHOOK_ALLOW."""


class JobForm(Form):
    """A command that an app lets others run, or a job that its own backend runs."""

    name: Name
    """What requests call the job."""
    command: Command | None = None
    """The program and its arguments; one text is split as a shell would, without running one."""
    callback: CallbackForm | None = None
    """In place of a command: the app's backend is sent the job, and says when it is done."""
    queue: QueueName = "default"
    """The queue of requests from the command line that name none."""
    timeout: Timeout = Field(
        default=DEFAULT_TIMEOUT, json_schema_extra={"default": format_duration(DEFAULT_TIMEOUT)}
    )
    """How long an attempt may run, 1s to 30d."""
    grace: Grace = Field(
        default=DEFAULT_GRACE, json_schema_extra={"default": format_duration(DEFAULT_GRACE)}
    )
    """How long an attempt may take to end after SIGTERM before SIGKILL, up to 1h."""
    cpu: int = Field(default=256, ge=1, le=196_608)
    """1024 is one vCPU."""
    memory: int = Field(default=512, ge=6, le=16_777_216)
    """MiB."""
    retry: RetryForm = Field(default_factory=RetryForm)
    """How often a failed job is tried again."""
    concurrency: Concurrency | None = None
    """How many may run at once; no limit unless given."""
    priority: int = Field(default=0, ge=-100, le=100)
    """Higher goes first."""
    env: Environment = {}
    """Environment variables, over the app's; values are texts."""
    at_most_once: bool = False
    """Whether a job whose end can't be known fails instead of being tried again."""
    message_file: bool = False
    """Whether the message is also put into the container as a file."""
    report_files: bool = False
    """Whether the container is given files to tell its progress and result in."""
    capabilities: Annotated[list[Capability], AfterValidator(distinct)] = []
    """Linux capabilities the container keeps; all others are dropped."""
    network: Literal["bridge", "none", "host"] = "bridge"
    """The container's network."""
    pids: int = Field(default=512, ge=1, le=4_194_304)
    """How many processes and threads the container may have."""
    expected: Expected | None = None
    """How long an attempt should take, 1s to 30d: people are warned of one that takes longer."""
    notify: NotifyForm = Field(default_factory=NotifyForm)
    """Who is told how this job ended, over what its app says."""
    ecs: EcsForm = Field(default_factory=EcsForm)
    """How ECS runs this job, over what its app says."""
    runbook: Annotated[Text, Field(max_length=20_000)] = ""
    """What people should know when it fails, in Markdown: the console shows it."""
    message_schema: dict[str, Any] = {}
    """A JSON Schema of the message, of which the console makes a form."""
    schedules: list[ScheduleForm] = []
    """When it runs by the clock; those that are not here any more are removed."""

    @model_validator(mode="after")
    def _one_way_to_run(self) -> "JobForm":
        if self.command is None and self.callback is None:
            raise ValueError("this job has no command; write one, or a callback in its place")
        if self.command is not None and self.callback is not None:
            raise ValueError("this job has a command and a callback; keep one of them")
        return self


class AppForm(Form):
    """An owner of one image and some jobs."""

    name: Name
    """What requests call the app."""
    image: Image | None = None
    """The image its jobs run in; needed by those with a command."""
    description: Text = ""
    """A sentence for people."""
    process: ProcessForm = Field(default_factory=ProcessForm)
    """How process mode runs the app's jobs."""
    env: Environment = {}
    """Environment variables of all its jobs; values are texts."""
    mask: list[Regex] = []
    """Regular expressions; what they match is *** before a log is stored."""
    notify: NotifyForm = Field(default_factory=NotifyForm)
    """Who is told how its jobs ended."""
    logs: Literal["awslogs", "firelens"] = "awslogs"
    """How ECS carries the jobs' logs."""
    ecs: EcsForm = Field(default_factory=EcsForm)
    """How ECS runs its jobs; what a job says goes before it."""
    jobs: list[JobForm] = []
    """The commands it lets others run."""

    @model_validator(mode="after")
    def _image_for_commands(self) -> "AppForm":
        if self.image is None and not (self.jobs and all(job.callback for job in self.jobs)):
            raise ValueError("this app has no image; only jobs with a callback run without one")
        return self


class QueueForm(Form):
    """A named lane."""

    name: QueueName
    """What requests call the queue."""
    concurrency: Concurrency | None = None
    """How many of its jobs may run at once; no limit unless given."""


class SubscriptionForm(Form):
    """An SNS topic whose messages start a job."""

    topic: Topic
    """The topic's ARN."""
    queue: QueueName = "default"
    """The queue that hears it; a topic once."""
    app: Name
    """The job's app."""
    job: Name
    """The job; its message is the topic's, parsed where it is JSON."""


class FileForm(Form):
    """Apps, jobs and queues of barbeque_py, for `barbeque apply`."""

    model_config = ConfigDict(title="barbeque apply file")

    apps: list[AppForm] = []
    """The apps; what the file doesn't name stays as it is."""
    queues: list[QueueForm] = []
    """The queues."""
    subscriptions: list[SubscriptionForm] = []
    """The SNS topics that queues hear; they need SQS."""


FORMS: dict[tuple[str, ...], type[Form]] = {
    (): FileForm,
    ("apps",): AppForm,
    ("apps", "process"): ProcessForm,
    ("apps", "notify"): NotifyForm,
    ("apps", "notify", "templates"): TemplatesForm,
    ("apps", "jobs"): JobForm,
    ("apps", "jobs", "callback"): CallbackForm,
    ("apps", "jobs", "retry"): RetryForm,
    ("apps", "jobs", "notify"): NotifyForm,
    ("apps", "jobs", "notify", "templates"): TemplatesForm,
    ("apps", "jobs", "schedules"): ScheduleForm,
    ("queues",): QueueForm,
    ("subscriptions",): SubscriptionForm,
}
for _place in (("apps", "ecs"), ("apps", "jobs", "ecs")):
    FORMS |= {(*_place, *path): form for path, form in ECS_FORMS.items()}
"""The form that each place has, list positions left out."""

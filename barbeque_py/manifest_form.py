"""The form of the apply file: every key, its type and its range."""

import re
import shlex
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    WithJsonSchema,
    model_validator,
)

from barbeque_py.apps import DEFAULT_GRACE, DEFAULT_TIMEOUT, NAME, QUEUE_NAME
from barbeque_py.durations import PATTERN, format_duration, parse_duration
from barbeque_py.settings import GIVEN_TO_JOBS

CAPABILITIES = frozenset(
    (  # noqa: SIM905 - forty quotes and commas less
        "AUDIT_CONTROL AUDIT_READ AUDIT_WRITE BLOCK_SUSPEND BPF CHECKPOINT_RESTORE CHOWN "
        "DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID IPC_LOCK IPC_OWNER KILL LEASE LINUX_IMMUTABLE "
        "MAC_ADMIN MAC_OVERRIDE MKNOD NET_ADMIN NET_BIND_SERVICE NET_BROADCAST NET_RAW PERFMON "
        "SETFCAP SETGID SETPCAP SETUID SYSLOG SYS_ADMIN SYS_BOOT SYS_CHROOT SYS_MODULE SYS_NICE "
        "SYS_PACCT SYS_PTRACE SYS_RAWIO SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG WAKE_ALARM"
    ).split()
)

_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:@-]{0,511}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,254}")
_EMAIL = re.compile(r"[^\s@]{1,64}@[^\s@]{1,255}")
_HTTP = re.compile(r"https?://[^\s/?#@]+(/[^\s]*)?")
_SHOWN = 60


def _shown(value: str) -> str:
    return repr(value if len(value) <= _SHOWN else value[:_SHOWN] + "...")


def describe_kind(value: object) -> str:
    """Say what stands in the file, for a sentence that goes on with "stands where ..."."""
    match value:
        case None:
            return "nothing"
        case bool():
            return str(value).lower()
        case str():
            return f"the text {_shown(value)}"
        case list():
            return "a list"
        case dict():
            return "a mapping"
    return str(value)[:_SHOWN]


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    shown = describe_kind(value)
    if isinstance(value, bool):
        shown = "a switch (true, false, yes, no, on, off)"
    if isinstance(value, bool | int | float):
        raise ValueError(f"{shown} is not a text; put it in quotes")  # noqa: TRY004 - pydantic collects ValueError only
    raise ValueError(f"{shown} stands where a text is needed")


def _some_text(value: object) -> str:
    text = _text(value)
    if not text.strip():
        raise ValueError("the text is empty")
    return text


def _matching(form: re.Pattern[str], meaning: str) -> PlainValidator:
    """Return the check for a text of that form; the meaning ends the sentence "... is not"."""

    def check(value: object) -> str:
        text = _text(value)
        if form.fullmatch(text) is None:
            raise ValueError(f"{_shown(text)} is not {meaning}")
        return text

    return PlainValidator(check)


def _string(**facts: object) -> WithJsonSchema:
    return WithJsonSchema({"type": "string"} | facts)


def _like(form: re.Pattern[str]) -> WithJsonSchema:
    return _string(pattern=f"^{form.pattern}$")


def _between(least: timedelta, most: timedelta) -> PlainValidator:
    """Return the check for a duration in that range."""

    def read(value: object) -> timedelta:
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            fault = f"{describe_kind(value)} is not a duration such as 90s or 15m"
            raise ValueError(fault)  # noqa: TRY004 - pydantic collects ValueError only
        duration = parse_duration(value)
        if not least <= duration <= most:
            limits = f"{format_duration(least)} to {format_duration(most)}"
            raise ValueError(f"{value} is out of range; write {limits}")
        return duration

    return PlainValidator(read)


def _split(value: object) -> object:
    """Split a command given as one text as a shell would; no shell ever runs it."""
    if not isinstance(value, str):
        return value
    try:
        return shlex.split(value)
    except ValueError as error:
        raise ValueError(f"the command can't be split into words: {error}") from None


def _with_program(words: list[str]) -> list[str]:
    if not words or not words[0]:
        raise ValueError("the command is empty; name at least a program")
    return words


def _variables(value: dict[str, str]) -> dict[str, str]:
    for name in value:
        if _VARIABLE.fullmatch(name) is None:
            raise ValueError(f"{_shown(name)} is not a variable's name (A-Z a-z 0-9 _)")
        if name in GIVEN_TO_JOBS:
            raise ValueError(f"{name} is what every job is given; choose another name")
    return value


def _regex(value: object) -> str:
    pattern = _some_text(value)
    try:
        empty = re.compile(pattern).search("")
    except (re.error, OverflowError, RecursionError, FutureWarning) as error:
        raise ValueError(f"{_shown(pattern)} is not a regular expression: {error}") from None
    if empty is not None:
        raise ValueError(f"{_shown(pattern)} matches the empty text: it would mask everything")
    return pattern


def _capability(value: object) -> str:
    text = _text(value)
    name = text.upper().removeprefix("CAP_")
    if name not in CAPABILITIES:
        raise ValueError(f"{_shown(text)} is not a Linux capability such as NET_ADMIN")
    return name


def _distinct(names: list[str]) -> list[str]:
    if len(set(names)) != len(names):
        raise ValueError("an entry stands twice; keep one")
    return names


_DURATION = WithJsonSchema(
    {"anyOf": [{"type": "string", "pattern": PATTERN}, {"type": "number", "minimum": 0}]}
)
_A_NAME = "a name: up to 128 of A-Z a-z 0-9 _ . : -, a letter or digit first"
_A_QUEUE = "a queue's name: up to 70 of A-Z a-z 0-9 _ -"
_AN_IMAGE = "an image's name, as in registry.example.com/app:tag"

_Text = Annotated[str, PlainValidator(_text), _string()]
_SomeText = Annotated[str, PlainValidator(_some_text), _string(minLength=1)]
_Regex = Annotated[str, PlainValidator(_regex), _string(format="regex")]
_Capability = Annotated[str, PlainValidator(_capability), _string(examples=sorted(CAPABILITIES))]
_Name = Annotated[str, _matching(NAME, _A_NAME), _like(NAME)]
_QueueName = Annotated[str, _matching(QUEUE_NAME, _A_QUEUE), _like(QUEUE_NAME)]
_Image = Annotated[str, _matching(_IMAGE, _AN_IMAGE), _like(_IMAGE)]
_Email = Annotated[str, _matching(_EMAIL, "an email address"), _like(_EMAIL)]
_Url = Annotated[str, _matching(_HTTP, "an http:// or https:// address"), _like(_HTTP)]
_Command = Annotated[
    list[_Text],
    BeforeValidator(_split, json_schema_input_type=str | list[str]),
    AfterValidator(_with_program),
]
_Environment = Annotated[dict[str, _Text], AfterValidator(_variables)]
_Timeout = Annotated[timedelta, _between(timedelta(seconds=1), timedelta(days=30)), _DURATION]
_Grace = Annotated[timedelta, _between(timedelta(0), timedelta(hours=1)), _DURATION]
_Delay = Annotated[timedelta, _between(timedelta(0), timedelta(days=30)), _DURATION]
_Concurrency = Annotated[int, Field(ge=1, le=100_000)]


class _Form(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", use_attribute_docstrings=True)


class ProcessForm(_Form):
    """How process mode runs the app's jobs."""

    path: list[_SomeText] = []
    """Directories in which commands are found, relative to this file."""


class NotifyForm(_Form):
    """Who is told when a job has failed for good."""

    slack: _SomeText | None = None
    """A Slack channel, as in "#media"."""
    email: list[_Email] = []
    """Email addresses."""
    webhook: _Url | None = None
    """An address that is sent a signed request."""


class RetryForm(_Form):
    """How often a failed job is tried again: after min(base_delay * 2^n, max_delay)."""

    limit: int = Field(default=5, ge=0, le=100)
    """How many retries follow the first run."""
    base_delay: _Delay = Field(default=timedelta(seconds=15), json_schema_extra={"default": "15s"})
    """How long the first retry waits at most."""
    max_delay: _Delay | None = None
    """The longest any retry waits; no limit unless given."""
    jitter: bool = True
    """Whether a retry waits a random share of its time, so that many don't come at once."""

    @model_validator(mode="after")
    def _in_order(self) -> "RetryForm":
        if self.max_delay is not None and self.max_delay < self.base_delay:
            raise ValueError("max_delay is shorter than base_delay")
        return self


class JobForm(_Form):
    """A command that an app lets others run."""

    name: _Name
    """What requests call the job."""
    command: _Command
    """The program and its arguments; one text is split as a shell would, without running one."""
    queue: _QueueName = "default"
    """The queue of requests from the command line that name none."""
    timeout: _Timeout = Field(
        default=DEFAULT_TIMEOUT, json_schema_extra={"default": format_duration(DEFAULT_TIMEOUT)}
    )
    """How long an attempt may run, 1s to 30d."""
    grace: _Grace = Field(
        default=DEFAULT_GRACE, json_schema_extra={"default": format_duration(DEFAULT_GRACE)}
    )
    """How long an attempt may take to end after SIGTERM before SIGKILL, up to 1h."""
    cpu: int = Field(default=256, ge=1, le=196_608)
    """1024 is one vCPU."""
    memory: int = Field(default=512, ge=6, le=16_777_216)
    """MiB."""
    retry: RetryForm = Field(default_factory=RetryForm)
    """How often a failed job is tried again."""
    concurrency: _Concurrency | None = None
    """How many may run at once; no limit unless given."""
    priority: int = Field(default=0, ge=-100, le=100)
    """Higher goes first."""
    env: _Environment = {}
    """Environment variables, over the app's; values are texts."""
    at_most_once: bool = False
    """Whether a job whose end can't be known fails instead of being tried again."""
    message_file: bool = False
    """Whether the message is also put into the container as a file."""
    capabilities: Annotated[list[_Capability], AfterValidator(_distinct)] = []
    """Linux capabilities the container keeps; all others are dropped."""
    network: Literal["bridge", "none", "host"] = "bridge"
    """The container's network."""
    pids: int = Field(default=512, ge=1, le=4_194_304)
    """How many processes and threads the container may have."""


class AppForm(_Form):
    """An owner of one image and some jobs."""

    name: _Name
    """What requests call the app."""
    image: _Image
    """The image its jobs run in."""
    description: _Text = ""
    """A sentence for people."""
    process: ProcessForm = Field(default_factory=ProcessForm)
    """How process mode runs the app's jobs."""
    env: _Environment = {}
    """Environment variables of all its jobs; values are texts."""
    mask: list[_Regex] = []
    """Regular expressions; what they match is *** before a log is stored."""
    notify: NotifyForm = Field(default_factory=NotifyForm)
    """Who is told when a job has failed for good."""
    jobs: list[JobForm] = []
    """The commands it lets others run."""


class QueueForm(_Form):
    """A named lane."""

    name: _QueueName
    """What requests call the queue."""
    concurrency: _Concurrency | None = None
    """How many of its jobs may run at once; no limit unless given."""


class FileForm(_Form):
    """Apps, jobs and queues of barbeque_py, for `barbeque apply`."""

    model_config = ConfigDict(title="barbeque apply file")

    apps: list[AppForm] = []
    """The apps; what the file doesn't name stays as it is."""
    queues: list[QueueForm] = []
    """The queues."""


FORMS: dict[tuple[str, ...], type[_Form]] = {
    (): FileForm,
    ("apps",): AppForm,
    ("apps", "process"): ProcessForm,
    ("apps", "notify"): NotifyForm,
    ("apps", "jobs"): JobForm,
    ("apps", "jobs", "retry"): RetryForm,
    ("queues",): QueueForm,
}
"""The form that each place has, list positions left out."""

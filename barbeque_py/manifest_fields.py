"""The kinds of value that keys of the apply file take, each checked with a sentence for people."""

import re
import shlex
from datetime import timedelta
from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    WithJsonSchema,
)

from barbeque_py.addresses import A_SLACK, AN_EMAIL, EMAIL, SLACK, SLACK_WEBHOOK
from barbeque_py.apps import NAME, QUEUE_NAME, TOPIC
from barbeque_py.durations import PATTERN, format_duration, parse_duration
from barbeque_py.images import IMAGE
from barbeque_py.setting_variables import GIVEN_TO_JOBS
from barbeque_py.targets import read_target
from barbeque_py.templates import check_template

CAPABILITIES = frozenset(
    (  # noqa: SIM905 - forty quotes and commas less
        "AUDIT_CONTROL AUDIT_READ AUDIT_WRITE BLOCK_SUSPEND BPF CHECKPOINT_RESTORE CHOWN "
        "DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID IPC_LOCK IPC_OWNER KILL LEASE LINUX_IMMUTABLE "
        "MAC_ADMIN MAC_OVERRIDE MKNOD NET_ADMIN NET_BIND_SERVICE NET_BROADCAST NET_RAW PERFMON "
        "SETFCAP SETGID SETPCAP SETUID SYSLOG SYS_ADMIN SYS_BOOT SYS_CHROOT SYS_MODULE SYS_NICE "
        "SYS_PACCT SYS_PTRACE SYS_RAWIO SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG WAKE_ALARM"
    ).split()
)

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,254}")
_MENTION = re.compile(r"[^\x00-\x1f\x7f]{0,300}")
_A_MENTION = "a line of up to 300 characters"
_SHOWN = 60


def cut(value: str) -> str:
    """Quote a text of the file, cut short."""
    return repr(value if len(value) <= _SHOWN else value[:_SHOWN] + "...")


def describe_kind(value: object) -> str:
    """Say what stands in the file, for a sentence that goes on with "stands where ..."."""
    match value:
        case None:
            return "nothing"
        case bool():
            return str(value).lower()
        case str():
            return f"the text {cut(value)}"
        case list():
            return "a list"
        case dict():
            return "a mapping"
    return str(value)[:_SHOWN]


def read_text(value: object) -> str:
    """Return the value if it is a text."""
    if isinstance(value, str):
        return value
    shown = describe_kind(value)
    if isinstance(value, bool):
        shown = "a switch (true, false, yes, no, on, off)"
    if isinstance(value, bool | int | float):
        raise ValueError(f"{shown} is not a text; put it in quotes")  # noqa: TRY004 - pydantic collects ValueError only
    raise ValueError(f"{shown} stands where a text is needed")


def _read_some_text(value: object) -> str:
    text = read_text(value)
    if not text.strip():
        raise ValueError("the text is empty")
    return text


def matching(form: re.Pattern[str], meaning: str) -> PlainValidator:
    """Return the check for a text of that form; the meaning ends the sentence "... is not"."""

    def check(value: object) -> str:
        text = read_text(value)
        if form.fullmatch(text) is None:
            raise ValueError(f"{cut(text)} is not {meaning}")
        return text

    return PlainValidator(check)


def string(**facts: object) -> WithJsonSchema:
    """Return the JSON Schema of a text."""
    return WithJsonSchema({"type": "string"} | facts)


def like(form: re.Pattern[str]) -> WithJsonSchema:
    """Return the JSON Schema of a text of that form."""
    return string(pattern=f"^{form.pattern}$")


def between(least: timedelta, most: timedelta) -> PlainValidator:
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


def _window(value: object) -> str:
    """Return the duration as text, as it is kept."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"{describe_kind(value)} is not a duration such as 90s or 15m")  # noqa: TRY004 - pydantic collects ValueError only
    duration = parse_duration(value)
    if duration > timedelta(days=1):
        raise ValueError(f"{value} is out of range; write 0s to 1d")
    return format_duration(duration)


def split_command(value: object) -> object:
    """Split a command given as one text as a shell would; no shell ever runs it."""
    if not isinstance(value, str):
        return value
    try:
        return shlex.split(value)
    except ValueError as error:
        raise ValueError(f"the command can't be split into words: {error}") from None


def with_program(words: list[str]) -> list[str]:
    """Return the words if there are any."""
    if not words or not words[0]:
        raise ValueError("the command is empty; name at least a program")
    return words


def check_variables(value: dict[str, str]) -> dict[str, str]:
    """Return the variables if a job may be given them."""
    for name in value:
        if _VARIABLE.fullmatch(name) is None:
            raise ValueError(f"{cut(name)} is not a variable's name (A-Z a-z 0-9 _)")
        if name in GIVEN_TO_JOBS:
            raise ValueError(f"{name} is what every job is given; choose another name")
    return value


def _regex(value: object) -> str:
    pattern = _read_some_text(value)
    try:
        empty = re.compile(pattern).search("")
    except (re.error, OverflowError, RecursionError, FutureWarning) as error:
        raise ValueError(f"{cut(pattern)} is not a regular expression: {error}") from None
    if empty is not None:
        raise ValueError(f"{cut(pattern)} matches the empty text: it would mask everything")
    return pattern


def read_capability(value: object) -> str:
    """Return the name of a Linux capability, without CAP_."""
    text = read_text(value)
    name = text.upper().removeprefix("CAP_")
    if name not in CAPABILITIES:
        raise ValueError(f"{cut(text)} is not a Linux capability such as NET_ADMIN")
    return name


def _slack_place(value: object) -> str:
    text = read_text(value)
    if SLACK.fullmatch(text) is None and SLACK_WEBHOOK.fullmatch(text) is None:
        raise ValueError(f"{cut(text)} is not {A_SLACK}, or a https://hooks.slack.com address")
    return text


def _target_url(value: object) -> str:
    text = read_text(value)
    read_target(text)
    return text


def _template(value: object) -> str:
    text = _read_some_text(value)
    check_template(text)
    return text


def distinct(names: list[str]) -> list[str]:
    """Return the entries if none stands twice."""
    if len(set(names)) != len(names):
        raise ValueError("an entry stands twice; keep one")
    return names


DURATION = WithJsonSchema(
    {"anyOf": [{"type": "string", "pattern": PATTERN}, {"type": "number", "minimum": 0}]}
)
_A_NAME = "a name: up to 128 of A-Z a-z 0-9 _ . : -, a letter or digit first"
_A_QUEUE = "a queue's name: up to 70 of A-Z a-z 0-9 _ -"
_AN_IMAGE = "an image's name, as in registry.example.com/app:tag"

Text = Annotated[str, PlainValidator(read_text), string()]
SomeText = Annotated[str, PlainValidator(_read_some_text), string(minLength=1)]
Regex = Annotated[str, PlainValidator(_regex), string(format="regex")]
Capability = Annotated[str, PlainValidator(read_capability), string(examples=sorted(CAPABILITIES))]
Name = Annotated[str, matching(NAME, _A_NAME), like(NAME)]
QueueName = Annotated[str, matching(QUEUE_NAME, _A_QUEUE), like(QUEUE_NAME)]
Topic = Annotated[str, matching(TOPIC, "an SNS topic's ARN"), like(TOPIC)]
Image = Annotated[str, matching(IMAGE, _AN_IMAGE), like(IMAGE)]
Email = Annotated[str, matching(EMAIL, AN_EMAIL), string(format="email")]
SlackPlace = Annotated[str, PlainValidator(_slack_place), string(examples=["#media"])]
Template = Annotated[str, PlainValidator(_template), string(minLength=1)]
MentionText = Annotated[str, matching(_MENTION, _A_MENTION), like(_MENTION)]
TargetUrl = Annotated[str, PlainValidator(_target_url), string(format="uri")]
Command = Annotated[
    list[Text],
    BeforeValidator(split_command, json_schema_input_type=str | list[str]),
    AfterValidator(with_program),
]
Environment = Annotated[dict[str, Text], AfterValidator(check_variables)]
Timeout = Annotated[timedelta, between(timedelta(seconds=1), timedelta(days=30)), DURATION]
Grace = Annotated[timedelta, between(timedelta(0), timedelta(hours=1)), DURATION]
Delay = Annotated[timedelta, between(timedelta(0), timedelta(days=30)), DURATION]
Expected = Annotated[timedelta, between(timedelta(seconds=1), timedelta(days=30)), DURATION]
Window = Annotated[str, PlainValidator(_window), DURATION]
Concurrency = Annotated[int, Field(ge=1, le=100_000)]


class Form(BaseModel):
    """A mapping of the file: its keys and no others."""

    model_config = ConfigDict(strict=True, extra="forbid", use_attribute_docstrings=True)

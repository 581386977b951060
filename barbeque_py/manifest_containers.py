"""What `ecs:` of the apply file may say of one container: the job's own, or a sidecar."""

import re
from datetime import timedelta
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, model_validator

from barbeque_py.durations import parse_duration
from barbeque_py.manifest_fields import (
    CAPABILITIES,
    DURATION,
    Capability,
    Environment,
    Form,
    Image,
    SomeText,
    Text,
    between,
    check_variables,
    distinct,
    like,
    matching,
    read_capability,
    split_command,
    string,
)

_ARN = r"arn:aws[a-z-]*:"
_PATH = re.compile(r"/[^\0:\n]{0,4095}")
_PART = re.compile(r"[A-Za-z0-9_-]{1,255}")
_ENV_FILE = re.compile(_ARN + r"s3:::[a-z0-9.-]{3,63}/.{1,1020}\.env")
_SECRET = re.compile(
    _ARN + r"(ssm:[a-z0-9-]+:\d{12}:parameter/|secretsmanager:[a-z0-9-]+:\d{12}:secret:)\S{1,1000}"
    r"|[A-Za-z0-9_./-]{1,1011}"
)
_CREDENTIALS = re.compile(_ARN + r"secretsmanager:[a-z0-9-]+:\d{12}:secret:\S{1,600}")
_USER = re.compile(r"[A-Za-z0-9_.-]{1,64}(:[A-Za-z0-9_.-]{1,64})?")

Path = Annotated[str, matching(_PATH, "an absolute path in the container"), like(_PATH)]
Part = Annotated[str, matching(_PART, "a name: letters, digits, _ and -"), like(_PART)]
SecretRef = Annotated[
    str,
    matching(_SECRET, "an SSM parameter's name, or the ARN of a parameter or secret"),
    like(_SECRET),
]
Secrets = Annotated[dict[str, SecretRef], AfterValidator(check_variables)]
EnvFile = Annotated[
    str, matching(_ENV_FILE, "the ARN of an S3 object that ends in .env"), like(_ENV_FILE)
]
Credentials = Annotated[str, matching(_CREDENTIALS, "a secret's ARN"), like(_CREDENTIALS)]
User = Annotated[str, matching(_USER, "a user, as in 1000:1000 or app"), like(_USER)]
Mebibytes = Annotated[int, Field(ge=6, le=16_777_216)]
ContainerCpu = Annotated[int, Field(ge=1, le=196_608)]

Ulimit = Literal[
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
]


def _ulimit(value: object) -> list[int]:
    """Read [soft, hard], or one number for both; -1 is no limit."""
    both: list[Any] = value if isinstance(value, list) else [value, value]
    if len(both) != 2 or not all(type(each) is int and each >= -1 for each in both):  # noqa: PLR2004 - soft and hard
        raise ValueError("write [soft, hard], two whole numbers; -1 is no limit")
    soft, hard = both
    if hard != -1 and (soft > hard or soft == -1):
        raise ValueError(f"the soft limit {soft} is above the hard one, {hard}")
    return [soft, hard]


def _ulimits(value: dict[str, Any]) -> dict[str, Any]:
    for name in value:
        if name not in get_args(Ulimit):
            raise ValueError(f"{name[:60]!r} is not one of {', '.join(get_args(Ulimit))}")
    return value


_Pair = Annotated[list[int], PlainValidator(_ulimit, json_schema_input_type=int | tuple[int, int])]
Ulimits = Annotated[dict[str, _Pair], AfterValidator(_ulimits)]


def _seconds(least: int, most: int) -> PlainValidator:
    """Return the check for a duration of whole seconds in that range."""
    check = between(timedelta(seconds=least), timedelta(seconds=most)).func

    def read(value: object) -> int:
        check(value)  # type: ignore[call-arg]
        duration = parse_duration(value)  # type: ignore[arg-type]
        if duration % timedelta(seconds=1):
            raise ValueError(f"{value} is not a count of whole seconds")
        return round(duration.total_seconds())

    return PlainValidator(read)


def _probe(value: object) -> object:
    """Read the check's command as ECS has it; a text is for a shell."""
    if isinstance(value, str):
        return ["CMD-SHELL", value]
    if isinstance(value, list) and value and value[0] not in ("CMD", "CMD-SHELL"):
        return ["CMD", *value]
    return value


def _probing(words: list[str]) -> list[str]:
    if len(words) < 2 or not words[1].strip():  # noqa: PLR2004 - CMD and a program
        raise ValueError("the command is empty; name at least a program")
    return words


def _dropped(value: object) -> str:
    return "ALL" if value == "ALL" else read_capability(value)


_Dropped = Annotated[str, PlainValidator(_dropped), string(examples=["ALL", *sorted(CAPABILITIES)])]


class MountForm(Form):
    """A volume as the container sees it."""

    volume: Part
    """The volume's name, under `volumes`."""
    path: Path
    """Where it is in the container."""
    read_only: bool = False
    """Whether it can't be written."""


class CapabilitiesForm(Form):
    """Linux capabilities, beside what ECS gives every container."""

    add: Annotated[list[Capability], AfterValidator(distinct)] = []
    """Those it has in addition; Fargate knows SYS_PTRACE only."""
    drop: Annotated[list[_Dropped], AfterValidator(distinct)] = []
    """Those it has not; ALL is all of them."""


class TmpfsForm(Form):
    """A file system in memory."""

    path: Path
    """Where it is in the container."""
    size: int = Field(ge=1, le=1_048_576)
    """MiB."""
    options: list[SomeText] = []
    """Options of mount, as in noexec."""


class LinuxForm(Form):
    """What Linux gives the container."""

    capabilities: CapabilitiesForm = Field(default_factory=CapabilitiesForm)
    """Linux capabilities, beside what ECS gives every container."""
    init: bool = False
    """Whether a small init reaps its orphaned processes."""
    shm_size: int | None = Field(default=None, ge=1, le=1_048_576)
    """MiB of /dev/shm; not on Fargate."""
    tmpfs: list[TmpfsForm] = []
    """File systems in memory."""


class HealthCheckForm(Form):
    """How ECS asks whether the container is well."""

    command: Annotated[
        list[Text],
        BeforeValidator(_probe, json_schema_input_type=str | list[str]),
        AfterValidator(_probing),
    ]
    """A text for the container's shell, or a program and its arguments."""
    interval: Annotated[int, _seconds(5, 300), DURATION] = 30
    """How long after one check the next begins, 5s to 5m."""
    timeout: Annotated[int, _seconds(2, 60), DURATION] = 5
    """How long one check may take, 2s to 1m."""
    retries: int = Field(default=3, ge=1, le=10)
    """How many checks that fail one after another make it unhealthy."""
    start_period: Annotated[int, _seconds(0, 300), DURATION] = 0
    """How long checks may fail at first, up to 5m."""


class ContainerForm(Form):
    """What the job's container and sidecars can be told alike."""

    memory_reservation: Mebibytes | None = None
    """MiB that are kept for it; `memory` is the most it can have."""
    secrets: Secrets = {}
    """Environment variables ECS fills from an SSM parameter or a secret, by name or ARN."""
    env_files: Annotated[list[EnvFile], Field(max_length=10), AfterValidator(distinct)] = []
    """Files of environment variables in S3, by ARN."""
    mounts: list[MountForm] = Field(default=[], max_length=50)
    """The volumes it sees."""
    ulimits: Ulimits = {}
    """Limits of its processes: [soft, hard]; Fargate knows nofile only."""
    depends_on: dict[str, Literal["START", "HEALTHY", "COMPLETE", "SUCCESS"]] = {}
    """What other containers must have come to before it starts."""
    health_check: HealthCheckForm | None = None
    """How ECS asks whether it is well."""
    linux: LinuxForm = Field(default_factory=LinuxForm)
    """What Linux gives it."""
    user: User | None = None
    """Who its processes run as; unset: the image's."""
    working_directory: Path | None = None
    """Where its command starts; unset: the image's."""
    read_only_root: bool = False
    """Whether its root file system can't be written."""
    privileged: bool = False
    """Whether it may do what the host's root may; not on Fargate."""
    registry_credentials: Credentials | None = None
    """The ARN of the secret with which its image is pulled from a private registry."""


class SidecarForm(ContainerForm):
    """A container beside the job's, in the same task."""

    name: Part
    """What it is called; not `app` or `log_router`."""
    image: Image
    """Its image."""
    command: Annotated[
        list[Text], BeforeValidator(split_command, json_schema_input_type=str | list[str])
    ] = []
    """Its program and arguments; unset: the image's."""
    entry_point: list[Text] = []
    """What its command is given to; unset: the image's."""
    env: Environment = {}
    """Environment variables; values are texts."""
    essential: bool = False
    """Whether its end ends the job."""
    cpu: ContainerCpu | None = None
    """Of the task's CPU; 1024 is one vCPU."""
    memory: Mebibytes | None = None
    """MiB it may have at most."""
    ports: list[Annotated[int, Field(ge=1, le=65_535)]] = []
    """The TCP ports it listens on."""
    stop_timeout: Annotated[int, _seconds(0, 3600), DURATION] | None = None
    """How long it may take to end after SIGTERM, at most 2m on Fargate."""

    @model_validator(mode="after")
    def _reserves_no_more_than_it_has(self) -> "SidecarForm":
        if self.memory is not None and (self.memory_reservation or 0) > self.memory:
            raise ValueError("memory_reservation is more than memory")
        return self

"""The form of `ecs:` in the apply file: how ECS runs the tasks of an app or a job."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from barbeque_py.manifest_containers import (
    CapabilitiesForm,
    ContainerForm,
    HealthCheckForm,
    LinuxForm,
    Mebibytes,
    MountForm,
    Part,
    Path,
    SidecarForm,
    TmpfsForm,
)
from barbeque_py.manifest_fields import (
    Form,
    Image,
    SomeText,
    Text,
    cut,
    distinct,
    like,
    matching,
)

_ARN = r"arn:aws[a-z-]*:"
_CLUSTER = re.compile(rf"({_ARN}ecs:[a-z0-9-]+:\d{{12}}:cluster/)?[A-Za-z0-9_-]{{1,255}}")
_ROLE = re.compile(rf"{_ARN}iam::\d{{12}}:role/[\w+=,.@/-]{{1,512}}|[\w+=,.@-]{{1,64}}", re.ASCII)
_SUBNET = re.compile(r"subnet-[0-9a-f]{8,32}")
_GROUP = re.compile(r"sg-[0-9a-f]{8,32}")
_PLATFORM = re.compile(r"LATEST|\d{1,3}(\.\d{1,3}){2}")
_FILE_SYSTEM = re.compile(r"fs-[0-9a-f]{8,40}")
_ACCESS_POINT = re.compile(r"fsap-[0-9a-f]{8,40}")
_REGION = re.compile(r"[a-z]{2,4}(-[a-z]+)+-\d")
_LOG_GROUP = re.compile(r"[\w./#-]{1,512}", re.ASCII)
_STREAM = re.compile(r"[^:*\s]{1,255}")
_MOST_TAGS = 40
_OURS = ("aws:", "barbeque")

_Role = Annotated[str, matching(_ROLE, "a role's name or ARN"), like(_ROLE)]
_Subnet = Annotated[str, matching(_SUBNET, "a subnet's id, as in subnet-0a1b2c3d"), like(_SUBNET)]
_Group = Annotated[str, matching(_GROUP, "a security group's id, as in sg-0a1b2c3d"), like(_GROUP)]


def _tags(tags: dict[str, str]) -> dict[str, str]:
    if len(tags) > _MOST_TAGS:
        raise ValueError(f"there are {len(tags)} tags; {_MOST_TAGS} at most")
    for key, value in tags.items():
        if not 0 < len(key) <= 128 or len(value) > 256:  # noqa: PLR2004 - AWS's limits
            raise ValueError(f"{cut(key)}: a key has 1 to 128 characters, a value up to 256")
        if key.lower().startswith(_OURS):
            raise ValueError(f"{cut(key)} begins with {' or '.join(_OURS)}, which are taken")
    return tags


class ProviderForm(Form):
    """One of the capacity providers among which tasks are shared out."""

    name: Part
    """Its name; FARGATE and FARGATE_SPOT are there everywhere."""
    weight: int = Field(default=1, ge=0, le=1000)
    """Its share of the tasks, beside those of the others."""
    base: int = Field(default=0, ge=0, le=100_000)
    """How many tasks it has before shares count; one provider only."""


def _providers(providers: list[ProviderForm]) -> list[ProviderForm]:
    distinct([each.name for each in providers])
    if not any(each.weight for each in providers):
        raise ValueError("no provider has a weight above 0")
    if sum(each.base > 0 for each in providers) > 1:
        raise ValueError("more than one provider has a base")
    fargate = {each.name.startswith("FARGATE") for each in providers}
    if len(fargate) > 1:
        raise ValueError("FARGATE and providers of your own can't be mixed")
    return providers


class EfsForm(Form):
    """A file system of Amazon EFS."""

    file_system: Annotated[str, matching(_FILE_SYSTEM, "a file system's id"), like(_FILE_SYSTEM)]
    """Its id, as in fs-0a1b2c3d."""
    root: Path | None = None
    """The directory of it that is mounted; unset: all of it."""
    access_point: (
        Annotated[str, matching(_ACCESS_POINT, "an access point's id"), like(_ACCESS_POINT)] | None
    ) = None
    """The id of the access point, as in fsap-0a1b2c3d."""
    iam: bool = False
    """Whether the task's role decides what it may do."""
    transit_encryption: bool = True
    """Whether what travels is encrypted."""

    @model_validator(mode="after")
    def _encrypted(self) -> "EfsForm":
        if (self.iam or self.access_point) and not self.transit_encryption:
            raise ValueError("iam and access_point need transit_encryption")
        if self.access_point and self.root not in (None, "/"):
            raise ValueError("an access point has a root of its own; leave root out")
        return self


class DockerVolumeForm(Form):
    """A volume of the instance's Docker engine; not on Fargate."""

    scope: Literal["task", "shared"] = "task"
    """Whether it goes with the task."""
    autoprovision: bool | None = None
    """Whether a shared volume is made where it is missing."""
    driver: SomeText | None = None
    """Docker's driver for it; unset: local."""
    driver_opts: dict[str, Text] = {}
    """Options of the driver."""
    labels: dict[str, Text] = {}
    """Labels of the volume."""


class VolumeForm(Form):
    """Files that containers of the task share; with a name alone: empty, gone with the task."""

    name: Part
    """What mounts call it."""
    efs: EfsForm | None = None
    """A file system of Amazon EFS."""
    host: Path | None = None
    """A path on the instance; not on Fargate."""
    docker: DockerVolumeForm | None = None
    """A volume of the instance's Docker engine; not on Fargate."""

    @model_validator(mode="after")
    def _one_kind(self) -> "VolumeForm":
        if sum(each is not None for each in (self.efs, self.host, self.docker)) > 1:
            raise ValueError("efs, host and docker exclude one another")
        return self


class ConstraintForm(Form):
    """Where tasks may be placed among the instances."""

    type: Literal["distinctInstance", "memberOf"]
    """memberOf takes an expression of ECS's cluster query language."""
    expression: SomeText | None = None
    """As in attribute:ecs.instance-type =~ c5.*"""

    @model_validator(mode="after")
    def _has_an_expression(self) -> "ConstraintForm":
        if (self.type == "memberOf") != (self.expression is not None):
            raise ValueError("memberOf takes an expression, distinctInstance none")
        return self


class StrategyForm(Form):
    """Which instance a task goes to among those it may."""

    type: Literal["random", "spread", "binpack"]
    """binpack fills one instance after another by `field`."""
    field: SomeText | None = None
    """cpu or memory for binpack; an attribute, instanceId or host for spread."""


class PlacementForm(Form):
    """On which instances tasks run; not on Fargate."""

    constraints: list[ConstraintForm] = Field(default=[], max_length=10)
    """All of these hold."""
    strategy: list[StrategyForm] = Field(default=[], max_length=5)
    """Tried in this order."""


class LogForm(Form):
    """Where CloudWatch keeps what the task writes, until it is archived."""

    group: Annotated[str, matching(_LOG_GROUP, "a log group's name"), like(_LOG_GROUP)] | None = (
        None
    )
    """The log group."""
    region: Annotated[str, matching(_REGION, "a Region"), like(_REGION)] | None = None
    """The group's Region; unset: that of the cluster."""
    stream_prefix: (
        Annotated[str, matching(_STREAM, "a prefix without spaces, : and *"), like(_STREAM)] | None
    ) = None
    """What names of streams begin with."""
    mode: Literal["blocking", "non-blocking"] | None = None
    """Whether the job waits while CloudWatch does not keep up (blocking), or lines are lost."""


class FirelensForm(Form):
    """The container that carries logs, with `logs: firelens`."""

    image: Image | None = None
    """Its image; unset: AWS's Fluent Bit."""
    memory_reservation: Mebibytes | None = None
    """MiB that are kept for it."""
    options: dict[str, Text] = {}
    """Options of the awsfirelens log driver: what Fluent Bit's output is told."""


class EcsForm(ContainerForm):
    """How ECS runs tasks. Other executors have no use for it."""

    cluster: (
        Annotated[str, matching(_CLUSTER, "a cluster's name or ARN"), like(_CLUSTER)] | None
    ) = None
    """The cluster, by name or ARN; unset: the one of BARBEQUE_EXECUTOR."""
    launch: Literal["fargate", "fargate_spot", "ec2"] | None = None
    """What tasks run on; unset: what BARBEQUE_EXECUTOR says."""
    capacity_providers: (
        Annotated[
            list[ProviderForm], Field(min_length=1, max_length=20), AfterValidator(_providers)
        ]
        | None
    ) = None
    """The capacity providers that share the tasks, in place of `launch`."""
    platform_version: (
        Annotated[str, matching(_PLATFORM, "a version, as in 1.4.0, or LATEST"), like(_PLATFORM)]
        | None
    ) = None
    """Fargate's platform version."""
    cpu_architecture: Literal["x86_64", "arm64"] | None = None
    """The CPU that the images are made for."""
    subnets: (
        Annotated[list[_Subnet], Field(min_length=1, max_length=16), AfterValidator(distinct)]
        | None
    ) = None
    """The subnets of the tasks' own network interfaces."""
    security_groups: (
        Annotated[list[_Group], Field(max_length=5), AfterValidator(distinct)] | None
    ) = None
    """The security groups of these interfaces."""
    public_ip: bool | None = None
    """Whether these interfaces have public addresses; Fargate only."""
    task_role: _Role | None = None
    """The role that the job's code has."""
    execution_role: _Role | None = None
    """The role with which ECS pulls images, reads secrets and writes logs."""
    exec: bool | None = None
    """Whether `aws ecs execute-command` gets into the container; needs task_role."""
    tags: Annotated[dict[str, Text], AfterValidator(_tags)] = {}
    """Tags of the tasks and task definitions."""
    ephemeral_storage: int | None = Field(default=None, ge=21, le=200)
    """GiB of disk; Fargate only."""
    gpu: int | None = Field(default=None, ge=1, le=16)
    """How many GPUs it has; not on Fargate."""
    volumes: list[VolumeForm] = Field(default=[], max_length=50)
    """Files that containers of the task share."""
    sidecars: list[SidecarForm] = Field(default=[], max_length=10)
    """Containers beside the job's, in the same task; with it and FireLens's 10 at most."""
    placement: PlacementForm = Field(default_factory=PlacementForm)
    """On which instances tasks run; not on Fargate."""
    log: LogForm = Field(default_factory=LogForm)
    """Where CloudWatch keeps what the task writes, until it is archived."""
    firelens: FirelensForm = Field(default_factory=FirelensForm)
    """The container that carries logs, with `logs: firelens`."""

    @model_validator(mode="after")
    def _one_way_to_launch(self) -> "EcsForm":
        if self.launch is not None and self.capacity_providers is not None:
            raise ValueError("launch and capacity_providers exclude one another")
        return self


_CONTAINER: dict[tuple[str, ...], type[Form]] = {
    ("mounts",): MountForm,
    ("health_check",): HealthCheckForm,
    ("linux",): LinuxForm,
    ("linux", "capabilities"): CapabilitiesForm,
    ("linux", "tmpfs"): TmpfsForm,
}
ECS_FORMS: dict[tuple[str, ...], type[Form]] = {
    (): EcsForm,
    ("capacity_providers",): ProviderForm,
    ("volumes",): VolumeForm,
    ("volumes", "efs"): EfsForm,
    ("volumes", "docker"): DockerVolumeForm,
    ("sidecars",): SidecarForm,
    ("placement",): PlacementForm,
    ("placement", "constraints"): ConstraintForm,
    ("placement", "strategy"): StrategyForm,
    ("log",): LogForm,
    ("firelens",): FirelensForm,
    **_CONTAINER,
    **{("sidecars", *path): form for path, form in _CONTAINER.items()},
}
"""The form that each place under `ecs:` has, list positions left out."""

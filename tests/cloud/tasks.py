"""An ECS task: what is known of it, and how the API and the events show it."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from barbeque_py import clock
from tests.cloud.service import Json

PROVISIONING, PENDING, RUNNING = "PROVISIONING", "PENDING", "RUNNING"
DEPROVISIONING, STOPPED = "DEPROVISIONING", "STOPPED"


@dataclass(slots=True, eq=False, kw_only=True)
class Container:
    """One container of a task."""

    arn: str
    name: str
    image: str
    essential: bool
    cpu: int
    memory: int
    last_status: str = PENDING
    digest: str = ""
    runtime_id: str = ""
    exit_code: int | None = None
    reason: str = ""
    over: bool = False
    """Whether it has ended, or will never start."""

    def show(self, task: "Task") -> Json:
        """Return it as DescribeTasks does."""
        shown: Json = {
            "containerArn": self.arn,
            "taskArn": task.arn,
            "name": self.name,
            "image": self.image,
            "lastStatus": self.last_status,
            "networkInterfaces": task.interfaces(),
            "healthStatus": "UNKNOWN",
            "cpu": str(self.cpu),
        }
        if not task.is_fargate:
            shown["networkBindings"] = []
        more = {
            "imageDigest": self.digest,
            "runtimeId": self.runtime_id,
            "reason": self.reason,
            "memory": str(self.memory or ""),
        }
        shown.update({key: value for key, value in more.items() if value})
        if self.exit_code is not None:
            shown["exitCode"] = self.exit_code
        return shown


@dataclass(slots=True, eq=False, kw_only=True)
class Task:
    """One task; `version` counts its changes."""

    arn: str
    region: str
    cluster_arn: str
    definition_arn: str
    family: str
    group: str
    launch_type: str
    provider: str
    platform: str
    cpu: str
    memory: str
    started_by: str
    client_token: str
    overrides: Json
    network: Json
    execute_command: bool
    tags: list[Json]
    containers: list[Container]
    created_at: datetime = field(default_factory=clock.now)
    times: dict[str, datetime] = field(default_factory=dict)
    """When what was reached, by the API's names such as startedAt."""
    last_status: str = PROVISIONING
    desired_status: str = RUNNING
    stop_code: str = ""
    stopped_reason: str = ""
    connectivity: str = ""
    version: int = 1
    forgotten: bool = False
    """Whether a test has ended that it belonged to: it sends no events any more."""

    @property
    def id(self) -> str:
        """The 32 hexadecimal digits at the end of the ARN."""
        return self.arn.rpartition("/")[2]

    @property
    def is_fargate(self) -> bool:
        """Whether it runs on Fargate or Fargate Spot."""
        return self.launch_type == "FARGATE"

    def mark(self, what: str) -> None:
        """Note the time at which something was reached for the first time."""
        self.times.setdefault(what, clock.now())

    def age(self, since: str) -> float | None:
        """Return the seconds since something was reached; None before."""
        then = self.times.get(since)
        return None if then is None else (clock.now() - then).total_seconds()

    def seconds_old(self) -> float:
        """Return the seconds since it was created."""
        return (clock.now() - self.created_at).total_seconds()

    def interfaces(self) -> list[Json]:
        """Return the network interfaces of each of its containers."""
        if not self.network:
            return []
        return [{"attachmentId": _interface(self.id), "privateIpv4Address": _address(self.id)}]

    def show(self, *, tags: bool = False) -> Json:
        """Return it as the API does: times are seconds since 1970."""
        return self._show(datetime.timestamp) | {"tags": self.tags if tags else []}

    def stub(self) -> Json:
        """Return what a repeated RunTask tells of a task that has stopped."""
        return {
            "taskArn": self.arn,
            "lastStatus": self.last_status,
            "desiredStatus": self.desired_status,
        }

    def as_event(self) -> Json:
        """Return it as events have it: times are ISO 8601, tags are missing."""
        return self._show(_iso) | {"updatedAt": _iso(clock.now())}

    def account(self) -> Json:
        """Return it as the control verb `tasks` does, for the judge of a crash test."""
        return self.stub() | {
            "startedBy": self.started_by,
            "clientToken": self.client_token,
            "stopCode": self.stop_code,
            "stoppedReason": self.stopped_reason,
            "version": self.version,
            "createdAt": self.created_at.timestamp(),
            **{name: instant.timestamp() for name, instant in self.times.items()},
            "exitCodes": {each.name: each.exit_code for each in self.containers},
        }

    def _show(self, write: Any) -> Json:
        shown: Json = {
            "attachments": self._attachments(),
            "attributes": [{"name": "ecs.cpu-architecture", "value": "x86_64"}],
            "availabilityZone": f"{self.region}a",
            "clusterArn": self.cluster_arn,
            "containers": [each.show(self) for each in self.containers],
            "cpu": self.cpu,
            "createdAt": write(self.created_at),
            "desiredStatus": self.desired_status,
            "enableExecuteCommand": self.execute_command,
            "group": self.group,
            "lastStatus": self.last_status,
            "launchType": self.launch_type,
            "memory": self.memory,
            "overrides": self._shown_overrides(),
            "taskArn": self.arn,
            "taskDefinitionArn": self.definition_arn,
            "version": self.version,
        }
        more = {
            "capacityProviderName": self.provider,
            "connectivity": self.connectivity,
            "platformVersion": self.platform,
            "platformFamily": "Linux" if self.is_fargate else "",
            "startedBy": self.started_by,
            "stopCode": self.stop_code,
            "stoppedReason": self.stopped_reason,
        }
        shown.update({key: value for key, value in more.items() if value})
        shown.update({name: write(instant) for name, instant in self.times.items()})
        return shown

    def _shown_overrides(self) -> Json:
        named = {each["name"]: each for each in self.overrides.get("containerOverrides", [])}
        every = [named.get(each.name, {"name": each.name}) for each in self.containers]
        return {
            "inferenceAcceleratorOverrides": [],
            **self.overrides,
            "containerOverrides": every,
        }

    def _attachments(self) -> list[Json]:
        if not self.network:
            return []
        subnets = self.network.get("awsvpcConfiguration", {}).get("subnets", [""])
        details = {
            "subnetId": subnets[0],
            "networkInterfaceId": f"eni-{self.id[:17]}",
            "privateIPv4Address": _address(self.id),
        }
        status = {PROVISIONING: "PRECREATED", STOPPED: "DELETED"}.get(self.last_status, "ATTACHED")
        return [
            {
                "id": _interface(self.id),
                "type": "ElasticNetworkInterface",
                "status": status,
                "details": [{"name": name, "value": value} for name, value in details.items()],
            }
        ]


def _interface(identity: str) -> str:
    return f"{identity[:8]}-{identity[8:12]}-4{identity[13:16]}-a{identity[17:20]}-{identity[20:]}"


def _address(identity: str) -> str:
    return f"10.0.{int(identity[:2], 16)}.{int(identity[2:4], 16)}"


def _iso(instant: datetime) -> str:
    return clock.rfc3339(instant)[:-4] + "Z"

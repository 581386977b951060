"""What is registered with ECS before an app's tasks can run: the task definition.

Many jobs share one: command, environment, cpu and memory are overrides of each task.
"""

import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from barbeque_py.ecs_settings import CONTAINER, Settings, merge
from barbeque_py.ecs_url import EcsUrl
from barbeque_py.executor import Blueprint
from barbeque_py.fargate import fargate_size

Json = dict[str, Any]

_BASE_CPU, _BASE_MEMORY = 256, 512
"""What the definition says of the job's container; every task says it anew."""
_LONGEST_FAMILY = 255
_UNCLEAN = re.compile(r"[^A-Za-z0-9_-]")
_UNCLEAN_PREFIX = re.compile(r"[^A-Za-z0-9._/-]")
_HASH = 10
_SHORTEST_STOP, _LONGEST_STOP_ON_FARGATE = 2, 120
"""Seconds."""


@dataclass(frozen=True, slots=True)
class Definition:
    """A task definition as it is registered, and the name of all that it says."""

    content: str
    """A SHA-256 of it: whatever differs has another one."""
    request: Json

    @property
    def family(self) -> str:
        """What its revisions are called."""
        return str(self.request["family"])


def settings_of(url: EcsUrl, blueprint: Blueprint) -> Settings:
    """Return what holds for the blueprint's tasks: its own words over those of the URL."""
    default: Settings = {
        "cluster": url.cluster,
        "exec": url.exec,
        "execution_role": url.execution_role,
        "launch": url.launch,
        "log": {"group": url.log_group},
        "platform_version": url.platform_version,
        "public_ip": url.public_ip,
        "security_groups": list(url.security_groups),
        "subnets": list(url.subnets),
        "task_role": url.task_role,
    }
    return merge(default, dict(blueprint.ecs))


def is_fargate(settings: Settings) -> bool:
    """Tell whether the tasks run on Fargate."""
    providers = settings.get("capacity_providers")
    if providers:
        return bool(str(providers[0]["name"]).startswith("FARGATE"))
    return bool(settings["launch"] != "ec2")


def is_in_vpc(settings: Settings) -> bool:
    """Tell whether each task has a network interface of its own."""
    return is_fargate(settings) or bool(settings.get("subnets"))


def beside(settings: Settings) -> tuple[int, int]:
    """Return the cpu and memory that the containers beside the job's take of the task."""
    sidecars: list[Settings] = settings.get("sidecars", [])
    memory = (each.get("memory") or each.get("memory_reservation") or 0 for each in sidecars)
    return sum(each.get("cpu") or 0 for each in sidecars), sum(memory)


def family_of(installation: str, app: str) -> str:
    """Return the family of the app's task definitions: a hash tells unclean names apart."""
    name = f"barbeque-{installation}-{app}"
    clean = _UNCLEAN.sub("-", name)
    if clean == name and len(name) <= _LONGEST_FAMILY:
        return name
    mark = hashlib.sha256(app.encode()).hexdigest()[:_HASH]
    return f"{clean[: _LONGEST_FAMILY - _HASH - 1]}-{mark}"


@dataclass(frozen=True, slots=True)
class LogGroup:
    """Where the tasks' logs go in CloudWatch; streams are `<prefix>/<container>/<task id>`."""

    region: str
    name: str
    prefix: str


def log_group_of(settings: Settings, installation: str, app: str, region: str) -> LogGroup:
    """Return where the tasks' logs go."""
    log: Settings = settings.get("log", {})
    return LogGroup(
        log.get("region") or region,
        log.get("group") or f"/barbeque/{installation}",
        _UNCLEAN_PREFIX.sub("-", log.get("stream_prefix") or app),
    )


def define(
    blueprint: Blueprint, settings: Settings, *, installation: str, home: str, logs: LogGroup
) -> Definition:
    """Return the task definition of the blueprint; `home` is the account and Region."""
    fargate = is_fargate(settings)
    request: Json = {
        "family": family_of(installation, blueprint.app),
        "networkMode": "awsvpc" if is_in_vpc(settings) else "bridge",
        "requiresCompatibilities": ["FARGATE" if fargate else "EC2"],
        "containerDefinitions": _containers(blueprint, settings, logs),
        "volumes": [_volume(each) for each in settings.get("volumes", [])],
        "taskRoleArn": settings.get("task_role"),
        "executionRoleArn": settings.get("execution_role"),
        **(_of_fargate(settings) if fargate else {}),
    }
    if architecture := settings.get("cpu_architecture"):
        request["runtimePlatform"] = {
            "cpuArchitecture": architecture.upper(),
            "operatingSystemFamily": "LINUX",
        }
    request = _without_empty(request)
    tags = {
        **settings.get("tags", {}),
        "barbeque.installation": installation,
        "barbeque.app": blueprint.app,
    }
    content = _content([home, request, tags])
    return Definition(
        content, request | {"tags": write_tags({**tags, "barbeque.content": content})}
    )


def write_tags(tags: Mapping[str, str]) -> list[Json]:
    """Write tags as ECS has them, in the order of their names."""
    return [{"key": key, "value": value} for key, value in sorted(tags.items())]


def _content(parts: list[Any]) -> str:
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _of_fargate(settings: Settings) -> Json:
    """Size the task for the smallest job that any of them may be; each says its own size."""
    cpu, memory = beside(settings)
    size = fargate_size(_BASE_CPU + cpu, _BASE_MEMORY + memory)
    disk = settings.get("ephemeral_storage")
    return {
        "cpu": str(size[0]),
        "memory": str(size[1]),
        "ephemeralStorage": {"sizeInGiB": disk} if disk else None,
    }


def _containers(blueprint: Blueprint, settings: Settings, logs: LogGroup) -> list[Json]:
    fargate = is_fargate(settings)
    log = _awslogs(settings, logs)
    job = _container(settings) | {
        "name": CONTAINER,
        "image": blueprint.image,
        "essential": True,
        "stopTimeout": _stop_timeout(blueprint.grace, fargate=fargate),
        "logConfiguration": log,
        "resourceRequirements": _gpus(settings),
    }
    if not fargate:
        job |= {"memory": max(_BASE_MEMORY, settings.get("memory_reservation") or 0)}
    sidecars = [_sidecar(each, log, fargate=fargate) for each in settings.get("sidecars", [])]
    return [job, *sidecars]


def _sidecar(said: Settings, log: Json, *, fargate: bool) -> Json:
    stop = said.get("stop_timeout")
    sidecar = _container(said) | {
        "name": said["name"],
        "image": said["image"],
        "essential": bool(said.get("essential", False)),
        "command": said.get("command"),
        "entryPoint": said.get("entry_point"),
        "environment": _pairs(said.get("env", {}), "value"),
        "cpu": said.get("cpu"),
        "memory": said.get("memory"),
        "portMappings": [
            {"containerPort": port, "protocol": "tcp"} for port in said.get("ports", [])
        ],
        "stopTimeout": None if stop is None else _stop_timeout(stop, fargate=fargate),
        "logConfiguration": log,
    }
    if not fargate and not (said.get("memory") or said.get("memory_reservation")):
        sidecar["memoryReservation"] = 64  # on instances ECS wants one of the two
    return sidecar


def _container(said: Settings) -> Json:
    """Write what the job's container and sidecars can be told alike."""
    credentials = said.get("registry_credentials")
    return {
        "memoryReservation": said.get("memory_reservation"),
        "secrets": _pairs(said.get("secrets", {}), "valueFrom"),
        "environmentFiles": [{"type": "s3", "value": arn} for arn in said.get("env_files", [])],
        "mountPoints": [
            {
                "sourceVolume": each["volume"],
                "containerPath": each["path"],
                "readOnly": bool(each.get("read_only", False)),
            }
            for each in said.get("mounts", [])
        ],
        "ulimits": [
            {"name": name, "softLimit": soft, "hardLimit": hard}
            for name, (soft, hard) in sorted(said.get("ulimits", {}).items())
        ],
        "dependsOn": [
            {"containerName": name, "condition": condition}
            for name, condition in sorted(said.get("depends_on", {}).items())
        ],
        "healthCheck": _health_check(said.get("health_check")),
        "linuxParameters": _linux(said.get("linux", {})),
        "user": said.get("user"),
        "workingDirectory": said.get("working_directory"),
        "readonlyRootFilesystem": said.get("read_only_root") or None,
        "privileged": said.get("privileged") or None,
        "repositoryCredentials": {"credentialsParameter": credentials} if credentials else None,
    }


def _stop_timeout(grace: float, *, fargate: bool) -> int:
    seconds = max(_SHORTEST_STOP, math.ceil(grace))
    return min(seconds, _LONGEST_STOP_ON_FARGATE) if fargate else seconds


def _awslogs(settings: Settings, logs: LogGroup) -> Json:
    return {
        "logDriver": "awslogs",
        "options": {
            "awslogs-group": logs.name,
            "awslogs-region": logs.region,
            "awslogs-stream-prefix": logs.prefix,
            "mode": settings.get("log", {}).get("mode") or "blocking",
        },
    }


def _gpus(settings: Settings) -> list[Json]:
    count = settings.get("gpu")
    return [{"type": "GPU", "value": str(count)}] if count else []


def _health_check(said: Settings | None) -> Json | None:
    if said is None:
        return None
    return {
        "command": said["command"],
        "interval": said.get("interval", 30),
        "timeout": said.get("timeout", 5),
        "retries": said.get("retries", 3),
        "startPeriod": said.get("start_period") or None,
    }


def _linux(said: Settings) -> Json:
    capabilities: Settings = said.get("capabilities", {})
    return {
        "capabilities": {"add": capabilities.get("add"), "drop": capabilities.get("drop")},
        "initProcessEnabled": said.get("init") or None,
        "sharedMemorySize": said.get("shm_size"),
        "tmpfs": [
            {
                "containerPath": each["path"],
                "size": each["size"],
                "mountOptions": each.get("options"),
            }
            for each in said.get("tmpfs", [])
        ],
    }


def _volume(said: Settings) -> Json:
    volume: Json = {"name": said["name"]}
    if host := said.get("host"):
        volume["host"] = {"sourcePath": host}
    if (docker := said.get("docker")) is not None:
        volume["dockerVolumeConfiguration"] = {
            "scope": docker.get("scope", "task"),
            "autoprovision": docker.get("autoprovision"),
            "driver": docker.get("driver"),
            "driverOpts": docker.get("driver_opts"),
            "labels": docker.get("labels"),
        }
    if efs := said.get("efs"):
        volume["efsVolumeConfiguration"] = _efs(efs)
    return volume


def _efs(said: Settings) -> Json:
    access = {
        "accessPointId": said.get("access_point"),
        "iam": "ENABLED" if said.get("iam") else None,
    }
    return {
        "fileSystemId": said["file_system"],
        "rootDirectory": said.get("root"),
        "transitEncryption": "ENABLED" if said.get("transit_encryption", True) else "DISABLED",
        "authorizationConfig": access,
    }


def _pairs(values: Mapping[str, str], called: str) -> list[Json]:
    return [{"name": name, called: value} for name, value in sorted(values.items())]


def _without_empty(value: Any) -> Any:
    """Leave out what says nothing, all the way down; texts may be empty."""
    if isinstance(value, dict):
        kept = {name: _without_empty(each) for name, each in value.items()}
        return {name: each for name, each in kept.items() if each not in (None, [], {})}
    if isinstance(value, list):
        return [_without_empty(each) for each in _present(value)]
    return value


def _present(values: Iterable[Any]) -> list[Any]:
    return [each for each in values if each is not None]

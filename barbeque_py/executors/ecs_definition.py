"""What is registered with ECS before an app's tasks can run: the task definition.

Many jobs share one: command, environment, cpu and memory are overrides of each task.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from barbeque_py import firelens
from barbeque_py.ecs_settings import CONTAINER, Settings, merge
from barbeque_py.ecs_url import EcsUrl
from barbeque_py.executor import Blueprint
from barbeque_py.executors.ecs_containers import container, sidecar, stop_timeout, volume
from barbeque_py.fargate import fargate_size
from barbeque_py.logstore import LogStore

Json = dict[str, Any]

_BASE_CPU, _BASE_MEMORY = 256, 512
"""What the definition says of the job's container; every task says it anew."""
_LONGEST_FAMILY = 255
_UNCLEAN = re.compile(r"[^A-Za-z0-9_-]")
_UNCLEAN_PREFIX = re.compile(r"[^A-Za-z0-9._/-]")
_HASH = 10


@dataclass(frozen=True, slots=True)
class Bucket:
    """The log store in S3 as FireLens knows it, which puts logs there, too."""

    name: str
    prefix: str
    """The store's, with which all its keys begin."""
    store: LogStore


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
    memory = sum(each.get("memory") or each.get("memory_reservation") or 0 for each in sidecars)
    router = _router_memory(settings) if uses_firelens(settings) else 0
    return sum(each.get("cpu") or 0 for each in sidecars), memory + router


def uses_firelens(settings: Settings) -> bool:
    """Tell whether FireLens carries the logs."""
    return bool(settings.get("logs") == "firelens")


def _router_memory(settings: Settings) -> int:
    said: Settings = settings.get("firelens", {})
    return int(said.get("memory_reservation") or firelens.MEMORY)


def family_of(installation: str, app: str) -> str:
    """Return the family of the app's task definitions: a hash tells unclean names apart."""
    name = f"barbeque-{installation}-{app}"
    clean = _UNCLEAN.sub("-", name)
    if clean == name and len(name) <= _LONGEST_FAMILY:
        return name
    mark = hashlib.sha256(app.encode()).hexdigest()[:_HASH]
    return f"{clean[: _LONGEST_FAMILY - _HASH - 1]}-{mark}"


@dataclass(frozen=True, slots=True)
class Logs:
    """Where the tasks' logs go: streams of this prefix in CloudWatch, and S3 with FireLens."""

    region: str
    group: str
    prefix: str
    bucket: Bucket | None = None
    """None without FireLens."""


def logs_of(
    settings: Settings, app: str, *, installation: str, region: str, bucket: Bucket | None
) -> Logs:
    """Return where the tasks' logs go; raises `ValueError` for FireLens without a bucket."""
    said: Settings = settings.get("log", {})
    by_firelens = uses_firelens(settings)
    if by_firelens and bucket is None:
        raise ValueError(
            "logs: firelens puts logs into the bucket of BARBEQUE_LOGS, which is not s3: here; "
            "set it to s3://BUCKET/PREFIX, or write logs: awslogs"
        )
    return Logs(
        said.get("region") or region,
        said.get("group") or f"/barbeque/{installation}",
        _UNCLEAN_PREFIX.sub("-", said.get("stream_prefix") or app),
        bucket if by_firelens else None,
    )


def define(
    blueprint: Blueprint, settings: Settings, *, installation: str, home: str, logs: Logs
) -> Definition:
    """Return the task definition of the blueprint; `home` is the account and Region."""
    fargate = is_fargate(settings)
    containers = _containers(blueprint, settings, logs)
    if logs.bucket is not None:
        containers.append(_router(settings, logs, installation, logs.bucket))
    request: Json = {
        "family": family_of(installation, blueprint.app),
        "networkMode": "awsvpc" if is_in_vpc(settings) else "bridge",
        "requiresCompatibilities": ["FARGATE" if fargate else "EC2"],
        "containerDefinitions": containers,
        "volumes": [volume(each) for each in settings.get("volumes", [])],
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


def _containers(blueprint: Blueprint, settings: Settings, logs: Logs) -> list[Json]:
    fargate = is_fargate(settings)
    log = _awslogs(settings, logs)
    by_firelens = firelens.log_configuration(settings.get("firelens", {}).get("options"))
    job = container(settings) | {
        "name": CONTAINER,
        "image": blueprint.image,
        "essential": True,
        "stopTimeout": stop_timeout(blueprint.grace, fargate=fargate),
        "logConfiguration": log if logs.bucket is None else by_firelens,
        "resourceRequirements": _gpus(settings),
    }
    if not fargate:
        job |= {"memory": max(_BASE_MEMORY, settings.get("memory_reservation") or 0)}
    sidecars = [sidecar(each, log, fargate=fargate) for each in settings.get("sidecars", [])]
    return [job, *sidecars]


def _router(settings: Settings, logs: Logs, installation: str, bucket: Bucket) -> Json:
    folder = firelens.folder_of(bucket.prefix, installation)
    route = firelens.Route(logs.region, bucket.name, folder, logs.group, logs.prefix)
    image = settings.get("firelens", {}).get("image") or firelens.IMAGE
    return firelens.router_container(
        route, image=image, memory_reservation=_router_memory(settings)
    )


def _awslogs(settings: Settings, logs: Logs) -> Json:
    return {
        "logDriver": "awslogs",
        "options": {
            "awslogs-group": logs.group,
            "awslogs-region": logs.region,
            "awslogs-stream-prefix": logs.prefix,
            "mode": settings.get("log", {}).get("mode") or "blocking",
        },
    }


def _gpus(settings: Settings) -> list[Json]:
    count = settings.get("gpu")
    return [{"type": "GPU", "value": str(count)}] if count else []


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

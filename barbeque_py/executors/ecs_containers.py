"""Containers and volumes of a task definition, written as ECS has them."""

import math
from collections.abc import Mapping
from typing import Any

from barbeque_py.ecs_settings import Settings

Json = dict[str, Any]

_SHORTEST_STOP, _LONGEST_STOP_ON_FARGATE = 2, 120
"""Seconds."""
_RESERVED = 64
"""MiB kept for a sidecar on an instance of which nothing is said: ECS wants to hear something."""


def container(said: Settings) -> Json:
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


def sidecar(said: Settings, log: Json, *, fargate: bool) -> Json:
    """Write a container beside the job's; it logs where the job does."""
    stop = said.get("stop_timeout")
    written = container(said) | {
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
        "stopTimeout": None if stop is None else stop_timeout(stop, fargate=fargate),
        "logConfiguration": log,
    }
    if not fargate and not (said.get("memory") or said.get("memory_reservation")):
        written["memoryReservation"] = _RESERVED
    return written


def stop_timeout(grace: float, *, fargate: bool) -> int:
    """Return how many seconds ECS lets pass between SIGTERM and SIGKILL."""
    seconds = max(_SHORTEST_STOP, math.ceil(grace))
    return min(seconds, _LONGEST_STOP_ON_FARGATE) if fargate else seconds


def volume(said: Settings) -> Json:
    """Write files that containers of the task share."""
    written: Json = {"name": said["name"]}
    if host := said.get("host"):
        written["host"] = {"sourcePath": host}
    if (docker := said.get("docker")) is not None:
        written["dockerVolumeConfiguration"] = {
            "scope": docker.get("scope", "task"),
            "autoprovision": docker.get("autoprovision"),
            "driver": docker.get("driver"),
            "driverOpts": docker.get("driver_opts"),
            "labels": docker.get("labels"),
        }
    if efs := said.get("efs"):
        written["efsVolumeConfiguration"] = _efs(efs)
    return written


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


def _pairs(values: Mapping[str, str], called: str) -> list[Json]:
    return [{"name": name, called: value} for name, value in sorted(values.items())]

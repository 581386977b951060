"""What can't be true together in `ecs:` of an app and its job, told before ECS refuses it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from barbeque_py.apps import App, JobDefinition
from barbeque_py.durations import format_duration
from barbeque_py.ecs_settings import CONTAINER, LOG_ROUTER, Settings, merged

Path = tuple[str | int, ...]
Fault = tuple[Path, str]
"""Which key of the job (or of its app, where the job does not say it), and a sentence."""

LONGEST_STOP = timedelta(minutes=2)
"""How long Fargate waits after SIGTERM."""

_MOST_CONTAINERS = 10
_LARGEST = 48 * 1024
"""Characters of the settings: ECS takes 64 KiB of a task definition, which has more in it."""

_ON_FARGATE_ONLY = ("ephemeral_storage", "platform_version", "public_ip")
_NOT_ON_FARGATE = ("gpu", "placement")


def faults(app: App, job: JobDefinition) -> list[Fault]:
    """Return what is wrong with the job's merged settings, each once; none if it can be run."""
    settings = merged(app, job)
    found = list(_of_task(settings, app, job))
    found += _of_volumes(settings)
    found += _of_containers(settings)
    found += _of_order(settings)
    match _on_fargate(settings):
        case True:
            found += _of_fargate(settings, job)
        case False:
            found += [
                (("ecs", name), f"{name} is for Fargate; these tasks run on instances")
                for name in _ON_FARGATE_ONLY
                if name in settings
            ]
    return found


def _on_fargate(settings: Settings) -> bool | None:
    """Tell whether the tasks run on Fargate; None when the settings don't say."""
    if "launch" in settings:
        return bool(settings["launch"] != "ec2")
    providers = settings.get("capacity_providers")
    return None if providers is None else providers[0]["name"].startswith("FARGATE")


def _of_task(settings: Settings, app: App, job: JobDefinition) -> Iterator[Fault]:
    if settings.get("firelens") and settings["logs"] != "firelens":
        yield ("ecs", "firelens"), "this is said, but the app has not logs: firelens"
    for name in sorted(settings.get("secrets", {}).keys() & (app.env.keys() | job.env.keys())):
        yield ("ecs", "secrets", name), f"{name} is also a variable under env; keep one"
    reservation = settings.get("memory_reservation", 0)
    if reservation > job.memory:
        fault = f"{reservation} is more than the job's memory, {job.memory}"
        yield ("ecs", "memory_reservation"), fault
    if len(json.dumps(settings)) > _LARGEST:
        yield ("ecs",), f"this is longer than {_LARGEST // 1024} KiB, more than ECS takes"


def _of_volumes(settings: Settings) -> Iterator[Fault]:
    names = [each["name"] for each in settings.get("volumes", [])]
    yield from _twice(names, ("ecs", "volumes"))
    for path, container in _containers(settings):
        mounts = container.get("mounts", [])
        for number, mount in enumerate(mounts):
            if mount["volume"] not in names:
                fault = f"no volume is called {mount['volume']}; name it under ecs.volumes"
                yield (*path, "mounts", number, "volume"), fault
        yield from _twice([each["path"] for each in mounts], (*path, "mounts"), key="path")


def _of_containers(settings: Settings) -> Iterator[Fault]:
    names = [each["name"] for each in settings.get("sidecars", [])]
    yield from _twice(names, ("ecs", "sidecars"))
    for number, name in enumerate(names):
        if name in (CONTAINER, LOG_ROUTER):
            yield ("ecs", "sidecars", number, "name"), f"{name} is a name of ours; choose another"
    for number, sidecar in enumerate(settings.get("sidecars", [])):
        for name in sorted(sidecar.get("secrets", {}).keys() & sidecar.get("env", {}).keys()):
            fault = f"{name} is also a variable under env; keep one"
            yield ("ecs", "sidecars", number, "secrets", name), fault
    count = 1 + len(names) + (settings["logs"] == "firelens")
    if count > _MOST_CONTAINERS:
        fault = f"a task of {count} containers; ECS takes {_MOST_CONTAINERS}"
        yield ("ecs", "sidecars"), fault


def _of_order(settings: Settings) -> Iterator[Fault]:
    """Find dependencies that can't come true."""
    known = {each["name"]: each for each in settings.get("sidecars", [])} | {CONTAINER: settings}
    for path, container in _containers(settings):
        for name, condition in container.get("depends_on", {}).items():
            here = (*path, "depends_on", name)
            if name not in known:
                yield here, f"no sidecar is called {name}"
            elif condition == "HEALTHY" and "health_check" not in known[name]:
                yield here, f"{name} has no health_check, so it can't be HEALTHY"
            elif condition in ("COMPLETE", "SUCCESS") and _ends_the_task(name, known[name]):
                yield here, f"{name} is essential: its end would end the task"
    if (loop := _loop(known)) is not None:
        where: Path = ("ecs", "depends_on") if loop == CONTAINER else ("ecs", "sidecars")
        yield where, f"{loop} depends on itself, over what it depends on"


def _ends_the_task(name: str, container: Settings) -> bool:
    return name == CONTAINER or bool(container.get("essential"))


def _loop(known: Mapping[str, Settings]) -> str | None:
    """Return a container that waits for itself."""
    waiting = {name: each.get("depends_on", {}).keys() & known for name, each in known.items()}
    while free := [name for name, others in waiting.items() if not others & waiting.keys()]:
        for name in free:
            del waiting[name]
    return min(waiting, default=None)


def _of_fargate(settings: Settings, job: JobDefinition) -> Iterator[Fault]:
    for name in _NOT_ON_FARGATE:
        if settings.get(name):
            yield ("ecs", name), f"{name} is not to be had on Fargate"
    for number, volume in enumerate(settings.get("volumes", [])):
        for kind in ("host", "docker"):
            if kind in volume:
                yield ("ecs", "volumes", number, kind), f"{kind} is not to be had on Fargate"
    if job.grace > LONGEST_STOP:
        yield ("grace",), _too_long(job.grace)
    for path, container in _containers(settings):
        yield from _of_fargate_container(path, container)


def _of_fargate_container(path: Path, container: Settings) -> Iterator[Fault]:
    linux = container.get("linux", {})
    if container.get("privileged"):
        yield (*path, "privileged"), "privileged is not to be had on Fargate"
    if "shm_size" in linux:
        yield (*path, "linux", "shm_size"), "shm_size is not to be had on Fargate"
    for number, name in enumerate(linux.get("capabilities", {}).get("add", [])):
        if name != "SYS_PTRACE":
            fault = f"{name} is not to be had on Fargate; SYS_PTRACE is"
            yield (*path, "linux", "capabilities", "add", number), fault
    for name in container.get("ulimits", {}):
        if name != "nofile":
            yield (*path, "ulimits", name), f"{name} can't be set on Fargate; nofile can"
    stop = timedelta(seconds=container.get("stop_timeout", 0))
    if stop > LONGEST_STOP:
        yield (*path, "stop_timeout"), _too_long(stop)


def _too_long(wait: timedelta) -> str:
    most = format_duration(LONGEST_STOP)
    return f"Fargate waits {most} after SIGTERM, not {format_duration(wait)}"


def _containers(settings: Settings) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Go through the job's container and the sidecars, each with where it is described."""
    yield ("ecs",), settings
    for number, sidecar in enumerate(settings.get("sidecars", [])):
        yield ("ecs", "sidecars", number), sidecar


def _twice(names: Sequence[str], path: Path, *, key: str = "name") -> Iterator[Fault]:
    for number, name in enumerate(names):
        if name in names[:number]:
            yield (*path, number, key), f"{name} stands twice"

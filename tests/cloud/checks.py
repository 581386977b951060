"""What ECS refuses about a RunTask request."""

import json
import re
from random import Random
from typing import Final, NoReturn

from tests.cloud import sizes
from tests.cloud.service import AwsFault, Json

_TOKEN: Final = re.compile(r"[\x21-\x7e]{1,64}")
_STARTED_BY: Final = re.compile(r"[A-Za-z0-9/_-]{0,128}")
_OVERRIDES: Final = 8192
_PLATFORMS: Final = ("LATEST", "1.4.0", "1.3.0")
_FARGATE: Final = ("FARGATE", "FARGATE_SPOT")
_TAGS: Final = 50


def check_request(request: Json) -> None:
    """Check what needs no look at anything else; raises `AwsFault`."""
    if "clientToken" in request and not _TOKEN.fullmatch(request["clientToken"]):
        refuse("clientToken must be 1 to 64 ASCII characters in the range of 33-126.")
    if not _STARTED_BY.fullmatch(request.get("startedBy", "")):
        refuse("startedBy contains invalid characters or is too long.")
    if not 1 <= request.get("count", 1) <= 10:
        refuse("count must be between 1 and 10.")
    overrides = request.get("overrides", {})
    if _length(overrides) > _OVERRIDES:
        refuse(f"Container Overrides length must be at most {_OVERRIDES}")
    if request.get("launchType") and request.get("capacityProviderStrategy"):
        refuse("Specifying both a launch type and capacity provider strategy is not supported.")
    if request.get("propagateTags") == "SERVICE":
        refuse("propagateTags SERVICE is not supported for RunTask.")
    if len(request.get("tags", [])) > _TAGS:
        refuse(f"The number of tags must be at most {_TAGS}.")


def choose_place(request: Json, cluster: Json, dice: Random) -> tuple[str, str]:
    """Return the launch type and the capacity provider, empty without one; raises `AwsFault`."""
    strategy = request.get("capacityProviderStrategy") or []
    if not strategy and not request.get("launchType"):
        strategy = cluster.get("defaultCapacityProviderStrategy") or []
    if not strategy:
        return request.get("launchType") or "EC2", ""
    for item in strategy:
        if item["capacityProvider"] not in cluster.get("capacityProviders", []):
            refuse(
                "The specified capacity strategy cannot contain a capacity provider that is not "
                "associated with the cluster. Associate the capacity provider with the cluster "
                "and try again."
            )
    based = [each["capacityProvider"] for each in strategy if each.get("base")]
    weights = [each.get("weight", 1) for each in strategy]
    if not based and not any(weights):
        refuse("The specified capacity provider strategy must have a weight greater than 0.")
    names = [each["capacityProvider"] for each in strategy]
    provider = based[0] if based else dice.choices(names, weights)[0]
    return "FARGATE" if provider in _FARGATE else "EC2", provider


def check_fit(request: Json, definition: Json, launch_type: str) -> None:
    """Check the request against its task definition; raises `AwsFault`."""
    overrides = request.get("overrides", {})
    names = {each["name"] for each in definition["containerDefinitions"]}
    for override in overrides.get("containerOverrides", []):
        if override.get("name") not in names:
            refuse(
                f"Override for container named {override.get('name')} is not a container in the "
                "TaskDefinition."
            )
    if request.get("enableExecuteCommand") and not (
        overrides.get("taskRoleArn") or definition.get("taskRoleArn")
    ):
        refuse("The task can't run because a valid taskRoleArn is not being used.")
    _check_network(request, definition)
    if launch_type == "FARGATE":
        _check_fargate(request, definition)
    elif request.get("platformVersion"):
        refuse("The platform version must be null when specifying an EC2 launch type.")


def refuse(sentence: str) -> NoReturn:
    """Raise InvalidParameterException."""
    raise AwsFault("InvalidParameterException", sentence)


def _length(value: Json) -> int:
    """Count characters as Java does, of the JSON without spaces."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def _check_network(request: Json, definition: Json) -> None:
    network = request.get("networkConfiguration", {}).get("awsvpcConfiguration")
    if definition.get("networkMode") != "awsvpc":
        if network:
            refuse(
                "Network Configuration is not valid for the given networkMode of this task "
                "definition."
            )
        return
    if not network:
        refuse("Network Configuration must be provided when networkMode 'awsvpc' is specified.")
    if not network.get("subnets"):
        refuse("subnets can not be empty.")


def _check_fargate(request: Json, definition: Json) -> None:
    if "FARGATE" not in (definition.get("requiresCompatibilities") or []):
        refuse("Task definition does not support launch_type FARGATE.")
    if request.get("platformVersion", "LATEST") not in _PLATFORMS:
        raise AwsFault("PlatformUnknownException", "The specified platform does not exist.")
    cpu, memory = size(request, definition)
    sizes.check_fargate(cpu, memory, "InvalidParameterException")
    for override in request.get("overrides", {}).get("containerOverrides", []):
        if override.get("memory", 0) > memory or override.get("cpu", 0) > cpu:
            refuse(
                f"Invalid override for container {override['name']}: its cpu or memory is greater "
                "than the task's."
            )


def size(request: Json, definition: Json) -> tuple[int, int]:
    """Return the task's CPU units and MiB, with the overrides; on EC2 its containers' sum."""
    overrides = request.get("overrides", {})
    named = {each.get("name"): each for each in overrides.get("containerOverrides", [])}
    containers = [each | named.get(each["name"], {}) for each in definition["containerDefinitions"]]
    cpu = sizes.read_size(overrides.get("cpu") or definition.get("cpu"))
    memory = sizes.read_size(overrides.get("memory") or definition.get("memory"))
    return (
        cpu or sum(each.get("cpu") or 0 for each in containers),
        memory
        or sum(each.get("memory") or each.get("memoryReservation") or 0 for each in containers),
    )

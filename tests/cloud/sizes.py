"""Sizes of tasks: Fargate's combinations of cpu and memory, and their checks."""

import re
from typing import Final

from tests.cloud.service import AwsFault, Json

_GIB: Final = 1024
FARGATE: Final[dict[int, list[int]]] = {
    256: [512, 1024, 2048],
    512: [each * _GIB for each in range(1, 5)],
    1024: [each * _GIB for each in range(2, 9)],
    2048: [each * _GIB for each in range(4, 17)],
    4096: [each * _GIB for each in range(8, 31)],
    8192: [each * _GIB for each in range(16, 61, 4)],
    16384: [each * _GIB for each in range(32, 121, 8)],
}
"""CPU units and the MiB of memory that go with them."""

_SIZE: Final = re.compile(r"(\d*\.?\d+)\s*(vcpu|gb)?", re.IGNORECASE)


def read_size(text: object) -> int:
    """Read "1024", "1 vCPU" or "2 GB" as CPU units or MiB; 0 for nothing; may raise `AwsFault`."""
    if text in (None, ""):
        return 0
    found = _SIZE.fullmatch(str(text).strip())
    if not found:
        raise AwsFault("ClientException", f"Invalid setting for task: {text} is not a size.")
    return int(float(found[1]) * (1024 if found[2] else 1))


def check_fargate(cpu: int, memory: int, code: str) -> None:
    """Raise `AwsFault` with the code unless Fargate has the size."""
    if memory not in FARGATE.get(cpu, []):
        raise AwsFault(
            code,
            f"No Fargate configuration exists for given values: {cpu} CPU, {memory} memory. See "
            "the Amazon ECS documentation for the valid values.",
        )


def check_definition(request: Json) -> None:
    """Refuse what AWS refuses in a definition for Fargate, though moto takes it."""
    if "FARGATE" not in request.get("requiresCompatibilities", []):
        return
    for name in ("cpu", "memory"):
        if not request.get(name):
            _refuse(f"Fargate requires that '{name}' be defined at the task level.")
    check_fargate(read_size(request["cpu"]), read_size(request["memory"]), "ClientException")
    if request.get("networkMode") != "awsvpc":
        _refuse("Fargate only supports network mode 'awsvpc'.")
    drivers = {
        each.get("logConfiguration", {}).get("logDriver"): each.get("logConfiguration", {})
        for each in request.get("containerDefinitions", [])
    }
    if "awslogs" in drivers:
        _check_awslogs(request, drivers["awslogs"])


def _check_awslogs(request: Json, configuration: Json) -> None:
    if not request.get("executionRoleArn"):
        _refuse(
            "Fargate requires task definition to have execution role ARN to support log driver "
            "awslogs."
        )
    for option in ("awslogs-group", "awslogs-region", "awslogs-stream-prefix"):
        if not configuration.get("options", {}).get(option):
            _refuse(f"Log driver awslogs requires options: {option}.")


def _refuse(sentence: str) -> None:
    raise AwsFault("ClientException", sentence)

"""From a task definition and a request's overrides to the containers that will run."""

from dataclasses import dataclass

from tests.cloud.engine_settings import host_settings, mounts_of
from tests.cloud.runners import Errand
from tests.cloud.service import Json


@dataclass(frozen=True, slots=True)
class Plan:
    """One container of a task definition, with the overrides in it."""

    errand: Errand
    log: Json
    """The definition's logConfiguration."""
    secrets: list[Json]
    files: list[Json]
    """Files of variables in S3."""
    stop_timeout: float | None
    overridden: bool
    is_log_router: bool


def make_plans(definition: Json, overrides: Json, cpu: int, memory: int) -> list[Plan]:
    """Plan all containers of a task of this size in CPU units and MiB."""
    named = {each["name"]: each for each in overrides.get("containerOverrides", [])}
    return [
        _plan(each, definition, named.get(each["name"]), size=(cpu, memory))
        for each in definition["containerDefinitions"]
    ]


def runnable(plans: list[Plan]) -> list[Plan]:
    """Return all but the log routers, which are emulated."""
    return [plan for plan in plans if not plan.is_log_router]


def choose(plans: list[Plan]) -> Plan:
    """Return the container to run where only one can be: the essential one with overrides."""
    real = runnable(plans)
    essential = [plan for plan in real if plan.errand.essential]
    return next((plan for plan in essential if plan.overridden), (essential or real)[0])


def _plan(
    container: Json, definition: Json, override: Json | None, *, size: tuple[int, int]
) -> Plan:
    changes = override or {}
    environment = {
        each["name"]: each.get("value") or ""
        for each in (container.get("environment") or []) + (changes.get("environment") or [])
    }
    errand = Errand(
        name=container["name"],
        image=container["image"],
        entry_point=tuple(container.get("entryPoint") or ()),
        command=tuple(changes.get("command") or container.get("command") or ()),
        environment=environment,
        essential=container.get("essential", True),
        cpu=changes.get("cpu") or container.get("cpu") or 0,
        task_cpu=size[0],
        memory=changes.get("memory") or container.get("memory") or size[1],
        user=container.get("user") or "",
        folder=container.get("workingDirectory") or "",
        host=host_settings(container),
        mounts=mounts_of(container, definition),
        after=tuple(
            (each["containerName"], each["condition"]) for each in container.get("dependsOn") or []
        ),
    )
    return Plan(
        errand=errand,
        log=container.get("logConfiguration") or {},
        secrets=container.get("secrets") or [],
        files=(container.get("environmentFiles") or []) + (changes.get("environmentFiles") or []),
        stop_timeout=container.get("stopTimeout"),
        overridden=override is not None,
        is_log_router=bool(container.get("firelensConfiguration")),
    )

"""The RunTask request of a launch: the same bytes each time, as ECS's tokens demand."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from barbeque_py.ecs_settings import CONTAINER, Settings
from barbeque_py.errors import LaunchRefused
from barbeque_py.executor import Launch, Quota
from barbeque_py.executors.ecs_definition import beside, is_fargate, is_in_vpc, write_tags
from barbeque_py.executors.ecs_place import Place
from barbeque_py.fargate import fargate_size
from barbeque_py.ids import AttemptId
from barbeque_py.tickets import JobUrls

Json = dict[str, Any]

OVERRIDES = 8_192
"""Characters of the overrides that ECS takes, with all that makes them JSON."""

_MESSAGE = "BARBEQUE_MESSAGE"
_SHARE = 0.97
"""What we take of ECS's quotas: the rest is for consoles and retries."""
_BURST_SHARE = 0.75
"""What of their bursts: calls that leave late meet those of the tokens that came meanwhile."""


class Maker:
    """Makes the requests of one installation's launches."""

    def __init__(self, *, installation: str, urls: JobUrls | None) -> None:
        self._installation = installation
        self._urls = urls

    def started_by(self, attempt: AttemptId) -> str:
        """Return whose a task is: what its description and its events say."""
        return f"{self.ours}{attempt}"

    @property
    def ours(self) -> str:
        """What the `startedBy` of this installation's tasks begins with."""
        return f"bq/{self._installation}/"

    def make(self, launch: Launch) -> Json:
        """Return the request; raises `LaunchRefused` where the overrides are too long for ECS."""
        tags = {
            "barbeque.installation": self._installation,
            "barbeque.message_id": launch.message_id,
            "barbeque.attempt": str(launch.number),
            "barbeque.app": launch.app,
            "barbeque.job": launch.job,
        }
        request: Json = {
            **launch.details["run"],
            "clientToken": f"{launch.attempt}.{launch.launch_number}",
            "startedBy": self.started_by(launch.attempt),
            "count": 1,
            "overrides": self._overrides(launch),
            "tags": write_tags(tags),
        }
        # A launch read back from its row has its maps in another order.
        return dict(json.loads(json.dumps(request, sort_keys=True)))

    def _overrides(self, launch: Launch) -> Json:
        """Give the message as a variable where it fits, and its address wherever there is one."""
        variables = dict(launch.environment)
        if self._urls is not None:
            variables["BARBEQUE_MESSAGE_URL"] = self._urls.message(launch.attempt)
            variables |= self._urls.reports(launch.attempt)
        overrides = _overrides(launch, variables)
        if _MESSAGE in variables and length_of(overrides) <= OVERRIDES:
            return overrides
        variables.pop(_MESSAGE, None)
        overrides = _overrides(launch, variables)
        if (length := length_of(overrides)) > OVERRIDES:
            raise LaunchRefused(
                f"command and environment of {launch.app}/{launch.job} take {length:,} characters; "
                f"ECS takes {OVERRIDES:,}, the message apart: move variables to ecs.env_files or "
                "ecs.secrets, or shorten the command",
                blame_definition=True,
            )
        if self._urls is None:
            raise LaunchRefused(
                f"the message of {launch.message_id} does not fit into the {OVERRIDES:,} "
                "characters that ECS takes: set BARBEQUE_JOB_URL to where jobs reach this API, "
                "so that they can ask for it",
                blame_definition=False,
            )
        return overrides


def length_of(overrides: Json) -> int:
    """Return the length of the overrides as ECS counts it: UTF-16, JSON without spaces."""
    text = json.dumps(overrides, separators=(",", ":"), ensure_ascii=False)
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def details_of(settings: Settings, place: Place) -> dict[str, Any]:
    """Return all that starting the blueprint's tasks needs beside what each launch says.

    The task definition's ARN is not among it. Raises `ValueError` with the cure where something
    is missing.
    """
    fargate = is_fargate(settings)
    run: Json = {
        "cluster": str(place),
        "propagateTags": "TASK_DEFINITION",
        **_way(settings),
        **_network(settings),
        **({} if fargate else _placement(settings)),
    }
    if settings.get("exec"):
        run["enableExecuteCommand"] = True
    if fargate and settings.get("platform_version"):
        run["platformVersion"] = settings["platform_version"]
    cpu, memory = beside(settings)
    return {
        "run": run,
        "fargate": fargate,
        "beside": {"cpu": cpu, "memory": memory},
    }


def quotas_of(settings: Settings, place: Place, share: float = 1.0) -> tuple[Quota, ...]:
    """Return the buckets of the account and Region that one start draws from.

    `share` is how many times the published quotas are ours.
    """
    modify = replace(_quota(place, "modify", burst=100, rate=40, share=share), stops=True)
    if not is_fargate(settings):
        return (modify,)
    providers = {each["name"] for each in settings.get("capacity_providers", [])}
    spot = "FARGATE_SPOT" in providers or settings.get("launch") == "fargate_spot"
    on_demand = "FARGATE" in providers or settings.get("launch") == "fargate"
    kinds = [
        name for name, used in (("fargate-on-demand", on_demand), ("fargate-spot", spot)) if used
    ]
    calls = _quota(place, "fargate-calls", burst=20, rate=20, share=share)
    launches = [_quota(place, kind, burst=100, rate=20, share=share) for kind in kinds]
    return (modify, calls, *launches)


def _quota(place: Place, kind: str, *, burst: float, rate: float, share: float) -> Quota:
    burst, rate = burst * share * _BURST_SHARE, rate * share * _SHARE
    return Quota(f"{place.home}:{kind}", burst=max(1.0, burst), rate=rate)


def _overrides(launch: Launch, variables: Mapping[str, str]) -> Json:
    aside: Mapping[str, int] = launch.details["beside"]
    task: Json = {}
    cpu, memory = launch.cpu, launch.memory
    if launch.details["fargate"]:
        try:
            cpu, memory = fargate_size(cpu + aside["cpu"], memory + aside["memory"])
        except ValueError as error:
            raise LaunchRefused(f"{launch.app}/{launch.job}: {error}", blame_definition=True) from (
                error
            )
        task = {"cpu": str(cpu), "memory": str(memory)}
        cpu, memory = cpu - aside["cpu"], memory - aside["memory"]  # what is paid for is used
    job = {
        "name": CONTAINER,
        "command": list(launch.command),
        "environment": [
            {"name": name, "value": value} for name, value in sorted(variables.items())
        ],
        "cpu": cpu,
        "memory": memory,
    }
    return {"containerOverrides": [job], **task}


def _way(settings: Settings) -> Json:
    providers: list[Settings] = settings.get("capacity_providers", [])
    if providers:
        return {
            "capacityProviderStrategy": [
                {
                    "capacityProvider": each["name"],
                    "weight": each.get("weight", 1),
                    "base": each.get("base", 0),
                }
                for each in providers
            ]
        }
    if settings["launch"] == "fargate_spot":
        return {"capacityProviderStrategy": [{"capacityProvider": "FARGATE_SPOT", "weight": 1}]}
    return {"launchType": settings["launch"].upper()}


def _network(settings: Settings) -> Json:
    if not is_in_vpc(settings):
        return {}
    subnets = settings.get("subnets")
    if not subnets:
        raise ValueError(
            "tasks on Fargate need subnets: write subnets= into BARBEQUE_EXECUTOR, or ecs.subnets"
        )
    vpc: Json = {"subnets": list(subnets)}
    if groups := settings.get("security_groups"):
        vpc["securityGroups"] = list(groups)
    if is_fargate(settings):
        vpc["assignPublicIp"] = "ENABLED" if settings.get("public_ip") else "DISABLED"
    return {"networkConfiguration": {"awsvpcConfiguration": vpc}}


def _placement(settings: Settings) -> Json:
    said: Settings = settings.get("placement", {})
    placed: Json = {}
    if constraints := said.get("constraints"):
        placed["placementConstraints"] = constraints
    if strategy := said.get("strategy"):
        placed["placementStrategy"] = strategy
    return placed

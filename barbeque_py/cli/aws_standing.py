"""How an installation in AWS is now: its services, its alarms, the jobs that run."""

from collections.abc import Mapping
from contextlib import closing
from typing import Any

from barbeque_py.aws import open_client
from barbeque_py.cli.aws_asking import Refused, ask

_SERVICES = ("api", "console", "worker")


def services_of(values: Mapping[str, str], region: str) -> list[dict[str, Any]]:
    """Return how many tasks of each service run; nothing where there are no services."""
    cluster = values.get("ServiceCluster")
    if cluster is None:
        return []
    with closing(open_client("ecs", region=region, connections=2)) as ecs:
        try:
            answer = ask(ecs.describe_services, cluster=cluster, services=list(_SERVICES))
        except Refused:
            return []
    return [_standing(each) for each in answer["services"]]


def _standing(service: Mapping[str, Any]) -> dict[str, Any]:
    rollouts = [
        each.get("rolloutState", "")
        for each in service.get("deployments", [])
        if each.get("status") == "PRIMARY"
    ]
    return {
        "service": service["serviceName"],
        "running": service.get("runningCount", 0),
        "wanted": service.get("desiredCount", 0),
        "rollout": "".join(rollouts[:1]),
        "definition": service["taskDefinition"].rpartition("/")[2],
    }


def alarms_of(stack: str, region: str) -> list[dict[str, str]]:
    """Return the alarms of the stack that ring."""
    with closing(open_client("cloudwatch", region=region, connections=2)) as cloudwatch:
        answer = ask(cloudwatch.describe_alarms, AlarmNamePrefix=f"{stack}-", StateValue="ALARM")
    return [
        {"name": each["AlarmName"], "description": each.get("AlarmDescription", "")}
        for each in answer["MetricAlarms"]
    ]


def count_jobs(values: Mapping[str, str], region: str) -> int:
    """Return how many jobs run, up to a hundred."""
    cluster = values.get("JobCluster")
    if cluster is None:
        return 0
    with closing(open_client("ecs", region=region, connections=2)) as ecs:
        try:
            return len(ask(ecs.list_tasks, cluster=cluster)["taskArns"])
        except Refused:
            return 0  # the cluster is gone

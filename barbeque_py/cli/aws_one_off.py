"""One task of ECS, run to its end: migrations, and commands that need the database."""

import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any

from barbeque_py.aws import open_client
from barbeque_py.cli.aws_asking import Refused, ask
from barbeque_py.cli.aws_stacks import Tell
from barbeque_py.cli.exits import Failure

_PATIENCE = 30.0
_PAUSE = 3.0


def run_once(
    definition: str,
    values: Mapping[str, str],
    region: str,
    tell: Tell,
    *,
    command: Sequence[str] = (),
    pause: float = _PAUSE,
) -> int:
    """Run the task definition in the cluster of our services, and return its exit code.

    `values` are the stacks' outputs and parameters. Tells how the task fares and what it wrote.
    Raises `Failure` where it did not run.
    """
    with closing(open_client("ecs", region=region, connections=2, patience=_PATIENCE)) as ecs:
        task = _start(ecs, definition, values, command)
        tell(f"the task {task.rpartition('/')[2]} of {definition.rpartition('/')[2]} was started")
        ended = _wait(ecs, values["ServiceCluster"], task, tell, pause)
    _tell_lines(definition, task, values["ServiceLogs"], region, tell)
    container = ended["containers"][0]
    if container.get("exitCode") is None:
        reason = container.get("reason") or ended.get("stoppedReason") or "ECS did not say why"
        raise Failure(f"the task did not run: {reason}")
    return int(container["exitCode"])


def _start(ecs: Any, definition: str, values: Mapping[str, str], command: Sequence[str]) -> str:
    overrides = {}
    if command:
        name = _container_of(definition)
        overrides = {"containerOverrides": [{"name": name, "command": list(command)}]}
    answer = ask(
        ecs.run_task,
        cluster=values["ServiceCluster"],
        taskDefinition=definition,
        launchType="FARGATE",
        startedBy="barbeque-deploy",
        overrides=overrides,
        networkConfiguration={
            "awsvpcConfiguration": {
                "subnets": values["PrivateSubnets"].split(","),
                "securityGroups": [values["DatabaseClients"]],
                "assignPublicIp": "DISABLED",
            }
        },
    )
    if not answer["tasks"]:
        reason = (answer.get("failures") or [{}])[0].get("reason", "ECS did not say why")
        raise Failure(f"ECS did not start the task: {reason}; try again in a minute")
    return str(answer["tasks"][0]["taskArn"])


def _container_of(definition: str) -> str:
    """Return the name of our definition's container: the last word of `INSTALLATION-barbeque-X`."""
    return definition.rpartition("/")[2].partition(":")[0].rpartition("-")[2]


def _wait(ecs: Any, cluster: str, task: str, tell: Tell, pause: float) -> dict[str, Any]:
    told = ""
    while True:
        found = ask(ecs.describe_tasks, cluster=cluster, tasks=[task])["tasks"]
        status = str(found[0]["lastStatus"]) if found else "unknown"
        if status != told:
            told = status
            tell(f"the task is {status}")
        if status == "STOPPED":
            return dict(found[0])
        time.sleep(pause)


def _tell_lines(definition: str, task: str, group: str, region: str, tell: Tell) -> None:
    stream = f"barbeque/{_container_of(definition)}/{task.rpartition('/')[2]}"
    with closing(open_client("logs", region=region, connections=2)) as logs:
        try:
            answer = ask(
                logs.get_log_events, logGroupName=group, logStreamName=stream, startFromHead=True
            )
        except Refused:
            return  # it wrote nothing
    for event in answer["events"]:
        tell(str(event["message"]))

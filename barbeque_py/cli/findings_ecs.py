"""What `barbeque check` looks at in ECS: clusters, networks, roles, logs, and quotas."""

import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from barbeque_py.cli.aws_asking import (
    Caller,
    NotAllowed,
    Refused,
    Trial,
    ask,
    denied,
    look,
    open_asker,
)
from barbeque_py.cli.finding import FAULT, NOTE, OK, WARNING, Finding, attempt_all, listed
from barbeque_py.durations import format_duration
from barbeque_py.ecs_settings import Settings as EcsSettings
from barbeque_py.ecs_settings import merged
from barbeque_py.ecs_url import EcsUrl
from barbeque_py.settings import Settings
from barbeque_py.store import Tx, apps

_TASKS = "ecs-tasks.amazonaws.com"
_SHORT_WINDOW = timedelta(minutes=5)
_SLOW_LOGS = frozenset(
    {
        "ap-northeast-3",
        "ap-southeast-3",
        "ca-west-1",
        "eu-central-1",
        "eu-west-1",
        "il-central-1",
        "us-west-2",
    }
)
_FAST_LOGS = frozenset({"eu-west-3"})
_SLOW, _USUAL, _FAST = 10, 25, 30
"""GetLogEvents calls a second that an account has in a Region; AWS does not raise it."""
_CALLS_OF_A_LOG = 2
_ACTIONS = (
    "ecs:RunTask",
    "ecs:StopTask",
    "ecs:DescribeTasks",
    "ecs:ListTasks",
    "ecs:RegisterTaskDefinition",
    "ecs:TagResource",
)
_NO_TASK = "00000000000000000000000000000000"


@dataclass(frozen=True, slots=True)
class Way:
    """How the tasks of one job run, or of every job where none is defined."""

    owner: str
    """`app/job`, or BARBEQUE_EXECUTOR."""
    said: EcsSettings

    @property
    def fargate(self) -> bool:
        """Whether it is Fargate that runs them."""
        providers = self.said.get("capacity_providers")
        if providers:
            return bool(str(providers[0]["name"]).startswith("FARGATE"))
        return bool(self.said["launch"] != "ec2")

    @property
    def by_firelens(self) -> bool:
        """Whether FireLens carries their logs."""
        return bool(self.said.get("logs") == "firelens")

    @property
    def log_group(self) -> tuple[str | None, str | None]:
        """The Region and the group of their logs, None where the usual ones are meant."""
        log = self.said.get("log", {})
        return log.get("region"), log.get("group")


def ways(tx: Tx, url: EcsUrl) -> list[Way]:
    """Return how each job runs here, by what its app and it say over the URL."""
    usual: EcsSettings = {
        "cluster": url.cluster,
        "execution_role": url.execution_role,
        "launch": url.launch,
        "security_groups": list(url.security_groups),
        "subnets": list(url.subnets),
        "task_role": url.task_role,
    }
    owners = {app.name: app for app in apps.all_apps(tx)}
    found = [
        Way(f"{job.app}/{job.name}", {**usual, **merged(owners[job.app], job)})
        for job in apps.all_jobs(tx)
        if job.app in owners
    ]
    return found or [Way("BARBEQUE_EXECUTOR", usual)]


def look_at_ecs(
    settings: Settings, url: EcsUrl, found: Sequence[Way], installation: str, caller: Caller | None
) -> Iterator[Finding]:
    """Look at what the executor and its tasks need."""
    region = url.region or settings.aws_region
    yield from _words(settings, url)
    yield from attempt_all("executor", lambda: _ecs(url, region, found, installation, caller))
    yield from attempt_all("network", lambda: _networks(found, region))
    yield from attempt_all("roles", lambda: _roles(found, caller))
    yield from attempt_all("task logs", lambda: _log_groups(found, url, installation, region))
    yield from _bounds(found, region or (caller.region if caller else ""))


def _ecs(
    url: EcsUrl, region: str | None, found: Sequence[Way], installation: str, caller: Caller | None
) -> Iterator[Finding]:
    with closing(open_asker("ecs", region)) as client:
        faults = 0
        for cluster in sorted({str(way.said["cluster"]) for way in found} | {url.cluster}):
            for finding in _cluster(client, cluster, found):
                faults += finding.level == FAULT
                yield finding
        if not faults:
            yield from _permissions(client, url, region, installation, caller)


def _words(settings: Settings, url: EcsUrl) -> Iterator[Finding]:
    if settings.job_url is None:
        yield Finding(
            FAULT,
            "jobs",
            "BARBEQUE_JOB_URL is not set, so no job on ECS can fetch a message of more than some "
            "6,000 characters: set it to where tasks reach the API, as in "
            "http://barbeque.internal:3004",
        )
    window = format_duration(url.token_window)
    if url.token_window < _SHORT_WINDOW:
        yield Finding(
            WARNING,
            "executor",
            f"token_window is {window}: a start whose answer was lost for longer uses up a try of "
            "its job; leave it out (50m) but in tests",
        )
    else:
        yield Finding(
            OK,
            "executor",
            f"a start is repeated for {window}, less than the hour for which ECS knows its token",
        )


def _cluster(client: Any, cluster: str, found: Sequence[Way]) -> Iterator[Finding]:
    try:
        answer = ask(client.describe_clusters, clusters=[cluster])
    except NotAllowed as error:
        yield Finding(FAULT, "cluster", f"the role may not do ecs:DescribeClusters: {error}")
        return
    there = next(iter(answer.get("clusters", [])), None)
    if there is None:
        make = f"`aws ecs create-cluster --cluster-name {cluster.rpartition('/')[2]}` makes it"
        yield Finding(
            FAULT, "cluster", f"there is no ECS cluster {cluster}: {make}, or name another one"
        )
        return
    if there["status"] != "ACTIVE":
        yield Finding(
            FAULT,
            "cluster",
            f"the ECS cluster {cluster} is {there['status']}, not ACTIVE: it was deleted; make it "
            "again, or name another one",
        )
        return
    ours = [way for way in found if way.said["cluster"] == cluster]
    yield from _providers(cluster, there, ours)


def _providers(cluster: str, there: dict[str, Any], ours: Sequence[Way]) -> Iterator[Finding]:
    wanted: dict[str, str] = {}
    for way in ours:
        for each in way.said.get("capacity_providers") or []:
            wanted[str(each["name"])] = way.owner
        if not way.said.get("capacity_providers") and way.said["launch"] == "fargate_spot":
            wanted["FARGATE_SPOT"] = way.owner
    missing = sorted(wanted.keys() - set(there.get("capacityProviders", [])))
    if missing:
        yield Finding(
            FAULT,
            "cluster",
            f"the cluster {cluster} has no capacity provider {listed(missing)}, which "
            f"{wanted[missing[0]]} uses: `aws ecs put-cluster-capacity-providers` adds it",
        )
        return
    on_ec2 = [way.owner for way in ours if not way.fargate and "capacity_providers" not in way.said]
    if on_ec2 and not there.get("registeredContainerInstancesCount"):
        yield Finding(
            WARNING,
            "cluster",
            f"the cluster {cluster} has no container instances, so {listed(on_ec2)} wait: start "
            "some, or run on Fargate",
        )
        return
    yield Finding(OK, "cluster", f"{there['clusterArn']} is ACTIVE")


def _permissions(
    client: Any, url: EcsUrl, region: str | None, installation: str, caller: Caller | None
) -> Iterator[Finding]:
    """Try what starts nothing; that RunTask is let in is sure only by IAM's simulation."""
    absent = f"barbeque-{installation}-check:1"
    cluster = {"cluster": url.cluster}
    refused = denied(
        [
            Trial("ecs:ListTasks", client.list_tasks, cluster | {"startedBy": "barbeque-check"}),
            Trial("ecs:DescribeTasks", client.describe_tasks, cluster | {"tasks": [_NO_TASK]}),
            Trial("ecs:StopTask", client.stop_task, cluster | {"task": _NO_TASK}),
            Trial("ecs:RunTask", client.run_task, cluster | {"taskDefinition": absent}),
        ]
    )
    simulated = None
    if caller is not None:
        name = url.cluster.rpartition("/")[2]
        arn = caller.arn_of("ecs", f"cluster/{name}", region)
        simulated = caller.refused(_ACTIONS, ["*"], {"ecs:cluster": arn})
    refused = sorted({*refused, *(simulated or ())})
    if refused:
        yield Finding(
            FAULT,
            "executor",
            f"the role may not do {listed(refused, most=9)}: allow it in the worker's policy",
        )
    elif simulated is None:
        yield Finding(
            NOTE,
            "executor",
            "ListTasks, DescribeTasks and StopTask are allowed; RunTask of a definition that does "
            "not exist was not denied, which is no proof, and RegisterTaskDefinition can't be "
            "tried: allow iam:SimulatePrincipalPolicy to have them looked at",
        )
    else:
        yield Finding(OK, "executor", "the role may start, find and stop tasks")


def _networks(found: Sequence[Way], region: str | None) -> Iterator[Finding]:
    """Look whether the tasks have a network, and whether that is there."""
    without = [way.owner for way in found if way.fargate and not way.said.get("subnets")]
    if without:
        yield Finding(
            FAULT,
            "network",
            f"tasks on Fargate need subnets, which {listed(without)} lacks: write subnets= into "
            "BARBEQUE_EXECUTOR, or ecs.subnets into the app",
        )
    subnets = sorted({each for way in found for each in way.said.get("subnets") or []})
    groups = sorted({each for way in found for each in way.said.get("security_groups") or []})
    if not subnets:
        return
    with closing(open_asker("ec2", region)) as client:
        try:
            nets = look(client.describe_subnets, SubnetIds=subnets)
            if nets is not None and groups:
                look(client.describe_security_groups, GroupIds=groups)
        except Refused as error:
            yield Finding(
                FAULT, "network", f"{error}: correct subnets and security_groups, or the Region"
            )
            return
    if nets is None:
        yield Finding(
            NOTE,
            "network",
            f"{listed(subnets)} was not looked at: that needs ec2:DescribeSubnets and "
            "ec2:DescribeSecurityGroups, and EC2's API in reach",
        )
        return
    free = sum(each.get("AvailableIpAddressCount", 0) for each in nets["Subnets"])
    yield Finding(
        OK, "network", f"{listed(subnets)} with {free} free addresses: each task takes one"
    )


def _roles(found: Sequence[Way], caller: Caller | None) -> Iterator[Finding]:
    """Look at the roles of tasks: that there is one, that ECS may take it, that we may pass it."""
    without = [way.owner for way in found if way.fargate and not way.said.get("execution_role")]
    if without:
        yield Finding(
            FAULT,
            "roles",
            f"tasks on Fargate need an execution role, which {listed(without)} lacks: write "
            "execution_role= into BARBEQUE_EXECUTOR, or ecs.execution_role into the app",
        )
    kinds = ("execution_role", "task_role")
    roles = sorted({str(way.said[kind]) for way in found for kind in kinds if way.said.get(kind)})
    if not roles:
        return
    if caller is None:
        yield Finding(
            NOTE, "roles", f"{listed(roles)}: not looked at, as AWS does not tell who asks"
        )
        return
    for role in roles:
        yield _role(role, caller)


def _role(role: str, caller: Caller) -> Finding:
    try:
        there = caller.role(role)
    except Refused:
        return Finding(
            FAULT, "roles", f"there is no role {role}: make it, or correct BARBEQUE_EXECUTOR"
        )
    if there is not None and _TASKS not in json.dumps(there.get("AssumeRolePolicyDocument", {})):
        return Finding(
            FAULT,
            "roles",
            f"ECS may not take the role {role}: let its trust policy name {_TASKS}",
        )
    arn = role if role.startswith("arn:") else caller.arn_of("iam", f"role/{role}")
    if there is not None:
        arn = str(there["Arn"])
    refused = caller.refused(["iam:PassRole"], [arn], {"iam:PassedToService": _TASKS})
    if refused:
        return Finding(
            FAULT,
            "roles",
            f"the worker's role may not pass {role} to tasks: allow it iam:PassRole on {arn}",
        )
    if refused is None:
        needed = "iam:SimulatePrincipalPolicy" + ("" if there else " and iam:GetRole")
        return Finding(
            NOTE, "roles", f"whether tasks can be given {role} was not looked at: needs {needed}"
        )
    return Finding(OK, "roles", f"{role} can be passed to tasks")


def _log_groups(
    found: Sequence[Way], url: EcsUrl, installation: str, region: str | None
) -> Iterator[Finding]:
    usual = url.log_group or f"/barbeque/{installation}"
    places = {(at or region, group or usual) for at, group in (way.log_group for way in found)}
    for at, group in sorted(places, key=str):
        with closing(open_asker("logs", at)) as client:
            yield _log_group(client, group)


def _log_group(client: Any, group: str) -> Finding:
    try:
        ask(client.get_log_events, logGroupName=group, logStreamName="barbeque-check", limit=1)
    except NotAllowed:
        return Finding(
            FAULT,
            "task logs",
            f"the role may not do logs:GetLogEvents on {group}: allow it in the worker's policy, "
            "and in that of the API and the console, which show logs while tasks run",
        )
    except Refused:
        if not _is_there(client, group):
            return Finding(
                FAULT,
                "task logs",
                f"there is no log group {group}, without which no task starts: "
                f"`aws logs create-log-group --log-group-name {group}`",
            )
    return Finding(OK, "task logs", f"the log group {group} is there and can be read")


def _is_there(client: Any, group: str) -> bool:
    """Tell whether the group is there: CloudWatch says of a stream, too, that it is not found."""
    try:
        ask(client.describe_log_streams, logGroupName=group, limit=1)
    except Refused:
        return False
    except NotAllowed:
        return True
    return True


def _bounds(found: Sequence[Way], region: str) -> Iterator[Finding]:
    """Say what AWS's quotas allow where nobody has had them raised."""
    fargate = any(way.fargate for way in found)
    rate = "20 tasks a second on Fargate" if fargate else "40 starts and stops a second"
    yield Finding(
        NOTE,
        "quotas",
        f"{rate} is what AWS lets an account start in a Region; workers share 97 % of it",
    )
    by_cloudwatch = [way.owner for way in found if not way.by_firelens]
    if not by_cloudwatch:
        return
    calls = _SLOW if region in _SLOW_LOGS else _FAST if region in _FAST_LOGS else _USUAL
    yield Finding(
        NOTE,
        "quotas",
        f"{region} has {calls} GetLogEvents a second, so {calls // _CALLS_OF_A_LOG} attempts a "
        f"second get their logs from CloudWatch; beyond that logs come later: write logs: firelens "
        "for the busiest apps",
    )

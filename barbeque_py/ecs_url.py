"""The executor's URL for a fleet: `ecs:CLUSTER?region=eu-west-1&subnets=subnet-0a1b2c3d`."""

import difflib
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, cast
from urllib.parse import parse_qsl

from barbeque_py.durations import format_duration, parse_duration

Launch = Literal["fargate", "fargate_spot", "ec2"]

_FORM = "write ecs:CLUSTER?region=REGION&subnets=subnet-...,subnet-...&execution_role=ROLE"
_ARN = r"arn:aws[a-z-]*:"
_CLUSTER = re.compile(rf"({_ARN}ecs:[a-z0-9-]+:\d{{12}}:cluster/)?[A-Za-z0-9_-]{{1,255}}")
_REGION = re.compile(r"[a-z]{2,4}(-[a-z]+)+-\d")
_SUBNET = re.compile(r"subnet-[0-9a-f]{8,32}")
_GROUP = re.compile(r"sg-[0-9a-f]{8,32}")
_ROLE = re.compile(rf"{_ARN}iam::\d{{12}}:role/[\w+=,.@/-]{{1,512}}|[\w+=,.@-]{{1,64}}", re.ASCII)
_PLATFORM = re.compile(r"LATEST|\d{1,3}(\.\d{1,3}){2}")
_LOG_GROUP = re.compile(r"[\w./#-]{1,512}", re.ASCII)
_QUEUE = re.compile(r"[A-Za-z0-9_-]{1,80}")
_MOST_SUBNETS, _MOST_GROUPS, _MOST_SLOTS = 16, 5, 100_000
_LEAST_QUOTA, _MOST_QUOTA = 0.01, 100
_SWITCHES = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class EcsUrl:
    """Where and how a fleet's tasks run, where an app or a job does not say otherwise."""

    cluster: str
    """A cluster's name or ARN."""
    region: str | None = None
    """None is what the AWS settings say, or the Region of the cluster's ARN."""
    subnets: tuple[str, ...] = ()
    security_groups: tuple[str, ...] = ()
    public_ip: bool = False
    launch: Launch = "fargate"
    task_role: str | None = None
    execution_role: str | None = None
    platform_version: str | None = None
    exec: bool = False
    """Whether `aws ecs execute-command` gets into the containers."""
    log_group: str | None = None
    """None is `/barbeque/<installation>`."""
    events: str | None = None
    """The SQS queue that EventBridge sends to; None is `barbeque-<installation>-task-events`."""
    slots: int | None = None
    """How many attempts the cluster may run at once; None is any number."""
    quota: float = 1.0
    """How many times the quotas of starts that ECS publishes are ours; may be a fraction."""
    token_window: timedelta = timedelta(minutes=50)
    """For how long a start may be repeated: below the hour after which ECS forgets its token."""
    log_wait: timedelta = timedelta(seconds=15)
    """How long after a task's end its log is read."""
    check_every: timedelta = timedelta(seconds=60)
    """How often every running task is looked at, 100 a call; fewer wait five times as long."""


def read_ecs_url(text: str) -> EcsUrl:
    """Read the URL; raises `ValueError` with the cure."""
    kind, colon, rest = text.partition(":")
    cluster, _, query = rest.partition("?")
    if kind != "ecs" or not colon or not cluster:
        raise ValueError(_FORM)
    if _CLUSTER.fullmatch(cluster) is None:
        raise ValueError(f"{cluster!r} is not a cluster's name or ARN; {_FORM}")
    facts = {name: _read(name, value) for name, value in _parameters(query).items()}
    facts.setdefault("region", cluster.split(":")[3] if cluster.startswith("arn:") else None)
    url = EcsUrl(cluster=cluster, **facts)
    if cluster.startswith("arn:") and f":ecs:{url.region}:" not in cluster:
        raise ValueError(f"the cluster's ARN is not of the Region {url.region}; leave region out")
    if url.public_ip and url.launch == "ec2":
        raise ValueError("public_ip is for Fargate; leave it out, or launch=ec2")
    return url


def _parameters(query: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
    except ValueError:
        raise ValueError("parameters are NAME=VALUE, joined by &") from None
    found: dict[str, str] = {}
    for name, value in pairs:
        if name not in _READERS:
            near = difflib.get_close_matches(name, _READERS, n=1)
            cure = f"did you mean {near[0]}?" if near else f"known: {', '.join(_READERS)}"
            raise ValueError(f"the parameter {name!r} is unknown; {cure}")
        if name in found:
            raise ValueError(f"the parameter {name!r} stands twice; keep one")
        found[name] = value
    return found


def _read(name: str, value: str) -> Any:
    try:
        return _READERS[name](value)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _matching(form: re.Pattern[str], meaning: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if form.fullmatch(text) is None:
            raise ValueError(f"{text[:80]!r} is not {meaning}")
        return text

    return read


def _several(form: re.Pattern[str], meaning: str, *, most: int) -> Callable[[str], tuple[str, ...]]:
    check = _matching(form, meaning)

    def read(text: str) -> tuple[str, ...]:
        found = tuple(check(each.strip()) for each in text.split(","))
        if len(set(found)) < len(found) or len(found) > most:
            raise ValueError(f"write up to {most}, each once, joined by commas")
        return found

    return read


def _switch(text: str) -> bool:
    if text.lower() not in _SWITCHES:
        raise ValueError("write 1, true or yes for on; 0, false or no for off")
    return _SWITCHES[text.lower()]


def _launch(text: str) -> Launch:
    if text not in ("fargate", "fargate_spot", "ec2"):
        raise ValueError("write fargate, fargate_spot or ec2")
    return cast("Launch", text)


def _slots(text: str) -> int:
    if re.fullmatch(r"[0-9]{1,6}", text) is None or not 1 <= int(text) <= _MOST_SLOTS:
        raise ValueError(f"write a whole number from 1 to {_MOST_SLOTS}")
    return int(text)


def _quota(text: str) -> float:
    written = re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,2})?", text)
    if written is None or not _LEAST_QUOTA <= float(text) <= _MOST_QUOTA:
        raise ValueError(f"write a number from {_LEAST_QUOTA} to {_MOST_QUOTA}, as in 5 or 0.5")
    return float(text)


def _between(least: timedelta, most: timedelta) -> Callable[[str], timedelta]:
    def read(text: str) -> timedelta:
        duration = parse_duration(text)
        if not least <= duration <= most:
            raise ValueError(f"write {format_duration(least)} to {format_duration(most)}")
        return duration

    return read


_READERS: dict[str, Callable[[str], Any]] = {
    "region": _matching(_REGION, "a Region, as in eu-west-1"),
    "subnets": _several(_SUBNET, "a subnet's id, as in subnet-0a1b2c3d", most=_MOST_SUBNETS),
    "security_groups": _several(
        _GROUP, "a security group's id, as in sg-0a1b2c3d", most=_MOST_GROUPS
    ),
    "public_ip": _switch,
    "launch": _launch,
    "task_role": _matching(_ROLE, "a role's name or ARN"),
    "execution_role": _matching(_ROLE, "a role's name or ARN"),
    "platform_version": _matching(_PLATFORM, "a version, as in 1.4.0, or LATEST"),
    "exec": _switch,
    "log_group": _matching(_LOG_GROUP, "a log group's name"),
    "events": _matching(_QUEUE, "an SQS queue's name"),
    "slots": _slots,
    "quota": _quota,
    # for tests and special needs: a longer window would start tasks twice
    "token_window": _between(timedelta(seconds=1), timedelta(minutes=50)),
    "log_wait": _between(timedelta(0), timedelta(minutes=5)),
    "check_every": _between(timedelta(seconds=1), timedelta(minutes=10)),
}

"""What an answer of RunTask, or its refusal, means for the attempt."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from barbeque_py.aws import code_of, explain, is_definite, is_throttle, message_of
from barbeque_py.errors import (
    BarbequeError,
    ExecutorUnavailable,
    LaunchRefused,
    NoCapacity,
    Throttled,
)

_SETTINGS = "check the job's ecs settings"
_REFUSALS = {
    "AccessDeniedException": "let the worker's role run this task definition and pass its roles",
    "ClientException": _SETTINGS,
    "ClusterNotFoundException": "make the cluster, or name another one (ecs.cluster)",
    "InvalidParameterException": _SETTINGS,
    "PlatformTaskDefinitionIncompatibilityException": "name another ecs.platform_version",
    "PlatformUnknownException": "name another ecs.platform_version",
    "UnsupportedFeatureException": "leave out the ecs setting that this Region does not have",
}
_FULL = re.compile(
    r"reached the limit|limit (on|of) the number of|PROVISIONING"
    r"|No Container Instances were found|Capacity is unavailable",
    re.IGNORECASE,
)
_GONE = re.compile(
    r"task ?definition.*(inactive|not found|not active)|unable to describe", re.IGNORECASE
)


def no_capacity(failures: Sequence[Mapping[str, Any]]) -> NoCapacity:
    """Return the error for a task that was not placed, in ECS's words."""
    first = next(iter(failures), {})
    said = [str(first[name]) for name in ("reason", "detail") if first.get(name)]
    return NoCapacity("ECS has no room: " + (" - ".join(said) or "it does not say why"))


def meaning(error: BaseException) -> BarbequeError:
    """Return what a failed RunTask means: a definite no, a definite "not now", or unknown."""
    code, words = code_of(error), message_of(error)
    if code == "BlockedException":
        return ExecutorUnavailable(
            f"AWS has blocked this account, nothing can be started: {words} - contact AWS Support"
        )
    if _FULL.search(words) and is_definite(error):
        return NoCapacity(f"ECS has no room: {words}")
    if is_throttle(error):
        return Throttled(f"ECS was asked too often: {explain(error)}")
    if is_refusal(error):
        cure = _REFUSALS.get(code, _SETTINGS)
        return LaunchRefused(
            f"ECS refused the task: {explain(error)} - {cure}", blame_definition=True
        )
    return ExecutorUnavailable(f"starting a task on ECS failed: {explain(error)}")


def is_refusal(error: BaseException) -> bool:
    """Tell whether it is what was asked for that ECS refuses, and not who asks for it."""
    return code_of(error) in _REFUSALS or (not code_of(error) and is_definite(error))


def names_inactive(error: BaseException) -> bool:
    """Tell whether the refusal is about a task definition that is gone, which can be made anew."""
    return code_of(error) in ("ClientException", "InvalidParameterException") and bool(
        _GONE.search(message_of(error))
    )


def conflicting(error: BaseException) -> list[str] | None:
    """Return the tasks that the token has started with another request; None for other errors."""
    if code_of(error) != "ConflictException":
        return None
    response: Mapping[str, Any] = getattr(error, "response", {})
    return [str(each) for each in response.get("resourceIds") or ()]

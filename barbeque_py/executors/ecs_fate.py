"""How an ECS task stands, and how it ended, read from its description or an event."""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from barbeque_py.ecs_settings import CONTAINER
from barbeque_py.executor import Sighting, Standing
from barbeque_py.outcomes import Fate, Reason

Json = Mapping[str, Any]

STOPPED = "STOPPED"
_NOT_STARTED = "TaskFailedToStart"
_BY_REQUEST = "UserInitiated"
_OF_ITSELF = "EssentialContainerExited"
_INTERRUPTIONS = frozenset(
    {"InfrastructureHealth", "ServiceSchedulerInitiated", "SpotInterruption", "TerminationNotice"}
)
_OUT_OF_MEMORY = "OutOfMemoryError"
_KILLED = 137
_HOST = re.compile(
    r"host ec2 \(?instance|spot (task|instance) was (interrupted|terminated)", re.IGNORECASE
)
_NETWORK = re.compile(
    r"timed? ?-?out|deadline exceeded|dial tcp|connection (reset|refused|closed)"
    r"|no such host|no route to host|unreachable|temporary failure|tls handshake|\beof\b"
    r"|too ?many ?requests|rate limit|rate exceeded|throttl|server misbehaving"
    r"|requesterror|requestcanceled|send request failed"
    r"|\b50[0234]\b|internal server error|service unavailable|bad gateway|capacity",
    re.IGNORECASE,
)
_DEFINITION = re.compile(
    r"not ?found|notfound|does not exist|no such|manifest unknown|name unknown|denied"
    r"|unauthorized|unauthori[sz]ed|not authori[sz]ed|forbidden|\b40[134]\b|no basic auth"
    r"|invalid|can't find|cannot find|failed to validate|no matching manifest|nosuchkey"
    r"|nosuchbucket|image manifest does not contain|exec format|executable file|permission",
    re.IGNORECASE,
)
_OF_COMMAND = ("CannotStartContainerError", "CannotCreateContainerError")
_CURES = (
    ("CannotPull", "check the image's name, and whether execution_role may pull it"),
    ("log group", "make the log group, or name one that is there (ecs.log.group)"),
    ("secret|parameter|ssm", "check ecs.secrets and what execution_role may do"),
    ("env file|environment file", "check ecs.env_files and what execution_role may do"),
    ("executable file|no such file|exec:", "check the job's command"),
    ("efs|mount", "check ecs.volumes"),
)
_LONGEST = 2000


def see(task: Json) -> Sighting:
    """Judge a described task, or the one of an event."""
    handle, version = str(task["taskArn"]), task.get("version")
    started = instant(task.get("startedAt"))
    since = None if started is None else started.timestamp()
    counted = version if isinstance(version, int) else None
    if task["lastStatus"] != STOPPED:
        return Sighting(Standing.RUNNING, handle, started_at=since, version=counted)
    return Sighting(Standing.ENDED, handle, fate_of(task), since, counted)


def fate_of(task: Json) -> Fate:
    """Say how a stopped task ended."""
    started = instant(task.get("startedAt"))
    ended = instant(task.get("executionStoppedAt")) or instant(task.get("stoppedAt"))
    if started is not None and ended is not None:
        ended = max(started, ended)  # a short command may be over before its start is noted
    reason, detail, at_fault = _judge(task)
    return Fate(
        reason,
        _exit_code(task),
        detail[:_LONGEST],
        started_at=started,
        finished_at=ended,
        blame_definition=at_fault,
    )


def instant(value: object) -> datetime | None:
    """Read a time as the SDK gives it or as events have it; raises `ValueError`."""
    if value is None:
        return None
    found = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    if found.tzinfo is None:
        raise ValueError(f"{value} has no time zone")
    return found.astimezone(UTC)


def _judge(task: Json) -> tuple[Reason, str, bool]:
    code, stop = _exit_code(task), task.get("stopCode", "")
    words = _words(task)
    if _was_out_of_memory(task, code):
        return Reason.OUT_OF_MEMORY, words, True
    if code == 0:
        return Reason.EXITED, "" if stop == _OF_ITSELF else words, True
    if stop in _INTERRUPTIONS or (code is None and _HOST.search(words)):
        return Reason.INTERRUPTED, words, True
    if code is not None:
        return Reason.EXITED, words, True
    return _without_exit_code(task, words)


def _without_exit_code(task: Json, words: str) -> tuple[Reason, str, bool]:
    stop = task.get("stopCode")
    if stop == _BY_REQUEST:
        return Reason.INTERRUPTED, words, True
    if stop == _NOT_STARTED or task.get("startedAt") is None:
        return _not_started(task, words)
    return Reason.VANISHED, f"ECS does not tell the exit code: {words}", True


def _not_started(task: Json, words: str) -> tuple[Reason, str, bool]:
    """Tell whose fault it is that the command never ran; in doubt not the definition's."""
    if _NETWORK.search(words) is None and _is_definitions_fault(task, words):
        cure = next((cure for sign, cure in _CURES if re.search(sign, words, re.IGNORECASE)), "")
        return Reason.NEVER_STARTED, f"{words} ({cure})" if cure else words, True
    return Reason.INTERRUPTED, words, True


def _is_definitions_fault(task: Json, words: str) -> bool:
    if any(sign in words for sign in _OF_COMMAND) or _DEFINITION.search(words):
        return True
    return any(each.get("exitCode") for each in _containers(task))  # one that `app` waits for


def _was_out_of_memory(task: Json, code: int | None) -> bool:
    app = _app(task)
    if _OUT_OF_MEMORY in app.get("reason", ""):
        return code != 0
    return code == _KILLED and _OUT_OF_MEMORY in task.get("stoppedReason", "")


def _exit_code(task: Json) -> int | None:
    code = _app(task).get("exitCode")
    return code if isinstance(code, int) else None


def _app(task: Json) -> Json:
    return next((each for each in _containers(task) if each.get("name") == CONTAINER), {})


def _containers(task: Json) -> list[Json]:
    return list(task.get("containers") or ())


def _words(task: Json) -> str:
    """Return what ECS says of the end, of the other containers, too, each sentence once."""
    said = dict.fromkeys(filter(None, map(str.strip, _sentences(task))))
    return "; ".join(said) or f"ECS gave no reason ({task.get('stopCode') or 'no stopCode'})"


def _sentences(task: Json) -> Iterator[str]:
    yield str(task.get("stoppedReason") or "")
    yield str(_app(task).get("reason") or "")
    for each in _containers(task):
        name, code, reason = each.get("name"), each.get("exitCode"), each.get("reason") or ""
        if name != CONTAINER and (code or reason):
            ended = "ended" if code is None else f"ended with exit code {code}"
            yield f"the container {name} {ended}" + (f": {reason}" if reason else "")

"""What a container's state, as the Docker engine tells it, says about an attempt."""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from barbeque_py.errors import LaunchRefused
from barbeque_py.executor import Sighting, Standing
from barbeque_py.outcomes import Fate, Reason

_NEVER = "0001-01-01"
_NO_COMMAND = (126, 127)
_SIGNALLED = (137, 143)
_LOST = 255
_FAULTS_OF_DEFINITION = re.compile(
    r"unable to find user|no matching entries|network \S+ not found|argument list too long"
)

EngineStart = Callable[[], datetime | None]
"""Tells since when the engine runs, as far as is known; costs a call or two."""


def see(inspected: Mapping[str, Any], engine_start: EngineStart) -> Sighting:
    """Judge an inspected container."""
    state, handle = inspected["State"], inspected["Id"]
    if _was_started(state):
        started = instant(state["StartedAt"])
        if state["Status"] in ("running", "paused", "restarting"):
            return Sighting(Standing.RUNNING, handle, started_at=started.timestamp())
        fate = _ended(state, started, engine_start)
        return Sighting(Standing.ENDED, handle, fate, started.timestamp())
    if state["Status"] == "removing":
        return Sighting(Standing.ABSENT)
    if state["Error"]:
        return Sighting(Standing.ENDED, handle, _refused(state))
    if state["Status"] == "dead":
        fate = Fate(Reason.NEVER_STARTED, detail="removal failed halfway", blame_definition=False)
        return Sighting(Standing.ENDED, handle, fate)
    return _created(inspected, engine_start)


def refusal(fate: Fate) -> LaunchRefused:
    """Say as an error that an attempt will never start."""
    return LaunchRefused(fate.detail, blame_definition=fate.blame_definition)


def instant(text: str) -> datetime:
    """Read one of the engine's times."""
    return datetime.fromisoformat(text)


def _was_started(state: Mapping[str, Any]) -> bool:
    return not str(state["StartedAt"]).startswith(_NEVER)


def _created(inspected: Mapping[str, Any], engine_start: EngineStart) -> Sighting:
    """Trust "created" only of an engine that has run since: one killed during a start may lie."""
    since = engine_start()
    if since is None or instant(inspected["Created"]) > since:
        return Sighting(Standing.CREATED, inspected["Id"])
    detail = "the Docker engine was restarted around the start; whether the command ran is unknown"
    return Sighting(Standing.ENDED, inspected["Id"], Fate(Reason.INTERRUPTED, detail=detail))


def _refused(state: Mapping[str, Any]) -> Fate:
    words = state["Error"]
    at_fault = state["ExitCode"] in _NO_COMMAND or bool(_FAULTS_OF_DEFINITION.search(words))
    detail = f"the Docker engine could not start the command: {words}"
    return Fate(Reason.NEVER_STARTED, detail=detail, blame_definition=at_fault)


def _ended(state: Mapping[str, Any], started: datetime, engine_start: EngineStart) -> Fate:
    code = int(state["ExitCode"])
    reason, detail = Reason.EXITED, ""
    if state["OOMKilled"] and code:
        reason, detail = Reason.OUT_OF_MEMORY, "killed for using more memory than its limit"
    elif code in (*_SIGNALLED, _LOST):
        since = engine_start()
        if since is not None and started < since:
            reason, detail = Reason.INTERRUPTED, "the Docker engine was stopped or restarted"
    # the engine notes the start after the fact, for a short command later than its end
    finished = max(started, instant(state["FinishedAt"]))
    return Fate(reason, code, detail, started_at=started, finished_at=finished)

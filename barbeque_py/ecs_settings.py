"""How ECS runs a job: what its app says, and over it what the job says.

A value has the keys of the apply file's `ecs:` (docs/ecs-settings.md), is plain JSON, and holds
only what was said. Times are whole seconds, sizes MiB, but `ephemeral_storage` is GiB.
"""

from typing import Any

from barbeque_py.apps import App, JobDefinition

Settings = dict[str, Any]

CONTAINER = "app"
"""What the job's own container is called in its task; no sidecar may have the name."""

LOG_ROUTER = "log_router"
"""What the container is called that carries the logs with `logs: firelens`."""

_EXCLUSIVE = ("launch", "capacity_providers")


def merged(app: App, job: JobDefinition) -> Settings:
    """Return what holds for the job: its keys over its app's, maps merged, lists replaced.

    A key that the job leaves empty is taken out of what the app says. Beside the keys of `ecs:`
    the answer has `logs`, the app's: `awslogs` or `firelens`.
    """
    return merge(app.ecs, job.ecs) | {"logs": app.logs}


def merge(under: Settings, over: Settings) -> Settings:
    """Return the keys of `over` over those of `under`; one way to launch replaces the other."""
    kept = under
    if any(name in over for name in _EXCLUSIVE):
        kept = {name: value for name, value in under.items() if name not in _EXCLUSIVE}
    said: Settings = _without_none(_merge_maps(kept, over))
    return said


def _merge_maps(under: Settings, over: Settings) -> Settings:
    both = dict(under)
    for name, value in over.items():
        found = both.get(name)
        if isinstance(found, dict) and isinstance(value, dict):
            both[name] = _merge_maps(found, value)
        else:
            both[name] = value
    return both


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_none(each) for name, each in value.items() if each is not None}
    return [_without_none(each) for each in value] if isinstance(value, list) else value

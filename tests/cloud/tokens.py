"""What ECS remembers of RunTask's clientTokens, and for how long."""

import json
from dataclasses import dataclass, field

from barbeque_py import clock
from tests.cloud.knobs import Knobs
from tests.cloud.service import AwsFault, Json
from tests.cloud.tasks import STOPPED, Task


@dataclass(slots=True)
class Remembered:
    """What one token did."""

    request: str
    tasks: list[Task] = field(default_factory=list)
    failures: list[Json] = field(default_factory=list)
    made_at: float = field(default_factory=clock.monotonic)


class Tokens:
    """The tokens of one account and Region; each belongs to one cluster.

    A token dies `token_longest` seconds after the request, or `token_life` seconds after the last
    of its tasks has STOPPED; one that only failed has no task whose end could shorten its life.
    """

    def __init__(self, knobs: Knobs) -> None:
        self._knobs = knobs
        self._kept: dict[tuple[str, str], Remembered] = {}

    def repeat(self, cluster: str, request: Json) -> Json | None:
        """Answer as the first time, None for a token that is new or dead; may raise `AwsFault`."""
        kept = self._kept.get((cluster, request.get("clientToken", "")))
        if kept is None or self._is_dead(kept):
            return None
        if kept.request != _fingerprint(request):
            raise AwsFault(
                "ConflictException",
                "The request parameters do not match those of the first request with this token.",
                resourceIds=[task.arn for task in kept.tasks],
            )
        old = clock.monotonic() - kept.made_at > self._knobs.token_life
        return {
            "tasks": [
                task.stub() if task.last_status == STOPPED else task.show(tags=True)
                for task in kept.tasks
            ],
            "failures": [{} for _ in kept.failures] if old else kept.failures,
        }

    def keep(self, cluster: str, request: Json, tasks: list[Task], failures: list[Json]) -> None:
        """Remember the outcome of a request that has a token."""
        if token := request.get("clientToken"):
            self._kept[cluster, token] = Remembered(_fingerprint(request), tasks, failures)

    def forget(self) -> None:
        """Forget all tokens."""
        self._kept.clear()

    def _is_dead(self, kept: Remembered) -> bool:
        if clock.monotonic() - kept.made_at > self._knobs.token_longest:
            return True
        ages = [task.age("stoppedAt") for task in kept.tasks]
        return bool(ages) and all(age is not None and age > self._knobs.token_life for age in ages)


def _fingerprint(request: Json) -> str:
    rest = {name: value for name, value in request.items() if name != "clientToken"}
    return json.dumps(rest, sort_keys=True)

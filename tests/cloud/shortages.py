"""Why ECS does not place a task though the request is right."""

from random import Random
from typing import Final

from barbeque_py import clock
from tests.cloud.caller import ACCOUNT, REGION
from tests.cloud.knobs import Knobs
from tests.cloud.service import AwsFault, Json

_NO_CAPACITY: Final = (
    "Capacity is unavailable at this time. Please try again later or in a different availability "
    "zone"
)
_HIDDEN: Final = (
    "Rate exceeded",
    "You've reached the limit on the number of tasks that you can run concurrently",
)
_BLOCKED: Final = (
    "Your Amazon Web Services account was blocked. For more information, contact Amazon Web "
    "Services Support."
)


class Shortages:
    """Accounts that are blocked, throttles in disguise, and capacity that is not there."""

    def __init__(self, knobs: Knobs, dice: Random) -> None:
        self._knobs = knobs
        self._dice = dice
        self._closures: list[Json] = []

    def close_sizes(self, wanted: Json | list[Json]) -> None:
        """Begin the closures of sizes from now: {cpu, memory, provider, until: seconds}."""
        closures = wanted if isinstance(wanted, list) else [wanted]
        now = clock.monotonic()
        self._closures = [
            {**each, "until": now + float(each.get("until", 86400))} for each in closures if each
        ]

    def check(self) -> None:
        """Refuse a RunTask whatever it asks for; raises `AwsFault`."""
        if self._knobs.blocked:
            raise AwsFault("BlockedException", _BLOCKED)
        if self._dice.random() < self._knobs.hidden_throttle:
            raise AwsFault("ClientException", self._dice.choice(_HIDDEN))

    def refuse(self, cpu: int, memory: int, place: tuple[str, str]) -> Json | None:
        """Return the failure of a task that can't be placed, None when there is room."""
        closed = any(_is_closed(each, cpu, memory, place) for each in self._closures)
        if not closed and self._dice.random() >= self._knobs.capacity:
            return None
        if place[0] == "FARGATE":
            return {"reason": _NO_CAPACITY}
        instance = f"{self._dice.getrandbits(128):032x}"
        arn = f"arn:aws:ecs:{REGION.get()}:{ACCOUNT}:container-instance/default/{instance}"
        return {"arn": arn, "reason": self._dice.choice(("RESOURCE:MEMORY", "RESOURCE:CPU"))}


def _is_closed(closure: Json, cpu: int, memory: int, place: tuple[str, str]) -> bool:
    return (
        clock.monotonic() < closure["until"]
        and cpu >= int(closure.get("cpu") or 0)
        and memory >= int(closure.get("memory") or 0)
        and closure.get("provider", place[1]) == place[1]
    )

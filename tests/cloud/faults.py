"""What the front does to calls on purpose: refuse, throttle, lose the answer, be down."""

import random
from dataclasses import dataclass, fields
from enum import Enum

from tests.cloud.service import AwsFault, Json


class Fault(Enum):
    """What befalls one call."""

    DOWN = "the connection is closed at once"
    CLOSED = "the connection is closed before anything is done"
    UNAVAILABLE = "503 before anything is done"
    THROTTLED = "ThrottlingException before anything is done"
    DENIED = "the caller's role may not do it"
    LOST = "it is done, and the connection closed without the answer"


@dataclass(frozen=True, slots=True)
class Odds:
    """Probabilities for one service, from 0 to 1; `only` names the operations, empty: all.

    `deny` names the operations that the caller's role may not do: IAM says so before any luck.
    """

    refuse: float = 0.0
    lose_answer: float = 0.0
    throttle: float = 0.0
    down: bool = False
    only: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()


class Faults:
    """The odds of every service, and the luck."""

    def __init__(self, *, seed: int) -> None:
        self._odds: dict[str, Odds] = {}
        self._luck = random.Random(seed)

    def set(self, wishes: Json) -> None:
        """Take these odds by service in place of all there were; raises `AwsFault`."""
        known = {each.name for each in fields(Odds)}
        odds = {}
        for service, wish in wishes.items():
            if strange := set(wish) - known:
                raise AwsFault("UnknownFault", f"{service}: {', '.join(sorted(strange))}")
            names = {each: tuple(wish.get(each) or ()) for each in ("only", "deny")}
            odds[service] = Odds(**{**wish, **names})
        self._odds = odds

    def denies(self, service: str, operation: str) -> bool:
        """Tell whether the caller's role may not do it."""
        odds = self._odds.get(service)
        return odds is not None and operation in odds.deny

    def draw(self, service: str, operation: str) -> Fault | None:
        """Return what befalls the next call, None for nothing."""
        odds = self._odds.get(service)
        if odds is not None and not odds.down and self.denies(service, operation):
            return Fault.DENIED
        if odds is None or (odds.only and operation not in odds.only):
            return None
        if odds.down:
            return Fault.DOWN
        luck = self._luck.random()
        if luck < odds.refuse:
            return self._luck.choice((Fault.CLOSED, Fault.UNAVAILABLE))
        luck -= odds.refuse
        if luck < odds.throttle:
            return Fault.THROTTLED
        luck -= odds.throttle
        return Fault.LOST if luck < odds.lose_answer else None

"""Seam: tells people, and programs, over one channel."""

from dataclasses import dataclass
from typing import Protocol

from barbeque_py.notices import Notice

TIMEOUT = 10.0
"""Seconds that one delivery may take; a receiver that is slower has not answered."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the receiver said to a notice that it took."""

    answer: str
    receipt: str | None = None
    """What the channel calls the message, to which later ones of the execution belong."""
    request: str | None = None
    """What was sent, where that is worth keeping; no secret is in it."""


class Notifier(Protocol):
    """Delivers notices of its channel, at least once, each always with the same id.

    Safe to use from many threads.
    """

    def deliver(self, notice: Notice) -> Receipt:
        """Deliver the notice and return what the receiver said, within ten seconds.

        Raises `Undelivered` when it may work later, and `NoticeRefused` when it won't.
        """
        ...

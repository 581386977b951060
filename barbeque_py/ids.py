"""Ids that no other thing has."""

import os
import re
import time
import uuid
from typing import NewType

MessageId = NewType("MessageId", str)
AttemptId = NewType("AttemptId", str)

_KEYED = uuid.UUID("d46471ca-c193-4ed3-aa61-ed48df6cb1c5")
_SCHEDULED = uuid.UUID("a6765a41-8b05-4265-b3d6-bbe9337f9f74")
"""The name spaces of the ids of requests with a key, and of schedules; they must never change."""

_DRAWN = 256
"""For how many ids random bytes are fetched at once: asking the kernel costs more than an id."""
_RANDOM = 10
"""Random bytes of an id."""

_VARIANTS = "89ab"
"""How RFC 9562 marks ids of its kind: two bits that are set, and two of chance."""

_MESSAGE_ID = re.compile(r"[a-f\d]{8}-([a-f\d]{4}-){3}[a-f\d]{12}")


class _Chance:
    """Random bytes of the kernel's, each handed out once, whatever threads ask."""

    def __init__(self) -> None:
        self._left: list[bytes] = []
        os.register_at_fork(after_in_child=self._forget)

    def draw(self) -> bytes:
        """Return bytes that nobody else has."""
        try:
            return self._left.pop()
        except IndexError:
            drawn = os.urandom(_DRAWN * _RANDOM)
            fresh = [drawn[start : start + _RANDOM] for start in range(0, len(drawn), _RANDOM)]
            own = fresh.pop()
            self._left = fresh
            return own

    def _forget(self) -> None:
        """Draw anew in a process that was forked: its parent has the same bytes."""
        self._left = []


_chance = _Chance()


def new_message_id() -> MessageId:
    """Return a new UUIDv7 (RFC 9562, 5.7): its first 48 bits are the time, so ids sort by age."""
    stamp = f"{time.time_ns() // 1_000_000:012x}"
    drawn = _chance.draw()
    text, variant = drawn.hex(), _VARIANTS[drawn[-1] & 3]  # as `UUID` writes it, in an eighth
    return MessageId(f"{stamp[:8]}-{stamp[8:]}-7{text[:3]}-{variant}{text[3:6]}-{text[6:18]}")


def notified_id(notification: str, queue: str, topic: str) -> MessageId:
    """Return the id of what a notification of SNS starts: the same on every delivery of it."""
    return MessageId(str(uuid.uuid5(uuid.UUID(notification), f"{queue} {topic}")))


def keyed_id(app: str, key: str) -> MessageId:
    """Return the id of what an app asks for under an idempotency key: the same every time."""
    return MessageId(str(uuid.uuid5(_KEYED, f"{app} {key}")))


def scheduled_id(app: str, job: str, schedule: str, at: str) -> MessageId:
    """Return the id of what a schedule runs at this time: the same, whoever sends it."""
    return MessageId(str(uuid.uuid5(_SCHEDULED, f"{app} {job} {schedule} {at}")))


def may_repeat(message_id: str) -> bool:
    """Tell whether another message may come under this id: it was made of a name (UUIDv5)."""
    return message_id[14:15] == "5"


def is_message_id(text: str) -> bool:
    """Tell whether the text has the form of a message id (Barbeque's route constraint)."""
    return _MESSAGE_ID.fullmatch(text) is not None


def attempt_id(message_id: str, number: int) -> AttemptId:
    """Return the id of an execution's n-th attempt, `<message_id>-<number>`."""
    return AttemptId(f"{message_id}-{number}")


def message_id_of(attempt: AttemptId) -> str:
    """Return the message id of the execution that the attempt is a try at."""
    return attempt.rpartition("-")[0]


def number_of(attempt: AttemptId) -> int:
    """Return which of its execution's attempts it is, from 1."""
    return int(attempt.rpartition("-")[2])

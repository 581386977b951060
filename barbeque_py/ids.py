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

_MESSAGE_ID = re.compile(r"[a-f\d]{8}-([a-f\d]{4}-){3}[a-f\d]{12}")


def new_message_id() -> MessageId:
    """Return a new UUIDv7 (RFC 9562, 5.7): its first 48 bits are the time, so ids sort by age."""
    stamp = time.time_ns() // 1_000_000
    value = (stamp << 80) | int.from_bytes(os.urandom(10), "big")
    value = (value & ~(0xF << 76)) | (0x7 << 76)
    value = (value & ~(0x3 << 62)) | (0x2 << 62)
    text = f"{value:032x}"  # as `str(UUID(...))` has it, in a quarter of the time
    return MessageId(f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}")


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

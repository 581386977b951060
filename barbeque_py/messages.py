"""What travels on a queue: a job to run, one to retry, or an SNS notification.

Ours is Barbeque's body plus `V: 1`, `MessageId`, `EnqueuedAt`, `Queue` and `Options`. A body with
no `V` is foreign: of our keys only `MessageId` is read (a dead message sent again carries it), all
else is ignored, as Barbeque does. Beside `V` an unknown key can only come from a newer sender, who
would not have written it were it safe to ignore: such a body waits for a newer worker (`TooNew`).
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from json.encoder import encode_basestring_ascii
from typing import TypeVar

from barbeque_py import strict_json
from barbeque_py.apps import NAME, QUEUE_NAME
from barbeque_py.ids import is_message_id
from barbeque_py.options import (
    HIGHEST_PRIORITY,
    LONGEST_TIMEOUT,
    NO_OPTIONS,
    Options,
    TooNew,
    Unreadable,
    matching,
    read_name,
    read_options,
    read_value,
    shown,
    text_of,
    write_options,
)

__all__ = [
    "HIGHEST_PRIORITY",
    "LARGEST",
    "LONGEST_TIMEOUT",
    "NO_OPTIONS",
    "VERSION",
    "Confirmation",
    "JobMessage",
    "Notification",
    "Options",
    "Parsed",
    "RetryMessage",
    "TooNew",
    "Unreadable",
    "parse",
    "read_options",
    "write",
    "write_options",
]

VERSION = 1

LARGEST = 64 * 1024 * 1024
"""Characters of a body: the largest request the API can be set to take, escaped to ASCII."""

T = TypeVar("T")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_LAST_MILLISECOND = 253_402_300_799_999
_MAX_KEYS = 10_100
"""A request may have 10,000; what we wrap around its message has a few more."""

_ANY_LENGTH = 1 << 40
_LONGEST_ARN = 300
_LONGEST_TOKEN = 2048

_RETRY_KEYS = frozenset({"Type", "V", "MessageId", "EnqueuedAt", "RetryMessageId"})
_JOB_KEYS = frozenset(
    {"Type", "V", "Application", "Job", "Message", "MessageId", "EnqueuedAt", "Queue", "Options"}
)


@dataclass(frozen=True, slots=True)
class JobMessage:
    """Please run this job once."""

    message_id: str
    app: str
    job: str
    queue: str | None
    message: str
    """The job's message as compact JSON text; `null` only when `options.body_key` says where."""
    enqueued_at: datetime | None = None
    options: Options = field(default_factory=Options)


@dataclass(frozen=True, slots=True)
class RetryMessage:
    """Please retry this execution; `message_id` is the request's own id."""

    retry_message_id: str
    message_id: str


@dataclass(frozen=True, slots=True)
class Notification:
    """What SNS delivered: the topic's ARN and the message as compact JSON text.

    A message that is not JSON is a JSON string.
    """

    topic: str
    message: str
    message_id: str
    """SNS's own id of the notification, the same for every queue that gets it."""


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What SNS asks before it delivers a topic's messages to a queue of another account.

    Without a token it tells instead that the queue was unsubscribed.
    """

    topic: str
    token: str | None


def app_of(body: str) -> str | None:
    """Return the app that the body names, as far as that can be told of what can't be read."""
    try:
        named = json.loads(body)["Application"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return named if isinstance(named, str) and NAME.fullmatch(named) else None


Parsed = JobMessage | RetryMessage | Notification | Confirmation


def parse(body: str, *, broker_id: str) -> Parsed:
    """Read a body; a foreign one without an id of its own is known by the broker's.

    Raises `Unreadable` for what can never be read, `TooNew` for what a newer worker may read.
    """
    facts = _load_object(body)
    ours = _is_ours(facts)
    match facts.get("Type"):
        case "JobExecution":
            return _read_job(facts, broker_id, ours=ours)
        case "JobRetry":
            return _read_retry(facts, broker_id, ours=ours)
        case "Notification":
            return _read_notification(facts, broker_id)
        case "SubscriptionConfirmation":
            token = _required(facts, "Token", text_of(_LONGEST_TOKEN))
            return Confirmation(_required(facts, "TopicArn", text_of(_LONGEST_ARN)), token)
        case "UnsubscribeConfirmation":
            return Confirmation(_required(facts, "TopicArn", text_of(_LONGEST_ARN)), None)
        case None:
            raise Unreadable("Type is missing; it is JobExecution, JobRetry or Notification")
        case other:
            fault = f"Type is {shown(other)}, not JobExecution, JobRetry or Notification"
            raise TooNew(fault) if ours and isinstance(other, str) else Unreadable(fault)


def write(job: JobMessage) -> str:
    """Write the body, ASCII only: SQS refuses some characters that JSON allows."""
    text = f'{_begun(job.app, job.job)},"MessageId":{encode_basestring_ascii(job.message_id)}'
    if job.enqueued_at is not None:
        text += f',"EnqueuedAt":{(job.enqueued_at - _EPOCH) // _MILLISECOND}'
    if job.queue is not None:
        text += f',"Queue":{encode_basestring_ascii(job.queue)}'
    if options := write_options(job.options):
        text += f',"Options":{strict_json.dumps(options)}'
    return f'{text},"Message":{job.message}}}'


@lru_cache(maxsize=1024)
def _begun(app: str, job: str) -> str:
    """Return how the bodies of a job begin, of which there are few and which come often."""
    facts = {"Type": "JobExecution", "V": VERSION, "Application": app, "Job": job}
    return strict_json.dumps(facts)[:-1]


def _load_object(body: str) -> dict[str, object]:
    if len(body) > LARGEST:
        raise Unreadable(f"the body is too large: {len(body):,} characters, {LARGEST:,} at most")
    try:
        facts = strict_json.loads(body.encode(), max_keys=_MAX_KEYS)
    except UnicodeEncodeError:
        raise Unreadable("the body holds half a surrogate pair") from None
    except ValueError as error:
        raise Unreadable(f"the body is refused: {error}") from None
    if not isinstance(facts, dict):
        raise Unreadable(f"the body is {shown(facts)}, not a JSON object")
    return facts


def _is_ours(facts: Mapping[str, object]) -> bool:
    if "V" not in facts:
        return False
    version = facts["V"]
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise Unreadable(f"V is {shown(version)}, not a version number (1 or more)")
    if version > VERSION:
        raise TooNew(f"V is {version}; this version reads up to {VERSION}")
    return True


def _read_job(facts: Mapping[str, object], broker_id: str, *, ours: bool) -> JobMessage:
    if ours:
        _refuse_unknown(facts, _JOB_KEYS)
    known = facts if ours else {}
    options = read_options(known["Options"]) if "Options" in known else NO_OPTIONS
    message = _required(
        facts, "Message", lambda value: value, nullable=options.body_key is not None
    )
    return JobMessage(
        message_id=_optional(facts, "MessageId", _message_id) or broker_id,
        app=_required(facts, "Application", read_name),
        job=_required(facts, "Job", read_name),
        queue=_optional(known, "Queue", _queue),
        message=strict_json.dumps(message),
        enqueued_at=_optional(known, "EnqueuedAt", _enqueued_at),
        options=options,
    )


def _read_retry(facts: Mapping[str, object], broker_id: str, *, ours: bool) -> RetryMessage:
    if ours:
        _refuse_unknown(facts, _RETRY_KEYS)
    return RetryMessage(
        retry_message_id=_required(facts, "RetryMessageId", _message_id),
        message_id=_optional(facts, "MessageId", _message_id) or broker_id,
    )


def _read_notification(facts: Mapping[str, object], broker_id: str) -> Notification:
    text = _required(facts, "Message", text_of(_ANY_LENGTH))
    try:
        message = strict_json.loads(text.encode(), max_keys=_MAX_KEYS)
    except ValueError:
        message = text
    return Notification(
        topic=_required(facts, "TopicArn", text_of(_LONGEST_ARN)),
        message=strict_json.dumps(message),
        message_id=_optional(facts, "MessageId", _message_id) or broker_id,
    )


def _refuse_unknown(facts: Mapping[str, object], known: frozenset[str]) -> None:
    unknown = sorted(facts.keys() - known)
    if unknown:
        raise TooNew(f"{shown(unknown[0])} is not a key this version knows")


def _required(
    facts: Mapping[str, object], key: str, read: Callable[[object], T], *, nullable: bool = False
) -> T:
    if key not in facts:
        raise Unreadable(f"{key} is missing")
    if facts[key] is None and not nullable:
        raise Unreadable(f"{key} is null")
    return read_value(key, facts[key], read)


def _optional(facts: Mapping[str, object], key: str, read: Callable[[object], T]) -> T | None:
    return None if facts.get(key) is None else read_value(key, facts[key], read)


_queue = matching(QUEUE_NAME, "a queue's name: up to 70 of A-Z a-z 0-9 _ -")


def _message_id(value: object) -> str:
    if not isinstance(value, str) or not is_message_id(value):
        raise ValueError(f"{shown(value)} is not a UUID in lower case")
    return value


def _enqueued_at(value: object) -> datetime:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{shown(value)} is not a count of milliseconds")  # noqa: TRY004
    if not 0 <= value <= _LAST_MILLISECOND:
        raise ValueError(f"{shown(value)} is not in the years 1970 to 9999")
    return _EPOCH + value * _MILLISECOND

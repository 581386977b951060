"""What travels on a queue: a job to run, one to retry, or an SNS notification.

Ours is Barbeque's body plus `V: 1`, `MessageId`, `EnqueuedAt`, `Queue` and `Options`. A body with
no `V` is foreign: of our keys only `MessageId` is read (a dead message sent again carries it), all
else is ignored, as Barbeque does. Beside `V` an unknown key can only come from a newer sender, who
would not have written it were it safe to ignore: such a body waits for a newer worker (`TooNew`).
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from barbeque_py import strict_json
from barbeque_py.apps import NAME, QUEUE_NAME
from barbeque_py.clock import rfc3339
from barbeque_py.durations import parse_duration
from barbeque_py.errors import RequestError
from barbeque_py.ids import is_message_id

VERSION = 1

LARGEST = 64 * 1024 * 1024
"""Characters of a body: the largest request the API can be set to take, escaped to ASCII."""

LONGEST_TIMEOUT = timedelta(days=30)
HIGHEST_PRIORITY = 100

T = TypeVar("T")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_LAST_MILLISECOND = 253_402_300_799_999
_MAX_KEYS = 10_100
"""A request may have 10,000; what we wrap around its message has a few more."""

_ANY_LENGTH = 1 << 40
_LONGEST_ARN = 300
_LONGEST_TOKEN = 2048
_SHOWN = 60
_MOST_TAGS = 50
_LONGEST_TAG_KEY = 128
_LONGEST_TAG = 256
_MOST_EMAILS = 50

_RETRY_KEYS = frozenset({"Type", "V", "MessageId", "EnqueuedAt", "RetryMessageId"})
_JOB_KEYS = frozenset(
    {"Type", "V", "Application", "Job", "Message", "MessageId", "EnqueuedAt", "Queue", "Options"}
)
_INSTANT = re.compile(
    r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)
_TRACEPARENT = re.compile(
    r"(?!ff)[\da-f]{2}-(?!0{32})[\da-f]{32}-(?!0{16})[\da-f]{16}-[\da-f]{2}", re.ASCII
)


class Unreadable(RequestError):
    """The body will never be a job; the message tells an admin why."""


class TooNew(RequestError):
    """The body comes from a newer sender: a newer worker may read it."""


@dataclass(frozen=True, slots=True)
class Options:
    """What a request asks for beside its message; None and empty leave it to the definition."""

    run_at: datetime | None = None
    priority: int | None = None
    """From -100 to 100, higher first."""
    timeout: timedelta | None = None
    concurrency_key: str | None = None
    user_id: str | None = None
    notify: dict[str, object] = field(default_factory=dict)
    """Who is told about the end: slack (a text), email (a list of texts), webhook (a URL)."""
    tags: dict[str, str] = field(default_factory=dict)
    traceparent: str | None = None
    body_key: str | None = None
    """Where the log store keeps the message, when it is too large to travel."""


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
            token = _required(facts, "Token", _text(_LONGEST_TOKEN))
            return Confirmation(_required(facts, "TopicArn", _text(_LONGEST_ARN)), token)
        case "UnsubscribeConfirmation":
            return Confirmation(_required(facts, "TopicArn", _text(_LONGEST_ARN)), None)
        case None:
            raise Unreadable("Type is missing; it is JobExecution, JobRetry or Notification")
        case other:
            fault = f"Type is {_shown(other)}, not JobExecution, JobRetry or Notification"
            raise TooNew(fault) if ours and isinstance(other, str) else Unreadable(fault)


def write(job: JobMessage) -> str:
    """Write the body, ASCII only: SQS refuses some characters that JSON allows."""
    facts: dict[str, object] = {
        "Type": "JobExecution",
        "V": VERSION,
        "Application": job.app,
        "Job": job.job,
        "MessageId": job.message_id,
    }
    if job.enqueued_at is not None:
        facts["EnqueuedAt"] = (job.enqueued_at - _EPOCH) // _MILLISECOND
    if job.queue is not None:
        facts["Queue"] = job.queue
    if options := write_options(job.options):
        facts["Options"] = options
    return f'{strict_json.dumps(facts)[:-1]},"Message":{job.message}}}'


def read_options(facts: object) -> Options:
    """Read options as they stand in a body, keys in lower case.

    Raises `Unreadable` naming the option, `TooNew` for an option that we don't know.
    """
    if not isinstance(facts, dict):
        raise Unreadable(f"Options is {_shown(facts)}, not an object")
    unknown = sorted(facts.keys() - _OPTIONS.keys())
    if unknown:
        raise TooNew(f"Options.{unknown[0]} is not an option this version knows")
    read: dict[str, Any] = {}
    for name, value in facts.items():
        if value is not None:
            read[name] = _read(f"Options.{name}", value, _OPTIONS[name])
    return Options(**read)


def write_options(options: Options) -> dict[str, object]:
    """Return the options that are set, as `read_options` takes them."""
    facts: dict[str, object] = {
        "run_at": None if options.run_at is None else rfc3339(options.run_at),
        "priority": options.priority,
        "timeout": None if options.timeout is None else _seconds(options.timeout),
        "concurrency_key": options.concurrency_key,
        "user_id": options.user_id,
        "notify": options.notify or None,
        "tags": options.tags or None,
        "traceparent": options.traceparent,
        "body_key": options.body_key,
    }
    return {name: value for name, value in facts.items() if value is not None}


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
        raise Unreadable(f"the body is {_shown(facts)}, not a JSON object")
    return facts


def _is_ours(facts: Mapping[str, object]) -> bool:
    if "V" not in facts:
        return False
    version = facts["V"]
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise Unreadable(f"V is {_shown(version)}, not a version number (1 or more)")
    if version > VERSION:
        raise TooNew(f"V is {version}; this version reads up to {VERSION}")
    return True


def _read_job(facts: Mapping[str, object], broker_id: str, *, ours: bool) -> JobMessage:
    if ours:
        _refuse_unknown(facts, _JOB_KEYS)
    known = facts if ours else {}
    options = read_options(known["Options"]) if "Options" in known else Options()
    message = _required(
        facts, "Message", lambda value: value, nullable=options.body_key is not None
    )
    return JobMessage(
        message_id=_optional(facts, "MessageId", _message_id) or broker_id,
        app=_required(facts, "Application", _name),
        job=_required(facts, "Job", _name),
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
    text = _required(facts, "Message", _text(_ANY_LENGTH))
    try:
        message = strict_json.loads(text.encode(), max_keys=_MAX_KEYS)
    except ValueError:
        message = text
    return Notification(
        topic=_required(facts, "TopicArn", _text(_LONGEST_ARN)),
        message=strict_json.dumps(message),
        message_id=_optional(facts, "MessageId", _message_id) or broker_id,
    )


def _refuse_unknown(facts: Mapping[str, object], known: frozenset[str]) -> None:
    unknown = sorted(facts.keys() - known)
    if unknown:
        raise TooNew(f"{_shown(unknown[0])} is not a key this version knows")


def _required(
    facts: Mapping[str, object], key: str, read: Callable[[object], T], *, nullable: bool = False
) -> T:
    if key not in facts:
        raise Unreadable(f"{key} is missing")
    if facts[key] is None and not nullable:
        raise Unreadable(f"{key} is null")
    return _read(key, facts[key], read)


def _optional(facts: Mapping[str, object], key: str, read: Callable[[object], T]) -> T | None:
    return None if facts.get(key) is None else _read(key, facts[key], read)


def _read(key: str, value: object, read: Callable[[object], T]) -> T:
    try:
        return read(value)
    except ValueError as error:
        raise Unreadable(f"{key}: {error}") from None


def _text(longest: int) -> Callable[[object], str]:
    def read(value: object) -> str:
        if not isinstance(value, str) or not value:
            raise ValueError(f"{_shown(value)} is not a text of at least one character")
        if len(value) > longest:
            raise ValueError(f"{_shown(value)} is longer than {longest} characters")
        return value

    return read


def _matching(form: re.Pattern[str], meaning: str) -> Callable[[object], str]:
    def read(value: object) -> str:
        if not isinstance(value, str) or form.fullmatch(value) is None:
            raise ValueError(f"{_shown(value)} is not {meaning}")
        return value

    return read


_name = _matching(NAME, "a name: up to 128 of A-Z a-z 0-9 _ . : -, a letter or digit first")
_queue = _matching(QUEUE_NAME, "a queue's name: up to 70 of A-Z a-z 0-9 _ -")
_traceparent = _matching(_TRACEPARENT, "a W3C traceparent, 00-<32 hex>-<16 hex>-<2 hex>")


def _message_id(value: object) -> str:
    if not isinstance(value, str) or not is_message_id(value):
        raise ValueError(f"{_shown(value)} is not a UUID in lower case")
    return value


def _enqueued_at(value: object) -> datetime:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{_shown(value)} is not a count of milliseconds")  # noqa: TRY004
    if not 0 <= value <= _LAST_MILLISECOND:
        raise ValueError(f"{_shown(value)} is not in the years 1970 to 9999")
    return _EPOCH + value * _MILLISECOND


def _instant(value: object) -> datetime:
    fault = f"{_shown(value)} is not an RFC 3339 time with offset, as in 2026-11-21T20:00:00+09:00"
    if not isinstance(value, str) or _INSTANT.fullmatch(value) is None:
        raise ValueError(fault)
    try:
        return datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(fault) from None


def _priority(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > HIGHEST_PRIORITY:
        raise ValueError(f"{_shown(value)} is not a whole number from -100 to 100")
    return value


def _timeout(value: object) -> timedelta:
    if not isinstance(value, str | int | float):
        raise ValueError(f"{_shown(value)} is not a duration")  # noqa: TRY004 - one kind of fault
    timeout = parse_duration(value)
    if not timedelta(0) < timeout <= LONGEST_TIMEOUT:
        raise ValueError(f"{_shown(value)} is not more than zero and up to 30 days")
    return timeout


def _tags(value: object) -> dict[str, str]:
    if not isinstance(value, dict) or len(value) > _MOST_TAGS:
        raise ValueError(f"{_shown(value)} is not an object of up to {_MOST_TAGS} tags")
    for key, tag in value.items():
        if not 0 < len(key) <= _LONGEST_TAG_KEY:
            raise ValueError(f"the key {_shown(key)} has not 1 to {_LONGEST_TAG_KEY} characters")
        if not isinstance(tag, str) or len(tag) > _LONGEST_TAG:
            raise ValueError(f"{_shown(key)} is not a text of up to {_LONGEST_TAG} characters")
    return value


def _notify(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise ValueError(f"{_shown(value)} is not an object")  # noqa: TRY004
    unknown = sorted(value.keys() - {"slack", "email", "webhook"})
    if unknown:
        raise TooNew(f"Options.notify.{unknown[0]} is not a way to tell people this version knows")
    for key in value.keys() & {"slack", "webhook"}:
        _short(value[key])
    _emails(value.get("email", []))
    return value


def _emails(value: object) -> None:
    if not isinstance(value, list) or len(value) > _MOST_EMAILS:
        raise ValueError(f"email: {_shown(value)} is not a list of up to {_MOST_EMAILS} addresses")
    for address in value:
        _short(address)


def _seconds(duration: timedelta) -> float:
    seconds = duration.total_seconds()
    return int(seconds) if seconds.is_integer() else seconds


def _shown(value: object) -> str:
    """Write the value for people, cut short: it may be long, and it is not ours."""
    text = json.dumps(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."


_short = _text(2048)

_OPTIONS: dict[str, Callable[[object], object]] = {
    "run_at": _instant,
    "priority": _priority,
    "timeout": _timeout,
    "concurrency_key": _name,
    "user_id": _text(255),
    "notify": _notify,
    "tags": _tags,
    "traceparent": _traceparent,
    "body_key": _text(1024),
}

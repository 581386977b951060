"""What a request asks for beside its message, and how values of a body are read."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from barbeque_py.addresses import A_SLACK, AN_EMAIL, EMAIL, SLACK
from barbeque_py.apps import NAME
from barbeque_py.clock import rfc3339
from barbeque_py.durations import parse_duration
from barbeque_py.errors import RequestError
from barbeque_py.targets import read_target

LONGEST_TIMEOUT = timedelta(days=30)
HIGHEST_PRIORITY = 100

T = TypeVar("T")

_SHOWN = 60
_MOST_TAGS = 50
_LONGEST_TAG_KEY = 128
_LONGEST_TAG = 256
_MOST_EMAILS = 50
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


NO_OPTIONS = Options()
"""What nearly every request asks for."""


def read_options(facts: object) -> Options:
    """Read options as they stand in a body, keys in lower case.

    Raises `Unreadable` naming the option, `TooNew` for an option that we don't know.
    """
    if not isinstance(facts, dict):
        raise Unreadable(f"Options is {shown(facts)}, not an object")
    unknown = sorted(facts.keys() - _OPTIONS.keys())
    if unknown:
        raise TooNew(f"Options.{unknown[0]} is not an option this version knows")
    found: dict[str, Any] = {}
    for name, value in facts.items():
        if value is not None:
            found[name] = read_value(f"Options.{name}", value, _OPTIONS[name])
    return Options(**found)


def write_options(options: Options) -> dict[str, object]:
    """Return the options that are set, as `read_options` takes them."""
    if options is NO_OPTIONS:
        return {}
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


def read_value(key: str, value: object, read: Callable[[object], T]) -> T:
    """Read the value; raises `Unreadable` that names its key."""
    try:
        return read(value)
    except ValueError as error:
        raise Unreadable(f"{key}: {error}") from None


def text_of(longest: int) -> Callable[[object], str]:
    """Return what reads a text of up to so many characters."""

    def read(value: object) -> str:
        if not isinstance(value, str) or not value:
            raise ValueError(f"{shown(value)} is not a text of at least one character")
        if len(value) > longest:
            raise ValueError(f"{shown(value)} is longer than {longest} characters")
        return value

    return read


def matching(form: re.Pattern[str], meaning: str) -> Callable[[object], str]:
    """Return what reads a text of that form; the meaning ends the sentence "... is not"."""

    def read(value: object) -> str:
        if not isinstance(value, str) or form.fullmatch(value) is None:
            raise ValueError(f"{shown(value)} is not {meaning}")
        return value

    return read


read_name = matching(NAME, "a name: up to 128 of A-Z a-z 0-9 _ . : -, a letter or digit first")
_traceparent = matching(_TRACEPARENT, "a W3C traceparent, 00-<32 hex>-<16 hex>-<2 hex>")


def read_instant(value: object) -> datetime:
    """Read a time as RFC 3339 writes it, with its offset. Raises `ValueError` for anything else."""
    fault = f"{shown(value)} is not an RFC 3339 time with offset, as in 2026-11-21T20:00:00+09:00"
    if not isinstance(value, str) or _INSTANT.fullmatch(value) is None:
        raise ValueError(fault)
    try:
        return datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(fault) from None


def _priority(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > HIGHEST_PRIORITY:
        raise ValueError(f"{shown(value)} is not a whole number from -100 to 100")
    return value


def _timeout(value: object) -> timedelta:
    if not isinstance(value, str | int | float):
        raise ValueError(f"{shown(value)} is not a duration")  # noqa: TRY004 - one kind of fault
    timeout = parse_duration(value)
    if not timedelta(0) < timeout <= LONGEST_TIMEOUT:
        raise ValueError(f"{shown(value)} is not more than zero and up to 30 days")
    return timeout


def read_tags(value: object) -> dict[str, str]:
    """Read tags. Raises `ValueError` that says what is wrong with them."""
    if not isinstance(value, dict) or len(value) > _MOST_TAGS:
        raise ValueError(f"{shown(value)} is not an object of up to {_MOST_TAGS} tags")
    for key, tag in value.items():
        if not 0 < len(key) <= _LONGEST_TAG_KEY:
            raise ValueError(f"the key {shown(key)} has not 1 to {_LONGEST_TAG_KEY} characters")
        if not isinstance(tag, str) or len(tag) > _LONGEST_TAG:
            raise ValueError(f"{shown(key)} is not a text of up to {_LONGEST_TAG} characters")
    return value


def _notify(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise ValueError(f"{shown(value)} is not an object")  # noqa: TRY004
    unknown = sorted(value.keys() - {"slack", "email", "webhook"})
    if unknown:
        raise TooNew(f"Options.notify.{unknown[0]} is not a way to tell people this version knows")
    if "webhook" in value:
        _within("webhook", _target, value["webhook"])
    if "slack" in value:
        _within("slack", _slack, value["slack"])
    _emails(value.get("email", []))
    return value


def _target(value: object) -> str:
    """Return the address of the web that something may be sent to, if it can be one."""
    text = _short(value)
    read_target(text)
    return text


def _within(key: str, read: Callable[[object], str], value: object) -> None:
    """Check a value of `notify`; a fault names its key."""
    try:
        read(value)
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from None


def _emails(value: object) -> None:
    if not isinstance(value, list) or len(value) > _MOST_EMAILS:
        raise ValueError(f"email: {shown(value)} is not a list of up to {_MOST_EMAILS} addresses")
    for address in value:
        _within("email", _email, address)


def _seconds(duration: timedelta) -> float:
    seconds = duration.total_seconds()
    return int(seconds) if seconds.is_integer() else seconds


def shown(value: object) -> str:
    """Write the value for people, cut short: it may be long, and it is not ours."""
    text = json.dumps(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."


_short = text_of(2048)
_email = matching(EMAIL, AN_EMAIL)
_slack = matching(SLACK, A_SLACK)

_OPTIONS: dict[str, Callable[[object], object]] = {
    "run_at": read_instant,
    "priority": _priority,
    "timeout": _timeout,
    "concurrency_key": read_name,
    "user_id": text_of(255),
    "notify": _notify,
    "tags": read_tags,
    "traceparent": _traceparent,
    "body_key": text_of(1024),
}

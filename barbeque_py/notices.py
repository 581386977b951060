"""Who hears what: rules and people in, the notices of one event out; the pure decision."""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import timedelta
from enum import StrEnum
from typing import Any

from barbeque_py.durations import parse_duration
from barbeque_py.executions import State
from barbeque_py.outcomes import Settlement

PATIENCE = timedelta(days=1)
"""For how long a notice is tried before it is given up."""

_NAMES = uuid.UUID("5c0c6d1e-8f0e-4a53-9d8d-6a3a3a4f9b0e")


class Channel(StrEnum):
    """How somebody is told."""

    EMAIL = "email"
    SLACK = "slack"
    WEBHOOK = "webhook"


class Event(StrEnum):
    """What people are told of."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    ATTEMPT_FAILED = "attempt failed"
    LATE = "late"
    """It runs for longer than its definition expects."""
    RECOVERED = "recovered"
    """It succeeded, after its definition's last one had failed."""
    TEST = "test"


FAILURES = frozenset({Event.FAILED, Event.ATTEMPT_FAILED})


class Audience(StrEnum):
    """Whom a notice is for."""

    USER = "user"
    ADMINS = "admins"


class NoticeState(StrEnum):
    """How far a notice has come."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    REFUSED = "refused"
    """The receiver said a definite no; the reason names the cure."""
    GIVEN_UP = "given up"
    """It could not be delivered for a day."""
    NOBODY = "nobody"
    """There was no address to send it to."""
    GATHERED = "gathered"
    """It was counted in another notice of the same failure."""


class Hear(StrEnum):
    """What one may wish to hear of."""

    SUCCESS = "success"
    FAILURE = "failure"
    ATTEMPT = "attempt"
    CANCELLED = "cancelled"


_HEARD = {
    Event.SUCCEEDED: {Hear.SUCCESS},
    Event.FAILED: {Hear.FAILURE, Hear.ATTEMPT},
    Event.CANCELLED: {Hear.CANCELLED},
    Event.ATTEMPT_FAILED: {Hear.ATTEMPT},
    Event.LATE: {Hear.FAILURE, Hear.ATTEMPT},
    Event.RECOVERED: {Hear.FAILURE, Hear.ATTEMPT},
}
"""By event: who wishes to hear one of these is told."""

THE_END = frozenset({Hear.SUCCESS, Hear.FAILURE})
"""What a user hears of, unless they wish otherwise."""
EVERY_END = THE_END | {Hear.CANCELLED}
"""What a request's webhook hears of: programs wait for the end, whatever it is."""


@dataclass(frozen=True, slots=True)
class Rules:
    """Whom a definition wants told of what: its own word before its app's."""

    slack: str | None = None
    email: tuple[str, ...] = ()
    webhook: str | None = None
    wishes: frozenset[Hear] = frozenset({Hear.FAILURE})
    """What they are told of."""
    mention: str = ""
    """What a Slack message about a failure begins with, as `<!here>`."""
    digest: str = "10m"
    """How long the same failure is gathered before it is told again."""
    locale: str = "en"
    templates: Mapping[str, str] = field(default_factory=dict)

    def hears(self, event: Event) -> bool:
        """Tell whether the app's people are told of the event."""
        return not _HEARD[event].isdisjoint(self.wishes)

    @property
    def window(self) -> timedelta:
        """How long the same failure is gathered."""
        return parse_duration(self.digest)

    @property
    def anybody(self) -> bool:
        """Whether there is anybody to tell."""
        return bool(self.slack or self.email or self.webhook)


def rules_of(app: Mapping[str, Any], job: Mapping[str, Any]) -> Rules:
    """Return the rules of a job by its app's `notify` and its own, key by key."""
    said = {**app, **job}
    if not said:
        return _NO_RULES
    return Rules(
        slack=said.get("slack"),
        email=tuple(said.get("email", ())),
        webhook=said.get("webhook"),
        wishes=frozenset(map(Hear, said.get("hears", (Hear.FAILURE,)))),
        mention=said.get("mention", ""),
        digest=said.get("digest", _NO_RULES.digest),
        locale=said.get("locale", "en"),
        templates=said.get("templates", {}),
    )


_NO_RULES = Rules()


@dataclass(frozen=True, slots=True)
class User:
    """One entry of an app's address book."""

    app: str
    user_id: str
    emails: tuple[str, ...] = ()
    slack: str | None = None
    """Their Slack member id."""
    locale: str | None = None
    time_zone: str | None = None
    hears: frozenset[Hear] = THE_END


@dataclass(frozen=True, slots=True)
class Occasion:
    """What happened, as people are told of it; times are RFC 3339."""

    event: Event
    app: str
    job: str
    message_id: str
    queue: str = ""
    attempt: int | None = None
    """The number of the attempt that it is about."""
    attempts: int = 0
    """How many tries of this round have counted, this one included."""
    tries: int = 0
    """How many there may be."""
    reason: str | None = None
    exit_code: int | None = None
    detail: str | None = None
    enqueued_at: str | None = None
    started_at: str | None = None
    finished_at: str | None = None
    seconds: float | None = None
    """How long the attempt ran."""
    expected: float | None = None
    """How many seconds the definition expects it to run at most."""
    user_id: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    lines: tuple[str, ...] = ()
    """The last lines of its log, masked."""
    lines_before: int | None = 0
    """How many lines the log has before these; None when the log could not be read in time."""
    result: str | None = None
    """What the job told as its result: JSON, masked, its beginning where it is long."""
    mention: str = ""
    count: int = 1
    """How many such failures this notice speaks of."""

    def to_facts(self) -> dict[str, Any]:
        """Return it as JSON."""
        return asdict(self) | {"lines": list(self.lines), "tags": dict(self.tags)}

    @staticmethod
    def from_facts(facts: Mapping[str, Any]) -> "Occasion":
        """Read what `to_facts` returned; what another version added is left out."""
        known = {each.name for each in fields(Occasion)}
        said = {name: value for name, value in facts.items() if name in known}
        return Occasion(**said | {"event": Event(said["event"]), "lines": tuple(said["lines"])})


@dataclass(frozen=True, slots=True)
class Notice:
    """A few lines for one audience over one channel."""

    id: str
    """The same each time it is sent."""
    channel: Channel
    target: str
    """The address; empty where there is none, and then `fault` says why."""
    audience: Audience
    occasion: Occasion
    locale: str = "en"
    time_zone: str | None = None
    fault: str = ""
    templates: Mapping[str, str] = field(default_factory=dict)
    thread: str | None = None
    """The receipt of the first notice that this channel's target got of the same execution."""


def event_of(settlement: Settlement) -> Event | None:
    """Return what a settlement is to people; None where they are told nothing."""
    match settlement.state:
        case State.SUCCEEDED:
            return Event.SUCCEEDED
        case State.FAILED:
            return Event.FAILED
        case State.CANCELLED:
            return Event.CANCELLED
        case State.RETRYING:
            return Event.ATTEMPT_FAILED
    return None


def may_concern(event: Event, rules: Rules, *, asked: bool, failing: bool) -> bool:
    """Tell cheaply whether anybody may have to be told; `asked` says that the request named some.

    A failure for good always may: there can be an admin of the whole installation. `failing` says
    that the definition's last failure was told.
    """
    if event is Event.FAILED or (asked and event is not Event.ATTEMPT_FAILED):
        return True
    if event is Event.SUCCEEDED and failing:
        return True
    return rules.anybody and rules.hears(event)


@dataclass(frozen=True, slots=True)
class Request:
    """Whom an enqueue request named."""

    user_id: str | None = None
    notify: Mapping[str, Any] = field(default_factory=dict)


def notices_of(
    occasion: Occasion,
    rules: Rules,
    request: Request,
    user: User | None,
    *,
    admins: Sequence[str] = (),
) -> list[Notice]:
    """Return the notices of the event, one for each address; `user` is the request's, if known."""
    found: dict[tuple[Channel, str], Notice] = {}
    for notice in (
        *_for_user(occasion, rules, request, user),
        *_for_admins(occasion, rules, admins),
    ):
        found.setdefault((notice.channel, notice.target), notice)
    return list(found.values())


def _for_user(
    occasion: Occasion, rules: Rules, request: Request, user: User | None
) -> Iterator[Notice]:
    event = occasion.event
    if event in (Event.RECOVERED, Event.LATE):
        return
    hears = user.hears if user is not None else THE_END
    locale = (user.locale if user else None) or rules.locale
    zone = user.time_zone if user else None
    if not _HEARD[event].isdisjoint(hears) and event is not Event.ATTEMPT_FAILED:
        for channel, target, fault in _addresses(request, user):
            yield _notice(occasion, channel, target, Audience.USER, locale, zone, fault)
    webhook = request.notify.get("webhook")
    if webhook and not _HEARD[event].isdisjoint(EVERY_END) and event is not Event.ATTEMPT_FAILED:
        yield _notice(occasion, Channel.WEBHOOK, webhook, Audience.USER, locale, zone)


def _addresses(request: Request, user: User | None) -> Iterator[tuple[Channel, str, str]]:
    """Return where the user is told: the request's addresses, and those of the address book."""
    emails, slack = [*request.notify.get("email", ())], [request.notify.get("slack")]
    if user is not None:
        emails, slack = [*emails, *user.emails], [*slack, user.slack]
    yield from ((Channel.EMAIL, address, "") for address in emails)
    yield from ((Channel.SLACK, target, "") for target in slack if target)
    if request.user_id is None or request.notify:
        return
    if user is None:
        yield Channel.EMAIL, "", f"the app's address book has no user {request.user_id}"
    elif not user.emails and not user.slack:
        yield Channel.EMAIL, "", f"the user {request.user_id} has no address in the address book"


def _for_admins(occasion: Occasion, rules: Rules, admins: Sequence[str]) -> Iterator[Notice]:
    event = occasion.event
    if rules.hears(event):
        addresses = [(Channel.EMAIL, address) for address in rules.email]
        addresses += [(Channel.SLACK, rules.slack)] if rules.slack else []
        addresses += [(Channel.WEBHOOK, rules.webhook)] if rules.webhook else []
        for channel, target in addresses:
            yield _notice(occasion, channel, target, Audience.ADMINS, rules.locale, None)
    if event in (Event.FAILED, Event.RECOVERED):
        for address in admins:
            yield _notice(occasion, Channel.EMAIL, address, Audience.ADMINS, rules.locale, None)


def _notice(  # noqa: PLR0913, PLR0917 - what a notice has
    occasion: Occasion,
    channel: Channel,
    target: str,
    audience: Audience,
    locale: str,
    zone: str | None,
    fault: str = "",
) -> Notice:
    return Notice(
        notice_id(occasion, channel, target or fault),
        channel,
        target,
        audience,
        occasion,
        locale=locale,
        time_zone=zone,
        fault=fault,
    )


def notice_id(occasion: Occasion, channel: Channel, target: str) -> str:
    """Return the notice's id: whoever works out the same event again gets the same."""
    about = f"{occasion.message_id}/{occasion.attempt}/{occasion.event}/{occasion.finished_at}"
    return str(uuid.uuid5(_NAMES, f"{about} {channel} {target}"))

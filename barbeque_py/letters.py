"""A notice in words: its subject, its sentences, the facts, the last lines of the log."""

import logging
import re
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from barbeque_py.notices import FAILURES, Event, Notice, Occasion
from barbeque_py.outcomes import Reason
from barbeque_py.phrases import say
from barbeque_py.templates import render

log = logging.getLogger(__name__)

_HEADLINES = {
    Event.SUCCEEDED: "{name} succeeded",
    Event.FAILED: "{name} failed",
    Event.CANCELLED: "{name} was cancelled",
    Event.ATTEMPT_FAILED: "{name}: attempt {attempt} failed",
    Event.LATE: "{name} runs for longer than expected",
    Event.RECOVERED: "{name} works again",
    Event.TEST: "A test notice of {name}",
}
_REASONS = {
    Reason.EXITED: "It ended with exit code {code}.",
    Reason.OUT_OF_MEMORY: "It needed more memory than it has.",
    Reason.TIMED_OUT: "It ran for longer than it may.",
    Reason.CANCELLED: "It was cancelled.",
    Reason.INTERRUPTED: "The machine it ran on went away too often.",
    Reason.NEVER_STARTED: "It could not be started.",
    Reason.VANISHED: "It was running, and then it was gone without a trace.",
}
_AFTERWARDS = {
    Event.FAILED: "It will not be tried again by itself.",
    Event.ATTEMPT_FAILED: "It is tried again.",
    Event.RECOVERED: "It failed before, and now it has succeeded.",
    Event.TEST: "Whoever reads this is told of what happens.",
}
_UNSEEN = re.compile(
    r"\x1b\[[0-9;?]*[ -/]*[@-~]"  # what terminals take as colours and moves
    r"|[\x00-\x08\x0a-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]"
)
_MINUTE, _HOUR = 60, 3600
_SUBJECT, _NAME = 200, 150


class Fact(NamedTuple):
    """One thing that is known, with its label."""

    label: str
    value: str


@dataclass(frozen=True, slots=True)
class Link:
    """Where more is to be seen."""

    label: str
    url: str


@dataclass(frozen=True, slots=True)
class Letter:
    """A notice in the words of its reader, before a channel gives it its form."""

    subject: str
    sentences: tuple[str, ...]
    facts: tuple[Fact, ...]
    lines: tuple[str, ...]
    lines_title: str
    lines_note: str
    """Says what of the log is not here; empty when it is all."""
    links: tuple[Link, ...]


def write(notice: Notice, host_url: str | None) -> Letter:
    """Put the notice into words; links are made where the console's address is known."""
    occasion, locale = notice.occasion, notice.locale
    letter = Letter(
        subject=headline(notice),
        sentences=tuple(_sentences(occasion, locale)),
        facts=tuple(_facts(notice)),
        lines=tuple(clean(line) for line in occasion.lines),
        lines_title=say(locale, "Last lines of the log"),
        lines_note=_note_on_lines(occasion, locale),
        links=_links(occasion, locale, host_url),
    )
    return _own_words(letter, notice) if notice.templates else letter


def _own_words(letter: Letter, notice: Notice) -> Letter:
    """Put the app's own words in place of ours where it has a template that can be filled in."""
    facts = _for_templates(letter, notice)
    changes: dict[str, Any] = {}
    try:
        if subject := notice.templates.get("subject"):
            said = " ".join(render(subject, facts).split())
            changes["subject"] = clean(said)[:_SUBJECT] or letter.subject
        if body := notice.templates.get("body"):
            paragraphs = [clean_lines(each) for each in render(body, facts).split("\n\n")]
            if sentences := tuple(filter(None, paragraphs)):
                changes |= {"sentences": sentences, "facts": (), "lines": (), "lines_note": ""}
    except ValueError as error:
        log.warning("a notice of %s is told in our words: %s", notice.occasion.app, error)
        return letter
    return replace(letter, **changes)


def _for_templates(letter: Letter, notice: Notice) -> dict[str, Any]:
    urls = [link.url for link in letter.links]
    return notice.occasion.to_facts() | {
        "locale": notice.locale,
        "subject": letter.subject,
        "url": urls[0] if urls else "",
        "log_url": urls[-1] if urls else "",
    }


def clean_lines(text: str) -> str:
    """Return the text of several lines, each cleaned."""
    return "\n".join(clean(line) for line in text.strip().split("\n"))


def headline(notice: Notice) -> str:
    """Return the notice in one line."""
    occasion = notice.occasion
    whole = f"{occasion.app}/{occasion.job}" if occasion.job else occasion.app
    name = whole if len(whole) <= _NAME else whole[: _NAME - 1] + "…"
    phrase = _HEADLINES[occasion.event]
    if occasion.count > 1:
        phrase = "{name} failed {count} times"
    said = say(
        notice.locale, phrase, name=name, attempt=occasion.attempt or "", count=occasion.count
    )
    return clean(said)[:_SUBJECT]


def clean(text: str) -> str:
    """Return the text without what is not seen, turns the reading order, or ends a line."""
    return _UNSEEN.sub("", text)


def _sentences(occasion: Occasion, locale: str) -> list[str]:
    found = []
    if occasion.count > 1:
        phrase = "The same failure came {count} times since the last message; this is one of them."
        found.append(say(locale, phrase, count=occasion.count))
    if occasion.event in FAILURES and occasion.reason is not None:
        code = "-" if occasion.exit_code is None else occasion.exit_code
        found.append(say(locale, _REASONS[Reason(occasion.reason)], code=code))
    if occasion.event in FAILURES and occasion.detail:
        found.append(clean(occasion.detail)[:500])
    if occasion.event is Event.LATE and occasion.expected is not None:
        expected = _duration(occasion.expected, locale)
        found.append(say(locale, "It should have taken {expected} at most.", expected=expected))
    if occasion.event in _AFTERWARDS:
        found.append(say(locale, _AFTERWARDS[occasion.event]))
    return found


def _facts(notice: Notice) -> list[Fact]:
    occasion, locale = notice.occasion, notice.locale
    tried = {"attempts": occasion.attempts, "tries": occasion.tries}
    said = {
        "Result": occasion.result,
        "Exit code": None if occasion.exit_code is None else str(occasion.exit_code),
        "Attempts": say(locale, "{attempts} of {tries}", **tried) if occasion.attempts else None,
        "Duration": None if occasion.seconds is None else _duration(occasion.seconds, locale),
        "Started": _time(occasion.started_at, notice.time_zone),
        "Finished": _time(occasion.finished_at, notice.time_zone),
        "User": occasion.user_id,
        "Queue": occasion.queue,
        "Message id": occasion.message_id,
    }
    return [Fact(say(locale, label), clean(value)) for label, value in said.items() if value]


def _time(written: str | None, zone: str | None) -> str | None:
    if written is None:
        return None
    instant = datetime.fromisoformat(written).astimezone(ZoneInfo(zone or "UTC"))
    return instant.strftime("%Y-%m-%d %H:%M:%S %Z")


def _duration(seconds: float, locale: str) -> str:
    if seconds >= _HOUR:
        hours, rest = divmod(int(seconds), _HOUR)
        return say(locale, "{hours} h {minutes} min", hours=hours, minutes=rest // _MINUTE)
    if seconds >= _MINUTE:
        minutes, rest = divmod(int(seconds), _MINUTE)
        return say(locale, "{minutes} min {seconds} s", minutes=minutes, seconds=rest)
    return say(locale, "{seconds} s", seconds=f"{seconds:.1f}")


def _note_on_lines(occasion: Occasion, locale: str) -> str:
    if occasion.lines_before is None:
        return say(locale, "The log was not ready in time.")
    if occasion.lines_before:
        return say(locale, "{count} lines before these", count=f"{occasion.lines_before:,}")
    return ""


def _links(occasion: Occasion, locale: str, host_url: str | None) -> tuple[Link, ...]:
    if host_url is None or not occasion.message_id:
        return ()
    page = f"{host_url}/job_executions/{occasion.message_id}"
    found = [Link(say(locale, "Open the execution"), page)]
    if occasion.attempt is not None and occasion.event is not Event.LATE:
        log = f"{page}?attempt={occasion.attempt}#log"
        found.append(Link(say(locale, "Open the log"), log))
    return tuple(found)

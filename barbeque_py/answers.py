"""What the server answers to apps, as Python objects.

Each has the whole answer in `facts`, as it stands in docs/api.md.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

ENDED = ("succeeded", "failed", "cancelled")
_UNSEEN = {"error": "failed", "cancelled": "cancelled"}
_NOTES = {
    "error": "its message is dead, so no worker can run it: see `barbeque dead`",
    "cancelled": "it was cancelled before a worker saw it",
}


def _facts() -> Any:
    return field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Enqueued:
    """A request that can't be lost any more."""

    message_id: str
    status: str
    facts: Mapping[str, Any] = _facts()

    @classmethod
    def read(cls, facts: Mapping[str, Any]) -> "Enqueued":
        """Read the answer."""
        return cls(str(facts["message_id"]), str(facts["status"]), facts)


@dataclass(frozen=True, slots=True)
class Cancelled:
    """What a cancel came to: `cancelled`, `cancel requested` while it runs, `already ended`.

    With `force` also `kill requested`.
    """

    outcome: str
    facts: Mapping[str, Any] = _facts()

    @classmethod
    def read(cls, facts: Mapping[str, Any]) -> "Cancelled":
        """Read the answer."""
        return cls(str(facts["outcome"]), facts)


@dataclass(frozen=True, slots=True)
class Progress:
    """What a job told last of how far it is."""

    percent: float | None
    text: str
    at: datetime

    @classmethod
    def read(cls, facts: Mapping[str, Any] | None) -> "Progress | None":
        """Read that part of an answer; None where nothing was told."""
        if not facts:
            return None
        at = datetime.fromisoformat(facts["at"])
        return cls(facts["percent"], facts["text"] or "", at)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One launched try at an execution."""

    number: int
    state: str
    reason: str | None
    exit_code: int | None
    detail: str | None
    started_at: datetime | None
    finished_at: datetime | None
    facts: Mapping[str, Any] = _facts()

    @classmethod
    def read(cls, facts: Mapping[str, Any]) -> "Attempt":
        """Read that part of an answer."""
        return cls(
            facts["number"],
            str(facts["state"]),
            facts["reason"],
            facts["exit_code"],
            facts["detail"],
            _instant(facts["started_at"]),
            _instant(facts["finished_at"]),
            facts,
        )


@dataclass(frozen=True, slots=True)
class Execution:
    """One requested run, as it stands."""

    message_id: str
    state: str
    """queued, running, retrying, succeeded, failed or cancelled."""
    status: str
    """Barbeque's word: pending, running, retried, success, failed, error, cancelled."""
    note: str | None
    progress: Progress | None
    result: Any
    """What the newest attempt told as its result; None, too, while there is none."""
    attempts: Sequence[Attempt]
    facts: Mapping[str, Any] = _facts()

    @classmethod
    def read(cls, facts: Mapping[str, Any]) -> "Execution":
        """Read the answer."""
        return cls(
            str(facts["message_id"]),
            str(facts["state"]),
            str(facts["status"]),
            facts.get("note"),
            Progress.read(facts.get("progress")),
            facts.get("result"),
            tuple(map(Attempt.read, facts.get("attempts") or ())),
            facts,
        )

    @classmethod
    def unseen(cls, message_id: str, status: str) -> "Execution":
        """Return what is known of an execution that no worker has seen, by its status alone."""
        return cls.read(
            {
                "message_id": message_id,
                "state": _UNSEEN.get(status, "queued"),
                "status": status,
                "note": _NOTES.get(status, "no worker has seen this id yet"),
                "attempts": [],
            }
        )

    @property
    def ended(self) -> bool:
        """Whether nothing more follows by itself."""
        return self.state in ENDED

    @property
    def succeeded(self) -> bool:
        """Whether it has ended well."""
        return self.state == "succeeded"


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a log; `newline` is False for a piece of a longer one."""

    number: int
    at: str
    """RFC 3339."""
    stream: str
    """out, err, or - where the source does not tell."""
    text: str
    newline: bool

    @classmethod
    def read(cls, facts: Mapping[str, Any]) -> "LogLine":
        """Read that part of an answer."""
        return cls(facts["n"], facts["at"], facts["stream"], facts["text"], facts["newline"])


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)

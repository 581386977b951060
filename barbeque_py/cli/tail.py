"""Prints logs while they are written, from one attempt to the next."""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from barbeque_py import clock
from barbeque_py.answers import ENDED
from barbeque_py.cli.screen import print_line, short_time
from barbeque_py.cli.waiting import Patience, Pause, Ticker, look, note
from barbeque_py.client import Client

_PAGE = 1000
_WAIT = timedelta(seconds=10)
_PROGRESS_EVERY = 2.0
_EMPTY_ROUNDS = 6
"""Empty waits after an attempt's end before its log is taken for complete without its seal."""

_SEAL_PATIENCE = 60.0
"""Seconds after an attempt's end in which its log should have been stored."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which lines to print, and how."""

    stream: str | None = None
    timestamps: bool = False
    tail: int | None = None
    as_json: bool = False


class Tail:
    """Prints the log of one execution's attempts; notes about it go to standard error."""

    def __init__(self, client: Client, message_id: str, wanted: Wanted) -> None:
        self._client = client
        self._id = message_id
        self._wanted = wanted
        self._patience = Patience()
        self._open_line = False
        self._ticker = Ticker()

    def show(self, attempt: int | None) -> None:
        """Print what is there of an attempt's log, the newest attempt's where None is named.

        Of an attempt that has ended all is printed: its log is stored a moment after its end.
        """
        attempt, first = self._await_seal(attempt), self._first()
        while True:
            page = self._page(attempt, first, wait=timedelta(0))
            self._print(page)
            if page["next"] == first or not self._goes_on(page):
                return
            first = page["next"]

    def _await_seal(self, attempt: int | None) -> int | None:
        """Return which attempt is meant, once its log is complete, if nothing is to write to it."""
        pause, until = Pause(), clock.monotonic() + _SEAL_PATIENCE
        while True:
            page = self._page(attempt, -1, wait=timedelta(0))
            attempt = page["attempt"]
            if page["sealed"] or not page.get("ended"):
                return attempt
            if clock.monotonic() >= until:
                note(
                    "the log is not stored yet (does a worker run?): its last lines may be missing"
                )
                return attempt
            pause.sleep()

    def follow(self, attempt: int | None) -> dict[str, Any]:
        """Print attempt after attempt, from this one on, until the execution has ended.

        Returns the execution. Waits for one that no worker has seen yet.
        """
        execution = self._execution()
        number = attempt or self._begin(execution)
        while True:
            execution = self._await_attempt(execution, number)
            if _numbers(execution)[-1:] < [number]:
                return execution
            self._follow_one(number)
            execution = self._await_fate(number)
            self._close_line()
            self._tell_fate(execution, number)
            number += 1

    def _begin(self, execution: Mapping[str, Any]) -> int:
        """Begin with the first attempt, or with the newest one where only a tail is wanted."""
        newest = _numbers(execution)[-1:]
        return newest[0] if self._wanted.tail is not None and newest else 1

    def _await_attempt(self, execution: dict[str, Any], number: int) -> dict[str, Any]:
        """Return the execution once it has that attempt, or has ended without."""
        pause, told = Pause(), ""
        while execution["state"] not in ENDED and _numbers(execution)[-1:] < [number]:
            why = why_waiting(execution)
            if why != told and number == 1:
                note(why)
            told = why
            pause.sleep()
            execution = self._execution()
        return execution

    def _follow_one(self, number: int) -> None:
        first, empty, asked_at = self._first(), 0, 0.0
        while empty < _EMPTY_ROUNDS:
            page = self._page(number, first, wait=_WAIT)
            self._print(page)
            if clock.monotonic() - asked_at >= _PROGRESS_EVERY:
                self._ticker.show(self._execution())
                asked_at = clock.monotonic()
            if page["sealed"] and not self._goes_on(page):
                return
            nothing_came = page["next"] == first and page.get("ended")
            empty = empty + 1 if nothing_came else 0
            first = page["next"]

    def _await_fate(self, number: int) -> dict[str, Any]:
        """Return the execution once it says how the attempt ended."""
        pause = Pause()
        while True:
            execution = self._execution()
            if _attempt(execution, number).get("state") == "ended" or execution["state"] in ENDED:
                return execution
            pause.sleep()

    def _tell_fate(self, execution: Mapping[str, Any], number: int) -> None:
        attempt = _attempt(execution, number)
        said = f"attempt {number}: {describe_fate(attempt)}"
        state = execution["state"]
        if state in ENDED and _numbers(execution)[-1:] == [number]:
            note(f"{said}; the execution has {_ended(state)}")
        elif state in ENDED or _numbers(execution)[-1] > number:
            note(f"{said}; attempt {number + 1} follows")
        else:
            due = short_time(execution.get("due_at"))
            note(f"{said}; {state}, the next attempt is due at {due or 'once'} UTC")

    def _first(self) -> int:
        return 0 if self._wanted.tail is None else -self._wanted.tail

    def _goes_on(self, page: Mapping[str, Any]) -> bool:
        total = page.get("total")
        return total is None or page["next"] < total

    def _page(self, attempt: int | None, first: int, *, wait: timedelta) -> dict[str, Any]:
        page: dict[str, Any] = self._patience.call(
            lambda: self._client.log(
                self._id,
                attempt=attempt,
                first=first,
                count=_PAGE,
                stream=self._wanted.stream,
                wait=wait,
            )
        )
        return page

    def _execution(self) -> dict[str, Any]:
        return self._patience.call(lambda: look(self._client, self._id))

    def _print(self, page: Mapping[str, Any]) -> None:
        if self._wanted.as_json:
            for line in page["lines"]:
                print_line(json.dumps({"attempt": page["attempt"], **line}, ensure_ascii=False))
            return
        lines = page["lines"]
        for line in lines:
            stamp = f"{line['at']} {line['stream']} " if self._wanted.timestamps else ""
            before = "" if self._open_line else stamp
            after = "\n" if line["newline"] else ""
            sys.stdout.write(f"{before}{line['text']}{after}")
            self._open_line = not line["newline"]
        if lines:
            sys.stdout.flush()

    def _close_line(self) -> None:
        if self._open_line:
            sys.stdout.write("\n")
            sys.stdout.flush()
        self._open_line = False


def describe_fate(attempt: Mapping[str, Any]) -> str:
    """Return how an attempt ended in a few words."""
    reason = attempt.get("reason") or "under way"
    code, detail = attempt.get("exit_code"), attempt.get("detail")
    words = f"exited with {code}" if reason == "exited" else str(reason)
    return f"{words} ({' '.join(str(detail).split())})" if detail else words


def _ended(state: str) -> str:
    return "been cancelled" if state == "cancelled" else state


def _numbers(execution: Mapping[str, Any]) -> list[int]:
    return [attempt["number"] for attempt in execution.get("attempts") or []]


def _attempt(execution: Mapping[str, Any], number: int) -> Mapping[str, Any]:
    found = [each for each in execution.get("attempts") or [] if each["number"] == number]
    return found[0] if found else {}


def why_waiting(execution: Mapping[str, Any]) -> str:
    """Return a sentence about what the execution waits for."""
    if execution.get("waiting"):
        return f"{execution['state']}: {execution['waiting']['sentence']}"
    return str(execution.get("note") or execution["state"])

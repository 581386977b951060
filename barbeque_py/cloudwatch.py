"""A task's log as CloudWatch keeps it, turned into stored lines, under a budget of calls.

An attempt's row says where its log is: `awslogs:REGION:GROUP:STREAM`, its parts percent-encoded.
"""

import threading
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol
from urllib.parse import quote, unquote

from barbeque_py import aws, clock
from barbeque_py.errors import ExecutorUnavailable, NoSuchLog

SCHEME = "awslogs"
LONGEST = 64 * 1024
"""Bytes of text in one stored line; longer lines come in pieces."""

_FULL_EVENTS = 5_000
_FULL_BYTES = 512 * 1024
"""CloudWatch ends a page at 10,000 events or 1 MB; one of less than half is not full."""
_PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds between the tries of one call."""
_BEAT = 0.7
_MOMENT = 0.3
_PATIENCE = 10.0


class LogsClient(Protocol):
    """What is used of boto3's client for CloudWatch Logs."""

    def get_log_events(self, **asked: Any) -> dict[str, Any]:
        """Return a page of events."""
        ...

    def describe_log_streams(self, **asked: Any) -> dict[str, Any]:
        """Return a page of a group's streams."""
        ...


@dataclass(frozen=True, slots=True)
class LogPlace:
    """Where CloudWatch keeps a log."""

    region: str
    group: str
    stream: str


def format_log_at(place: LogPlace) -> str:
    """Return the place as text for the attempt's row."""
    parts = (place.region, place.group, place.stream)
    return ":".join([SCHEME, *(quote(part, safe="/") for part in parts)])


def parse_log_at(text: str) -> LogPlace:
    """Return the place that the text names; raises `ValueError` when it names none."""
    scheme, *parts = text.split(":")
    if scheme != SCHEME or len(parts) != 3 or not all(parts):  # noqa: PLR2004 - as in LogPlace
        raise ValueError(f"{text!r} is not {SCHEME}:REGION:GROUP:STREAM")
    return LogPlace(*map(unquote, parts))


class Budget:
    """So many calls a second for all who share it, in the order in which they ask."""

    def __init__(self, per_second: float = 10.0) -> None:
        self._every = 1 / per_second
        self._next = 0.0
        self._guard = threading.Lock()

    def reserve(self) -> float:
        """Take the next call that is free; return how many seconds to wait before it is made."""
        with self._guard:
            now = clock.monotonic()
            at = max(self._next, now)
            self._next = at + self._every
            return at - now


class CloudWatchLog:
    """The log of one task, from its first line on; it goes on where it was when read again.

    Give it a client that tries each call once: every try counts in the budget. An event's time has
    milliseconds; awslogs does not tell one stream from the other, and cuts a line longer than
    256 KiB into several events without a sign of it.
    """

    def __init__(
        self,
        client: LogsClient,
        group: str,
        stream: str,
        *,
        budget: Budget | None = None,
        interval: timedelta = timedelta(seconds=2),
        has_ended: Callable[[], bool] = lambda: False,
    ) -> None:
        self._client = client
        self._group = group
        self._stream = stream
        self._budget = budget or Budget()
        self._interval = interval.total_seconds()
        self._has_ended = has_ended
        self._token: str | None = None
        self._second = b""
        self._second_of = -1

    def batches(self, *, follow: bool) -> Iterator[list[bytes]]:
        """Yield the stored lines behind those that were yielded before, as `LogSource` promises.

        The first reading takes a page that is not nearly full for the end, so that a small log is
        one call; a later one reads until CloudWatch says that this is the end, which is one call
        when nothing is new. When following, this ends one reading after `has_ended`; while a call
        is under way no empty batch comes. A task that wrote nothing may have no stream: its log is
        empty. Raises `NoSuchLog` without the group, or when the stream went while it was read.
        """
        if not follow:
            yield from self._read(whole=self._token is not None)
            return
        while not self._has_ended():
            yield from self._read(whole=False)
            yield from _pausing(self._interval)
        yield from self._read(whole=True)

    def _read(self, *, whole: bool) -> Iterator[list[bytes]]:
        while True:
            sent = self._token
            page = yield from self._ask(sent)
            if page is None:
                return
            lines = self._lines(page["events"])
            self._token = page["nextForwardToken"]
            yield lines
            if self._token == sent or not (whole or _is_full(lines)):
                return

    def _ask(self, token: str | None) -> Generator[list[bytes], None, dict[str, Any] | None]:
        """Ask for a page, patiently; None where there is no stream yet."""
        asked = {"logGroupName": self._group, "logStreamName": self._stream, "startFromHead": True}
        if token is not None:
            asked["nextToken"] = token
        for pause in (*_PAUSES, None):
            yield from _pausing(self._budget.reserve(), silent=_MOMENT)
            try:
                return self._client.get_log_events(**asked)
            except aws.FAILURES as error:
                if aws.code_of(error) == "ResourceNotFoundException":
                    self._refuse_gone(error)
                    return None
                if aws.is_definite(error) or pause is None:
                    raise ExecutorUnavailable(
                        f"reading the log stream {self._stream} of the log group {self._group} "
                        f"failed: {aws.explain(error)}"
                    ) from error
            yield from _pausing(pause)
        raise AssertionError("the last try returns or raises")

    def _refuse_gone(self, error: BaseException) -> None:
        if self._token is not None:
            raise NoSuchLog(
                f"the log stream {self._stream} is gone from the log group {self._group}"
            ) from error
        if "stream" not in aws.message_of(error).lower() and not self._has_group():
            raise NoSuchLog(f"the log group {self._group} is not in CloudWatch") from error

    def _has_group(self) -> bool:
        """Tell whether the group is there, as only the words of the error tell what is not."""
        try:
            self._client.describe_log_streams(logGroupName=self._group, limit=1)
        except aws.FAILURES:
            return False
        return True

    def _lines(self, events: list[dict[str, Any]]) -> list[bytes]:
        lines: list[bytes] = []
        for event in events:
            at = self._stamp(event["timestamp"])
            text = event["message"].encode(errors="replace")
            if len(text) <= LONGEST and b"\n" not in text:
                lines.append(b"%b - %b" % (at, text))
            else:
                lines += cut_lines(at, b"-", text)
        return lines

    def _stamp(self, milliseconds: int) -> bytes:
        second, fraction = divmod(milliseconds, 1000)
        if second != self._second_of:
            instant = clock.rfc3339(clock.from_milliseconds(second * 1000))
            self._second, self._second_of = instant.partition(".")[0].encode(), second
        return b"%b.%03d000Z" % (self._second, fraction)


class CloudWatch:
    """Opens logs by the text in their attempts' rows, with one client for each Region."""

    def __init__(self, budget: Budget | None = None) -> None:
        self._budget = budget or Budget()
        self._clients: dict[str, Any] = {}
        self._guard = threading.Lock()

    def open_log(
        self, log_at: str, *, has_ended: Callable[[], bool] = lambda: False
    ) -> CloudWatchLog:
        """Return the log at that place; raises `ValueError` when it is not one of CloudWatch."""
        place = parse_log_at(log_at)
        with self._guard:
            if place.region not in self._clients:
                self._clients[place.region] = aws.open_client(
                    "logs", region=place.region, patience=_PATIENCE, tries=1
                )
        return CloudWatchLog(
            self._clients[place.region],
            place.group,
            place.stream,
            budget=self._budget,
            has_ended=has_ended,
        )

    def close(self) -> None:
        """Close the connections to CloudWatch."""
        for client in self._clients.values():
            client.close()


def cut_lines(at: bytes, stream: bytes, text: bytes, *, more: bool = False) -> Iterator[bytes]:
    """Yield the stored lines of a text that may be several, long ones in pieces of 64 KiB.

    `more` says that the text goes on in the stream's next line.
    """
    *lines, last = text.removesuffix(b"\n").split(b"\n")
    for line in lines:
        yield from _pieces(at, stream, line, b"")
    yield from _pieces(at, stream, last, b"+" if more else b"")


def _pieces(at: bytes, stream: bytes, line: bytes, mark: bytes) -> Iterator[bytes]:
    start = 0
    while len(line) - start > LONGEST:
        yield b"%b %b+ %b" % (at, stream, line[start : start + LONGEST])
        start += LONGEST
    yield b"%b %b%b %b" % (at, stream, mark, line[start:])


def _is_full(lines: list[bytes]) -> bool:
    return len(lines) >= _FULL_EVENTS or sum(map(len, lines)) >= _FULL_BYTES


def _pausing(seconds: float, *, silent: float = 0) -> Iterator[list[bytes]]:
    """Wait, yielding an empty batch at least once a second; none in the last seconds if `silent`.

    Whoever waits for the first lines takes an empty batch for the end of what is there.
    """
    until = clock.monotonic() + seconds
    while (left := until - clock.monotonic()) > 0:
        threading.Event().wait(min(left, _BEAT))
        if left > silent:
            yield []

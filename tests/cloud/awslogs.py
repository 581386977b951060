"""The log driver awslogs: a container's lines, in batches, into moto's CloudWatch Logs."""

from collections import deque
from contextlib import suppress
from random import Random
from typing import Final

from barbeque_py import clock
from tests.cloud.knobs import Knobs
from tests.cloud.moto_calls import Moto
from tests.cloud.service import AwsFault, Json

_LONGEST: Final = 262_144 - 26
"""Bytes of text in one event; a longer line becomes several."""

_BATCH_BYTES: Final = 1_048_576
_BATCH_EVENTS: Final = 10_000
_OVERHEAD: Final = 26
_HELD: Final = 3
"""Lines at the end of a log that may come late."""


class LogStream:
    """One stream of a log group; stdout and stderr go into it in the order of arrival.

    As the real driver does: empty lines are left out, bytes that are not UTF-8 become U+FFFD, and
    nothing marks the stream a line came from.
    """

    split = False

    def __init__(
        self, moto: Moto, options: Json, *, name: str, region: str, knobs: Knobs, dice: Random
    ) -> None:
        self._moto = moto
        self._group = options["awslogs-group"]
        self._region = options.get("awslogs-region") or region
        self._name = name
        self._knobs = knobs
        self._open: dict[int, bytes] = {}
        self._events: list[Json] = []
        self._bytes = 0
        self._stamp = 0
        self._due = 0.0
        self._held: deque[Json] = deque()
        self._holding = _HELD if dice.random() < knobs.late_lines.get("p", 0.0) else 0

    def create(self, *, group: bool) -> None:
        """Make the stream, and the group if wished; raises `AwsFault` where it is missing."""
        if group:
            self._make("CreateLogGroup", {"logGroupName": self._group})
        names = {"logGroupName": self._group, "logStreamName": self._name}
        self._make("CreateLogStream", names)

    def write(self, stream: int, piece: bytes) -> None:
        """Take a piece; what makes whole lines goes into the batch."""
        self._stamp = max(self._stamp, clock.milliseconds(clock.now()))
        *lines, rest = (self._open.get(stream, b"") + piece).split(b"\n")
        for line in lines:
            if line:
                self._add(line)
        while len(rest) > _LONGEST:
            self._add(rest[:_LONGEST])
            rest = rest[_LONGEST:]
        self._open[stream] = rest
        self.rest()

    def rest(self) -> None:
        """Put what has waited for the flush interval."""
        if self._events and clock.monotonic() >= self._due:
            self._put()

    def close(self) -> None:
        """Put all but the lines that come late."""
        for line in self._open.values():
            if line:
                self._add(line)
        self._open.clear()
        self._put()

    def late(self) -> bool:
        """Tell whether lines are still to come, by `put_late`."""
        return bool(self._held)

    def put_late(self) -> None:
        """Put what was held back until after the task's end."""
        self._holding = 0
        self._events = list(self._held)
        self._held.clear()
        self._put()

    def _add(self, line: bytes) -> None:
        if len(line) > _LONGEST:
            for start in range(0, len(line), _LONGEST):
                self._add(line[start : start + _LONGEST])
            return
        text = line.decode(errors="replace")
        size = (len(line) if text.isascii() else len(text.encode())) + _OVERHEAD
        if self._bytes + size > _BATCH_BYTES or len(self._events) >= _BATCH_EVENTS:
            self._put()
        if not self._events:
            self._due = clock.monotonic() + self._knobs.flush_seconds
        event = {"timestamp": self._stamp, "message": text}
        if self._holding:
            self._held.append(event)
            if len(self._held) <= self._holding:
                return
            event = self._held.popleft()
        self._events.append(event)
        self._bytes += size

    def _put(self) -> None:
        events, self._events, self._bytes = self._events, [], 0
        if events:
            names = {"logGroupName": self._group, "logStreamName": self._name}
            request = {**names, "logEvents": events}
            with suppress(OSError, AwsFault):  # as the driver: what can't be put is lost
                self._moto.ask("logs", "PutLogEvents", request, region=self._region)

    def _make(self, operation: str, request: Json) -> None:
        try:
            self._moto.ask("logs", operation, request, region=self._region)
        except AwsFault as fault:
            if fault.code != "ResourceAlreadyExistsException":
                raise

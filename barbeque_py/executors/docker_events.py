"""The Docker engine's event stream: containers of one installation as they end."""

import json
from collections.abc import Iterator
from datetime import datetime
from threading import Event
from urllib.parse import urlencode

from barbeque_py import clock
from barbeque_py.errors import ExecutorUnavailable
from barbeque_py.executors.engine import Engine, Stream

_SILENCE = 0.5
"""Seconds: how soon a stop is noticed, and how often the listener hears that nothing happened."""

_LONGEST_WAIT = 1.0
_OK = 200


class Deaths:
    """The names of containers with this label, as they end; reconnects by itself."""

    def __init__(self, engine: Engine, label: str) -> None:
        self._engine = engine
        self._label = label
        self._since = _nanoseconds(clock.now())

    def names(self, stop: Event) -> Iterator[str | None]:
        """Yield a container's name as it ends, and None while nothing does, until the stop."""
        wait = _SILENCE / 8
        while not stop.is_set():
            try:
                for name in self._listen(stop):
                    wait = _SILENCE / 8
                    yield name
            except ExecutorUnavailable:
                yield None
            stop.wait(wait)
            wait = min(wait * 2, _LONGEST_WAIT)

    def _listen(self, stop: Event) -> Iterator[str | None]:
        with self._engine.stream("GET", self._path(), silence=_SILENCE) as stream:
            if stream.status != _OK:
                raise self._engine.unavailable(f"its events answered {stream.status}")
            unread = b""
            while not stop.is_set() and not stream.complete:
                *lines, unread = (unread + _text(stream)).split(b"\n")
                yield from self._fresh(lines)
                yield None

    def _path(self) -> str:
        filters = {"type": ["container"], "event": ["die"], "label": [self._label]}
        since = f"{self._since // 10**9}.{self._since % 10**9:09d}"
        return f"/events?{urlencode({'filters': json.dumps(filters), 'since': since})}"

    def _fresh(self, lines: list[bytes]) -> Iterator[str]:
        """Yield the names in events that were not seen before a reconnection."""
        for line in filter(None, map(bytes.strip, lines)):
            event = json.loads(line)
            if event["timeNano"] >= self._since:
                self._since = event["timeNano"]
                yield event["Actor"]["Attributes"]["name"]


def _text(stream: Stream) -> bytes:
    return b"".join(stream.read() or ())


def _nanoseconds(instant: datetime) -> int:
    return clock.milliseconds(instant) * 1_000_000

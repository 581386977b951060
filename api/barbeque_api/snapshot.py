"""The names that enqueue checks against, kept beside the database so that it is not asked.

Read again every 10 s in the background of requests, and once more when a name is not found; kept
in a file, so that a restart while the database is away still knows them, for up to a day.
"""

import json
import logging
import os
import threading
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from barbeque_py import clock
from barbeque_py.errors import OutsideError, StoreUnavailable
from barbeque_py.store import Store, Tx, apps, queries

log = logging.getLogger("barbeque.api")

FRESH = timedelta(seconds=10)
USABLE = timedelta(hours=24)

_FILE = "snapshot.json"
_KEPT = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Names:
    """The queues and jobs that there were, and when."""

    queues: frozenset[str]
    jobs: frozenset[tuple[str, str]]
    taken_at: datetime


class Snapshot:
    """The names as last read from one store; safe to use from many threads."""

    def __init__(self, store: Store, home: Path) -> None:
        self._store = store
        self._path = home / _FILE
        self._names: Names | None = None
        self._kept: Names | None = None
        self._read_at = float("-inf")
        self._reading = threading.Lock()

    @property
    def stale(self) -> bool:
        """Whether it is time to read the names again; the current ones may still be used."""
        return clock.monotonic() - self._read_at > FRESH.total_seconds()

    @property
    def names(self) -> Names | None:
        """The names, unless there are none that are less than a day old."""
        names = self._names
        return names if names is not None and _usable(names) else None

    def refresh(self, *, asked_at: float | None = None) -> Names:
        """Read the names, unless another thread did so since `asked_at`, and return them.

        Waits for a thread that is reading them. While the database is away these are the last
        ones; raises `StoreUnavailable` when those are more than a day old.
        """
        asked_at = clock.monotonic() if asked_at is None else asked_at
        with self._reading:
            if self._read_at < asked_at:
                self._read()
        names = self.names
        if names is None:
            raise StoreUnavailable("no names of queues are known that are less than a day old")
        return names

    def refresh_quietly(self) -> None:
        """Read the names unless another thread is at it; for the background of requests."""
        if not self._reading.acquire(blocking=False):
            return
        try:
            if self.stale:
                self._read()
        finally:
            self._reading.release()

    def _read(self) -> None:
        began = clock.monotonic()
        try:
            self._names = self._store.read(_read_names)
            self._keep(self._names)
        except OutsideError as error:
            log.warning("enqueue goes on with the names it has: %s", error)
            self._names = self._names or self._load()
        self._read_at = began

    def _keep(self, names: Names) -> None:
        kept = self._kept
        same = kept is not None and (kept.queues, kept.jobs) == (names.queues, names.jobs)
        if same and kept is not None and names.taken_at - kept.taken_at < _KEPT:
            return
        facts = {
            "taken_at": clock.rfc3339(names.taken_at),
            "queues": sorted(names.queues),
            "jobs": sorted(names.jobs),
        }
        unfinished = self._path.with_name(f"{_FILE}.{os.getpid()}")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            unfinished.write_text(json.dumps(facts))
            unfinished.replace(self._path)
        except OSError as error:
            log.warning("can't write %s: %s", self._path, error)
            return
        self._kept = names

    def _load(self) -> Names | None:
        try:
            facts: dict[str, Any] = json.loads(self._path.read_text())
            return Names(
                queues=frozenset(facts["queues"]),
                jobs=frozenset((app, job) for app, job in facts["jobs"]),
                taken_at=datetime.fromisoformat(facts["taken_at"]),
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None


def _read_names(tx: Tx) -> Names:
    return Names(
        queues=frozenset(apps.queue_names(tx)),
        jobs=frozenset(queries.job_names(tx)),
        taken_at=clock.now(),
    )


def _usable(names: Names) -> bool:
    return abs(clock.now() - names.taken_at) < USABLE

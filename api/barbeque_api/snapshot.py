"""The names and tokens that requests are checked against, so that the database is not asked.

Read again every 10 s in the background of requests, and once more when one is not found; kept
in a file, so that a restart while the database is away still knows them, for up to a day.
"""

import json
import logging
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from barbeque_py import clock
from barbeque_py.errors import OutsideError, StoreUnavailable
from barbeque_py.identity import Scope
from barbeque_py.store import Store, Tx, apps, queries, tokens

log = logging.getLogger("barbeque.api")

FRESH = timedelta(seconds=10)
USABLE = timedelta(hours=24)

_FILE = "snapshot.json"
_KEPT = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Known:
    """A token that was good when the names were read."""

    digest: str
    name: str
    """What the audit trail calls who shows it."""
    app: str | None
    scopes: frozenset[Scope]
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Names:
    """The queues, jobs and tokens that there were, and when."""

    queues: frozenset[str]
    jobs: frozenset[tuple[str, str]]
    tokens: Mapping[str, Known]
    """By their ids."""
    taken_at: datetime = field(compare=False)


class Snapshot:
    """The names as last read from one store; safe to use from many threads."""

    def __init__(self, store: Store, home: Path) -> None:
        self._store = store
        self._path = home / _FILE
        self._names: Names | None = None
        self._kept: Names | None = None
        self._read_at = float("-inf")
        self._reading = threading.Lock()
        self._used: dict[str, datetime] = {}
        self._stored_at = float("-inf")
        self.away = False
        """Whether the database could not be read when that was last tried."""

    @property
    def stale(self) -> bool:
        """Whether it is time to read the names again; the current ones may still be used."""
        return self.age > FRESH.total_seconds()

    @property
    def age(self) -> float:
        """Seconds since the names were read, or since that was last tried."""
        return clock.monotonic() - self._read_at

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
            raise StoreUnavailable("no names and tokens are known that are less than a day old")
        return names

    def refresh_quietly(self, *, older_than: float | None = None) -> None:
        """Read the names unless another thread is at it; for the background of requests."""
        if not self._reading.acquire(blocking=False):
            return
        try:
            if self.age > (FRESH.total_seconds() if older_than is None else older_than):
                self._read()
        finally:
            self._reading.release()

    def note_use(self, token_id: str, at: datetime) -> None:
        """Keep when a token was used; it is stored when the names are next read."""
        self._used[token_id] = at

    def _store_uses(self) -> None:
        """Store when tokens were last used."""
        used, self._used = self._used, {}
        if used:
            self._store.write(lambda tx: tokens.note_uses(tx, used))
        self._stored_at = clock.monotonic()

    def close(self) -> None:
        """Store what is to be stored, if that can be done."""
        try:
            self._store_uses()
        except OutsideError as error:
            log.warning("when tokens were last used is not stored: %s", error)

    def _read(self) -> None:
        began = clock.monotonic()
        try:
            self._names = self._store.read(_read_names)
            self._keep(self._names)
            self.away = False
            if began - self._stored_at > tokens.USE_KEPT.total_seconds():
                self._store_uses()
        except OutsideError as error:
            self.away = True
            self._names = self._names or self._load()
            log.warning("requests are checked against %s: %s", self._described(), error)
        self._read_at = began

    def _described(self) -> str:
        names = self.names
        if names is None:
            return "nothing, as no names and tokens are known that are less than a day old"
        old = int(abs((clock.now() - names.taken_at).total_seconds()))
        return f"names and tokens that are {old} s old, for up to {USABLE.total_seconds():.0f} s"

    def _keep(self, names: Names) -> None:
        kept = self._kept
        if kept == names and kept is not None and names.taken_at - kept.taken_at < _KEPT:
            return
        unfinished = self._path.with_name(f"{_FILE}.{os.getpid()}")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            unfinished.unlink(missing_ok=True)
            with open(unfinished, "x", opener=_open_private) as file:
                file.write(json.dumps(_written(names) | {"database": self._store.shown_url}))
            unfinished.replace(self._path)
        except OSError as error:
            log.warning("can't write %s: %s", self._path, error)
            return
        self._kept = names

    def _load(self) -> Names | None:
        """Return the names that were kept of this database."""
        try:
            facts: dict[str, Any] = json.loads(self._path.read_text())
            return _names(facts) if facts["database"] == self._store.shown_url else None
        except (OSError, ValueError, KeyError, TypeError):
            return None


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _written(names: Names) -> dict[str, Any]:
    return {
        "taken_at": clock.rfc3339(names.taken_at),
        "queues": sorted(names.queues),
        "jobs": sorted(names.jobs),
        "tokens": {
            token_id: {
                "digest": each.digest,
                "name": each.name,
                "app": each.app,
                "scopes": sorted(each.scopes),
                "expires_at": clock.rfc3339(each.expires_at),
            }
            for token_id, each in names.tokens.items()
        },
    }


def _names(facts: dict[str, Any]) -> Names:
    return Names(
        queues=frozenset(facts["queues"]),
        jobs=frozenset((app, job) for app, job in facts["jobs"]),
        tokens={
            token_id: Known(
                digest=each["digest"],
                name=each["name"],
                app=each["app"],
                scopes=frozenset(map(Scope, each["scopes"])),
                expires_at=datetime.fromisoformat(each["expires_at"]),
            )
            for token_id, each in facts["tokens"].items()
        },
        taken_at=datetime.fromisoformat(facts["taken_at"]),
    )


def _read_names(tx: Tx) -> Names:
    return Names(
        queues=frozenset(apps.queue_names(tx)),
        jobs=frozenset(queries.job_names(tx)),
        tokens={
            each.id: Known(each.digest, each.identity.name, each.app, each.scopes, each.expires_at)
            for each in tokens.live(tx)
        },
        taken_at=clock.now(),
    )


def _usable(names: Names) -> bool:
    return abs(clock.now() - names.taken_at) < USABLE

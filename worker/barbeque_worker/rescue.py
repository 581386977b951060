"""Loop: brings forward whatever a dead worker left, and repairs what should never be wrong."""

import logging
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta

from barbeque_py import clock, metrics
from barbeque_py.executions import AttemptState
from barbeque_py.ids import AttemptId
from barbeque_py.store import Tx, apps, attempts, leases, limits, outbox, workers
from barbeque_py.store import executions as rows
from barbeque_py.store.attempts import Attempt
from barbeque_py.suspend import end_pauses
from barbeque_worker.launching import Launcher
from barbeque_worker.shipping import Shippers
from barbeque_worker.station import Station, is_dead
from barbeque_worker.watch import STRANGER

log = logging.getLogger(__name__)

_RECOUNT = "recount"
_RECOUNT_EVERY = timedelta(hours=1)
_DUTY_LEASE = timedelta(minutes=2)


class Rescue:
    """Adopts, wakes and tidies, each time from what the database and the executor say."""

    def __init__(self, station: Station, launcher: Launcher, shippers: Shippers) -> None:
        self._station = station
        self._launcher = launcher
        self._shippers = shippers

    def step(self) -> float:
        """Do one round; return how long to rest, 10 s at the usual lease of 90 s."""
        rest = self.look_after()
        self._station.store.write(_free_outbox)
        self._end_pauses()
        self._wake_held()
        self._recount()
        return rest

    def look_after(self) -> float:
        """Do what concerns this executor's places alone; return how long to rest."""
        self.adopt()
        self._resume_own()
        self._tidy()
        return self._station.lease.length.total_seconds() / 9

    def adopt(self) -> None:
        """Take over the attempts whose worker is gone."""
        station = self._station
        places = station.places.current()
        asked_at = clock.monotonic()
        taken = station.store.write(lambda tx: _take_over(tx, station, places))
        station.lease.renewed(asked_at)
        metrics.leases_expired.inc(len(taken))
        for attempt in taken:
            log.info("attempt %s is taken over from %s", attempt.id, attempt.owner)
            self._go_on(attempt)

    def _resume_own(self) -> None:
        """Start again what this worker holds and no thread of it is starting any more.

        A start that broke off (the database was away, an error nobody foresaw) keeps its lease,
        because the heartbeat renews it, so nobody else may take it up.
        """
        station = self._station
        live = station.store.read(lambda tx: leases.unstarted_of(tx, station.owner))
        for attempt in live:
            if station.executor.serves(attempt.place):
                self._launcher.resume(attempt)

    def _go_on(self, attempt: Attempt) -> None:
        if attempt.state is AttemptState.STARTING:
            self._launcher.resume(attempt)
        else:
            self._station.mine.add(attempt.id)
            self._shippers.begin(attempt.id)

    def _wake_held(self) -> None:
        for scope in self._station.store.read(rows.scopes_that_hold):
            self._station.store.write(lambda tx, scope=scope: _wake(tx, scope))  # type: ignore[misc]

    def _end_pauses(self) -> None:
        """Let queues go on whose pause was to last so long only."""
        if self._station.store.read(apps.pauses_over):
            for name in self._station.store.write(end_pauses):
                log.info("the queue %s goes on: its pause is over", name)

    def _tidy(self) -> None:
        """Free what ended attempts still hold, once their log is sealed."""
        station = self._station
        remains = station.executor.remains()
        if not remains:
            return
        known = station.store.read(lambda tx: attempts.known(tx, remains))
        self._shippers.drop({each.id for each in known.values() if each.log_sealed_at})
        for attempt in remains:
            row = known.get(attempt)
            if row is None:
                self._report_stranger(attempt)
            elif row.state is AttemptState.ENDED and row.log_sealed_at is not None:
                station.executor.remove(attempt)

    def _report_stranger(self, attempt: AttemptId) -> None:
        log.warning(STRANGER, attempt)
        self._station.executor.stop(attempt, kill=False)

    def _recount(self) -> None:
        station = self._station
        if station.store.write(lambda tx: _take_recount(tx, station.owner)):
            for scope, change in station.store.write(recount).items():
                log.warning("the counter of %s was off by %+d and is right again", scope, change)
            station.store.write(lambda tx: workers.finish_duty(tx, _RECOUNT, station.owner))


def _take_over(tx: Tx, station: Station, places: Sequence[str]) -> list[Attempt]:
    dead = [owner for owner in leases.owners_at(tx, places) if is_dead(owner)]
    return leases.take_over(
        tx,
        places,
        station.owner,
        station.lease.length,
        dead_owners=dead,
        started=workers.is_drained(tx, station.owner),
    )


def _free_outbox(tx: Tx) -> None:
    """Give up what workers known to be dead have leased: doing it again does no harm."""
    for owner in outbox.owners(tx):
        if is_dead(owner):
            outbox.release(tx, owner)


def _wake(tx: Tx, scope: str) -> None:
    limits.lock(tx, [scope])
    limits.wake(tx, [scope])


def _take_recount(tx: Tx, owner: str) -> bool:
    return workers.take_duty(tx, _RECOUNT, owner, every=_RECOUNT_EVERY, lease=_DUTY_LEASE)


def recount(tx: Tx) -> dict[str, int]:
    """Set every counter to the live attempts it counts; return by how much each was off."""
    found = limits.lock(tx, [limit.scope for limit in limits.read_all(tx)])
    live = Counter(scope for scopes in attempts.live_scopes(tx) for scope in scopes)
    changes = {
        scope: live[scope] - limit.used
        for scope, limit in found.items()
        if live[scope] != limit.used
    }
    for scope in changes:
        limits.set_used(tx, scope, live[scope])
    limits.wake(tx, changes)
    limits.forget_idle_keys(tx, 1000)
    return changes

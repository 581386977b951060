"""Loops: ends are seen as they happen, a sweep catches the rest, and stops are carried out."""

import logging
import threading
from collections.abc import Callable, Sequence
from datetime import timedelta

from barbeque_py.executions import AttemptState
from barbeque_py.executor import Launch, Sighting, Standing
from barbeque_py.ids import AttemptId
from barbeque_py.outcomes import Fate, Reason
from barbeque_py.settle import settle
from barbeque_py.store import Tx, attempts, outbox
from barbeque_py.store.attempts import Attempt
from barbeque_worker.launching import Launcher
from barbeque_worker.shipping import Shippers
from barbeque_worker.station import Station

log = logging.getLogger(__name__)

_SWEEP = 5.0
_ENFORCE = 1.0


class Watch:
    """Sees how the attempts of this worker's place fare, whoever started them."""

    def __init__(
        self,
        station: Station,
        launcher: Launcher,
        shippers: Shippers,
        *,
        on_settled: Callable[[], None],
    ) -> None:
        self._station = station
        self._on_settled = on_settled
        self._launcher = launcher
        self._shippers = shippers

    def follow(self, stop: threading.Event) -> None:
        """Settle this worker's attempts as their ends are told, until `stop` is set."""
        for attempt in self._station.executor.events(stop):
            if attempt is not None and attempt in self._station.mine:
                self._try(attempt)

    def sweep(self) -> float:
        """Look at every live attempt of the place; return how long to rest."""
        station = self._station
        place = station.executor.place()
        mine_before = frozenset(station.mine)  # what is claimed meanwhile is not among the live
        live = station.store.read(lambda tx: attempts.live_at(tx, [place]))
        for attempt, sighting in self._look_at(live):
            self._judge(attempt, sighting)
        station.mine.difference_update(mine_before - {attempt.id for attempt in live})
        self._sweep_former_places()
        return _SWEEP

    def enforce(self) -> float:
        """Stop what is past its deadline or was cancelled; return how long to rest."""
        place = self._station.executor.place()
        for attempt in self._station.store.read(lambda tx: attempts.due_to_stop(tx, place)):
            if attempt.owner == self._station.owner:
                self._stop(attempt)
        return _ENFORCE

    def _sweep_former_places(self) -> None:
        """Judge what was here before the machine was booted anew: nothing of it runs any more."""
        station = self._station
        former = former_places(station)
        for attempt, sighting in self._look_at(
            station.store.read(lambda tx: attempts.live_at(tx, former)) if former else []
        ):
            if sighting.standing in (Standing.ABSENT, Standing.CREATED):
                detail = "the machine was restarted before it was started"
                self._settle(attempt, Fate(Reason.INTERRUPTED, detail=detail))
            else:
                self._judge(attempt, sighting)

    def _look_at(self, live: Sequence[Attempt]) -> list[tuple[Attempt, Sighting]]:
        if not live:
            return []
        seen = self._station.executor.sightings([attempt.id for attempt in live])
        return [(attempt, seen[attempt.id]) for attempt in live]

    def _try(self, attempt_id: AttemptId) -> None:
        try:
            attempt = self._station.store.read(lambda tx: attempts.get(tx, attempt_id))
            if attempt is not None and attempt.state is not AttemptState.ENDED:
                self._judge(attempt, self._station.executor.sightings([attempt_id])[attempt_id])
        except Exception as error:  # noqa: BLE001 - the sweep looks again
            log.warning("attempt %s is left to the sweep: %s", attempt_id, error)

    def _judge(self, attempt: Attempt, sighting: Sighting) -> None:
        match sighting.standing:
            case Standing.ENDED:
                assert sighting.fate is not None, "an executor tells the fate of what has ended"
                self._settle(attempt, sighting.fate)
            case Standing.RUNNING if attempt.state is AttemptState.STARTING:
                self._launcher.seen(attempt.id, sighting, timeout=_timeout(attempt))
            case Standing.RUNNING if attempt.owner == self._station.owner:
                self._shippers.begin(attempt.id)
            case Standing.ABSENT if attempt.state is AttemptState.RUNNING:
                detail = "it was seen running, and then it was gone without a trace"
                self._settle(attempt, Fate(Reason.VANISHED, detail=detail))
            case _:
                pass  # Not started yet: whoever holds its lease starts it.

    def _settle(self, attempt: Attempt, fate: Fate) -> None:
        self._station.mine.discard(attempt.id)
        if self._station.store.write(lambda tx: settle(tx, attempt.id, fate)) is not None:
            self._on_settled()

    def _stop(self, attempt: Attempt) -> None:
        reason = Reason.CANCELLED if attempt.cancel_requested_at else Reason.TIMED_OUT
        if attempt.stop_requested_at is None:
            self._station.store.write(lambda tx: attempts.request_stop(tx, attempt.id, reason))
            self._station.executor.stop(attempt.id, kill=False)
        elif self._station.store.read(lambda tx: _grace_is_over(tx, attempt)):
            self._station.executor.stop(attempt.id, kill=True)


def former_places(station: Station) -> list[str]:
    """Return the places with work left that were this worker's own before."""
    known = station.store.read(lambda tx: [*attempts.live_places(tx), *outbox.places(tx)])
    return sorted({place for place in known if station.executor.former(place)})


def _timeout(attempt: Attempt) -> float:
    assert attempt.request is not None, "an attempt keeps its request until it has ended"
    return Launch.from_json(attempt.request).timeout


def _grace_is_over(tx: Tx, attempt: Attempt) -> bool:
    assert attempt.request is not None, "an attempt keeps its request until it has ended"
    assert attempt.stop_requested_at is not None, "asked to stop before"
    grace = timedelta(seconds=Launch.from_json(attempt.request).grace)
    return tx.now > attempt.stop_requested_at + grace

"""Loops: ends are seen as they happen, a sweep catches the rest, and stops are carried out."""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from barbeque_py.errors import OutsideError
from barbeque_py.executions import AttemptState
from barbeque_py.executor import Launch, Sighting, Standing
from barbeque_py.ids import AttemptId
from barbeque_py.outcomes import Fate, Reason
from barbeque_py.report import report
from barbeque_py.reports import Report
from barbeque_py.settle import Told
from barbeque_py.store import Tx, attempts, lots, quotas, stops, unchecked
from barbeque_py.store.attempts import Attempt
from barbeque_py.store.lots import Begun
from barbeque_worker.launching import Launcher
from barbeque_worker.shipping import Shippers
from barbeque_worker.station import Station, end_of

log = logging.getLogger(__name__)

STRANGER = (
    "attempt %s runs here but stands in no row: was the database restored from a backup? "
    "It is asked to stop."
)
_FEW = 5
"""How much longer than usual running attempts may wait for a look while they fill no call."""
_KILL_AGAIN = timedelta(seconds=5)
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
        self._deaf = False
        self._reports: dict[AttemptId, Report] = {}

    def follow(self, stop: threading.Event) -> None:
        """Settle this worker's attempts as their ends are told, until `stop` is set."""
        for news in self._station.executor.events(stop):
            self._deaf = news.deaf
            mine = self._station.mine
            told = {each: seen for each, seen in news.sightings.items() if seen or each in mine}
            self._hear(told)
            if news.sightings:
                news.acknowledge()

    def sweep(self) -> float:
        """Look at the live attempts in case an end was not told; return how long to rest."""
        if not self._station.executor.traits.attended:
            return self._reconcile()
        return self._sweep_here()

    def _reconcile(self) -> float:
        """Look at running attempts that nobody attends to, a call's worth at a time."""
        station = self._station
        age, places = station.executor.traits.check_every, station.places.current()
        at_latest = age if self._deaf else _FEW * age
        found = station.store.write(
            lambda tx: unchecked.take(tx, places, age=age, at_latest=at_latest)
        )
        self._judge(self._look_at(found))
        return 1.0 if len(found) == unchecked.BATCH else min(_SWEEP, age.total_seconds() / 2)

    def _sweep_here(self) -> float:
        station = self._station
        place = station.executor.place()
        mine_before = frozenset(station.mine)  # what is claimed meanwhile is not among the live
        live = station.store.read(lambda tx: attempts.live_at(tx, [place]))
        seen = self._look_at(live)
        self._record_reports(seen)
        self._judge(seen)
        station.mine.difference_update(mine_before - {attempt.id for attempt in live})
        self._sweep_former_places()
        return _SWEEP

    def enforce(self) -> float:
        """Stop what is past its deadline or was cancelled; return how long to rest."""
        station = self._station
        places = station.places.current()
        for attempt in station.store.read(lambda tx: stops.due_to_act(tx, places, station.owner)):
            self._stop(attempt)
        return _ENFORCE

    def _record_reports(self, seen: Sequence[tuple[Attempt, Sighting]]) -> None:
        """Record what running jobs of this worker told since the last look."""
        told = {
            attempt.id: sighting.report
            for attempt, sighting in seen
            if sighting.standing is Standing.RUNNING
            and attempt.owner == self._station.owner
            and sighting.report is not None
        }
        news = {each: now for each, now in told.items() if self._reports.get(each) != now}
        if news:
            self._station.store.write(lambda tx: report(tx, news))
        self._reports = told

    def _sweep_former_places(self) -> None:
        """Judge what was here before the machine was booted anew: nothing of it runs any more."""
        station = self._station
        former = station.places.former()
        live = station.store.read(lambda tx: attempts.live_at(tx, former)) if former else []
        seen = self._look_at(live)
        detail = "the machine was restarted before it was started"
        unstarted = {
            attempt.id: Told(Fate(Reason.INTERRUPTED, detail=detail))
            for attempt, sighting in seen
            if sighting.standing in (Standing.ABSENT, Standing.CREATED)
        }
        self._settle(unstarted)
        self._judge([each for each in seen if each[0].id not in unstarted])

    def _look_at(self, live: Sequence[Attempt]) -> list[tuple[Attempt, Sighting]]:
        if not live:
            return []
        seen = self._station.executor.sightings([attempt.id for attempt in live])
        return [(attempt, seen[attempt.id]) for attempt in live]

    def _hear(self, told: Mapping[AttemptId, Sighting | None]) -> None:
        """Judge what was told; of what can't be recorded now we are told again, or sweep it."""
        try:
            self._judge_told(told)
        except OutsideError as error:
            if any(told.values()):
                raise
            log.warning("attempts %s are left to the sweep: %s", ", ".join(told), error)
        except Exception:
            if len(told) == 1:
                log.exception("attempt %s is left to the sweep", *told)
                return
            for attempt, sighting in told.items():
                self._hear({attempt: sighting})

    def _judge_told(self, told: Mapping[AttemptId, Sighting | None]) -> None:
        """Settle what has ended, all of it together, and look up the others."""
        ended = {each: end_of(seen) for each, seen in told.items() if seen and _has_ended(seen)}
        self._settle(ended)
        others = [each for each in told if each not in ended]
        if not others:
            return
        known = self._station.store.read(lambda tx: attempts.known(tx, others))
        for stranger in told.keys() - ended.keys() - known.keys():
            self._report_stranger(stranger, told[stranger])
        live = [each for each in known.values() if each.state is not AttemptState.ENDED]
        self._judge([(each, seen) for each in live if (seen := told[each.id])])
        self._judge(self._look_at([each for each in live if told[each.id] is None]))

    def _report_stranger(self, attempt: AttemptId, sighting: Sighting | None) -> None:
        """Stop what runs under our name without a row, as after a restored backup."""
        if sighting is not None and sighting.standing is Standing.RUNNING:
            log.warning(STRANGER, attempt)
            self._station.executor.stop(attempt, kill=False)

    def _judge(self, seen: Sequence[tuple[Attempt, Sighting]]) -> None:
        """Act on what was seen of live attempts; ends are settled together."""
        attended = self._station.executor.traits.attended
        ended: dict[AttemptId, Told] = {}
        begun: list[Begun] = []
        for attempt, sighting in seen:
            match sighting.standing:
                case Standing.ENDED:
                    ended[attempt.id] = end_of(sighting)
                case Standing.RUNNING if attempt.state is AttemptState.STARTING:
                    self._launcher.seen(attempt.id, sighting, timeout=_timeout(attempt))
                case Standing.RUNNING if not attended:
                    begun += _begin(attempt, sighting)
                case Standing.RUNNING if attempt.owner == self._station.owner:
                    self._shippers.begin(attempt.id)
                case Standing.ABSENT if attempt.state is AttemptState.RUNNING:
                    detail = "it was seen running, and then it was gone without a trace"
                    ended[attempt.id] = Told(Fate(Reason.VANISHED, detail=detail))
                case _:
                    pass  # Not started yet: whoever holds its lease starts it.
        self._settle(ended)
        if begun:
            self._station.store.write(lambda tx: lots.note_starts(tx, begun))

    def _settle(self, told: Mapping[AttemptId, Told]) -> None:
        if self._station.settle_all(told):
            self._on_settled()

    def _stop(self, attempt: Attempt) -> None:
        """Ask the attempt to end, and after its grace kill it, again and again until it is gone."""
        store, executor = self._station.store, self._station.executor
        reason = Reason.CANCELLED if attempt.cancel_requested_at else Reason.TIMED_OUT
        if attempt.stop_requested_at is None:
            if store.write(lambda tx: _request_stop(tx, attempt, reason)):
                executor.stop(attempt.id, kill=False)
        elif store.write(lambda tx: stops.act_later(tx, attempt, _KILL_AGAIN)):
            executor.stop(attempt.id, kill=True)


def _request_stop(tx: Tx, attempt: Attempt, reason: Reason) -> bool:
    launch = _launch(attempt)
    grace = timedelta(seconds=launch.grace)
    asked = stops.request_stop(tx, attempt.id, reason, grace=grace)
    if asked:
        quotas.spend(tx, [each for each in launch.quotas if each.stops], 1)
    return asked


def _has_ended(sighting: Sighting) -> bool:
    return sighting.standing is Standing.ENDED


def _begin(attempt: Attempt, sighting: Sighting) -> list[Begun]:
    """Count the time limit from the command's start, which is later than the call's answer."""
    if sighting.started_at is None or sighting.version is None:
        return []
    started, version = datetime.fromtimestamp(sighting.started_at, UTC), sighting.version
    if attempt.started_at == started or version <= (attempt.version or 0):
        return []
    until = started + timedelta(seconds=_timeout(attempt))
    return [Begun(attempt.id, started, until, version)]


def _timeout(attempt: Attempt) -> float:
    return _launch(attempt).timeout


def _launch(attempt: Attempt) -> Launch:
    assert attempt.request is not None, "an attempt keeps its request until it has ended"
    return Launch.from_json(attempt.request)

"""Starts claimed attempts, a few at a time, and marks them as seen running."""

import logging
import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from typing import Any

from barbeque_py import clock, metrics
from barbeque_py.errors import (
    ExecutorUnavailable,
    LaunchRefused,
    NoCapacity,
    NoSuchLog,
    OutsideError,
    Throttled,
)
from barbeque_py.executions import AttemptState
from barbeque_py.executor import Launch, Quota, Sighting, Standing
from barbeque_py.ids import AttemptId
from barbeque_py.outcomes import Fate, Reason
from barbeque_py.plans import size_of
from barbeque_py.put_back import put_back
from barbeque_py.settle import Told
from barbeque_py.start import Claim
from barbeque_py.store import Tx, lots, quotas
from barbeque_py.store.attempts import Attempt
from barbeque_py.store.lots import Poised
from barbeque_py.store.pauses import ROOM
from barbeque_worker import tracing
from barbeque_worker.crew import Crew
from barbeque_worker.marks import Seen, mark_each
from barbeque_worker.shipping import Shippers
from barbeque_worker.station import Station, end_of

log = logging.getLogger(__name__)

_INLINE = 96 * 1024
"""Bytes of message that fit into a variable: Linux takes 128 KiB, the name included."""

_FRESH = 1.0
"""Seconds for which a start goes by what was read of its attempt together with others."""
_SHORTEST_PAUSE = 0.5
_LONGEST_PAUSE = 10.0


@dataclass(frozen=True, slots=True)
class _Order:
    """One start to make: what to launch, and whether somebody may have called it before.

    `paid` tells that the quotas' tokens were taken with the claim. `known` is how its row was at
    the monotonic second `known_at`.
    """

    launch: Launch
    fresh: bool
    paid: bool = False
    known: Poised | None = None
    known_at: float = 0.0
    since: float = field(default_factory=clock.monotonic)
    """The monotonic second at which it was ordered."""


class Launcher:
    """A small pool of threads that start attempts under this worker's lease."""

    def __init__(
        self,
        station: Station,
        shippers: Shippers,
        *,
        threads: int,
        ahead: int = 1,
        on_free: Callable[[], None],
        on_settled: Callable[[], None],
    ) -> None:
        """Claim `ahead` times as many starts at once as there are threads to make them."""
        self._station = station
        self._shippers = shippers
        self._crew = Crew(threads, "launch")
        self._most = threads * ahead
        self._enough = max(1, threads // 4) if ahead == 1 else self._most // 2
        # Room for so many starts is worth a claim.
        self._least = 1 if ahead == 1 else self._enough
        self._under_way: set[AttemptId] = set()
        self._guard = threading.Lock()
        self._landed = threading.Condition(self._guard)
        self._on_free = on_free
        self._on_settled = on_settled
        self._stopped = threading.Event()

    @property
    def room(self) -> int:
        """How many more starts can be under way at once; none, when they are not worth a claim."""
        room = self._most - len(self._under_way)
        return room if room >= self._least else 0

    @property
    def under_way(self) -> list[AttemptId]:
        """The attempts whose start is being called right now."""
        with self._guard:
            return list(self._under_way)

    def submit(self, claims: Sequence[Claim]) -> None:
        """Start the attempts just claimed, and settle those at once that can't be started."""
        station, asked_at = self._station, clock.monotonic()
        station.mine.update(each.attempt for each in claims)
        to_start = [each for each in claims if each.refused is None]
        for each in claims:
            if each.refused is not None:
                self._settle(each.attempt, Told(_refusal(each.refused)))
        for each, known in zip(to_start, self._known(to_start), strict=True):
            order = _Order(each.launch, fresh=True, paid=True, known=known, known_at=asked_at)
            self._begin(each.attempt, order)

    def _known(self, claims: Sequence[Claim]) -> list[Poised | None]:
        """Look at all of them once more before the first start; None wants to be looked at again.

        Nothing says that a claim is still ours but the database, and somebody may have cancelled.
        """
        owner, ids = self._station.owner, [each.attempt for each in claims]
        if not ids:
            return []
        try:
            changed = self._station.store.read(lambda tx: lots.not_as_claimed(tx, ids, owner))
        except OutsideError:
            changed = set(ids)
        return [None if each.attempt in changed else _poised(each, owner) for each in claims]

    def resume(self, attempt: Attempt) -> None:
        """Start an attempt taken over from a worker that may have started it already."""
        assert attempt.request is not None, "an attempt keeps its request until it has ended"
        self._station.mine.add(attempt.id)
        self._begin(attempt.id, _Order(Launch.from_json(attempt.request), fresh=False))

    def stop(self, timeout: float) -> None:
        """Take no more, and wait so many seconds for the starts that are under way."""
        with self._guard:
            self._stopped.set()
        self._crew.stop()
        until = clock.monotonic() + timeout
        with self._guard:
            while self._under_way and clock.monotonic() < until:
                self._landed.wait(until - clock.monotonic())

    def seen(self, attempt: AttemptId, sighting: Sighting, *, timeout: float) -> None:
        """Record what was seen of an attempt that was started."""
        if sighting.standing is Standing.ENDED:
            self._settle(attempt, end_of(sighting))
        elif sighting.standing is Standing.RUNNING and self._mark(attempt, sighting, timeout):
            if self._station.executor.traits.attended:
                self._shippers.begin(attempt)
            else:
                self._station.mine.discard(attempt)

    def _mark(self, attempt: AttemptId, sighting: Sighting, timeout: float) -> bool:
        seen = self._as_seen(attempt, sighting, timeout)
        return self._station.store.write_each(mark_each, seen)

    def _as_seen(self, attempt: AttemptId, sighting: Sighting, timeout: float) -> Seen:
        attended = self._station.executor.traits.attended
        return Seen(attempt, sighting, timedelta(seconds=timeout), attended)

    def _begin(self, attempt: AttemptId, order: _Order) -> None:
        with self._guard:
            if attempt in self._under_way or self._stopped.is_set():
                return  # Nobody calls it twice at once; after a stop its lease is given up.
            self._under_way.add(attempt)
            self._crew.submit(partial(self._run, attempt, order))

    def _run(self, attempt: AttemptId, order: _Order) -> None:
        recording = False
        try:
            recording = self._start(attempt, order)
        except Exception as error:  # noqa: BLE001 - a start that broke off is taken up again
            _report(attempt, error)
        finally:
            if not recording:
                self._land(attempt)

    def _land(self, attempt: AttemptId) -> None:
        """Note that nothing of the start is under way any more."""
        with self._guard:
            self._under_way.discard(attempt)
            enough = self._most - len(self._under_way) == self._enough
            self._landed.notify_all()
        if enough:
            self._on_free()

    def _start(self, attempt: AttemptId, order: _Order) -> bool:
        """Start it, again after what may pass; return whether its mark is still being recorded."""
        pause = _SHORTEST_PAUSE
        while not self._stopped.is_set():
            row, in_window = self._look(attempt, order)
            if row is None or not self._may_start(row):
                return False  # Rescue looks again: here while the lease is held, elsewhere after.
            if row.cancel_requested_at is not None:
                self._call_off(attempt, order)
                return False
            if not in_window:
                self._judge_by_evidence(attempt, order)
                return False
            if not order.paid and (wait := self._draw(order.launch)):
                self._stopped.wait(wait)
                continue
            try:
                return self._call(attempt, order, row)
            except ExecutorUnavailable as error:
                log.warning("attempt %s waits for its engine: %s", attempt, error)
                throttled = isinstance(error, Throttled)
                metrics.launch_calls.labels("throttled" if throttled else "unavailable").inc()
                if throttled:
                    self._slow_down(order.launch.quotas)
                order = replace(order, fresh=False, paid=False, known=None)
                self._stopped.wait(random.uniform(pause / 2, pause))  # noqa: S311 - not a secret
                pause = min(pause * 2, _LONGEST_PAUSE)
        return False

    def _look(self, attempt: AttemptId, order: _Order) -> tuple[Poised | None, bool]:
        """Return how the attempt is, and whether a call of its name can't start a second one."""
        window = self._station.executor.traits.repeat_window
        fresh = _FRESH if window is None else min(_FRESH, window.total_seconds() / 4)
        if order.known is not None and clock.monotonic() - order.known_at < fresh:
            return order.known, True
        return self._station.store.read_each(_look_each, (attempt, window))

    def _call(self, attempt: AttemptId, order: _Order, row: Poised) -> bool:
        """Call the start, and record every definite answer of it; return if it is recorded yet."""
        station = self._station
        try:
            message = self._message_of(row)
            sighting = station.executor.start(_with_message(order.launch, message), message)
        except LaunchRefused as refused:
            metrics.launch_calls.labels("refused").inc()
            self._settle(attempt, Told(_refusal(refused)))
        except NoCapacity as full:
            metrics.launch_calls.labels("no_capacity").inc()
            self._put_back(attempt, str(full))
        else:
            metrics.launch_calls.labels("started").inc()
            took = clock.monotonic() - order.since
            metrics.launch_seconds.observe(took)
            tracing.launched(order.launch, took)
            if not station.executor.traits.attended and sighting.standing is Standing.RUNNING:
                seen = self._as_seen(attempt, sighting, order.launch.timeout)
                done = partial(self._marked, attempt, order.launch)
                station.store.write_behind(mark_each, seen, done)
                return True
            self.seen(attempt, sighting, timeout=order.launch.timeout)
            station.capacity.started(_room_of(order.launch))
        return False

    def _marked(
        self, attempt: AttemptId, launch: Launch, new: Any, error: Exception | None
    ) -> None:
        """Let go of an attempt that runs and that nobody attends to."""
        if new:
            self._station.mine.discard(attempt)
        if error is None:
            try:
                self._station.capacity.started(_room_of(launch))
            except Exception as fault:  # noqa: BLE001 - it runs, whatever else is wrong
                error = fault
        if error is not None:
            _report(attempt, error)
        self._land(attempt)

    def _put_back(self, attempt: AttemptId, reason: str) -> None:
        station = self._station
        station.mine.discard(attempt)
        log.warning("attempt %s waits for capacity: %s", attempt, reason)
        station.store.write_together(
            lambda tx: put_back(tx, attempt, owner=station.owner, reason=reason)
        )

    def _draw(self, launch: Launch) -> float:
        """Take the tokens for a start that its claim did not pay for; return how long to wait."""
        if not launch.quotas:
            return 0.0
        return self._station.store.write(lambda tx: quotas.take(tx, launch.quotas))

    def _slow_down(self, drawn: Sequence[Quota]) -> None:
        self._station.store.write(lambda tx: quotas.drain(tx, drawn))

    def _judge_by_evidence(self, attempt: AttemptId, order: _Order) -> None:
        """Settle what may have been started too long ago to ask again under the same name."""
        sighting = self._station.executor.sightings([attempt])[attempt]
        if sighting.standing in (Standing.ABSENT, Standing.CREATED):
            detail = "whether it was started could not be found out in time, and it left no trace"
            self._settle(attempt, Told(Fate(Reason.VANISHED, detail=detail)))
        else:
            self.seen(attempt, sighting, timeout=order.launch.timeout)

    def _may_start(self, row: Poised) -> bool:
        """Tell whether it is for this worker to start the attempt, under a lease that lasts."""
        return (
            row.state == AttemptState.STARTING
            and row.owner == self._station.owner
            and self._station.lease.good()
        )

    def _message_of(self, row: Poised) -> str:
        if row.message is not None or row.message_key is None:
            return row.message or "null"
        try:
            return self._station.logs.read(row.message_key).decode()
        except NoSuchLog:
            reason = f"its message is gone from the log store: no {row.message_key}"
            raise LaunchRefused(reason, blame_definition=True) from None

    def _call_off(self, attempt: AttemptId, order: _Order) -> None:
        """Settle a cancelled attempt that has not run; one that may have is left to the watch."""
        if not order.fresh:
            sighting = self._station.executor.sightings([attempt])[attempt]
            if sighting.standing not in (Standing.ABSENT, Standing.CREATED):
                self.seen(attempt, sighting, timeout=order.launch.timeout)
                return
            self._station.executor.remove(attempt)
        detail = "cancelled before it was started"
        self._settle(attempt, Told(Fate(Reason.CANCELLED, detail=detail)))

    def _settle(self, attempt: AttemptId, told: Told) -> None:
        if self._station.settle(attempt, told):
            self._on_settled()


def _report(attempt: AttemptId, error: Exception) -> None:
    if isinstance(error, OutsideError):
        log.warning("attempt %s waits for its lease to end: %s", attempt, error)
    else:
        log.error("starting attempt %s failed; it is tried again", attempt, exc_info=error)


def _poised(claim: Claim, owner: str) -> Poised:
    """Return the row of an attempt that is still as it was claimed."""
    message, key = claim.execution.message, claim.execution.message_key
    return Poised(claim.attempt, AttemptState.STARTING, owner, None, None, message, key)


def _look_each(
    tx: Tx, asked: Sequence[tuple[AttemptId, timedelta | None]]
) -> list[tuple[Poised | None, bool]]:
    """Return each attempt, and whether a call of its name can't start a second container."""
    found = lots.poised(tx, [attempt for attempt, _ in asked])
    return [
        (row := found.get(attempt), row is None or _in_window(tx, row, window))
        for attempt, window in asked
    ]


def _in_window(tx: Tx, row: Poised, window: timedelta | None) -> bool:
    if window is None or row.first_called_at is None:
        return True
    return tx.now - row.first_called_at < window


def _room_of(launch: Launch) -> list[str]:
    """Return the limit of capacity under which the launch counts, where there is one."""
    size = size_of(launch.cpu, launch.memory)
    return [f"{ROOM}{launch.place}/{size}"] if launch.quotas else []


def _refusal(refused: LaunchRefused) -> Fate:
    return Fate(
        Reason.NEVER_STARTED, detail=refused.reason, blame_definition=refused.blame_definition
    )


def _with_message(launch: Launch, message: str) -> Launch:
    """Give the message as a variable where it fits, and as a file where it doesn't."""
    if len(message.encode()) > _INLINE:
        return replace(launch, message_file=True)
    return replace(launch, environment={**launch.environment, "BARBEQUE_MESSAGE": message})

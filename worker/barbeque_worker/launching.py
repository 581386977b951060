"""Starts claimed attempts, a few at a time, and marks them as seen running."""

import logging
import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial

from barbeque_py import clock
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
from barbeque_py.put_back import put_back
from barbeque_py.settle import Told
from barbeque_py.start import Claim, size_of
from barbeque_py.store import Tx, lots, quotas
from barbeque_py.store.attempts import Attempt
from barbeque_py.store.lots import Poised, Start
from barbeque_py.store.pauses import ROOM
from barbeque_worker.crew import Crew
from barbeque_worker.shipping import Shippers
from barbeque_worker.station import Station, end_of

log = logging.getLogger(__name__)

_INLINE = 96 * 1024
"""Bytes of message that fit into a variable: Linux takes 128 KiB, the name included."""

_PROVISIONING = timedelta(minutes=10)
"""How long a start may take beside the job's own time limit, while its start was not yet told."""

_SHORTEST_PAUSE = 0.5
_LONGEST_PAUSE = 10.0


@dataclass(frozen=True, slots=True)
class _Order:
    """One start to make: what to launch, and whether somebody may have called it before.

    `paid` tells that the quotas' tokens were taken with the claim.
    """

    launch: Launch
    fresh: bool
    paid: bool = False


class Launcher:
    """A small pool of threads that start attempts under this worker's lease."""

    def __init__(
        self,
        station: Station,
        shippers: Shippers,
        *,
        threads: int,
        on_free: Callable[[], None],
        on_settled: Callable[[], None],
    ) -> None:
        self._station = station
        self._shippers = shippers
        self._crew = Crew(threads, "launch")
        self._threads = threads
        self._enough = max(1, threads // 4)
        # So many free threads are worth a claim.
        self._under_way: set[AttemptId] = set()
        self._guard = threading.Lock()
        self._landed = threading.Condition(self._guard)
        self._on_free = on_free
        self._on_settled = on_settled
        self._stopped = threading.Event()

    @property
    def room(self) -> int:
        """How many more starts can be under way at once."""
        return max(0, self._threads - len(self._under_way))

    @property
    def under_way(self) -> list[AttemptId]:
        """The attempts whose start is being called right now."""
        with self._guard:
            return list(self._under_way)

    def submit(self, claim: Claim) -> None:
        """Start a claimed attempt, or settle it at once when it can't be started."""
        self._station.mine.add(claim.attempt)
        if claim.refused is None:
            self._begin(claim.attempt, _Order(claim.launch, fresh=True, paid=True))
        else:
            self._settle(claim.attempt, Told(_refusal(claim.refused)))

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
        attended = self._station.executor.traits.attended
        seen = _Seen(attempt, sighting, timedelta(seconds=timeout), attended)
        return self._station.store.write_each(_mark_each, seen)

    def _begin(self, attempt: AttemptId, order: _Order) -> None:
        with self._guard:
            if attempt in self._under_way or self._stopped.is_set():
                return  # Nobody calls it twice at once; after a stop its lease is given up.
            self._under_way.add(attempt)
            self._crew.submit(partial(self._run, attempt, order))

    def _run(self, attempt: AttemptId, order: _Order) -> None:
        try:
            self._start(attempt, order)
        except OutsideError as error:
            log.warning("attempt %s waits for its lease to end: %s", attempt, error)
        except Exception:
            log.exception("starting attempt %s failed; it is tried again", attempt)
        finally:
            with self._guard:
                self._under_way.discard(attempt)
                some_free = self._threads - len(self._under_way) == self._enough
                self._landed.notify_all()
            if some_free:
                self._on_free()

    def _start(self, attempt: AttemptId, order: _Order) -> None:
        pause = _SHORTEST_PAUSE
        while not self._stopped.is_set():
            window = self._station.executor.traits.repeat_window
            row, in_window = self._station.store.read_each(_look_each, (attempt, window))
            if row is None or not self._may_start(row):
                return  # Rescue looks again: here while the lease is held, elsewhere after it.
            if row.cancel_requested_at is not None:
                self._call_off(attempt, order)
                return
            if not in_window:
                self._judge_by_evidence(attempt, order)
                return
            if not order.paid and (wait := self._draw(order.launch)):
                self._stopped.wait(wait)
                continue
            try:
                self._call(attempt, order, row)
            except ExecutorUnavailable as error:
                log.warning("attempt %s waits for its engine: %s", attempt, error)
                if isinstance(error, Throttled):
                    self._slow_down(order.launch.quotas)
                order = replace(order, fresh=False, paid=False)
                self._stopped.wait(random.uniform(pause / 2, pause))  # noqa: S311 - not a secret
                pause = min(pause * 2, _LONGEST_PAUSE)
                continue
            return

    def _call(self, attempt: AttemptId, order: _Order, row: Poised) -> None:
        """Call the start, and record every definite answer of it."""
        station = self._station
        try:
            message = self._message_of(row)
            sighting = station.executor.start(_with_message(order.launch, message), message)
        except LaunchRefused as refused:
            self._settle(attempt, Told(_refusal(refused)))
        except NoCapacity as full:
            self._put_back(attempt, str(full))
        else:
            self.seen(attempt, sighting, timeout=order.launch.timeout)
            station.capacity.started(_room_of(order.launch))

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


@dataclass(frozen=True, slots=True)
class _Seen:
    """An attempt that was started, and how long it may run."""

    attempt: AttemptId
    sighting: Sighting
    timeout: timedelta
    attended: bool


def _mark_each(tx: Tx, seen: Sequence[_Seen]) -> list[bool]:
    return lots.mark_each_running(tx, [_start_of(tx, each) for each in seen])


def _start_of(tx: Tx, seen: _Seen) -> Start:
    told = seen.sighting.started_at
    started = tx.now if seen.attended else None
    if told is not None:
        started = datetime.fromtimestamp(told, UTC)
    return Start(
        seen.attempt,
        seen.sighting.handle,
        started_at=started,
        deadline_at=started + seen.timeout if started else tx.now + seen.timeout + _PROVISIONING,
        version=seen.sighting.version,
        attended=seen.attended,
    )


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

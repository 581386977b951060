"""Loop: messages become executions, one thread a queue."""

from collections.abc import Callable, Sequence
from datetime import timedelta

from barbeque_py import clock
from barbeque_py.broker import BATCH
from barbeque_py.intake import WAITING_MARK, Intake
from barbeque_py.store import Store, Tx, apps, ready, workers
from barbeque_worker.loop import Loop

_LONG_POLL = timedelta(seconds=20)
_REST = 1.0
_IDLE_REST = 5.0
_RE_READ = 10.0
_FRESH = 1.0
"""Seconds for which the list of queues is not read again, however often the bell rings."""


class QueueIntake:
    """Takes in the messages of one queue until too many executions wait."""

    def __init__(
        self, queue: str, intake: Intake, store: Store, *, on_recorded: Callable[[], None]
    ) -> None:
        self._queue = queue
        self._intake = intake
        self._store = store
        self._on_recorded = on_recorded
        self._taken_since_count = WAITING_MARK
        self._idle = 0

    def step(self) -> float:
        """Take in one batch; return how long to rest."""
        if self._too_many_wait():
            return _IDLE_REST
        taken = self._intake.take(self._queue, wait=_LONG_POLL)
        self._taken_since_count += taken
        if taken:
            self._idle = 0
            self._on_recorded()
            return 0 if taken >= BATCH or self._intake.waits else _REST
        self._idle += 1
        if self._intake.waits:
            return 0
        return _REST if self._idle < 10 else _IDLE_REST  # noqa: PLR2004 - ten seconds of silence

    def _too_many_wait(self) -> bool:
        """Count again only after many were taken in, because counting has a price."""
        if self._taken_since_count < WAITING_MARK // 10:
            return False
        waiting = self._store.read(lambda tx: ready.count_startable(tx, self._queue, WAITING_MARK))
        if waiting >= WAITING_MARK:
            return True
        self._taken_since_count = 0
        return False


class Intakes:
    """Keeps one intake loop for each queue, as queues come and go."""

    def __init__(
        self,
        store: Store,
        intake: Intake,
        queues: Sequence[str],
        *,
        owner: str,
        on_recorded: Callable[[], None],
    ) -> None:
        self._store = store
        self._intake = intake
        self._only = set(queues)
        self._owner = owner
        self._on_recorded = on_recorded
        self._loops: dict[str, Loop] = {}
        self._read_at = -_FRESH

    def step(self) -> float:
        """Start loops for new queues and stop those of queues that are gone."""
        if clock.monotonic() - self._read_at < _FRESH:
            return _FRESH
        self._read_at = clock.monotonic()
        wanted = set(served_queues(self._store, self._owner, self._only))
        for queue in wanted - self._loops.keys():
            one = QueueIntake(queue, self._intake, self._store, on_recorded=self._on_recorded)
            self._loops[queue] = Loop(f"intake {queue}", one.step)
            self._loops[queue].start()
        for queue in self._loops.keys() - wanted:
            self._loops.pop(queue).stop()
        return _RE_READ

    @property
    def loops(self) -> list[Loop]:
        """The loops of the queues there are now."""
        return list(self._loops.values())

    def nudge(self) -> None:
        """Look for messages now."""
        for loop in self.loops:
            loop.nudge()

    def stop(self) -> None:
        """Stop every loop after the batch it is in."""
        for loop in self.loops:
            loop.stop()

    def join(self, timeout: float) -> None:
        """Wait for the loops' end."""
        for loop in self.loops:
            loop.join(timeout)


def served_queues(store: Store, owner: str, only: set[str]) -> list[str]:
    """Return the queues this worker takes from: those named, or all; none while it is drained."""

    def read(tx: Tx) -> list[str]:
        return [] if workers.is_drained(tx, owner) else apps.queue_names(tx)

    return [name for name in store.read(read) if not only or name in only]

"""What is recorded of attempts that were seen running, many of them at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from barbeque_py.executor import Sighting
from barbeque_py.ids import AttemptId
from barbeque_py.store import Tx, lots
from barbeque_py.store.lots import Start

_PROVISIONING = timedelta(minutes=10)
"""How long a start may take beside the job's own time limit, while its start was not yet told."""


@dataclass(frozen=True, slots=True)
class Seen:
    """An attempt that was started, and how long it may run."""

    attempt: AttemptId
    sighting: Sighting
    timeout: timedelta
    attended: bool


def mark_each(tx: Tx, seen: Sequence[Seen]) -> list[bool]:
    """Mark them as running; False for what was known to run, or is over."""
    return lots.mark_each_running(tx, [_start_of(tx, each) for each in seen])


def _start_of(tx: Tx, seen: Seen) -> Start:
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

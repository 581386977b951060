"""Who is at work and where: what people look at, beside each worker's own row."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import func, select

from barbeque_py.executions import AttemptState
from barbeque_py.store import limits, pauses, quotas, workers
from barbeque_py.store.attempts import LIVE
from barbeque_py.store.database import Tx
from barbeque_py.store.limits import Limit
from barbeque_py.store.pauses import Pause
from barbeque_py.store.quotas import Level
from barbeque_py.store.tables.runs import attempts
from barbeque_py.store.workers import Worker

_PLACE = "place:"


class Standing(StrEnum):
    """How a worker stands."""

    WORKING = "working"
    DRAINING = "draining"
    """It takes nothing new, and has not finished what it has."""
    DRAINED = "drained"
    SILENT = "silent"
    """It has not reported in for a minute."""


@dataclass(frozen=True, slots=True)
class Member:
    """One worker, and the attempts it holds."""

    worker: Worker
    starting: int
    running: int
    """Those it attends to; of an executor that attends to its own, none."""
    now: datetime

    @property
    def standing(self) -> Standing:
        """How it stands."""
        if not self.worker.alive(self.now):
            return Standing.SILENT
        if self.worker.drained_at is None:
            return Standing.WORKING
        return Standing.DRAINING if self.starting + self.running else Standing.DRAINED


@dataclass(frozen=True, slots=True)
class Crew:
    """All of it, at one instant."""

    now: datetime
    members: Sequence[Member]
    places: Mapping[str, Limit]
    """The slots of each place that has a worker or an attempt."""
    pauses: Sequence[Pause]
    levels: Sequence[Level]


def read(tx: Tx) -> Crew:
    """Read who is at work, and what is held back where."""
    found = workers.everyone(tx)
    held = _held(tx)
    members = [
        Member(
            each,
            starting=held.get((each.id, AttemptState.STARTING), 0),
            running=held.get((each.id, AttemptState.RUNNING), 0),
            now=tx.now,
        )
        for each in found
    ]
    served = workers.places(found)
    places = {
        each.scope.removeprefix(_PLACE): each
        for each in limits.read_all(tx)
        if each.scope.startswith(_PLACE)
        and (each.used or each.scope.removeprefix(_PLACE) in served)
    }
    order = list(Standing)
    members.sort(key=lambda each: (order.index(each.standing), each.worker.id))
    return Crew(tx.now, members, places, sorted_pauses(tx), quotas.levels(tx))


def sorted_pauses(tx: Tx) -> list[Pause]:
    """Return the pauses, the one that ends first before the others."""
    return sorted(pauses.current(tx).values(), key=lambda each: (each.until, each.scope))


def _held(tx: Tx) -> dict[tuple[str, str], int]:
    query = (
        select(attempts.c.owner, attempts.c.state, func.count().label("held"))
        .where(attempts.c.state.in_(LIVE))
        .group_by(attempts.c.owner, attempts.c.state)
    )
    return {(row.owner, row.state): row.held for row in tx.execute(query)}

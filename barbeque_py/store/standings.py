"""What an execution waits for, gathered from the rows: the facts that `waiting` decides from."""

import json
from collections.abc import Iterable

from sqlalchemy import Select, func, select

from barbeque_py import callbacks
from barbeque_py.executions import AttemptState, Stage, State
from barbeque_py.ids import attempt_id
from barbeque_py.standing import (
    FullLimit,
    Holder,
    LastTry,
    Line,
    Paused,
    Place,
    Shortage,
    Standing,
    Unseen,
)
from barbeque_py.store import apps, attempts, dead, limits, pauses, quotas, ready, workers
from barbeque_py.store.database import Tx
from barbeque_py.store.executions import Execution
from barbeque_py.store.tables.runs import attempts as tries
from barbeque_py.store.tables.runs import executions
from barbeque_py.store.workers import Worker

_MOST_HOLDERS = 10
_FARTHEST = 10_000
"""How far a place in the line is counted."""


def read(tx: Tx, execution: Execution, *, viewer: str | None = None) -> Standing:
    """Return the facts about an execution that has not ended, as a viewer of that app may know.

    None may know everything; others are told of no other app's executions.
    """
    queue = execution.queue
    alive = workers.alive(tx)
    serving = [each for each in alive if each.serves(queue) and each.drained_at is None]
    drained = [each for each in alive if each.serves(queue) and each.drained_at is not None]
    waits = execution.stage in (Stage.READY, Stage.HELD)
    pause = apps.pause_of(tx, queue)
    return Standing(
        now=tx.now,
        state=execution.state,
        stage=execution.stage,
        queue=queue,
        due_at=execution.due_at,
        paused=None if pause is None else Paused(pause.since, pause.reason, pause.until),
        full=_full(tx, execution.held_by or f"queue:{queue}", viewer) if waits else None,
        shortage=_shortage(tx, execution.held_by),
        throttled_until=quotas.throttled_until(tx),
        workers=len(alive),
        serving=len(serving),
        drained=len(drained),
        places=_places(tx, serving) if execution.stage is Stage.READY else (),
        line=_line(tx, execution) if waits else None,
        last=_last(tx, execution, alive),
    )


def of_unseen(tx: Tx, message_id: str, *, mark: int, viewer: str | None = None) -> Unseen:
    """Return what is known of an id without an execution; above the mark intake rests.

    A viewer of one app is told of its own dead messages only.
    """
    found = dead.by_message_id(tx, message_id)
    if found is not None and viewer not in (None, found.app):
        found = None
    queues = apps.queue_names(tx)
    return Unseen(
        dead=None if found is None else found.reason,
        workers=len(workers.alive(tx)),
        resting=[(each, mark) for each in queues if ready.count_startable(tx, each, mark) >= mark],
    )


def _full(tx: Tx, scope: str, viewer: str | None) -> FullLimit | None:
    limit = limits.read(tx, [scope]).get(scope)
    if limit is None or limit.max is None or not limit.full or scope.startswith(pauses.ROOM):
        return None
    return FullLimit(scope, limit.max, limit.used, holders(tx, scope, viewer))


def holders(tx: Tx, scope: str, viewer: str | None) -> list[Holder]:
    """Return some of the executions that run under a limit, the viewer's app's alone."""
    query = (
        select(executions.c.message_id, executions.c.app, tries.c.claimed_at)
        .where(
            tries.c.state.in_(attempts.LIVE),
            func.instr(tries.c.scopes, json.dumps(scope)) > 0,
            executions.c.id == tries.c.execution,
        )
        .limit(_MOST_HOLDERS)
    )
    if viewer is not None:
        query = query.where(executions.c.app == viewer)
    found = [Holder(row.message_id, row.app, row.claimed_at) for row in tx.execute(query)]
    return sorted(found, key=lambda each: each.since)


def _shortage(tx: Tx, scope: str | None) -> Shortage | None:
    pause = pauses.of_scope(tx, scope)
    if pause is None:
        return None
    return Shortage(pauses.where(pause.scope), pause.reason, pause.until, pause.probing)


def _places(tx: Tx, serving: Iterable[Worker]) -> list[Place]:
    names = sorted(workers.places(serving))
    found = limits.read(tx, [f"place:{name}" for name in names])
    known = {name: found.get(f"place:{name}") for name in names}
    return [
        Place(name, limit.max if limit else None, limit.used if limit else 0)
        for name, limit in known.items()
    ]


def _line(tx: Tx, execution: Execution) -> Line:
    columns, rank = executions.c, execution.priority_rank
    own = (columns.priority_rank == rank, columns.id < execution.id)
    if execution.stage is Stage.HELD:
        held = select(columns.id).where(columns.held_by == execution.held_by)
        before = _count(tx, held.where(columns.priority_rank < rank))
        return Line(min(before + _count(tx, held.where(*own)), _FARTHEST), 0, _FARTHEST)
    lane = select(columns.id).where(columns.queue == execution.queue, columns.stage == Stage.READY)
    before = _count(tx, lane.where(columns.priority_rank < rank))
    before += _count(tx, lane.where(*own, columns.app == execution.app))
    groups = ready.waiting_groups(tx, execution.queue)
    others = sum(group[0] == rank and group[1] != execution.app for group in groups)
    return Line(min(before, _FARTHEST), others, _FARTHEST)


def _count(tx: Tx, query: Select[tuple[int]]) -> int:
    some = query.limit(_FARTHEST).subquery()
    return int(tx.execute(select(func.count()).select_from(some)).scalar_one())


def _last(tx: Tx, execution: Execution, alive: list[Worker]) -> LastTry | None:
    if not execution.attempts:
        return None
    found = attempts.get(tx, attempt_id(execution.message_id, execution.attempts))
    if found is None:
        return None
    live = found.state in attempts.LIVE or execution.state is State.RUNNING
    served = not live or any(speaks_to(each.place, found.place) for each in alive)
    return LastTry(
        number=found.number,
        state=AttemptState(found.state),
        reason=found.reason,
        exit_code=found.exit_code,
        detail=found.detail,
        counted=found.counted,
        place=found.place,
        claimed_at=found.claimed_at,
        cancel_requested_at=found.cancel_requested_at,
        served=served,
    )


def speaks_to(home: str, place: str) -> bool:
    """Tell whether a worker whose own place is `home` speaks to this one, too.

    Every worker speaks to where callbacks live, one of ECS to every cluster of its account and
    Region.
    """
    if place in (home, callbacks.PLACE):
        return True
    region, cluster, _ = place.partition(":cluster/")
    return bool(cluster) and home.startswith(f"{region}{cluster}")

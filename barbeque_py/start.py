"""Claim executions for one attempt each, under every limit, and say what to launch."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from barbeque_py.apps import App, JobDefinition
from barbeque_py.errors import LaunchRefused
from barbeque_py.executions import AttemptState
from barbeque_py.executor import Launch, Preparation
from barbeque_py.ids import AttemptId, attempt_id
from barbeque_py.launches import launch_of
from barbeque_py.plans import Plan, Plans, Prepare, Prepared, quotas_of
from barbeque_py.store import Tx, attempts, limits, quotas, ready
from barbeque_py.store import executions as rows
from barbeque_py.store.attempts import Attempt
from barbeque_py.store.limits import Limit
from barbeque_py.store.ready import Ready

_LANE_WIDE = ("place:", "queue:")
"""Limits that stop a whole lane: nothing is set aside for them, claiming just ends."""

_PASSES = 20
"""How often one claim looks on after it has set executions aside, each time twice as far."""

_FARTHEST = 100
"""How many executions a pass looks at, however many it may take."""


@dataclass(frozen=True, slots=True)
class Claimant:
    """The worker that claims: its name, its place, and how long its leases last."""

    owner: str
    place: str
    lease: timedelta


@dataclass(frozen=True, slots=True)
class Claim:
    """A worker's right to launch one attempt; `refused` when that is already known to fail."""

    attempt: AttemptId
    execution: Ready
    launch: Launch
    refused: LaunchRefused | None


def claim(
    tx: Tx,
    claimant: Claimant,
    queue: str,
    *,
    most: int,
    prepared: Prepared,
    prepare: Prepare = lambda _: None,
) -> list[Claim]:
    """Claim up to `most` ready executions of the queue whose job is prepared.

    The most urgent first, among them those of the app with the fewest running attempts, of it the
    oldest. One whose limit is full is set aside until the limit has room. One that has run on
    another image than the app's of today goes on with that; `prepare` is asked for it. The
    attempt's row, its launch request and its slots are written in this transaction, before anything
    is started, and what its start draws from the quotas is taken.
    """
    plans = Plans(tx, claimant.place, prepared, prepare)
    claiming = _Claiming(tx, claimant, plans)
    drawn = quotas.lock(tx, quotas_of(prepared))
    most = drawn.allow(most)
    claims: list[Claim] = []
    for number in range(_PASSES):
        room = most - len(claims)
        if room <= 0:
            break
        look_at = max(room, min(room << number, _FARTHEST))
        found = _choose(tx, queue, look_at, leave_out=plans.unprepared)
        plans.look_up(found)
        chosen = [each for each in found if plans.is_prepared(each)]
        taken, lane_full = _take_slots(tx, plans, chosen, most=room)
        claims += claiming.record(taken)
        # What is held by one limit may have woken what another held, so that is looked for again.
        seen_all = len(found) < look_at and len(taken) == len(chosen)
        none_prepared = look_at == _FARTHEST and not chosen
        if lane_full or seen_all or none_prepared:
            break
    if drawing := [each for each in claims if each.launch.quotas]:
        drawn.spend(tx, len(drawing))
    return claims


class _Claiming:
    """What one claim is about to record: who claims, and what would be launched."""

    def __init__(self, tx: Tx, claimant: Claimant, plans: Plans) -> None:
        self._tx = tx
        self._claimant = claimant
        self._plans = plans

    def record(self, taken: Sequence[Ready]) -> list[Claim]:
        """Write the attempts of executions that have their slots, and say what to launch."""
        last = [attempt_id(each.message_id, each.attempts) for each in taken if each.attempts]
        waiting = attempts.waiting_among(self._tx, last)
        claims, new = [], []
        for each in taken:
            attempt = waiting.get(attempt_id(each.message_id, each.attempts))
            claimed = self._claim(each, attempt)
            claims.append(claimed)
            row = self._row(each, claimed.launch)
            if attempt is None:
                new.append(attempts.new_row(**row))
            else:
                attempts.take_up(
                    self._tx, attempt.id, row | {"scopes": attempts.write_scopes(row["scopes"])}
                )
        if new:
            attempts.add(self._tx, new)
        self._activate(taken, waiting)
        return claims

    def _activate(self, taken: Sequence[Ready], waiting: Mapping[AttemptId, Attempt]) -> None:
        again = {attempt.execution for attempt in waiting.values()}
        moved = rows.activate(
            self._tx, [each.id for each in taken if each.id not in again], new_attempts=1
        )
        moved += rows.activate(self._tx, again, new_attempts=0)
        assert moved == len(taken), "ready executions are locked, so nobody else can have moved one"

    def _claim(self, execution: Ready, waiting: Attempt | None) -> Claim:
        plan = self._plans.of(execution)
        refused = plan.answer if isinstance(plan.answer, LaunchRefused) else None
        if plan.app is None or plan.job is None:
            refused = _undefined(execution)
        app = plan.app or App(execution.app, image="")
        job = plan.job or JobDefinition(execution.app, execution.job, command=())
        number = execution.attempts + (waiting is None)
        ready = plan.answer if isinstance(plan.answer, Preparation) else None
        launch = launch_of(execution, app, job, number=number, prepared=ready)
        if waiting is not None:
            launch = replace(launch, launch_number=waiting.launch_number)
        return Claim(launch.attempt, execution, launch, refused)

    def _row(self, execution: Ready, launch: Launch) -> dict[str, Any]:
        plan = self._plans.of(execution)
        now, claimant = self._tx.now, self._claimant
        cpu, memory = plan.size_of(launch)
        return {
            "id": launch.attempt,
            "execution": execution.id,
            "number": launch.number,
            "round": execution.round,
            "state": AttemptState.STARTING,
            "place": plan.place or claimant.place,
            "owner": claimant.owner,
            "epoch": 1,
            "lease_until": now + claimant.lease,
            "request": launch.to_json(),
            "scopes": self._plans.scopes(execution),
            "image": launch.image,
            "command": json.dumps(launch.command),
            "revision": self._revision_of(plan),
            "launch_number": launch.launch_number,
            "first_called_at": now,
            "log_at": plan.answer.log_at if isinstance(plan.answer, Preparation) else None,
            "claimed_at": now,
            "cpu": cpu,
            "memory": memory,
        }

    def _revision_of(self, plan: Plan) -> int | None:
        if isinstance(plan.answer, Preparation):
            return plan.answer.revision
        return plan.app.revision if plan.app is not None else None


def _choose(tx: Tx, queue: str, most: int, *, leave_out: Iterable[str]) -> list[Ready]:
    """Lock and return up to `most` ready executions in the order in which they may start."""
    groups = ready.waiting_groups(tx, queue, leave_out=leave_out)
    chosen: list[Ready] = []
    for rank in dict.fromkeys(rank for rank, _ in groups):
        if len(chosen) < most:
            of_rank = [group for group in groups if group[0] == rank]
            chosen += _in_fair_order(tx, queue, of_rank, most - len(chosen))
    return chosen


def _in_fair_order(
    tx: Tx, queue: str, groups: Sequence[tuple[int, str]], most: int
) -> Iterator[Ready]:
    """Yield up to `most` locked executions, each time from the app with the fewest running."""
    # Of one app alone nobody asks how many of it run.
    scopes = [f"app:{app}" for _, app in groups] if len(groups) > 1 else []
    counters = limits.read(tx, scopes) if scopes else {}
    running = {app: counters[f"app:{app}"].used for _, app in groups if f"app:{app}" in counters}
    waiting = {group[1]: ready.lock_ready(tx, queue, group, most) for group in groups}
    for _ in range(most):
        candidates = [app for app, left in waiting.items() if left]
        if not candidates:
            return
        app = min(candidates, key=lambda name: running.get(name, 0))
        running[app] = running.get(app, 0) + 1
        yield waiting[app].pop(0)


def _take_slots(
    tx: Tx, plans: Plans, chosen: Sequence[Ready], *, most: int
) -> tuple[list[Ready], bool]:
    """Take the slots of up to `most` that fit and set aside those that don't.

    Returns those that fit, and whether a limit of the whole lane is full.
    """
    scopes = {each.id: plans.scopes(each) for each in chosen}
    found = limits.lock(tx, [scope for each in scopes.values() for scope in each])
    taken: list[Ready] = []
    left_behind: set[str] = set()
    full: str | None = None
    for execution in chosen:
        full = _first_full([found[scope] for scope in scopes[execution.id]])
        if len(taken) == most or (full is not None and full.startswith(_LANE_WIDE)):
            break
        if full is None:
            taken.append(execution)
            for scope in scopes[execution.id]:
                found[scope].used += 1
        else:
            rows.hold(tx, execution.id, full)
            left_behind.update(scopes[execution.id])
    limits.take(tx, Counter(scope for each in taken for scope in scopes[each.id]))
    # One that was woken into a free slot and is now held elsewhere leaves that slot to the next.
    limits.wake(tx, [scope for scope in left_behind if found[scope].free])
    return taken, full is not None and full.startswith(_LANE_WIDE)


def _first_full(found: Sequence[Limit]) -> str | None:
    full = [limit.scope for limit in found if limit.full]
    return min(full, key=lambda scope: (not scope.startswith(_LANE_WIDE), scope), default=None)


def _undefined(execution: Ready) -> LaunchRefused:
    return LaunchRefused(
        f"the job {execution.app}/{execution.job} is not defined any more: "
        "apply a file that defines it, then retry",
        blame_definition=True,
    )

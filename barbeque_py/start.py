"""Claim executions for one attempt each, under every limit, and say what to launch."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from barbeque_py import clock
from barbeque_py.apps import App, JobDefinition
from barbeque_py.errors import LaunchRefused
from barbeque_py.executions import AttemptState, Stage, State
from barbeque_py.executor import Launch, Preparation
from barbeque_py.ids import AttemptId, attempt_id
from barbeque_py.store import Tx, apps, attempts, limits
from barbeque_py.store import executions as rows
from barbeque_py.store.executions import Execution
from barbeque_py.store.limits import Limit

Prepared = Mapping[str, Preparation | LaunchRefused]
"""By app: its image made ready, or why that can't be."""

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
    execution: Execution
    launch: Launch
    refused: LaunchRefused | None


def claim(tx: Tx, claimant: Claimant, queue: str, *, most: int, prepared: Prepared) -> list[Claim]:
    """Claim up to `most` ready executions of the queue whose app is prepared.

    The most urgent first, among them those of the app with the fewest running attempts, of it the
    oldest. One whose limit is full is set aside until the limit has room. The attempt's row, its
    launch request and its slots are written in this transaction, before anything is started.
    """
    known = {app.name: app for app in apps.all_apps(tx)}
    unprepared = known.keys() - prepared.keys()
    claims: list[Claim] = []
    for number in range(_PASSES):
        room = most - len(claims)
        look_at = max(room, min(room << number, _FARTHEST))
        chosen = _choose(tx, queue, look_at, leave_out=unprepared)
        taken, lane_full = _take_slots(tx, claimant.place, chosen, most=room)
        for each in taken:
            app = known.get(each.app)
            claims.append(_record(tx, claimant, each, app, prepared.get(each.app)))
        # What is held by one limit may have woken what another held, so that is looked for again.
        seen_all = len(chosen) < look_at and len(taken) == len(chosen)
        if lane_full or seen_all or len(claims) == most:
            break
    return claims


def _choose(tx: Tx, queue: str, most: int, *, leave_out: Iterable[str]) -> list[Execution]:
    """Lock and return up to `most` ready executions in the order in which they may start."""
    groups = rows.waiting_groups(tx, queue, leave_out=leave_out)
    chosen: list[Execution] = []
    for rank in dict.fromkeys(rank for rank, _ in groups):
        if len(chosen) < most:
            of_rank = [group for group in groups if group[0] == rank]
            chosen += _in_fair_order(tx, queue, of_rank, most - len(chosen))
    return chosen


def _in_fair_order(
    tx: Tx, queue: str, groups: Sequence[tuple[int, str]], most: int
) -> Iterator[Execution]:
    """Yield up to `most` locked executions, each time from the app with the fewest running."""
    counters = limits.read(tx, [f"app:{app}" for _, app in groups])
    running = {app: counters[f"app:{app}"].used for _, app in groups if f"app:{app}" in counters}
    waiting = {group[1]: rows.lock_ready(tx, queue, group, most) for group in groups}
    for _ in range(most):
        candidates = [app for app, left in waiting.items() if left]
        if not candidates:
            return
        app = min(candidates, key=lambda name: running.get(name, 0))
        running[app] = running.get(app, 0) + 1
        yield waiting[app].pop(0)


def _take_slots(
    tx: Tx, place: str, chosen: Sequence[Execution], *, most: int
) -> tuple[list[Execution], bool]:
    """Take the slots of up to `most` that fit and set aside those that don't.

    Returns those that fit, and whether a limit of the whole lane is full.
    """
    scopes = {each.id: scopes_of(each, place) for each in chosen}
    found = limits.lock(tx, [scope for each in scopes.values() for scope in each])
    taken: list[Execution] = []
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


def scopes_of(execution: Execution, place: str) -> list[str]:
    """Return the limits under which the execution's attempt counts at this place."""
    key = execution.options.get("concurrency_key")
    return limits.scope_names(execution.app, execution.job, execution.queue, place, key)


def _first_full(found: Sequence[Limit]) -> str | None:
    full = [limit.scope for limit in found if limit.full]
    return min(full, key=lambda scope: (not scope.startswith(_LANE_WIDE), scope), default=None)


def _record(
    tx: Tx,
    claimant: Claimant,
    execution: Execution,
    app: App | None,
    prepared: Preparation | LaunchRefused | None,
) -> Claim:
    number = execution.attempts + 1
    job = apps.get_job(tx, execution.app, execution.job)
    refused = prepared if isinstance(prepared, LaunchRefused) else None
    if app is None or job is None:
        refused = _undefined(execution)
    app = app or App(execution.app, image="")
    job = job or JobDefinition(execution.app, execution.job, command=())
    image = prepared.image if isinstance(prepared, Preparation) else app.image
    launch = launch_of(execution, app, job, number=number, image=image)
    moved = rows.move(
        tx,
        execution.id,
        State.RUNNING,
        set_={
            "stage": Stage.ACTIVE,
            "attempts": number,
            "started_at": execution.started_at or tx.now,
        },
    )
    assert moved, "a ready execution is locked, so nobody else can have moved it"
    attempts.add(tx, [_attempt_row(tx, claimant, execution, launch)])
    return Claim(launch.attempt, execution, launch, refused)


def _undefined(execution: Execution) -> LaunchRefused:
    return LaunchRefused(
        f"the job {execution.app}/{execution.job} is not defined any more: "
        "apply a file that defines it, then retry",
        blame_definition=True,
    )


def _attempt_row(
    tx: Tx, claimant: Claimant, execution: Execution, launch: Launch
) -> dict[str, Any]:
    return attempts.new_row(
        id=launch.attempt,
        execution=execution.id,
        number=launch.number,
        round=execution.round,
        state=AttemptState.STARTING,
        place=claimant.place,
        owner=claimant.owner,
        epoch=1,
        lease_until=tx.now + claimant.lease,
        request=launch.to_json(),
        scopes=scopes_of(execution, claimant.place),
        image=launch.image,
        claimed_at=tx.now,
    )


def launch_of(
    execution: Execution, app: App, job: JobDefinition, *, number: int, image: str
) -> Launch:
    """Return what starts the execution's attempt of this number; the same for the same rows."""
    own = execution.options.get("timeout")
    timeout = job.timeout.total_seconds()
    return Launch(
        attempt=attempt_id(execution.message_id, number),
        message_id=execution.message_id,
        number=number,
        app=execution.app,
        job=execution.job,
        image=image,
        command=job.command,
        environment={**app.env, **job.env, **_environment(execution, number)},
        timeout=timeout if own is None else min(timeout, float(own)),
        grace=job.grace.total_seconds(),
        cpu=job.cpu,
        memory=job.memory,
        pids=job.pids,
        capabilities=job.capabilities,
        network=job.network,
        path=app.process_path,
        message_file=job.message_file,
    )


def _environment(execution: Execution, number: int) -> dict[str, str]:
    """Return what every job is given (DESIGN 5.2), the message apart."""
    given = {
        "BARBEQUE_APP": execution.app,
        "BARBEQUE_ATTEMPT_ID": attempt_id(execution.message_id, number),
        "BARBEQUE_JOB": execution.job,
        "BARBEQUE_MESSAGE_ID": execution.message_id,
        "BARBEQUE_QUEUE_NAME": execution.queue,
        "BARBEQUE_RETRY_COUNT": str(execution.counted_before),
        "BARBEQUE_SENT_TIMESTAMP": str(clock.milliseconds(execution.sent_at)),
    }
    trace = execution.options.get("traceparent")
    return given if trace is None else {**given, "TRACEPARENT": trace}

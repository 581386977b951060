"""Short words for the tests of the store: define, enqueue, claim, run, end, look."""

import uuid
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import select, update

from barbeque_py import clock
from barbeque_py.apps import App, JobDefinition, Queue
from barbeque_py.broker import Delivery, Sorting
from barbeque_py.executions import Stage
from barbeque_py.executor import Preparation
from barbeque_py.ids import AttemptId, new_message_id
from barbeque_py.messages import JobMessage, Options, write
from barbeque_py.outcomes import Fate, Reason, Settlement
from barbeque_py.record import sort
from barbeque_py.settle import settle
from barbeque_py.start import Claim, Claimant, claim
from barbeque_py.store import Store, Tx, apps, attempts, limits, tables
from barbeque_py.store import executions as rows
from barbeque_py.store.attempts import Attempt
from barbeque_py.store.executions import Execution

QUEUE = "default"
PLACE = "here"
LEASE = timedelta(seconds=90)
SUCCESS = Fate(Reason.EXITED, exit_code=0)
FAILURE = Fate(Reason.EXITED, exit_code=1)


def define(store: Store, app: str = "media", job: str = "Encode", **facts: Any) -> JobDefinition:
    """Define a job, with its app and its queue."""
    definition = JobDefinition(app, job, command=("encode",), **facts)

    def put(tx: Tx) -> None:
        if apps.get_app(tx, app) is None:
            apps.put_app(tx, App(app, image=f"{app}:1"))
        if apps.get_queue(tx, definition.queue) is None:
            apps.put_queue(tx, Queue(definition.queue))
        apps.put_job(tx, definition)

    store.write(put)
    return definition


def a_body(
    app: str = "media",
    job: str = "Encode",
    *,
    message_id: str | None = None,
    message: str = '{"n":1}',
    **options: Any,
) -> str:
    """Write a message's body as the API does."""
    wanted = JobMessage(
        message_id or new_message_id(), app, job, None, message, options=Options(**options)
    )
    return write(wanted)


def a_delivery(body: str, *, queue: str = QUEUE, receives: int = 1, **facts: Any) -> Delivery:
    """Return a message as a broker hands it out."""
    known: dict[str, Any] = {"sent_at": clock.now(), "broker_id": str(uuid.uuid4())}
    return Delivery(queue, body, f"0/{uuid.uuid4()}", receives=receives, **(known | facts))


def take_in(store: Store, *bodies: str, **facts: Any) -> Sorting:
    """Take these bodies in as one batch."""
    deliveries = [a_delivery(body, **facts) for body in bodies]
    return store.write(lambda tx: sort(tx, deliveries, {}))


def enqueue(
    store: Store, app: str = "media", job: str = "Encode", *, queue: str = QUEUE, **options: Any
) -> str:
    """Enqueue one job that is defined and take its message in; return its message id."""
    message_id = str(new_message_id())
    sorting = take_in(store, a_body(app, job, message_id=message_id, **options), queue=queue)
    assert len(sorting.done) == 1, "it was taken in"
    return message_id


def an_execution(store: Store, **facts: Any) -> int:
    """Write the row of one queued execution, whatever is defined; return its number."""
    now = clock.now()
    known: dict[str, Any] = {
        "message_id": str(new_message_id()),
        "app": "media",
        "job": "Encode",
        "queue": QUEUE,
        "message": "{}",
        "message_key": None,
        "options": {},
        "priority": 0,
        "due_at": now,
        "sent_at": now,
        "recorded_at": now,
    }
    new = rows.new_row(**(known | facts))
    store.write(lambda tx: rows.add_missing(tx, [new]))
    return find(store, new["message_id"]).id


def set_columns(store: Store, number: int, **columns: Any) -> None:
    """Put an execution's row into a state that nothing else is asked about."""
    one = tables.runs.executions.c.id == number
    store.write(lambda tx: tx.execute(update(tables.runs.executions).where(one).values(**columns)))


def row(store: Store, number: int) -> Execution:
    """Return the execution with this number."""
    found = store.read(lambda tx: rows.by_id(tx, number))
    assert found is not None, f"there is an execution {number}"
    return found


def find(store: Store, message_id: str) -> Execution:
    """Return the execution with this message id."""
    found = store.read(lambda tx: rows.by_message_id(tx, message_id))
    assert found is not None, f"there is an execution {message_id}"
    return found


def everything(store: Store) -> list[Execution]:
    """Return every execution, the oldest first."""
    query = select(tables.runs.executions).order_by(tables.runs.executions.c.id)
    return store.read(lambda tx: [rows.read(each) for each in tx.execute(query)])


def attempts_of(store: Store, message_id: str) -> list[Attempt]:
    """Return the execution's attempts, the first one first."""
    number = find(store, message_id).id
    return store.read(lambda tx: attempts.of_execution(tx, number))


def claim_some(
    store: Store,
    most: int = 10,
    *,
    queue: str = QUEUE,
    owner: str = "worker-1",
    place: str = PLACE,
    lease: timedelta = LEASE,
) -> list[Claim]:
    """Claim as a worker does whose images are all ready."""

    def take(tx: Tx) -> list[Claim]:
        images = {app.name: app.image for app in apps.all_apps(tx)}
        ready: dict[str, dict[str, Preparation]] = {app: {} for app in images}
        for job in apps.all_jobs(tx):
            ready[job.app][job.name] = Preparation(f"{images[job.app]}@sha256:1", place)
        return claim(tx, Claimant(owner, place, lease), queue, most=most, prepared=ready)

    return store.write(take)


def claim_one(store: Store, message_id: str | None = None) -> AttemptId:
    """Claim exactly one execution and return its attempt."""
    found = claim_some(store, 1)
    assert len(found) == 1, "one could be claimed"
    assert message_id in (None, found[0].execution.message_id)
    return found[0].attempt


def claimed_ids(claims: Sequence[Claim]) -> list[str]:
    """Return the message ids of what was claimed, in that order."""
    return [each.execution.message_id for each in claims]


def mark_running(store: Store, attempt: AttemptId, *, timeout: float = 3600) -> bool:
    """Record that the attempt was seen running."""

    def mark(tx: Tx) -> bool:
        return attempts.mark_running(
            tx,
            attempt,
            handle="container",
            started_at=tx.now,
            deadline_at=tx.now + timedelta(seconds=timeout),
        )

    return store.write(mark)


def end(store: Store, attempt: AttemptId, fate: Fate) -> Settlement | None:
    """Settle the attempt."""
    return store.write(lambda tx: settle(tx, attempt, fate))


def ripen(store: Store) -> int:
    """Make ready what is due."""
    return store.write(lambda tx: rows.ripen(tx, 500))


def set_limit(store: Store, scope: str, most: int | None) -> None:
    """Change a limit as an operator does."""
    store.write(lambda tx: limits.set_max(tx, scope, most))


def counters(store: Store) -> dict[str, int]:
    """Return every counter that is not zero."""
    found = store.read(limits.read_all)
    return {limit.scope: limit.used for limit in found if limit.used}


def stages(store: Store) -> dict[Stage, int]:
    """Count the executions by stage."""
    found = [each.stage for each in everything(store)]
    return {stage: found.count(stage) for stage in Stage if stage in found}


def later(store: Store, **span: float) -> None:
    """Let time pass."""
    store.shift += timedelta(**span)

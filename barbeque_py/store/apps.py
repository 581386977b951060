"""Apps, job definitions and queues, as rows; and the installation's own facts."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from sqlalchemy import and_, bindparam, delete, func, insert, select, update

from barbeque_py.apps import DEFAULT_LOGS, App, JobDefinition, Queue
from barbeque_py.backoff import RetryPolicy
from barbeque_py.store import limits
from barbeque_py.store.database import Tx
from barbeque_py.store.prepared import Prepared
from barbeque_py.store.tables.columns import Instant
from barbeque_py.store.tables.definitions import (
    apps,
    installation,
    job_definitions,
    queues,
    revisions,
)
from barbeque_py.store.tables.posts import failing


def installation_name(tx: Tx) -> str:
    """Return the six characters that name this installation."""
    return str(tx.execute(select(installation.c.name)).scalar_one())


def installation_secret(tx: Tx) -> bytes:
    """Return the key under which this installation signs what it hands to its own jobs."""
    return bytes.fromhex(tx.execute(select(installation.c.secret)).scalar_one())


def stored_executor(tx: Tx) -> str | None:
    """Return the executor chosen when `up` first made the database."""
    value = tx.execute(select(installation.c.executor)).scalar_one()
    return None if value is None else str(value)


def store_executor(tx: Tx, url: str) -> None:
    """Keep the executor that was chosen."""
    tx.execute(update(installation).values(executor=url))


def put_app(tx: Tx, app: App) -> None:
    """Make or replace the app."""
    values = {"image": app.image, "spec": _app_spec(app), "changed_at": tx.now}
    changed = tx.execute(update(apps).where(apps.c.name == app.name).values(values))
    if changed.rowcount == 0:
        tx.execute(insert(apps).values(name=app.name, **values))
        limits.ensure(tx, [f"app:{app.name}"])


def lock(tx: Tx, names: Iterable[str]) -> None:
    """Let nobody else change or release these apps until the commit."""
    query = select(apps.c.name).where(apps.c.name.in_(sorted(names))).order_by(apps.c.name)
    tx.execute(query.with_for_update()).all()


def get_app(tx: Tx, name: str) -> App | None:
    """Return the app with this name."""
    found = tx.rows(_APP, key=name)
    return _app(*found[0]) if found else None


# A revision counts only while it is of the image that the app has: a program of the version before
# changes the image alone.
_APPS = select(
    apps.c.name, apps.c.image, apps.c.spec, revisions.c.id, revisions.c.pinned
).select_from(
    apps.outerjoin(
        revisions, and_(revisions.c.id == apps.c.revision, revisions.c.image == apps.c.image)
    )
)
_APP = Prepared(_APPS.where(apps.c.name == bindparam("key")))


def all_apps(tx: Tx) -> list[App]:
    """Return every app, by name."""
    return [_app(*row) for row in tx.rows(_ALL_APPS)]


_ALL_APPS = Prepared(_APPS.order_by(apps.c.name))


def _app_spec(app: App) -> str:
    spec = asdict(app)
    for name in ("name", "image", "revision", "pinned"):
        del spec[name]
    return json.dumps(_said(spec))


_ADDED: dict[str, Any] = {
    "callback": "",
    "ecs": {},
    "logs": DEFAULT_LOGS,
    "notify": {},
    "expected": None,
    "runbook": "",
    "message_schema": {},
}
"""What a worker of the version before does not know, with what need not be said."""


def _said(spec: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in spec.items() if _ADDED.get(name, _ADDED) != value}


@lru_cache(maxsize=1024)
def _app(name: str, image: str, spec_text: str, revision: int | None, pinned: str | None) -> App:
    spec = json.loads(spec_text)
    spec["process_path"] = tuple(spec["process_path"])
    spec["mask"] = tuple(spec["mask"])
    return App(name=name, image=image, revision=revision, pinned=pinned, **spec)


@dataclass(frozen=True, slots=True)
class Telling:
    """Whom an app wants told, and which of its jobs failed last, of what people were told."""

    notify: Mapping[str, Any]
    failing: frozenset[str] = frozenset()


def telling(tx: Tx, names: Iterable[str]) -> dict[str, Telling]:
    """Return whom these apps want told; those of them that there are."""
    found: dict[str, Telling] = {}
    for name, spec, job in tx.rows(_TELLING, keys=sorted(set(names))):
        known = found.get(name)
        if known is None:
            found[name] = Telling(_notify_in(spec), frozenset(filter(None, [job])))
        else:
            found[name] = replace(known, failing=known.failing | {job})
    return found


_TELLING = Prepared(
    select(apps.c.name, apps.c.spec, failing.c.job)
    .select_from(apps.outerjoin(failing, failing.c.app == apps.c.name))
    .where(apps.c.name.in_(bindparam("keys", expanding=True)))
)


@lru_cache(maxsize=256)
def _notify_in(spec: str) -> Mapping[str, Any]:
    """Return an app's `notify`, each text of which is read once: settling asks for it each time."""
    said: Mapping[str, Any] = json.loads(spec).get("notify", {})
    return said


def put_job(tx: Tx, job: JobDefinition) -> None:
    """Make or replace the job definition, its limit included."""
    values = {"queue": job.queue, "spec": _job_spec(job), "changed_at": tx.now}
    same = (job_definitions.c.app == job.app, job_definitions.c.name == job.name)
    changed = tx.execute(update(job_definitions).where(*same).values(values))
    if changed.rowcount == 0:
        tx.execute(insert(job_definitions).values(app=job.app, name=job.name, **values))
    limits.set_max(tx, f"job:{job.app}/{job.name}", job.concurrency)


def _job_spec(job: JobDefinition) -> str:
    spec = asdict(job)
    for name in ("app", "name", "queue"):
        del spec[name]
    return json.dumps(_said(spec), default=_seconds)


def _seconds(value: object) -> float:
    if isinstance(value, timedelta):
        return value.total_seconds()
    raise TypeError


def get_job(tx: Tx, app: str, name: str) -> JobDefinition | None:
    """Return the job definition."""
    found = tx.rows(_JOB, owner=app, key=name)
    return _job(*found[0]) if found else None


_ANY_JOB = select(*[job_definitions.c[name] for name in ("app", "name", "queue", "spec")])
_JOB = Prepared(
    _ANY_JOB.where(
        job_definitions.c.app == bindparam("owner"), job_definitions.c.name == bindparam("key")
    )
)


def get_jobs(tx: Tx, wanted: Iterable[tuple[str, str]]) -> dict[tuple[str, str], JobDefinition]:
    """Return those of the job definitions, by (app, name), that there are."""
    pairs = set(wanted)
    if not pairs:
        return {}
    owners, keys = sorted({app for app, _ in pairs}), sorted({job for _, job in pairs})
    found = tx.rows(_JOBS, owners=owners, keys=keys)
    return {(app, job): _job(app, job, *rest) for app, job, *rest in found if (app, job) in pairs}


_JOBS = Prepared(
    _ANY_JOB.where(
        job_definitions.c.app.in_(bindparam("owners", expanding=True)),
        job_definitions.c.name.in_(bindparam("keys", expanding=True)),
    )
)


def jobs_of(tx: Tx, app: str) -> list[JobDefinition]:
    """Return the app's job definitions, by name."""
    return [_job(*row) for row in tx.rows(_JOBS_OF, owner=app)]


_JOBS_OF = Prepared(
    _ANY_JOB.where(job_definitions.c.app == bindparam("owner")).order_by(job_definitions.c.name)
)


def all_jobs(tx: Tx) -> list[JobDefinition]:
    """Return every job definition, by app and name."""
    return [_job(*row) for row in tx.rows(_ALL_JOBS)]


_ALL_JOBS = Prepared(_ANY_JOB.order_by(job_definitions.c.app, job_definitions.c.name))


def remove_job(tx: Tx, app: str, name: str) -> None:
    """Delete the job definition; its executions stay."""
    tx.execute(
        delete(job_definitions).where(job_definitions.c.app == app, job_definitions.c.name == name)
    )
    limits.set_max(tx, f"job:{app}/{name}", None)


def remove_app(tx: Tx, name: str) -> None:
    """Delete the app, whose jobs are gone already; what it ran and released stays."""
    tx.execute(delete(apps).where(apps.c.name == name))


@lru_cache(maxsize=1024)
def _job(app: str, name: str, queue: str, spec_text: str) -> JobDefinition:
    spec = json.loads(spec_text)
    retry = spec.pop("retry")
    longest = retry["max_delay"]
    policy = RetryPolicy(
        limit=retry["limit"],
        base_delay=timedelta(seconds=retry["base_delay"]),
        max_delay=None if longest is None else timedelta(seconds=longest),
        jitter=retry["jitter"],
    )
    spec["timeout"] = timedelta(seconds=spec["timeout"])
    spec["grace"] = timedelta(seconds=spec["grace"])
    if spec.get("expected") is not None:
        spec["expected"] = timedelta(seconds=spec["expected"])
    spec["command"] = tuple(spec["command"])
    spec["capabilities"] = tuple(spec["capabilities"])
    return JobDefinition(app=app, name=name, queue=queue, retry=policy, **spec)


def put_queue(tx: Tx, queue: Queue) -> None:
    """Make the queue or change its limit."""
    if get_queue(tx, queue.name) is None:
        tx.execute(insert(queues).values(name=queue.name, changed_at=tx.now))
    limits.set_max(tx, f"queue:{queue.name}", queue.concurrency)


def get_queue(tx: Tx, name: str) -> Queue | None:
    """Return the queue with this name."""
    if tx.execute(select(queues.c.name).where(queues.c.name == name)).one_or_none() is None:
        return None
    limit = limits.read(tx, [f"queue:{name}"]).get(f"queue:{name}")
    return Queue(name, None if limit is None else limit.max)


def queue_names(tx: Tx) -> list[str]:
    """Return the names of all queues."""
    return [name for (name,) in tx.rows(_QUEUE_NAMES)]


_QUEUE_NAMES = Prepared(select(queues.c.name).order_by(queues.c.name))


def paused_queues(tx: Tx) -> dict[str, datetime]:
    """Return the paused queues and since when they are."""
    return dict(tx.rows(_PAUSED))


_PAUSED = Prepared(select(queues.c.name, queues.c.paused_at).where(queues.c.paused_at.is_not(None)))


@dataclass(frozen=True, slots=True)
class QueuePause:
    """Since when a queue is paused, and why; without `until` it lasts until it is resumed."""

    since: datetime
    reason: str
    until: datetime | None


def pause_of(tx: Tx, name: str) -> QueuePause | None:
    """Return the queue's pause; None where it is not paused."""
    columns = queues.c
    query = select(columns.paused_at, columns.pause_reason, columns.paused_until)
    row = tx.execute(query.where(columns.name == name)).one_or_none()
    if row is None or row.paused_at is None:
        return None
    return QueuePause(row.paused_at, row.pause_reason or "", row.paused_until)


def pause_queue(tx: Tx, name: str, reason: str = "", until: datetime | None = None) -> bool:
    """Stop starting from this queue, which still takes in; False when there is no such queue.

    One that is paused stays so since when it was; a new reason takes the place of the old one, and
    the end is the new one's.
    """
    if get_queue(tx, name) is None:
        return False
    since = func.coalesce(queues.c.paused_at, bindparam("now", tx.now, type_=Instant()))
    change: dict[str, Any] = {"paused_at": since, "paused_until": until}
    change |= {"pause_reason": reason} if reason else {}
    tx.execute(update(queues).where(queues.c.name == name).values(change))
    return True


def pauses_over(tx: Tx) -> list[str]:
    """Return the queues that are still paused though their pause is over."""
    query = select(queues.c.name).where(queues.c.paused_until <= tx.now).order_by(queues.c.name)
    return list(tx.execute(query).scalars())


def end_pause(tx: Tx, name: str) -> bool:
    """Start from this queue again if its pause is over; False when another was first."""
    over = update(queues).where(queues.c.name == name, queues.c.paused_until <= tx.now)
    return tx.execute(over.values(_UNPAUSED)).rowcount == 1


_UNPAUSED: dict[str, Any] = {"paused_at": None, "pause_reason": None, "paused_until": None}


def resume_queue(tx: Tx, name: str) -> bool:
    """Start from this queue again; False when there is no such queue."""
    if get_queue(tx, name) is None:
        return False
    tx.execute(update(queues).where(queues.c.name == name).values(_UNPAUSED))
    return True

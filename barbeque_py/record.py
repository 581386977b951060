"""Record received messages in one transaction: each becomes an execution, or is kept as dead."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from barbeque_py import metrics, tracing
from barbeque_py.broker import Delivery, Sorting
from barbeque_py.errors import RequestError
from barbeque_py.executions import State
from barbeque_py.logs import is_message_key, message_key
from barbeque_py.messages import (
    NO_OPTIONS,
    Confirmation,
    JobMessage,
    Notification,
    Options,
    Parsed,
    RetryMessage,
    TooNew,
    Unreadable,
    app_of,
    parse,
    write_options,
)
from barbeque_py.retry import retry
from barbeque_py.store import Tx, apps, dead, endings, lots, tags
from barbeque_py.store import executions as rows
from barbeque_py.store.lots import Recorded
from barbeque_py.subscriptions import job_of

_UNKNOWN_JOB_WAIT = timedelta(seconds=60)
_UNKNOWN_JOB_TRIES = 5
_TOO_NEW_WAIT = timedelta(minutes=5)
_TOO_NEW_AGE = timedelta(hours=1)


def sort(tx: Tx, deliveries: Sequence[Delivery], keys: dict[str, str | None]) -> Sorting:
    """Record what can be recorded and bury what can't, in this transaction.

    `keys` says, by receipt, where the log store keeps a message that is too large for its row.
    """
    outcome = Sorting()
    jobs: list[tuple[Delivery, JobMessage]] = []
    for delivery in deliveries:
        try:
            parsed = parse(delivery.body, broker_id=delivery.broker_id)
        except TooNew as error:
            _put_off(tx, outcome, delivery, str(error))
        except Unreadable as error:
            bury(tx, delivery, str(error))
            outcome.done.append(delivery)
        else:
            _place(tx, outcome, jobs, delivery, parsed)
    _record_jobs(tx, outcome, jobs, keys)
    return outcome


def _place(
    tx: Tx,
    outcome: Sorting,
    jobs: list[tuple[Delivery, JobMessage]],
    delivery: Delivery,
    parsed: Parsed,
) -> None:
    match parsed:
        case JobMessage(options=Options(body_key=str(key))) if not _may_be_at(key, parsed):
            bury(tx, delivery, f"body_key {key} is not where this message would be kept")
            outcome.done.append(delivery)
        case JobMessage():
            jobs.append((delivery, parsed))
        case RetryMessage():
            _retry(tx, outcome, delivery, parsed)
        case Notification():
            job = job_of(tx, delivery.queue, parsed)
            if job is not None:
                jobs.append((delivery, job))
            else:
                bury(tx, delivery, f"no subscription of this queue to the topic {parsed.topic}")
                outcome.done.append(delivery)
        case Confirmation():
            bury(
                tx,
                delivery,
                f"SNS asks about this topic, and there is no SNS with this broker: {parsed.topic}",
            )
            outcome.done.append(delivery)


def _retry(tx: Tx, outcome: Sorting, delivery: Delivery, parsed: RetryMessage) -> None:
    try:
        retry(tx, parsed.retry_message_id, retry_id=parsed.message_id)
    except RequestError as error:
        bury(tx, delivery, f"the retry can't be had: {error}")
    outcome.done.append(delivery)


def _record_jobs(
    tx: Tx,
    outcome: Sorting,
    jobs: Sequence[tuple[Delivery, JobMessage]],
    keys: dict[str, str | None],
) -> None:
    defined = apps.get_jobs(tx, {(job.app, job.job) for _, job in jobs})
    new: dict[str, dict[str, Any]] = {}
    repeats: list[dict[str, Any]] = []
    for delivery, job in jobs:
        definition = defined.get((job.app, job.job))
        if definition is None:
            _put_off_unknown(tx, outcome, delivery, job)
            continue
        priority = job.options.priority
        row = _row(tx, delivery, job, keys.get(delivery.receipt) or job.options.body_key)
        row["priority_rank"] = -(definition.priority if priority is None else priority)
        if new.setdefault(job.message_id, row) is not row:
            repeats.append(row)
        outcome.done.append(delivery)
    if new:
        rows.add_missing(tx, list(new.values()))
        _reconcile(tx, lots.recorded_before(tx, new), new.values())
    if repeats:
        recorded = lots.recorded(tx, [row["message_id"] for row in repeats])
        _reconcile(tx, recorded, repeats)
    if new:
        tags.record(tx, new.values())
        if tracing.on():
            tx.afterwards(partial(_trace, list(new.values()), tx.now))


def _trace(rows_: Sequence[dict[str, Any]], now: datetime) -> None:
    """Record how long each message was on its queue."""
    for row in rows_:
        above = json.loads(row["options"]).get("traceparent")
        facts = {each: row[each] for each in ("message_id", "app", "job")}
        span = min(now, row["sent_at"]), now
        tracing.record(f"receive {row['queue']}", above, span, facts, kind="consumer")


def _row(tx: Tx, delivery: Delivery, job: JobMessage, key: str | None) -> dict[str, Any]:
    options = job.options
    if options is not NO_OPTIONS:
        options = replace(options, run_at=None, priority=None, body_key=None)
    return rows.new_row(
        message_id=job.message_id,
        app=job.app,
        job=job.job,
        queue=delivery.queue,
        message=job.message if key is None else None,
        message_key=key,
        options=write_options(options),
        priority=0,
        due_at=_due_at(tx, job),
        sent_at=job.enqueued_at or delivery.sent_at,
        recorded_at=tx.now,
    )


def _due_at(tx: Tx, job: JobMessage) -> datetime:
    run_at = job.options.run_at
    return tx.now if run_at is None or run_at < tx.now else run_at


def _reconcile(
    tx: Tx, recorded: Mapping[str, Recorded], wanted: Collection[dict[str, Any]]
) -> None:
    """Fill tombstones that stood in the way, and note repeats with other content."""
    for row in wanted:
        found = recorded.get(row["message_id"])
        if found is None:
            continue
        if found.tombstone:
            _fill(tx, found, row)
            continue
        tx.afterwards(metrics.duplicates.labels(row["queue"]).inc)
        if found.note is None and not _same(found, row):
            rows.note(tx, found.id, "a repeat of this message with other content was ignored")


def _fill(tx: Tx, tombstone: Recorded, row: dict[str, Any]) -> None:
    cancelled_it = tombstone.app in ("", row["app"])
    keep = ("state", "stage", "reason", "finished_at") if cancelled_it else ()
    content = {name: value for name, value in row.items() if name not in keep}
    if rows.fill_tombstone(tx, tombstone.message_id, content) and cancelled_it:
        own = (tombstone.id, 0, row["app"], row["job"])
        end = endings.row(*own, State.CANCELLED, due_at=None, ended_at=tx.now)
        endings.add(tx, [end])


def _same(found: Recorded, row: dict[str, Any]) -> bool:
    """Tell whether the row says what was recorded; large messages are known by their keys."""
    said = ("app", "job", "message", "message_key")
    return all(getattr(found, name) == row[name] for name in said)


def key_of(job: JobMessage) -> str:
    """Return where the log store keeps a message that is too large for its row."""
    return message_key(job.app, job.job, job.message_id, job.message)


def _may_be_at(key: str, job: JobMessage) -> bool:
    return is_message_key(key, job.app, job.job, job.message_id)


def _put_off(tx: Tx, outcome: Sorting, delivery: Delivery, reason: str) -> None:
    if tx.now - delivery.sent_at < _TOO_NEW_AGE:
        outcome.later.append((delivery, _TOO_NEW_WAIT))
        return
    bury(tx, delivery, f"no worker could read it within an hour: {reason}")
    outcome.done.append(delivery)


def _put_off_unknown(tx: Tx, outcome: Sorting, delivery: Delivery, job: JobMessage) -> None:
    if delivery.receives < _UNKNOWN_JOB_TRIES:
        outcome.later.append((delivery, _UNKNOWN_JOB_WAIT))
        return
    bury(
        tx,
        delivery,
        f"no job {job.job} is defined in the app {job.app}: apply a file that defines it, "
        "then send this message again",
    )
    outcome.done.append(delivery)


def bury(tx: Tx, delivery: Delivery, reason: str) -> None:
    """Keep the message as dead, for this reason."""
    owner = app_of(delivery.body)
    dead.bury(tx, delivery, reason=reason, message_id=public_id_of(delivery), app=owner)
    tx.afterwards(metrics.buried.labels(delivery.queue).inc)


def public_id_of(delivery: Delivery) -> str:
    """Return the public id under which the sender knows the message, as far as it can be told."""
    try:
        claimed = json.loads(delivery.body)["MessageId"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return delivery.broker_id
    return claimed if isinstance(claimed, str) and len(claimed) <= 36 else delivery.broker_id  # noqa: PLR2004 - a UUID's length

"""What a request to run a job may say, read strictly: the fields of `POST /v2/job_executions`."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from fastapi import Request

from barbeque_api.bodies import read_delay, read_object, read_text, refuse_strangers, shown
from barbeque_api.problems import refusal, service_refusal
from barbeque_py import clock, strict_json
from barbeque_py.apps import NAME
from barbeque_py.enqueue import Request as Job
from barbeque_py.errors import RequestError
from barbeque_py.ids import keyed_id, new_message_id
from barbeque_py.messages import (
    NO_OPTIONS,
    JobMessage,
    Options,
    read_options,
    write_options,
)

FURTHEST = timedelta(days=366)
"""How far ahead `run_at` may be."""

KEY_HEADER = "idempotency-key"
MOST_JOBS = 1000
"""How many jobs one batch may ask for."""

_OPTIONS = frozenset(
    {"run_at", "priority", "timeout", "concurrency_key", "user_id", "notify", "tags"}
)
FIELDS = _OPTIONS | {
    "application",
    "job",
    "queue",
    "message",
    "delay_seconds",
    "idempotency_key",
}
_MOST_OPTIONS = 16 * 1024
"""Characters of JSON: what the column of the smallest database holds, with room to spare."""
_MOST_KEYS = 10_000
_KEY = re.compile(r"[!-~]([ -~]{0,253}[!-~])?")


@dataclass(frozen=True, slots=True)
class Heading:
    """What a request's headers ask for each of its jobs."""

    traceparent: str | None
    keys: Sequence[str]
    """Idempotency keys, as often as one is given."""


def read_heading(request: Request) -> Heading:
    """Return what the headers ask for."""
    headers = request.headers
    return Heading(headers.get("traceparent"), headers.getlist(KEY_HEADER))


def read_job(facts: dict[str, Any], heading: Heading, *, default_queue: str) -> Job:
    """Return the job that the fields and the request's headers ask for.

    Raises a `Refusal` that names the field at fault.
    """
    message = facts.get("message")
    if message is None:
        raise refusal(400, f"message is {'null' if 'message' in facts else 'missing'}")
    app, job = _name(facts, "application"), _name(facts, "job")
    queue = read_text(facts, "queue") or default_queue
    delay = read_delay(facts, service_refusal)
    options = _read_options(facts, heading.traceparent)
    if delay and options.run_at is not None:
        raise refusal(400, "delay_seconds and run_at: give one of them, not both")
    key = _read_key(facts, heading.keys)
    return Job(
        JobMessage(
            message_id=new_message_id() if key is None else keyed_id(app, key),
            app=app,
            job=job,
            queue=queue,
            message=strict_json.dumps(message),
            enqueued_at=clock.now(),
            options=options,
        ),
        queue,
        delay,
    )


async def read_batch(request: Request, max_body: int) -> list[object]:
    """Return what stands in a batch, not looked at yet; raises a `Refusal` of the batch."""
    facts = await read_object(request, max_body, known=("jobs",), most_keys=_MOST_KEYS * MOST_JOBS)
    jobs = facts.get("jobs")
    if not isinstance(jobs, list) or not 0 < len(jobs) <= MOST_JOBS:
        raise refusal(400, f"jobs: {shown(jobs)} is not a list of 1 to {MOST_JOBS:,} jobs")
    if KEY_HEADER in request.headers:
        raise refusal(400, "a batch has no Idempotency-Key: each job has its own idempotency_key")
    return jobs


def read_item(item: object, heading: Heading, *, default_queue: str) -> Job:
    """Return the job that one of a batch asks for, as `read_job` does."""
    if not isinstance(item, dict):
        raise refusal(400, f"{shown(item)} stands where a job is needed")
    refuse_strangers(item, FIELDS)
    job = read_job(item, heading, default_queue=default_queue)
    message = job.job.message
    if len(message) > _MOST_KEYS:  # a shorter one can't have as many
        try:
            strict_json.measure(message.encode(), max_keys=_MOST_KEYS)  # as a worker will
        except ValueError as error:
            raise refusal(400, f"the message is refused: {error}") from None
    return job


def _read_key(facts: dict[str, Any], headers: Sequence[str]) -> str | None:
    """Return the idempotency key, wherever it stands; it may stand twice, but only the same."""
    field = facts.get("idempotency_key")
    given = headers if field is None else [*headers, field]
    if not given:
        return None
    key, *others = given
    if not isinstance(key, str) or _KEY.fullmatch(key) is None:
        raise refusal(
            400,
            f"idempotency_key: {shown(key)} is not a key: 1 to 255 printable ASCII characters, "
            "no space at either end",
        )
    if any(other != key for other in others):
        raise refusal(400, "idempotency_key differs from another that the request names")
    return key


def _name(facts: dict[str, Any], field: str) -> str:
    value = facts.get(field)
    if value is None:
        raise refusal(400, f"{field} is {'null' if field in facts else 'missing'}")
    if not isinstance(value, str) or NAME.fullmatch(value) is None:
        raise refusal(
            400,
            f"{field}: {shown(value)} is not a name: up to 128 of A-Z a-z 0-9 _ . : -, "
            "a letter or digit first",
        )
    return value


def _read_options(facts: dict[str, Any], traceparent: str | None) -> Options:
    if traceparent is None and _OPTIONS.isdisjoint(facts):
        return NO_OPTIONS
    given = {name: facts[name] for name in _OPTIONS & facts.keys()}
    try:
        options = read_options(given | _trace(traceparent))
    except RequestError as error:
        raise refusal(400, str(error).removeprefix("Options.")) from None
    if len(strict_json.dumps(write_options(options))) > _MOST_OPTIONS:
        raise refusal(400, f"the options together are longer than {_MOST_OPTIONS:,} characters")
    if options.run_at is not None and options.run_at > clock.now() + FURTHEST:
        raise refusal(400, f"run_at: {shown(facts['run_at'])} is more than a year ahead")
    return options


def _trace(traceparent: str | None) -> dict[str, str]:
    """Return the trace to go on with; W3C wants a header that is none to be ignored."""
    if traceparent is None:
        return {}
    trace = {"traceparent": traceparent}
    try:
        read_options(trace)
    except RequestError:
        return {}
    return trace

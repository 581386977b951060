"""Spans of requests to run jobs: the request, and the sending of its message below it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from barbeque_py import tracing
from barbeque_py.enqueue import Request as Job


@contextmanager
def traced(path: str, jobs: Sequence[Job]) -> Iterator[Sequence[Job]]:
    """Hand out the jobs of one request so that all that becomes of them is below its spans.

    Where nothing is traced they are as they were.
    """
    if not tracing.on() or not jobs:
        yield jobs
        return
    first = jobs[0]
    facts: dict[str, object] = {"app": first.job.app, "queue": first.queue, "jobs": len(jobs)}
    if len(jobs) == 1:
        facts["message_id"] = first.job.message_id
    above = first.job.options.traceparent
    with (
        tracing.start(f"POST {path}", above, facts, kind="server") as asked,
        tracing.start(f"send {first.queue}", asked.traceparent, facts, kind="producer") as sending,
    ):
        yield [_below(sending.traceparent, each) for each in jobs]


def _below(traceparent: str, job: Job) -> Job:
    options = replace(job.job.options, traceparent=traceparent)
    return replace(job, job=replace(job.job, options=options))

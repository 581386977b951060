"""Accept a request to run a job: the message only, so it needs no schedule database."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from barbeque_py import clock
from barbeque_py.broker import LONGEST_DELAY, Broker, Parcel, SharedBroker
from barbeque_py.logs import message_key
from barbeque_py.logstore import LogStore
from barbeque_py.messages import JobMessage, write

TRAVELS = 180 * 1024
"""Characters of a message that travel on a queue of their own; a larger one is kept in the log
store. Names and options may add 20 KiB, so no body is over 200 KiB.
"""

TOGETHER = 100
"""How many requests are best sent together: one commit of a database, ten calls of SQS at once."""


@dataclass(frozen=True, slots=True)
class Request:
    """One job that was asked for: its message, the queue it goes to, and how long it hides."""

    job: JobMessage
    queue: str
    delay: timedelta = timedelta(0)


def enqueue(broker: Broker, logs: LogStore, requests: Sequence[Request]) -> None:
    """Send the requests' messages; when this returns, none of them can be lost.

    Raises `OutsideError` when it is not certain that all were sent; sending the same requests
    again is harmless, because each carries its own message id. Raises `UnknownQueue` where the
    broker knows its queues.
    """
    packed = [_on_time(broker, pack(broker, logs, request)) for request in requests]
    for queue in dict.fromkeys(request.queue for request in packed):
        parcels = [
            Parcel(body=write(request.job), app=request.job.app, delay=request.delay)
            for request in packed
            if request.queue == queue
        ]
        for first in range(0, len(parcels), TOGETHER):
            broker.send(queue, parcels[first : first + TOGETHER])


def is_too_large(broker: Broker, request: Request) -> bool:
    """Tell whether the message has to be kept in the log store, because it can't travel."""
    return len(request.job.message) > TRAVELS and not isinstance(broker, SharedBroker)


def pack(broker: Broker, logs: LogStore, request: Request) -> Request:
    """Keep a message that is too large to travel, and return the request that says where it is.

    Others are returned as they are. Raises `LogStoreUnavailable`.
    """
    if not is_too_large(broker, request):
        return request
    job = request.job
    key = message_key(job.app, job.job, job.message_id, job.message)
    logs.put(key, [job.message.encode()])
    pointer = replace(job, message="null", options=replace(job.options, body_key=key))
    return replace(request, job=pointer)


def _on_time(broker: Broker, request: Request) -> Request:
    """Let the schedule hide what is due later, where it can be seen and cancelled meanwhile.

    Short delays ride on a broker of its own; a `run_at` never does, however near.
    """
    if not request.delay or (
        request.delay <= LONGEST_DELAY and not isinstance(broker, SharedBroker)
    ):
        return request
    options = replace(request.job.options, run_at=clock.now() + request.delay)
    return replace(request, job=replace(request.job, options=options), delay=timedelta(0))

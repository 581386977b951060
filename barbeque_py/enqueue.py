"""Accept a request to run a job: the message only, so it needs no schedule database."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from barbeque_py import clock
from barbeque_py.broker import BATCH, Broker, Parcel, SharedBroker
from barbeque_py.messages import JobMessage, write

_SHARED_BATCH = 100
"""A broker in the store's own database has no limit of a call: the more in a commit, the better."""


@dataclass(frozen=True, slots=True)
class Request:
    """One job that was asked for: its message, the queue it goes to, and how long it hides."""

    job: JobMessage
    queue: str
    delay: timedelta = timedelta(0)


def batch_size(broker: Broker) -> int:
    """Return how many requests this broker is best sent together."""
    return _SHARED_BATCH if isinstance(broker, SharedBroker) else BATCH


def enqueue(broker: Broker, requests: Sequence[Request]) -> None:
    """Send the requests' messages; when this returns, none of them can be lost.

    Raises `OutsideError` when it is not certain that all were sent; sending the same requests
    again is harmless, because each carries its own message id.
    """
    if isinstance(broker, SharedBroker):
        requests = [_due_later(request) for request in requests]
    size = batch_size(broker)
    for queue in dict.fromkeys(request.queue for request in requests):
        parcels = [
            Parcel(body=write(request.job), app=request.job.app, delay=request.delay)
            for request in requests
            if request.queue == queue
        ]
        for first in range(0, len(parcels), size):
            broker.send(queue, parcels[first : first + size])


def _due_later(request: Request) -> Request:
    """Let the schedule hide what is due later, where it can be seen and cancelled meanwhile."""
    if not request.delay:
        return request
    options = replace(request.job.options, run_at=clock.now() + request.delay)
    return replace(request, job=replace(request.job, options=options), delay=timedelta(0))

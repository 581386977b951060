"""Accept a request to run a job: the message only, so it needs no schedule database."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from barbeque_py.broker import BATCH, Broker, Parcel
from barbeque_py.messages import JobMessage, write


@dataclass(frozen=True, slots=True)
class Request:
    """One job that was asked for: its message, the queue it goes to, and how long it hides."""

    job: JobMessage
    queue: str
    delay: timedelta = timedelta(0)


def enqueue(broker: Broker, requests: Sequence[Request]) -> None:
    """Send the requests' messages; when this returns, none of them can be lost.

    Raises `OutsideError` when it is not certain that all were sent; sending the same requests
    again is harmless, because each carries its own message id.
    """
    for queue in dict.fromkeys(request.queue for request in requests):
        parcels = [
            Parcel(body=write(request.job), app=request.job.app, delay=request.delay)
            for request in requests
            if request.queue == queue
        ]
        for first in range(0, len(parcels), BATCH):
            broker.send(queue, parcels[first : first + BATCH])

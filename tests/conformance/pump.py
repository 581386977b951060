"""A steady load of requests, each with its answer and how long that took."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from barbeque_py import clock
from tests.asking import open_client

_EVERY = 0.33
"""Seconds between the requests of one client."""
_PATIENCE = 60.0


@dataclass(slots=True)
class Answers:
    """What the clients were answered."""

    statuses: Counter[int] = field(default_factory=Counter)
    slowest: float = 0.0


@contextmanager
def pumping(
    url: str, request: dict[str, object], accepted: list[str], *, clients: int
) -> Iterator[Answers]:
    """Send the request again and again until the block's end; append the ids of the accepted."""
    answers, stop = Answers(), threading.Event()

    def pump() -> None:
        with open_client(url) as client:
            while not stop.is_set():
                began = clock.monotonic()
                answer = client.post("/v2/job_executions", json=request)
                took = clock.monotonic() - began
                answers.statuses[answer.status_code] += 1
                answers.slowest = max(answers.slowest, took)
                if answer.status_code == 201:
                    accepted.append(answer.json()["message_id"])
                stop.wait(max(0.0, _EVERY - took))

    threads = [threading.Thread(target=pump) for _ in range(clients)]
    for each in threads:
        each.start()
    try:
        yield answers
    finally:
        stop.set()
        for each in threads:
            each.join()

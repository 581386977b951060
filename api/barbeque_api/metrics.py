"""`GET /metrics`: what Prometheus reads of this process, and of what the database knows."""

from collections.abc import Iterator
from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response
from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from barbeque_api.parts import Served
from barbeque_api.rights import needs
from barbeque_py import clock, metrics
from barbeque_py.errors import OutsideError
from barbeque_py.glance import Glance
from barbeque_py.identity import Scope
from barbeque_py.store import Store, gauges
from barbeque_py.store.gauges import Gauges, Lane

FRESH = 10.0
"""Seconds for which the database is not asked again, however often somebody scrapes."""


class Metrics:
    """Answers those who scrape."""

    def __init__(self, parts: Served) -> None:
        self._gauges = Glance(lambda: _read(parts.store), fresh=FRESH)

    def add_to(self, router: APIRouter) -> None:
        """Add the route."""
        rights: dict[str, Any] = {"dependencies": [needs(Scope.METRICS)]}
        router.add_api_route(
            "/metrics", self.page, methods=["GET"], include_in_schema=False, **rights
        )

    def page(self) -> Response:
        """Tell what was counted here; of the database what it says, or that it is away."""
        found: list[Metric] = []
        try:
            seconds, known = self._gauges.look()
        except OutsideError:
            found.append(_gauge("database_up", "Whether the database answers.", 0))
        else:
            found.append(_gauge("database_up", "Whether the database answers.", 1))
            found.append(_gauge("database_seconds", "What asking for all this took.", seconds))
            found += [*_of_all(known), *_of_queues(known)]
        return Response(metrics.page(found), headers={"content-type": metrics.CONTENT_TYPE})


def _read(store: Store) -> tuple[float, Gauges]:
    began = clock.monotonic()
    found = store.read(gauges.read)
    return clock.monotonic() - began, found


def _of_all(known: Gauges) -> Iterator[Metric]:
    facts = {
        "outbox_waiting": (known.outbox_waiting, "Errands that are due and not done."),
        "outbox_age_seconds": (known.outbox_age, "How long the oldest of them has been due."),
        "notices_waiting": (known.notices_waiting, "Notices that are not delivered yet."),
        "notices_age_seconds": (
            known.notices_age,
            "The age of the oldest of them, however often it was tried.",
        ),
        "dead_messages": (known.dead, "Messages kept because no execution can be made of them."),
        "workers": (known.workers, "Workers that were seen within a minute."),
        "shortages": (known.shortages, "Sizes of containers for which a place has no room now."),
        "throttled_seconds": (
            known.throttled,
            "Until every quota of calls that start or stop tasks has something left.",
        ),
    }
    return (_gauge(name, words, value) for name, (value, words) in facts.items())


def _of_queues(known: Gauges) -> Iterator[Metric]:
    waiting = _family("waiting", "Executions that wait, by their stage.", "queue", "stage")
    running = _family("running", "Executions with an attempt under way.", "queue")
    age = _family("queue_age_seconds", "How long the oldest that may start is due.", "queue")
    untaken = _family("messages", "Messages in the database that no worker has taken in.", "queue")
    paused = _family("queue_paused", "Whether the queue is paused.", "queue")
    for queue, lane in known.lanes.items():
        for stage, count in _waiting(lane).items():
            waiting.add_metric((queue, stage), count)
        running.add_metric((queue,), lane.running)
        age.add_metric((queue,), lane.age)
        untaken.add_metric((queue,), lane.messages)
        paused.add_metric((queue,), lane.paused)
    yield from (waiting, running, age, untaken, paused)


def _waiting(lane: Lane) -> dict[str, int]:
    return {str(stage): count for stage, count in lane.waiting.items()}


def _family(name: str, words: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"barbeque_{name}", words, labels=labels)


def _gauge(name: str, words: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"barbeque_{name}", words, value=value)

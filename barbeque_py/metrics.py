"""What this process has counted and timed since it began; `/metrics` tells it.

Labels name queues, apps, routes and outcomes, of which there are few. Names of jobs are not among
them: `barbeque stats` and the console tell how each job fares.
"""

from collections.abc import Iterator, Sequence

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import Metric

CONTENT_TYPE = CONTENT_TYPE_LATEST

_HTTP = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_LAUNCH = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)

requests = Counter(
    "barbeque_http_requests_total",
    "Requests that were answered.",
    ("method", "route", "status"),
)
request_seconds = Histogram(
    "barbeque_http_request_seconds",
    "From a request to the beginning of its answer.",
    ("route",),
    buckets=_HTTP,
)
enqueued = Counter(
    "barbeque_enqueued_total", "Requests to run a job that were accepted.", ("queue",)
)
received = Counter(
    "barbeque_received_total", "Messages received from the broker, repeats included.", ("queue",)
)
duplicates = Counter(
    "barbeque_duplicates_total", "Messages of executions that were recorded before.", ("queue",)
)
buried = Counter(
    "barbeque_buried_total",
    "Messages that became dead: no execution can be made of them.",
    ("queue",),
)
launch_calls = Counter(
    "barbeque_launch_calls_total",
    "Calls that start a container, by what came of them: "
    "started, refused, no_capacity, throttled, unavailable.",
    ("answer",),
)
launch_seconds = Histogram(
    "barbeque_launch_seconds",
    "From the claim of an attempt to its start being confirmed.",
    buckets=_LAUNCH,
)
finished = Counter(
    "barbeque_finished_total",
    "Executions that ended: succeeded, failed, cancelled.",
    ("app", "outcome"),
)
retries = Counter(
    "barbeque_retries_total",
    "Attempts after which the execution is tried again: they failed, or were interrupted.",
    ("app", "reason"),
)
leases_expired = Counter(
    "barbeque_leases_expired_total", "Attempts taken over from a worker whose lease had ended."
)
notices = Counter(
    "barbeque_notices_total",
    "Notices that were sent, by what came of it: delivered, refused, failed, given_up.",
    ("channel", "outcome"),
)
loop_failures = Counter(
    "barbeque_loop_failures_total", "Steps of a worker's loops that failed.", ("loop",)
)

# From the start on, so that the first one is seen to be one more than none.
for _answer in ("started", "refused", "no_capacity", "throttled", "unavailable"):
    launch_calls.labels(_answer)
for _channel in ("email", "slack", "webhook"):
    for _outcome in ("delivered", "refused", "failed", "given_up"):
        notices.labels(_channel, _outcome)


def page(more: Sequence[Metric] = ()) -> bytes:
    """Return what Prometheus reads: all of this process, and `more`."""
    return generate_latest(REGISTRY) + generate_latest(_Given(more))


class _Given(CollectorRegistry):
    """Metrics that were gathered already, in the place of a registry."""

    def __init__(self, metrics: Sequence[Metric]) -> None:
        super().__init__()
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        return iter(self._metrics)

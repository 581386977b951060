"""Loop: tells CloudWatch once a minute how the installation is; one worker's duty.

CloudWatch makes metrics of lines in its embedded metric format wherever it finds them in a log, so
that neither a right nor a call is needed. Alarms and autoscaling of deploy/cloudformation use them.
"""

import json
import sys
from datetime import timedelta
from typing import Any

from barbeque_py.executions import Stage
from barbeque_py.store import Tx, apps, gauges, rollups, workers
from barbeque_py.store.gauges import Gauges
from barbeque_py.store.rollups import ALL, Span
from barbeque_worker.station import Station

NAMESPACE = "Barbeque"
UNITS = {
    "Waiting": "Count",
    "WaitingPerWorker": "Count",
    "OldestWaitingSeconds": "Seconds",
    "Running": "Count",
    "NotStartedThisHour": "Count",
    "OutboxOldestSeconds": "Seconds",
    "DeadMessages": "Count",
    "Workers": "Count",
}
"""Every metric, and what it is counted in."""

_DUTY = "pulse"
_EVERY = timedelta(seconds=55)
_LEASE = timedelta(minutes=2)
_REST = 20.0


class Pulse:
    """Takes the duty when it is due and writes one line to standard output."""

    def __init__(self, station: Station) -> None:
        self._station = station

    def step(self) -> float:
        """Tell once if the duty is ours; return how long to rest."""
        owner = self._station.owner
        told = self._station.store.write(lambda tx: look(tx, owner))
        if told is not None:
            sys.stdout.write(f"{told}\n")
            sys.stdout.flush()
        return _REST


def look(tx: Tx, owner: str) -> str | None:
    """Return the line that is due, None while it is not, or not this worker's to tell."""
    if not workers.take_duty(tx, _DUTY, owner, every=_EVERY, lease=_LEASE):
        return None
    workers.finish_duty(tx, _DUTY, owner)
    hour = rollups.start_of(Span.HOUR, tx.now)
    sums = rollups.of_one(tx, ALL, ALL, Span.HOUR, hour, hour + timedelta(hours=1))
    not_started = sum(each.not_started for each in sums.values())
    at = int(tx.now.timestamp() * 1000)
    return line(gauges.read(tx), apps.installation_name(tx), at, not_started=not_started)


def line(seen: Gauges, installation: str, at: int, *, not_started: int = 0) -> str:
    """Return the gauges as CloudWatch reads them; `at` is in milliseconds since 1970."""
    lanes = seen.lanes.values()
    waiting = sum(each.waiting.get(Stage.READY, 0) + each.messages for each in lanes)
    metrics = [{"Name": name, "Unit": unit} for name, unit in UNITS.items()]
    told: dict[str, Any] = {
        "_aws": {
            "Timestamp": at,
            "CloudWatchMetrics": [
                {"Namespace": NAMESPACE, "Dimensions": [["Installation"]], "Metrics": metrics}
            ],
        },
        "Installation": installation,
        "Waiting": waiting,
        "WaitingPerWorker": waiting / max(seen.workers, 1),
        "OldestWaitingSeconds": max((each.age for each in lanes), default=0.0),
        "Running": sum(each.running for each in lanes),
        "NotStartedThisHour": not_started,
        "OutboxOldestSeconds": seen.outbox_age,
        "DeadMessages": seen.dead,
        "Workers": seen.workers,
    }
    return json.dumps(told)

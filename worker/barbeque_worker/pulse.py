"""The duty that tells CloudWatch once a minute how the installation is.

CloudWatch makes metrics of lines in its embedded metric format wherever it finds them in a log, so
that neither a right nor a call is needed. Alarms and autoscaling of deploy/cloudformation use them.
"""

import json
import sys
from datetime import timedelta
from typing import Any

from barbeque_py.executions import Stage
from barbeque_py.store import Store, Tx, apps, gauges, rollups
from barbeque_py.store.gauges import Gauges
from barbeque_py.store.rollups import ALL, Span
from barbeque_worker.duty import Duty

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

_EVERY = timedelta(seconds=55)
_REST = timedelta(seconds=20)


def pulse(store: Store, owner: str) -> Duty[str]:
    """Return the duty: one line a minute, from one of all workers."""
    return Duty(store, owner, "pulse", look, every=_EVERY, rest=_REST, tell=_say)


def _say(told: str) -> None:
    sys.stdout.write(f"{told}\n")
    sys.stdout.flush()


def look(tx: Tx) -> str:
    """Return the line that tells how things are now."""
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

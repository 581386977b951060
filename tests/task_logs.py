"""Logs of tasks in the cloud's CloudWatch, and attempts whose logs they are."""

import secrets
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta

import pytest
from sqlalchemy import update

from barbeque_py.attempt_log import mask_of, prefix_of
from barbeque_py.cloudwatch import Budget, CloudWatch, LogPlace, format_log_at
from barbeque_py.ids import AttemptId
from barbeque_py.logstore import LogStore
from barbeque_py.shipment import Shipment, Shipping
from barbeque_py.store import Store, Tx, attempts
from barbeque_py.store import executions as rows
from barbeque_py.store.attempts import Attempt
from barbeque_py.store.executions import Execution
from barbeque_py.store.tables.runs import attempts as table
from barbeque_py.task_log import log_of_task
from barbeque_py.watched import Watching
from tests.cloud.rig import REGION, CloudProcess
from tests.waiting import wait_until

GROUP = "/barbeque/watched"
BEGAN = 1_795_291_200_123
"""2026-11-21T20:00:00.123Z, in milliseconds."""


class TaskLog:
    """The log stream of one task, and the attempt that it is made the log of."""

    def __init__(self, cloud: CloudProcess, group: str = GROUP) -> None:
        self.cloud = cloud
        self.handle = f"arn:aws:ecs:{REGION}:123456789012:task/jobs/{secrets.token_hex(16)}"
        self.log_at = format_log_at(LogPlace(REGION, group, "jobs"))
        self._group = group
        self._client = cloud.client("logs")
        self._written = 0

    def attach(self, store: Store, attempt: AttemptId) -> None:
        """Say in the attempt's row that it is this task."""
        known = {"log_at": self.log_at, "handle": self.handle}
        store.write(lambda tx: tx.execute(update(table).where(table.c.id == attempt).values(known)))

    def write(self, *texts: str) -> None:
        """Write lines as the task does."""
        stream = log_of_task(self.log_at, self.handle).rpartition(":")[2]
        if not self._written:
            if not self._client.describe_log_groups(logGroupNamePrefix=self._group)["logGroups"]:
                self._client.create_log_group(logGroupName=self._group)
            self._client.create_log_stream(logGroupName=self._group, logStreamName=stream)
        events = [
            {"timestamp": BEGAN + self._written + number, "message": text}
            for number, text in enumerate(texts)
        ]
        self._client.put_log_events(
            logGroupName=self._group, logStreamName=stream, logEvents=events
        )
        self._written += len(texts)

    def calls(self) -> int:
        """Return how often CloudWatch was asked anything since the counts began."""
        counts = self.cloud.counts().get("logs", {})
        return counts.get("GetLogEvents", 0) + counts.get("DescribeLogStreams", 0)

    def seal(self, store: Store, logs: LogStore, attempt: AttemptId) -> None:
        """Read the log from CloudWatch and seal it, as a worker does."""
        execution, row = store.read(lambda tx: _both(tx, attempt))
        mask = store.read(lambda tx: mask_of(tx, execution))
        with closing(CloudWatch(Budget(1000))) as opened:
            source = opened.open_log(log_of_task(self.log_at, self.handle))
            quiet = Shipping(live_every=None)
            prefix = prefix_of(execution, row)
            with closing(Shipment(source, logs, prefix, mask=mask, shipping=quiet)) as shipment:
                shipment.run(follow=False)
                shipment.run(follow=False)
                facts = shipment.seal(fresh=True)
        values = {"log_lines": facts.lines, "log_bytes": facts.bytes}
        store.write(lambda tx: attempts.record_seal(tx, attempt, values))


def _both(tx: Tx, attempt: AttemptId) -> tuple[Execution, Attempt]:
    row = attempts.get(tx, attempt)
    assert row is not None
    execution = rows.by_id(tx, row.execution)
    assert execution is not None
    return execution, row


@contextmanager
def watching_of(linger: timedelta = timedelta(seconds=1)) -> Iterator[Watching]:
    """Hand out what watches CloudWatch, and stops soon after the last reader."""
    with (
        pytest.MonkeyPatch.context() as patch,
        closing(CloudWatch()) as opened,
        closing(Watching(opened.open_log, linger=linger)) as made,
    ):
        # Who comes first sees all there is, also where CloudWatch takes its time.
        patch.setattr("barbeque_py.watched._FIRST_LOOK", 60.0)
        yield made


def await_rest(log: TaskLog, watching: Watching) -> None:
    """Wait until nobody is taken to be watching, then count from nothing."""
    wait_until(lambda: not watching._watched, "nobody watches")
    log.cloud.reset_counts()

"""ECS Task State Change events, as EventBridge brings them through a rule to an SQS queue."""

import json
import uuid
from collections.abc import Callable
from random import Random

from barbeque_py import clock
from tests.cloud.caller import ACCOUNT
from tests.cloud.knobs import Knobs
from tests.cloud.tasks import Task

SendEvent = Callable[[str, str, float], None]


class TaskEvents:
    """Sends the events of tasks, with the faults that the knobs ask for."""

    def __init__(self, knobs: Knobs, send: SendEvent, dice: Random) -> None:
        self._knobs = knobs
        self._send = send
        self._dice = dice
        self.sent = 0

    def tell(self, task: Task) -> None:
        """Send the task's present state, if the rule lets it pass."""
        knobs = self._knobs
        queues = [knobs.event_queue] if isinstance(knobs.event_queue, str) else knobs.event_queue
        wanted = any(queues) and task.last_status in knobs.event_statuses
        if not wanted or task.forgotten:
            return
        body = _envelope(task)
        for queue in queues:
            if self._dice.random() < knobs.events_lost:
                continue
            self._deliver(queue, body)
            if self._dice.random() < knobs.events_doubled:
                self._deliver(queue, body)

    def _deliver(self, queue: str, body: str) -> None:
        self.sent += 1
        self._send(queue, body, self._dice.random() * self._knobs.events_shuffled)


def _envelope(task: Task) -> str:
    return json.dumps(
        {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": "ECS Task State Change",
            "source": "aws.ecs",
            "account": ACCOUNT,
            "time": clock.now().strftime("%Y-%m-%dT%H:%M:%SZ"),
            "region": task.region,
            "resources": [task.arn],
            "detail": task.as_event(),
        },
        separators=(",", ":"),
    )

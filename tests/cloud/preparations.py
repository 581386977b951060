"""What is prepared before the containers of a task start: their logs."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from random import Random

from tests.cloud.awslogs import LogStream
from tests.cloud.knobs import Knobs
from tests.cloud.moto_calls import Moto
from tests.cloud.plans import Plan
from tests.cloud.runners import Errand
from tests.cloud.service import AwsFault
from tests.cloud.tasks import Task


class Preparations:
    """Opens the logs of tasks, and brings late lines after their end."""

    def __init__(self, moto: Moto, knobs: Knobs, dice: Random) -> None:
        self._moto = moto
        self._knobs = knobs
        self._dice = dice
        self._streams: dict[str, list[LogStream]] = {}

    def needed(self, plans: Sequence[Plan]) -> bool:
        """Tell whether any container's lines go anywhere."""
        return self._knobs.awslogs and any(_is_awslogs(plan) for plan in plans)

    def prepare(self, task: Task, plans: Sequence[Plan]) -> list[Errand]:
        """Open the logs; raises `AwsFault` with the stoppedReason."""
        return [
            replace(plan.errand, sink=self._open(task, plan)) if _is_awslogs(plan) else plan.errand
            for plan in plans
        ]

    def finish(self, task: Task) -> None:
        """Let late lines come after the task has STOPPED."""
        loop = asyncio.get_running_loop()
        seconds = self._knobs.late_lines.get("seconds", 0.0)
        for stream in self._streams.pop(task.id, []):
            if stream.late():
                loop.call_later(seconds, loop.run_in_executor, None, stream.put_late)

    def _open(self, task: Task, plan: Plan) -> LogStream:
        options = plan.log.get("options") or {}
        prefix, name = options.get("awslogs-stream-prefix"), plan.errand.name
        stream = LogStream(
            self._moto,
            options,
            name=f"{prefix}/{name}/{task.id}" if prefix else task.id,
            region=task.region,
            knobs=self._knobs,
            dice=self._dice,
        )
        try:
            stream.create(group=options.get("awslogs-create-group") == "true")
        except AwsFault as fault:
            raise AwsFault(
                "ResourceInitializationError",
                "ResourceInitializationError: failed to validate logger args: create stream has "
                "been retried 1 times: failed to create Cloudwatch log stream: "
                f"{fault.code}: The specified log group does not exist. : exit status 1",
            ) from fault
        self._streams.setdefault(task.id, []).append(stream)
        return stream


def _is_awslogs(plan: Plan) -> bool:
    return plan.log.get("logDriver") == "awslogs"

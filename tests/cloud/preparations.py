"""What is prepared before the containers of a task start: their secrets and their logs."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from random import Random

from tests.cloud import firelens
from tests.cloud.awslogs import LogStream
from tests.cloud.knobs import Knobs
from tests.cloud.moto_calls import Moto
from tests.cloud.plans import Plan
from tests.cloud.runners import Errand, Sink
from tests.cloud.service import AwsFault, Json
from tests.cloud.tasks import Task
from tests.cloud.variables import fetch_files, fetch_secrets

_CLOUDWATCH = ("cloudwatch", "cloudwatch_logs")


class Preparations:
    """Fetches variables, opens the logs of tasks, and brings late lines after their end."""

    def __init__(self, moto: Moto, knobs: Knobs, dice: Random) -> None:
        self._moto = moto
        self._knobs = knobs
        self._dice = dice
        self._streams: dict[str, list[LogStream]] = {}

    def needed(self, plans: Sequence[Plan]) -> bool:
        """Tell whether anything must be asked of moto first."""
        return any(plan.secrets or plan.files or self._has_sink(plan) for plan in plans)

    def prepare(self, task: Task, plans: Sequence[Plan]) -> list[Errand]:
        """Fetch and open; raises `AwsFault` with the stoppedReason."""
        return [self._prepare(task, plan) for plan in plans]

    def finish(self, task: Task) -> None:
        """Let late lines come after the task has STOPPED."""
        loop = asyncio.get_running_loop()
        seconds = self._knobs.late_lines.get("seconds", 0.0)
        for stream in self._streams.pop(task.id, []):
            if stream.late():
                loop.call_later(seconds, loop.run_in_executor, None, stream.put_late)

    def _prepare(self, task: Task, plan: Plan) -> Errand:
        variables = {
            **fetch_files(self._moto, plan.files, task.region),
            **plan.errand.environment,
            **fetch_secrets(self._moto, plan.secrets, task.region),
        }
        sink = self._open(task, plan) if self._has_sink(plan) else None
        return replace(plan.errand, environment=variables, sink=sink)

    def _has_sink(self, plan: Plan) -> bool:
        driver = plan.log.get("logDriver")
        return driver == "awsfirelens" or (driver == "awslogs" and self._knobs.awslogs)

    def _open(self, task: Task, plan: Plan) -> Sink:
        options, name = plan.log.get("options") or {}, plan.errand.name
        if plan.log["logDriver"] == "awslogs":
            prefix = options.get("awslogs-stream-prefix")
            stream = f"{prefix}/{name}/{task.id}" if prefix else task.id
            return self._create(task, options, stream)
        routed = firelens.read_options(options)
        if routed.get("name") == "s3":
            return firelens.ToS3(self._moto, task, name, routed)
        if routed.get("name") in _CLOUDWATCH:
            return self._route(task, name, routed)
        return firelens.Nowhere()

    def _route(self, task: Task, container: str, options: dict[str, str]) -> Sink:
        """Open the stream that Fluent Bit writes; it makes the group if it may."""
        records = firelens.Records(task, container, options)
        prefix = options.get("log_stream_prefix", "")
        awslogs = {
            "awslogs-group": options.get("log_group_name", ""),
            "awslogs-region": options.get("region", ""),
            "awslogs-create-group": options.get("auto_create_group", ""),
        }
        name = options.get("log_stream_name") or prefix + records.tag
        try:
            return firelens.ToCloudWatch(records, self._create(task, awslogs, name))
        except AwsFault:  # Fluent Bit complains in its own log and drops the lines
            return firelens.Nowhere()

    def _create(self, task: Task, options: Json, name: str) -> LogStream:
        stream = LogStream(
            self._moto,
            options,
            name=name,
            region=task.region,
            knobs=self._knobs,
            dice=self._dice,
        )
        create = str(options.get("awslogs-create-group", "")).lower()
        try:
            stream.create(group=create in ("true", "on"))
        except AwsFault as fault:
            raise AwsFault(
                "ResourceInitializationError",
                "ResourceInitializationError: failed to validate logger args: create stream has "
                "been retried 1 times: failed to create Cloudwatch log stream: "
                f"{fault.code}: The specified log group does not exist. : exit status 1",
            ) from fault
        self._streams.setdefault(task.id, []).append(stream)
        return stream

"""What the executor's contract suite needs of ECS: a cloud of its own, and rows as a worker's."""

import itertools
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from barbeque_py import clock
from barbeque_py.ecs_url import EcsUrl, read_ecs_url
from barbeque_py.executions import AttemptState
from barbeque_py.executor import (
    Blueprint,
    Launch,
    News,
    Preparation,
    Sighting,
    Standing,
    Traits,
)
from barbeque_py.executors.ecs import EcsExecutor, open_clients
from barbeque_py.executors.ecs_definition import Bucket
from barbeque_py.ids import AttemptId, attempt_id, new_message_id
from barbeque_py.logs import LogSource
from barbeque_py.registry import Registry
from barbeque_py.store import Store, attempts, tables
from barbeque_py.store.schema import migrate
from barbeque_py.tickets import JobUrls
from tests.cloud.rig import REGION, CloudProcess

CLUSTER, INSTALLATION = "jobs", "abc123"
QUEUE = f"barbeque-{INSTALLATION}-task-events"
JOB_URL = "http://barbeque.internal:3004"
SECRET = b"secret"
URL = f"ecs:{CLUSTER}?subnets=subnet-0a1b2c3d&execution_role=execution&task_role=job"
NEVER = clock.from_milliseconds(253_000_000_000_000)


class EcsRig:
    """ECS in a cloud of its own, whose tasks are processes of this machine."""

    name = "ecs"

    def __init__(self, runner: str = "process", image: str = "media:1") -> None:
        self.image = image
        self._numbers = itertools.count(1)
        with ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="barbeque-"))
            self.cloud = CloudProcess()
            stack.callback(self.cloud.stop)
            environment = stack.enter_context(pytest.MonkeyPatch.context())
            for name, value in self.cloud.environment.items():
                environment.setenv(name, value)
            for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
                environment.setenv(name, str(Path(folder) / "absent"))
            self.store = Store(f"sqlite:///{folder}/barbeque.db", create=True)
            stack.callback(self.store.close)
            migrate(self.store)
            self._set_up(runner)
            self._clients = open_clients(REGION)
            self._open = stack.pop_all()

    def _set_up(self, runner: str) -> None:
        self.cloud.client("ecs").create_cluster(
            clusterName=CLUSTER, capacityProviders=["FARGATE", "FARGATE_SPOT"]
        )
        self.cloud.client("logs").create_log_group(logGroupName=f"/barbeque/{INSTALLATION}")
        self.cloud.client("sqs").create_queue(QueueName=QUEUE)
        self._knobs = {"runner": runner, "event_queue": QUEUE, "stop_timeout": 2.0}
        self.turn(**self._knobs)

    def calm(self) -> None:
        """End every fault, and turn every knob back."""
        self.cloud.calm()
        self.turn(**self._knobs)

    def turn(self, **knobs: Any) -> None:
        """Turn knobs of the simulator."""
        self.cloud.control("ecs", "configure", **knobs)

    def executor(self, **changes: Any) -> "RecordingExecutor":
        """Return a fresh executor on the same cluster, as another worker would have."""
        return RecordingExecutor(self.store, self.plain(**changes))

    def plain(
        self,
        *,
        job_url: str | None = JOB_URL,
        bucket: Bucket | None = None,
        registry: Registry | None = None,
        **changes: Any,
    ) -> EcsExecutor:
        """Return a fresh executor that records nothing."""
        executor = EcsExecutor(
            self.store,
            replace(self.url, **changes),
            installation=INSTALLATION,
            urls=JobUrls(job_url, SECRET) if job_url else None,
            bucket=bucket,
            registry=registry,
            clients=self._clients,
        )
        self._open.callback(executor.close)
        return executor

    @property
    def url(self) -> EcsUrl:
        """What the executor is told."""
        return read_ecs_url(f"{URL}&region={REGION}")

    def blueprint(self, app: str = "media", **ecs: Any) -> Blueprint:
        """Return what jobs of the app are made of."""
        return Blueprint(app, self.image, grace=2.0, ecs={"logs": "awslogs", **ecs})

    def launch(self, script: str, **changes: Any) -> Launch:
        """Return a new attempt of a new message that runs the script; its row is there."""
        prepared = changes.pop("prepared", None) or self._prepared()
        first_called_at = changes.pop("first_called_at", None)
        message_id = new_message_id()
        launch = Launch(
            attempt=attempt_id(message_id, 1),
            message_id=message_id,
            number=1,
            app="media",
            job="Thumbnail",
            image=self.image,
            command=("sh", "-c", script),
            environment={"BARBEQUE_MESSAGE_ID": message_id},
            timeout=60.0,
            grace=2.0,
            place=prepared.place,
            details=prepared.details,
            quotas=prepared.quotas,
        )
        launch = replace(launch, **changes)
        self._add_row(launch, prepared.log_at, first_called_at or clock.now())
        return launch

    def set_handle(self, launch: Launch, handle: str | None) -> None:
        """Let the row name another task, or none, as when its start was not heard of."""
        self._change(launch, handle=handle)

    def age(self, launch: Launch, by: timedelta) -> None:
        """Make the attempt's first call so much older."""
        self._change(launch, first_called_at=clock.now() - by)

    def hand_over(self, launch: Launch) -> None:
        """Make the attempt one that another worker has taken over."""
        self._change(launch, epoch=2)

    def tasks(self, launch: Launch) -> list[dict[str, Any]]:
        """Return every task that was ever started for the attempt."""
        starter = f"bq/{INSTALLATION}/{launch.attempt}"
        found: list[dict[str, Any]] = self.cloud.control("ecs", "tasks", startedBy=starter)["tasks"]
        return found

    def close(self) -> None:
        """End the cloud with everything in it."""
        self._open.close()

    def _prepared(self) -> Preparation:
        if not hasattr(self, "_preparation"):
            self._preparation = self.plain().prepare(self.blueprint())
        return self._preparation

    def _add_row(self, launch: Launch, log_at: str, first_called_at: Any) -> None:
        row = attempts.new_row(
            id=launch.attempt,
            execution=next(self._numbers),
            number=launch.number,
            round=1,
            state=AttemptState.STARTING,
            place=launch.place,
            owner="worker",
            epoch=1,
            lease_until=NEVER,
            request=launch.to_json(),
            scopes=(),
            image=launch.image,
            log_at=log_at,
            first_called_at=first_called_at,
            claimed_at=first_called_at,
        )
        self.store.write(lambda tx: attempts.add(tx, [row]))

    def _change(self, launch: Launch, **values: Any) -> None:
        change = tables.runs.attempts.update().where(tables.runs.attempts.c.id == launch.attempt)
        self.store.write(lambda tx: tx.execute(change.values(**values)))


class RecordingExecutor:
    """Records a start in the attempt's row, as a worker does; all else is the executor's."""

    def __init__(self, store: Store, executor: EcsExecutor) -> None:
        self.traits: Traits = executor.traits
        self._store = store
        self._executor = executor

    def start(self, launch: Launch, message: str) -> Sighting:
        sighting = self._executor.start(launch, message)
        if sighting.standing in (Standing.RUNNING, Standing.ENDED):
            self._store.write(
                lambda tx: attempts.mark_running(
                    tx,
                    launch.attempt,
                    handle=sighting.handle,
                    started_at=None,
                    deadline_at=NEVER,
                    version=sighting.version,
                    attended=False,
                )
            )
        return sighting

    def place(self) -> str:
        return self._executor.place()

    def serves(self, place: str) -> bool:
        return self._executor.serves(place)

    def former(self, place: str) -> bool:
        return self._executor.former(place)

    def slots(self) -> int | None:
        return self._executor.slots()

    def prepare(self, blueprint: Blueprint) -> Preparation:
        return self._executor.prepare(replace(blueprint, ecs={"logs": "awslogs", **blueprint.ecs}))

    def sightings(self, attempts: Sequence[AttemptId]) -> dict[AttemptId, Sighting]:
        return self._executor.sightings(attempts)

    def stop(self, attempt: AttemptId, *, kill: bool) -> None:
        self._executor.stop(attempt, kill=kill)

    def events(self, stop: Event) -> Iterator[News]:
        return self._executor.events(stop)

    def log(self, attempt: AttemptId) -> LogSource:
        return self._executor.log(attempt)

    def remove(self, attempt: AttemptId) -> None:
        self._executor.remove(attempt)

    def remains(self) -> list[AttemptId]:
        return self._executor.remains()

"""A fleet to measure: a database, an AWS of its own, and the product's workers as processes."""

import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from datetime import datetime
from pathlib import Path
from subprocess import Popen
from typing import Any

from barbeque_py import clock
from barbeque_py.apps import App, JobDefinition, Queue
from barbeque_py.brokers.sqs_queues import SqsQueues
from barbeque_py.enqueue import Request, enqueue
from barbeque_py.ids import new_message_id
from barbeque_py.messages import JobMessage
from barbeque_py.settings import Settings
from barbeque_py.store import Store, Tx, apps
from barbeque_py.store.schema import migrate
from barbeque_py.wiring.front import Front, open_front
from bench.site import address_said_by, running
from tests.cloud.rig import CloudProcess
from tests.stores import MariaDb

APP, QUEUE = "bench", "default"
CLUSTER, BUCKET, PREFIX = "bench", "bench-logs", "Bench-"
EXECUTOR = f"ecs:{CLUSTER}?subnets=subnet-12345678&execution_role=ecs"
MESSAGE = '{"image":"s3://bucket/key.jpg","sizes":[64,128,256],"user":12345}'

_OURS = os.environ  # noqa: TID251 - AWS's clients read it in this process, too

Calls = Counter[str]
"""How often each operation of AWS was called, as `ecs.RunTask`."""


class Fleet:
    """One installation on an AWS of its own; everything is gone after `opened`."""

    def __init__(self, cloud: CloudProcess, front: Front, environment: dict[str, str]) -> None:
        self.cloud = cloud
        self.front = front
        self._environment = environment
        self._workers = ExitStack()

    def start_worker(self) -> "Popen[bytes]":
        """Start a worker as on a machine of its own; it ends with the fleet."""
        home = self._workers.enter_context(tempfile.TemporaryDirectory(prefix="barbeque-bench-"))
        environment = self._environment | {"BARBEQUE_HOME": home}
        command = [sys.executable, "-P", "-m", "barbeque_py.cli", "worker"]
        return self._workers.enter_context(running(command, environment))

    def start_api(self) -> str:
        """Start an API, which ends with the fleet, and return its address."""
        command = [sys.executable, "-P", "-m", "barbeque_py.cli", "api", "--port", "0"]
        process = self._workers.enter_context(running(command, self._environment))
        return address_said_by(process)

    def stop_workers(self) -> None:
        """Ask every worker to stop, and wait for it."""
        self._workers.close()

    def enqueue(self, job: str, count: int = 1) -> None:
        """Enqueue the job that often, by as few calls as SQS allows."""
        enqueue(self.front.broker, self.front.logs, [_request(job) for _ in range(count)])

    def configure(self, **knobs: Any) -> None:
        """Turn knobs of the simulated ECS."""
        self.cloud.control("ecs", "configure", **knobs)

    def calls(self) -> Calls:
        """Count the calls so far, as the endpoint saw them."""
        told = self.cloud.counts()
        return Counter(
            {f"{name}.{verb}": n for name, verbs in told.items() for verb, n in verbs.items()}
        )

    def tasks(self) -> list[dict[str, Any]]:
        """Return every task there ever was."""
        found: list[dict[str, Any]] = self.cloud.control("ecs", "tasks")["tasks"]
        return found

    def running_tasks(self) -> int:
        """Count the tasks that run."""
        return int(self.cloud.control("ecs", "counts")["by_status"].get("RUNNING", 0))

    def executions(self) -> Counter[str]:
        """Count the executions by state."""
        return Counter(dict(self._ask("SELECT state, count(*) FROM executions GROUP BY state")))

    def attempts(self) -> Counter[str]:
        """Count the attempts by state."""
        return Counter(dict(self._ask("SELECT state, count(*) FROM attempts GROUP BY state")))

    def first_calls(self) -> dict[str, datetime]:
        """Return when each execution's first start was called for, by message id."""
        query = (
            "SELECT message_id, first_called_at FROM attempts "
            "JOIN executions ON executions.id = attempts.execution WHERE number = 1"
        )
        return dict(self._ask(query))

    def unsealed(self) -> int:
        """Count the logs of ended attempts that wait to be sealed."""
        return int(self._ask("SELECT count(*) FROM outbox WHERE done_at IS NULL")[0][0])

    def finish(self, count: int, *, within: float) -> None:
        """Wait until so many executions have succeeded and their logs are sealed."""
        wait_until(
            lambda: self.executions()["succeeded"] >= count and self.unsealed() == 0,
            f"{count} have succeeded",
            within=within,
        )

    def _ask(self, query: str) -> Sequence[Any]:
        with self.front.store.engine.connect() as connection:
            return connection.exec_driver_sql(query).all()


@contextmanager
def opened(
    jobs: Mapping[str, float],
    *,
    database: str,
    executor: str = EXECUTOR,
    knobs: Mapping[str, Any] | None = None,
) -> Iterator[Fleet]:
    """Make an installation in an empty database with these jobs, each so many seconds long."""
    with ExitStack() as stack:
        home = stack.enter_context(
            tempfile.TemporaryDirectory(prefix="barbeque-bench-", ignore_cleanup_errors=True)
        )
        cloud = CloudProcess()
        stack.callback(cloud.stop)
        environment = cloud.environment | {
            "BARBEQUE_HOME": home,
            "BARBEQUE_DATABASE": database or f"sqlite:///{home}/barbeque.db",
            "BARBEQUE_BROKER": f"sqs:?prefix={PREFIX}",
            "BARBEQUE_EXECUTOR": executor,
            "BARBEQUE_LOGS": f"s3://{BUCKET}/logs",
            "AWS_CONFIG_FILE": f"{home}/absent",
            "AWS_SHARED_CREDENTIALS_FILE": f"{home}/absent",
        }
        stack.enter_context(_set(environment))
        settings = Settings.from_environment(environment)
        with closing(Store(settings.database, create=True)) as store:
            _furnish(cloud, migrate(store), knobs or {})
            store.write(lambda tx: _define(tx, jobs))
        front = open_front(settings)
        stack.callback(front.close)
        fleet = Fleet(cloud, front, {**_OURS, **environment})
        stack.callback(fleet.stop_workers)
        yield fleet


@contextmanager
def mariadb() -> Iterator[MariaDb]:
    """Start a MariaDB that loses no commit."""
    with tempfile.TemporaryDirectory(prefix="maria") as folder:
        server = MariaDb(Path(folder))
        try:
            server.start()
            server.execute("SET GLOBAL innodb_flush_log_at_trx_commit = 1")
            yield server
        finally:
            server.stop()


def wait_until(answer: Callable[[], bool], what: str, *, within: float, every: float = 0.1) -> None:
    """Ask again and again until the answer is yes; raise after `within` seconds."""
    deadline = clock.monotonic() + within
    while not answer():
        if clock.monotonic() > deadline:
            raise TimeoutError(f"waited {within:g} s in vain until {what}")
        time.sleep(every)


@contextmanager
def _set(environment: Mapping[str, str]) -> Iterator[None]:
    """Let this process, too, take the cloud for AWS."""
    before = {name: _OURS.get(name) for name in environment}
    _OURS.update(environment)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del _OURS[name]
            else:
                _OURS[name] = value


def _furnish(cloud: CloudProcess, installation: str, knobs: Mapping[str, Any]) -> None:
    """Make what an operator makes before the first worker starts."""
    events = f"barbeque-{installation}-task-events"
    cloud.client("ecs").create_cluster(clusterName=CLUSTER)
    cloud.client("s3").create_bucket(Bucket=BUCKET)
    cloud.client("logs").create_log_group(logGroupName=f"/barbeque/{installation}")
    cloud.client("sqs").create_queue(QueueName=events)
    with closing(SqsQueues(PREFIX, installation=installation)) as queues:
        queues.ensure_queue(QUEUE)
    cloud.control("ecs", "configure", runner="fake", event_queue=events, **knobs)


def _define(tx: Tx, jobs: Mapping[str, float]) -> None:
    apps.put_queue(tx, Queue(QUEUE))
    apps.put_app(tx, App(APP, "bench:1"))
    for name, seconds in jobs.items():
        env = {"FAKE_SECONDS": str(seconds), "FAKE_LINES": "one line\n"}
        apps.put_job(tx, JobDefinition(APP, name, ("work",), env=env))


def _request(job: str) -> Request:
    message = JobMessage(
        message_id=new_message_id(),
        app=APP,
        job=job,
        queue=QUEUE,
        message=MESSAGE,
        enqueued_at=clock.now(),
    )
    return Request(message, QUEUE)

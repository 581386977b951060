"""A whole installation but its API: a store, an executor, and workers in threads or processes."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from barbeque_py import ids
from barbeque_py.apps import App, JobDefinition, Queue
from barbeque_py.backoff import RetryPolicy
from barbeque_py.enqueue import Request, enqueue
from barbeque_py.executions import ENDED, Stage
from barbeque_py.executor import Executor
from barbeque_py.log_reading import raw_chunks
from barbeque_py.logs import attempt_prefix
from barbeque_py.messages import JobMessage, Options
from barbeque_py.settings import Settings
from barbeque_py.store import Store, apps, attempts, schema
from barbeque_py.store import executions as rows
from barbeque_py.store.attempts import Attempt
from barbeque_py.store.executions import Execution
from barbeque_py.wiring.parts import Parts, open_parts
from barbeque_worker import main
from barbeque_worker.courier import Backoff
from barbeque_worker.vitals import Vitals
from tests.waiting import wait_until

QUICK = RetryPolicy(limit=2, base_delay=timedelta(seconds=0.1), max_delay=None, jitter=False)


class Office:
    """One installation; `close` stops every worker that was started."""

    def __init__(
        self,
        home: Path,
        executor: str,
        *,
        image: str = "",
        database: str = "",
        more: Mapping[str, str] | None = None,
    ) -> None:
        self.home = home
        self.image = image
        self.environment = {
            "BARBEQUE_HOME": str(home),
            "BARBEQUE_EXECUTOR": executor,
            "BARBEQUE_LEASE": "6s",
            "PATH": os.environ["PATH"],  # noqa: TID251 - the test's own
            **(more or {}),
        }
        self.environment |= more or {}
        if database:
            self.environment["BARBEQUE_DATABASE"] = database
        self.settings = Settings.from_environment(self.environment)
        making = Store(self.settings.database, create=True)
        schema.migrate(making)
        making.close()
        self.parts: Parts = open_parts(self.settings)
        self.store = self.parts.store
        self._threads: list[tuple[threading.Thread, threading.Event]] = []
        self._processes: list[subprocess.Popen[bytes]] = []
        self._opened: list[Parts] = []
        self.store.write(lambda tx: apps.put_app(tx, App("app", image)))
        self.store.write(lambda tx: apps.put_queue(tx, Queue("default")))

    def set(self, **settings: str) -> None:
        """Change settings for the workers that are started from now on."""
        self.environment |= settings
        self.settings = Settings.from_environment(self.environment)

    def define(self, name: str, script: str, **changes: Any) -> None:
        """Define a job that runs the shell script; three tries at most, unless told otherwise."""
        command = changes.pop("command", ("sh", "-c", script))
        facts: dict[str, Any] = {"retry": QUICK, "memory": 64, "network": "none", **changes}
        job = JobDefinition("app", name, tuple(command), **facts)
        self.store.write(lambda tx: apps.put_job(tx, job))

    def enqueue(self, job: str, message: str = "{}", *, delay: float = 0, **options: Any) -> str:
        """Enqueue the job and return its message id."""
        message_id = ids.new_message_id()
        asked = JobMessage(message_id, "app", job, "default", message, options=Options(**options))
        request = Request(asked, "default", timedelta(seconds=delay))
        enqueue(self.parts.broker, self.parts.logs, [request])
        self.parts.bell.ring()
        return message_id

    def work(
        self,
        queues: tuple[str, ...] = (),
        *,
        wrap: Callable[[Executor], Executor] = lambda executor: executor,
        backoff: Backoff | None = None,
        vitals: Vitals | None = None,
    ) -> Callable[[], None]:
        """Start a worker in a thread, its executor wrapped; returns what stops it."""
        parts = open_parts(self.settings)
        parts = replace(parts, executor=wrap(parts.executor))
        stop = threading.Event()
        thread = threading.Thread(
            target=main.run,
            args=(parts,),
            kwargs={"queues": queues, "stop": stop, "backoff": backoff, "vitals": vitals},
        )
        thread.start()
        self._threads.append((thread, stop))
        self._opened.append(parts)

        def end() -> None:
            stop.set()
            thread.join(60)
            assert not thread.is_alive()

        return end

    def work_apart(self) -> "subprocess.Popen[bytes]":
        """Start a worker as the process it is in real life."""
        with (self.home / "worker.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "barbeque_py.cli", "worker"],
                env={**os.environ, **self.environment},  # noqa: TID251 - the test's own
                stdout=log,
                stderr=log,
            )
        self._processes.append(process)
        return process

    def execution(self, message_id: str) -> Execution | None:
        """Return the execution, if a worker has seen it."""
        return self.store.read(lambda tx: rows.by_message_id(tx, message_id))

    def attempts(self, message_id: str) -> list[Attempt]:
        """Return the execution's attempts."""
        execution = self.execution(message_id)
        if execution is None:
            return []
        return self.store.read(lambda tx: attempts.of_execution(tx, execution.id))

    def end_of(self, message_id: str, *, seconds: float = 120.0) -> Execution:
        """Wait for the execution's end, its logs sealed, and return it."""

        def look() -> Execution | None:
            execution = self.execution(message_id)
            if execution is None or execution.state not in ENDED:
                return None
            sealed = all(each.log_sealed_at for each in self.attempts(message_id))
            return execution if sealed else None

        return wait_until(look, f"{message_id} has ended", within=seconds)

    def running(self, message_id: str) -> Attempt:
        """Wait until an attempt is seen running, and return it."""

        def look() -> Attempt | None:
            live = [each for each in self.attempts(message_id) if each.state == "running"]
            return live[0] if live else None

        return wait_until(look, f"{message_id} runs")

    def staged(self, message_id: str, stage: Stage) -> Execution:
        """Wait until the execution is in the stage."""

        def look() -> Execution | None:
            execution = self.execution(message_id)
            return execution if execution is not None and execution.stage is stage else None

        return wait_until(look, f"{message_id} is {stage}")

    def log(self, message_id: str, number: int = 1) -> str:
        """Return what the attempt wrote, both streams."""
        execution = self.execution(message_id)
        assert execution is not None
        prefix = attempt_prefix(execution.app, execution.job, message_id, number)
        return b"".join(raw_chunks(self.parts.logs, prefix)).decode()

    def close(self) -> None:
        """Stop everything and leave nothing running."""
        for _, stop in self._threads:
            stop.set()
        for process in self._processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for thread, _ in self._threads:
            thread.join(60)
        for process in self._processes:
            process.wait(60)
        for attempt in self.parts.executor.remains():
            self.parts.executor.stop(attempt, kill=True)
            wait_until(partial(self._gone, attempt), f"{attempt} is gone")
        for parts in (*self._opened, self.parts):
            parts.close()

    def _gone(self, attempt: ids.AttemptId) -> bool:
        self.parts.executor.remove(attempt)
        return attempt not in self.parts.executor.remains()

"""What the executor's contract suite needs of callbacks: a backend that runs shell scripts.

It hears of its jobs where the relay does, and says how they end where the API does: on the store.
"""

import os
import signal
import subprocess
import tempfile
import threading
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote, unquote

from barbeque_py.callbacks import PLACE, POST
from barbeque_py.executor import Launch
from barbeque_py.executors.callback import CallbackExecutor
from barbeque_py.ids import AttemptId, attempt_id, new_message_id
from barbeque_py.outbound import Outbound
from barbeque_py.outcomes import Reason
from barbeque_py.store import Store, callbacks, outbox, schema
from barbeque_py.store.outbox import Item
from barbeque_py.targets import Allowed

LEASE = timedelta(minutes=1)
HOST = "http://backend/"


class CallbackRig:
    """A store of its own, and a backend that a thread plays."""

    name = "callback"
    image = ""

    def __init__(self) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="barbeque-")
        self._store = Store(f"sqlite:///{Path(self._temporary.name) / 'barbeque.db'}", create=True)
        schema.migrate(self._store)
        self._jobs: dict[AttemptId, subprocess.Popen[bytes]] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def executor(self) -> CallbackExecutor:
        """Return a fresh executor on the same store."""
        return CallbackExecutor(self._store, Outbound(Allowed(hosts=frozenset({"backend"}))))

    def launch(self, script: str, **changes: object) -> Launch:
        """Return a new attempt of a new message whose backend runs the script."""
        message_id = new_message_id()
        launch = Launch(
            attempt=attempt_id(message_id, 1),
            message_id=message_id,
            number=1,
            app="media",
            job="Thumbnail",
            image="",
            command=(),
            environment={},
            timeout=60.0,
            grace=5.0,
            place=PLACE,
            details={"url": HOST + quote(script)},
        )
        return replace(launch, **changes)  # type: ignore[arg-type]  # the suite's own words

    def close(self) -> None:
        """End the backend and what it runs."""
        self._over.set()
        self._thread.join()
        for attempt in self._jobs:
            self._signal(attempt, signal.SIGKILL)
        self._store.close()
        self._temporary.cleanup()

    def _serve(self) -> None:
        while not self._over.wait(0.02):
            for item in self._store.write(
                lambda tx: outbox.take(tx, "relay", [PLACE], most=8, lease=LEASE, busy=())
            ):
                self._do(item)
                self._store.write(lambda tx, item=item: outbox.finish(tx, [item.id]))  # type: ignore[misc]
            gone = self._store.read(lambda tx: callbacks.known(tx, list(self._jobs)))
            for attempt in [each.attempt for each in gone.values() if each.ended_at]:
                self._signal(attempt, signal.SIGKILL)

    def _do(self, item: Item) -> None:
        attempt = AttemptId(item.subject)
        if item.kind == POST:
            row = self._store.read(lambda tx: callbacks.get(tx, attempt))
            assert row is not None
            self._run(attempt, unquote(row.url.removeprefix(HOST)))
        else:
            self._signal(attempt, signal.SIGTERM)

    def _run(self, attempt: AttemptId, script: str) -> None:
        assert attempt not in self._jobs, "an attempt is ordered once while nothing fails"
        self._jobs[attempt] = job = subprocess.Popen(
            ["sh", "-c", script], stdout=subprocess.PIPE, start_new_session=True
        )
        threading.Thread(target=self._tell, args=(attempt, job), daemon=True).start()

    def _tell(self, attempt: AttemptId, job: subprocess.Popen[bytes]) -> None:
        """Post what the job writes, line by line, and how it ended."""
        assert job.stdout is not None
        with job.stdout as lines, suppress(Exception):
            for line in lines:
                text = line.decode()
                self._store.write(lambda tx, text=text: callbacks.write(tx, attempt, text))  # type: ignore[misc]
            code = job.wait()
            self._store.write(lambda tx: callbacks.end(tx, attempt, Reason.EXITED, code, ""))

    def _signal(self, attempt: AttemptId, number: int) -> None:
        job = self._jobs.get(attempt)
        if job is not None and job.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(job.pid, number)

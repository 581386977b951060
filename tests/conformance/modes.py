"""The two modes behind one interface: an API and workers as processes, spoken to over HTTP."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import yaml

from barbeque_py.settings import Settings
from barbeque_py.store import Store, schema
from tests.asking import open_client
from tests.cloud.rig import CloudProcess
from tests.flows.place import free_port
from tests.stores import MariaDb
from tests.waiting import wait_until

CLUSTER, BUCKET = "jobs", "job-logs"
ENDED = ("succeeded", "failed", "cancelled")
_PATIENCE = 60.0
_ENDS = 60.0
_OFTEN = 0.25
"""Seconds between two looks: many wait at once, and the jobs need the machine."""


class Mode:
    """One installation: `serve` and `hire` start its processes, `close` ends them."""

    name = ""
    workers = 1

    def __init__(self, home: Path, **settings: str) -> None:
        self.home = home
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = {
            "PATH": os.environ["PATH"],  # noqa: TID251 - the test's own
            "BARBEQUE_HOME": str(home),
            "BARBEQUE_LEASE": "9s",
            **self._settings(),
            **settings,
        }
        self.settings = Settings.from_environment(self.environment)
        self.store = Store(self.settings.database, create=True)
        self.installation = schema.migrate(self.store)
        self.client = open_client(self.url)
        self._processes: list[tuple[str, subprocess.Popen[bytes]]] = []
        self._asked = False

    def _settings(self) -> dict[str, str]:
        raise NotImplementedError

    def furnish(self) -> None:
        """Make what an operator makes beside the installation, before it starts."""

    def variables(self, attempt: dict[str, Any]) -> int:
        """Return the length of the overrides that the attempt was started with, 0 for none."""
        return 0

    def begin(self) -> None:
        """Start the API and all workers."""
        self.furnish()
        self.serve()
        for _ in range(self.workers):
            self.hire()
        wait_until(self._at_work, f"the workers of {self.name} are at work", every=0.1)

    def serve(self) -> None:
        """Start the API and wait until it answers."""
        self._spawn("api", "api", "--port", str(self.port))
        wait_until(self._answers, f"the API of {self.name} answers")

    def hire(self) -> None:
        """Start a worker."""
        self._spawn(f"worker{len(self._processes)}", "worker")

    def dismiss(self) -> None:
        """Have all workers end, as a deployment does."""
        self._end([each for each in self._processes if each[0] != "api"])

    def apply(self, manifest: dict[str, Any]) -> None:
        """Apply the file."""
        kind = {"content-type": "application/yaml"}
        answer = self.client.post("/v2/apply", content=yaml.safe_dump(manifest), headers=kind)
        assert answer.status_code == 200, answer.text

    def post(self, path: str, body: object = None) -> dict[str, Any]:
        """Post what must be accepted."""
        answer = self.client.post(path, json=body)
        assert answer.is_success, answer.text
        return dict(answer.json())

    def enqueue(self, app: str, job: str, message: object, **fields: Any) -> str:
        """Enqueue the job and return its message id."""
        request = {"application": app, "job": job, "queue": "default", "message": message}
        return str(self.post("/v2/job_executions", request | fields)["message_id"])

    def cancel(self, message_id: str) -> str:
        """Cancel the execution; return the outcome."""
        return str(self.post(f"/v2/job_executions/{message_id}/cancel")["outcome"])

    def show(self, message_id: str) -> dict[str, Any]:
        """Return the execution as the API shows it, empty while no worker has seen it."""
        answer = self.client.get(f"/v2/job_executions/{message_id}")
        return dict(answer.json()) if answer.status_code == 200 else {}

    def status(self, message_id: str) -> str:
        """Return Barbeque's word for how the execution stands."""
        return str(self.client.get(f"/v1/job_executions/{message_id}").json()["status"])

    def reach(self, message_id: str, *states: str, seconds: float = 120.0) -> dict[str, Any]:
        """Wait for one of the states, and for the logs of all attempts that have ended."""

        def look() -> dict[str, Any] | None:
            shown = self.show(message_id)
            if not shown or shown["state"] not in states:
                return None
            ended = [each for each in shown["attempts"] if each["state"] == "ended"]
            sealed = all(each["log"]["sealed_at"] for each in ended)
            return shown if sealed else None

        what = f"{message_id} is {states} in {self.name}"
        return wait_until(look, what, within=seconds, every=_OFTEN)

    def lines(self, message_id: str, attempt: int | None = None) -> list[tuple[str, str]]:
        """Return stream and text of the attempt's lines, those of the last one if not said."""
        wanted = {"count": 10_000} | ({"attempt": attempt} if attempt else {})
        answer = self.client.get(f"/v2/job_executions/{message_id}/log", params=wanted)
        assert answer.status_code == 200, answer.text
        return [(each["stream"], each["text"]) for each in answer.json()["lines"]]

    def until_up(self, message_id: str) -> None:
        """Wait until the log of the running attempt shows that the command is up."""

        def look() -> bool:
            return "up" in [text for _, text in self.lines(message_id)]

        wait_until(look, f"{message_id} is up in {self.name}", every=_OFTEN)

    def raw(self, message_id: str) -> bytes:
        """Download the log of the last attempt."""
        answer = self.client.get(f"/v2/job_executions/{message_id}/log/raw")
        assert answer.status_code == 200, answer.text
        return answer.content

    def wrote(self) -> dict[str, list[str]]:
        """Return the lines that each process logged so far, by its name."""
        logs = sorted(self.home.glob("*.log"))
        return {each.stem: each.read_text().splitlines() for each in logs}

    def ask_to_end(self) -> None:
        """Send SIGTERM to every process, and wait for none."""
        self._asked = True
        for _, process in self._processes:
            process.send_signal(signal.SIGTERM)

    def close(self) -> None:
        """End every process; each must end well and in time."""
        try:
            self._end(self._processes)
        finally:
            for _, process in self._processes:
                process.kill()
                process.wait()
            self.client.close()
            self.store.close()

    def _spawn(self, name: str, *words: str) -> None:
        with (self.home / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "barbeque_py.cli", *words],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._processes.append((name, process))

    def _at_work(self) -> bool:
        logs = [lines for name, lines in self.wrote().items() if name != "api"]
        return all("is at work" in "".join(lines) for lines in logs)

    def _answers(self) -> bool:
        try:
            return self.client.get("/v2/queues").status_code == 200
        except httpx.HTTPError:
            return False

    def _end(self, processes: list[tuple[str, subprocess.Popen[bytes]]]) -> None:
        left = list(processes)
        for _, process in left:
            if process.poll() is None and not self._asked:
                process.send_signal(signal.SIGTERM)
        for each in left:
            name, process = each
            assert process.wait(_ENDS) == 0, f"{self.name}'s {name}: {self.wrote()[name][-20:]}"
            self._processes.remove(each)


class OneMachine(Mode):
    """SQLite, the Docker engine of this machine, logs in a directory."""

    name = "one machine"

    def _settings(self) -> dict[str, str]:
        return {"BARBEQUE_EXECUTOR": "docker:?slots=12"}


class Fleet(Mode):
    """MariaDB, SQS, ECS, S3 and CloudWatch Logs, and several workers."""

    name = "a fleet"
    workers = 2

    def __init__(
        self,
        home: Path,
        cloud: CloudProcess,
        database: str,
        runner: str = "docker",
        **settings: str,
    ) -> None:
        self.cloud = cloud
        self._runner = runner
        self._database = database
        super().__init__(home, **settings)

    def _settings(self) -> dict[str, str]:
        network = "subnets=subnet-12345678&execution_role=ecs"
        return self.cloud.environment | {
            "BARBEQUE_DATABASE": self._database,
            "BARBEQUE_BROKER": "sqs:?prefix=Jobs-",
            "BARBEQUE_EXECUTOR": f"ecs:{CLUSTER}?{network}&log_wait=0.5s&check_every=2s",
            "BARBEQUE_LOGS": f"s3://{BUCKET}/logs",
            "BARBEQUE_JOB_URL": self.url,
        }

    def furnish(self) -> None:
        events = f"barbeque-{self.installation}-task-events"
        aws = self.cloud.client
        aws("ecs").create_cluster(clusterName=CLUSTER)
        aws("s3").create_bucket(Bucket=BUCKET)
        aws("logs").create_log_group(logGroupName=f"/barbeque/{self.installation}")
        aws("sqs").create_queue(QueueName=events, Attributes={"VisibilityTimeout": "3"})
        self.cloud.control("ecs", "configure", runner=self._runner, event_queue=events)

    def variables(self, attempt: dict[str, Any]) -> int:
        described = self.cloud.client("ecs").describe_tasks(
            cluster=CLUSTER, tasks=[attempt["handle"]]
        )
        overrides = described["tasks"][0]["overrides"]
        assert overrides.pop("inferenceAcceleratorOverrides") == []  # the answer's own
        text = json.dumps(overrides, separators=(",", ":"), ensure_ascii=False)
        return len(text.encode("utf-16-le")) // 2


@contextmanager
def one_machine(home: Path, **settings: str) -> Iterator[OneMachine]:
    """An installation on one machine that is at work; `settings` are more of its variables."""
    home.mkdir()
    mode = OneMachine(home, **settings)
    try:
        mode.begin()
        yield mode
    finally:
        mode.close()


@contextmanager
def fleet(home: Path, mariadb: MariaDb, **facts: str) -> Iterator[Fleet]:
    """A fleet that is at work, in a cloud of its own; `runner` is what runs its tasks."""
    home.mkdir()
    with ExitStack() as stack:
        cloud = CloudProcess()
        stack.callback(cloud.stop)
        mode = Fleet(home, cloud, stack.enter_context(mariadb.database()), **facts)
        stack.callback(mode.close)
        mode.begin()
        yield mode

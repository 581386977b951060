"""Processes that are started while the database server is away: they wait, or do without it."""

import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Self

import httpx
import pytest

from barbeque_py.apps import App, JobDefinition, Queue
from barbeque_py.brokers.sqs_queues import SqsQueues
from barbeque_py.identity import EVERYBODY, Scope
from barbeque_py.issue import Wish, issue
from barbeque_py.store import Store, Tx, apps
from barbeque_py.store.schema import migrate
from tests.asking import open_client
from tests.cloud.rig import CloudProcess
from tests.flows.place import BARBEQUE, PATIENCE, free_port
from tests.stores import MariaDb
from tests.waiting import wait_until

pytestmark = pytest.mark.mariadb

JOB = {"application": "media", "job": "Thumbnail", "queue": "default", "message": {"n": 1}}


class Site:
    """An installation on a database server of its own and SQS, and its processes."""

    def __init__(self, server: MariaDb, folder: Path, cloud: dict[str, str]) -> None:
        self.server = server
        self.folder = folder
        self.port = free_port()
        prefix = f"A{self.port}-"
        name = f"away_{self.port}"
        server.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
        self.environment = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(folder),
            "BARBEQUE_HOME": str(folder / "home"),
            "BARBEQUE_DATABASE": f"mysql+pymysql://root@127.0.0.1:{server.port}/{name}",
            "BARBEQUE_BROKER": f"sqs:?prefix={prefix}",
            "BARBEQUE_EXECUTOR": "process:",
            "BARBEQUE_AUTH": "tokens",
            **cloud,
        }
        with closing(Store(self.environment["BARBEQUE_DATABASE"])) as store:
            self.installation = migrate(store)
            store.write(define)
            scopes = frozenset({Scope.ENQUEUE, Scope.READ})
            _, self.token = store.write(
                lambda tx: issue(tx, EVERYBODY, Wish("media", scopes, "media"))
            )
        with closing(SqsQueues(prefix, installation=self.installation)) as queues:
            queues.ensure_queue("default")

    def run(self, *words: str) -> "Running":
        return Running(self, words)

    @property
    def client(self) -> httpx.Client:
        headers = {"authorization": f"Bearer {self.token}"}
        return open_client(f"http://127.0.0.1:{self.port}", headers=headers)


class Running:
    """One process."""

    def __init__(self, site: Site, words: tuple[str, ...]) -> None:
        self.log = site.folder / f"{words[0]}.log"
        with self.log.open("w") as output:
            self._process = subprocess.Popen(
                [BARBEQUE, *words], env=site.environment, stdout=output, stderr=output
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(PATIENCE)
        finally:
            self._process.kill()

    def says(self, words: str) -> bool:
        assert self._process.poll() is None, self.log.read_text()
        return words in self.log.read_text()


def define(tx: Tx) -> None:
    apps.put_queue(tx, Queue("default"))
    apps.put_app(tx, App("media", "media:1"))
    apps.put_job(tx, JobDefinition("media", "Thumbnail", ("true",)))


@pytest.fixture(scope="module")
def server() -> Iterator[MariaDb]:
    """A database server of these tests alone, as it is stopped."""
    with tempfile.TemporaryDirectory(prefix="maria") as folder:
        server = MariaDb(Path(folder))
        try:
            server.start()
            yield server
        finally:
            server.stop()


@pytest.fixture
def site(
    server: MariaDb, tmp_path: Path, calm_cloud: CloudProcess, aws_environment: dict[str, str]
) -> Iterator[Site]:
    yield Site(server, tmp_path, aws_environment)
    server.stop()
    server.start()


def test_an_api_started_anew_while_the_database_is_away_takes_jobs_and_is_whole_afterwards(
    site: Site,
) -> None:
    api = ("api", "--port", str(site.port))
    with site.client as client:
        with site.run(*api) as running:
            wait_until(lambda: running.says("listens at"), "the API listens")
            assert client.post("/v2/job_executions", json=JOB).status_code == 201
        site.server.stop()
        with site.run(*api) as running:
            wait_until(lambda: running.says("listens at"), "the API listens")
            taken = client.post("/v2/job_executions", json=JOB)
            assert taken.status_code == 201, taken.text
            unknown = {"authorization": f"Bearer bq_{'0' * 12}_{'A' * 43}"}
            assert client.get("/v2/queues", headers=unknown).status_code == 401
            wrong = client.post("/v2/job_executions", json=JOB | {"queue": "nothing"})
            assert wrong.status_code == 404
            for path in ("/v2/queues", f"/v1/job_executions/{taken.json()['message_id']}"):
                answer = client.get(path)
                assert answer.status_code == 503
                assert "retry-after" in answer.headers
            ready = client.get("/readyz")
            assert (ready.status_code, ready.json()["status"]) == (200, "enqueue only")
            assert isinstance(ready.json()["known_seconds_ago"], int)
            assert "127.0.0.1" not in ready.text
            assert running.says("the database is waited for")
            assert site.token not in running.log.read_text()
            site.server.start()
            wait_until(lambda: client.get("/readyz").json() == {"status": "ok"}, "it is whole")
            assert client.get("/v2/queues").status_code == 200
            assert running.log.read_text().count("WARNING") < 12


def test_without_a_snapshot_tokens_are_not_known_and_then_they_are(site: Site) -> None:
    site.server.stop()
    with site.client as client, site.run("api", "--port", str(site.port)) as running:
        wait_until(lambda: running.says("listens at"), "the API listens")
        assert client.post("/v2/job_executions", json=JOB).status_code == 503
        assert client.get("/readyz").status_code == 503
        site.server.start()
        wait_until(
            lambda: client.post("/v2/job_executions", json=JOB).status_code == 201, "it is whole"
        )


def test_a_worker_waits_for_the_database_and_says_so_once(site: Site) -> None:
    site.server.stop()
    with site.run("worker") as running:
        wait_until(lambda: running.says("waiting: "), "the worker waits")
        site.server.start()
        wait_until(lambda: running.says("is at work"), "the worker works")
        assert running.log.read_text().count("waiting: ") == 1

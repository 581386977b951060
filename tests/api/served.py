"""A running API for tests, and the worker's verbs by hand: what happens to a job, step by step."""

import gzip
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import httpx
import uvicorn
from fastapi import FastAPI
from starlette.types import ASGIApp

from barbeque_api.app import Served, create_app
from barbeque_api.problems import is_barbeques
from barbeque_py.apps import App, JobDefinition, Queue
from barbeque_py.backoff import RetryPolicy
from barbeque_py.broker import Parcel
from barbeque_py.brokers.database import DatabaseBroker
from barbeque_py.executor import Preparation
from barbeque_py.ids import AttemptId
from barbeque_py.intake import Intake
from barbeque_py.logs import LOG, attempt_prefix, live_key
from barbeque_py.logstores.directory import DirectoryLogStore
from barbeque_py.outcomes import Fate, Reason
from barbeque_py.settle import settle
from barbeque_py.start import Claimant, claim
from barbeque_py.store import Store, Tx, apps
from barbeque_py.store import executions as rows
from barbeque_py.wake import Bell
from tests.api.promises import Promises
from tests.asking import open_client
from tests.waiting import wait_until

T = TypeVar("T")

JOB = {
    "application": "media",
    "job": "Thumbnail",
    "queue": "default",
    "message": {"image": "a.jpg"},
}
UNSEEN = "0198aaaa-bbbb-7ccc-8ddd-eeeeffff0000"
SUCCESS = Fate(Reason.EXITED, 0)
FAILURE = Fate(Reason.EXITED, 3)


class Running:
    """One API that listens, its parts, and a client that speaks to it."""

    def __init__(self, parts: Served, client: httpx.Client, stop: Callable[[], None]) -> None:
        self.parts = parts
        self.stop = stop
        """Shut the API down and wait for its end, while the client can still read answers."""
        self.store = parts.store
        self.client = client
        self._intake = Intake(parts.store, parts.broker, parts.logs)

    def post(self, path: str, body: object = None, **more: Any) -> httpx.Response:
        return self.client.post(path, json=body, **more)

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self.client.get(path, **more)

    def enqueue(self, **changes: Any) -> str:
        """Ask for a job and return its message_id."""
        answer = self.post("/v2/job_executions", JOB | changes)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["message_id"])

    def take_in(self) -> int:
        """Take in what is on the default queue, as a worker does."""
        return self._intake.take("default", wait=timedelta(0))

    def start(self) -> AttemptId:
        """Claim the one execution that is ready."""
        prepared: dict[str, dict[str, Preparation]] = {"media": {}, "other": {}}
        current = {app.name: app.revision for app in self.store.read(apps.all_apps)}
        for job in self.store.read(apps.all_jobs):
            ready = Preparation(f"{job.app}:1", "here", revision=current[job.app])
            prepared[job.app][job.name] = ready
        claimant = Claimant("worker", "here", timedelta(minutes=1))
        claims = self.store.write(
            lambda tx: claim(tx, claimant, "default", most=1, prepared=prepared)
        )
        return claims[0].attempt

    def end(self, attempt: AttemptId, fate: Fate) -> None:
        """Settle the attempt."""
        self.store.write(lambda tx: settle(tx, attempt, fate))

    def run(self, fate: Fate = SUCCESS) -> AttemptId:
        """Let the one execution that is ready end so."""
        attempt = self.start()
        self.end(attempt, fate)
        return attempt

    def enqueue_and_run(self, fate: Fate = SUCCESS, **changes: Any) -> str:
        message_id = self.enqueue(**changes)
        assert self.take_in() == 1
        self.run(fate)
        return message_id

    def messages(self) -> int:
        """Count what is on the queues."""
        queues = self.get("/v2/queues").json()["queues"]
        return sum(queue["messages"] for queue in queues)

    def write_log(self, message_id: str, *texts: str, first: int = 0, sealed: bool) -> None:
        """Store the lines of the first attempt's log."""
        lines = [f"2026-11-21T20:00:00.000001Z {text}\n".encode() for text in texts]
        prefix = attempt_prefix("media", "Thumbnail", message_id, 1)
        key = prefix + LOG if sealed else live_key(prefix, first)
        self.parts.logs.put(key, [gzip.compress(b"".join(lines))])


def define(tx: Tx) -> None:
    """Make what the tests run."""
    apps.put_queue(tx, Queue("default"))
    apps.put_queue(tx, Queue("slow", 2))
    apps.put_app(tx, App("media", "media:1"))
    retry = RetryPolicy(limit=1, base_delay=timedelta(0))
    apps.put_job(tx, JobDefinition("media", "Thumbnail", ("thumbnail",), retry=retry))


def parts_of(store: Store, folder: Path) -> Served:
    """Return the parts of an API over this store."""
    return Served(
        store=store,
        broker=DatabaseBroker(store),
        logs=DirectoryLogStore(folder / "logs"),
        bell=Bell(folder),
        home=folder,
    )


@cache
def promises() -> Promises:
    """Return what the document of any API says: it is made once."""
    return Promises(document())


def document() -> dict[str, Any]:
    nothing: Any = None
    return create_app(parts_of(nothing, Path("/nowhere"))).openapi()


@contextmanager
def serving(parts: Served, *, pages: ASGIApp | None = None, **changes: Any) -> Iterator[Running]:
    """Serve an API of these parts until the end of the block; its answers are as documented."""
    parts = replace(parts, **changes)
    app = create_app(parts, pages=pages)
    with listening(app) as (url, stop), open_client(url) as client:
        client.event_hooks = {"response": [promises().hold]}
        yield Running(parts, client, stop)
    parts.bell.close()


@contextmanager
def listening(app: FastAPI, *, port: int = 0) -> Iterator[tuple[str, Callable[[], None]]]:
    with socket.create_server(("127.0.0.1", port)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False))
        thread = threading.Thread(target=server.run, args=([listener],))

        def stop() -> None:
            server.should_exit = True
            thread.join()

        thread.start()
        try:
            wait_until(lambda: server.started, "the API listens")
            yield f"http://127.0.0.1:{listener.getsockname()[1]}", stop
        finally:
            stop()


def error_code(answer: httpx.Response) -> str:
    """Return the code of an error in the shape of its route, which is checked."""
    facts = answer.json()
    if is_barbeques(answer.request.method, answer.request.url.path):
        assert answer.headers["content-type"] == "application/json"
        assert facts.keys() == {"status_code", "error_code", "message"}, facts
    else:
        assert answer.headers["content-type"] == "application/problem+json"
        assert facts["type"] == "about:blank"
        assert facts["status"] == answer.status_code
        assert facts["detail"] == facts["message"]
        assert facts["title"]
    assert facts["status_code"] == answer.status_code
    assert facts["message"]
    return str(facts["error_code"])


def compact(value: object) -> str:
    """Write the value as the API does."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def make_ready(api: Running) -> None:
    """Let what is due become ready, as a worker does."""
    wait_until(lambda: api.store.write(lambda tx: rows.ripen(tx, 10)), "something is due")


def bury_one(api: Running, body: str = '{"Type":"Nothing"}') -> str:
    """Put a message on the queue that can't be a job, take it in, and return its public id."""
    api.parts.broker.send("default", [Parcel(body=body, app="media")])
    assert api.take_in() == 1
    return str(api.get("/v2/dead_messages").json()["dead_messages"][0]["message_id"])

"""An installation with its API, a worker, and the backend of an app that runs its jobs itself."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
from standardwebhooks.webhooks import Webhook

from barbeque_api.app import create_app
from barbeque_py.apps import JobDefinition
from barbeque_py.backoff import RetryPolicy
from barbeque_py.store import apps, signing_secrets
from barbeque_worker.courier import Backoff
from tests.api.served import listening, parts_of
from tests.asking import open_client
from tests.receiver import Received, Receiver
from tests.waiting import wait_until
from tests.worker.office import Office

NOW = RetryPolicy(limit=5, base_delay=timedelta(0), jitter=False)


class Site:
    """An installation with its API, a worker, and the backend of one app."""

    def __init__(self, office: Office, backend: Receiver, url: str) -> None:
        self.office = office
        self.backend = backend
        self.url = url
        self.http = open_client(url)

    def define(self, job: str = "Encode", **facts: Any) -> None:
        """Define a job of the backend's."""
        facts = {"retry": NOW, "callback": f"{self.backend.url}/jobs?of=media", **facts}
        definition = JobDefinition("app", job, command=(), **facts)
        self.office.store.write(lambda tx: apps.put_job(tx, definition))

    def orders(self, message_id: str) -> list[Received]:
        """Return the orders that the backend was sent for the execution."""
        found = [each for each in list(self.backend.received) if each.method == "POST"]
        return [each for each in found if each.json["message_id"] == message_id]

    def order(self, message_id: str, number: int = 1) -> Received:
        """Wait for the order of the attempt with this number, and return it."""

        def look() -> Received | None:
            found = [one for one in self.orders(message_id) if one.json["attempt"] == number]
            return found[0] if found else None

        return wait_until(look, f"the order of attempt {number} has come")

    def post(self, url: str, body: Any = None) -> httpx.Response:
        """Post as the backend does."""
        return self.http.post(url, content=b"" if body is None else json.dumps(body).encode())

    def verified(self, received: Received) -> Any:
        """Return the body if its signature is right."""
        (secret, *_) = self.office.store.write(lambda tx: signing_secrets.of_app(tx, "app"))
        return Webhook(secret.secret).verify(received.body, dict(received.headers))


@contextmanager
def site(
    home: Path, *, backoff: Backoff | None = None, working: bool = True, **more: str
) -> Iterator[Site]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    more |= {"BARBEQUE_WEBHOOK_ALLOW": "127.0.0.1", "BARBEQUE_JOB_URL": f"http://127.0.0.1:{port}"}
    office = Office(home, "process:?slots=2", more=more)
    parts = replace(parts_of(office.store, home), watching=office.parts.watching)
    with Receiver() as backend, listening(create_app(parts), port=port) as (url, _):
        made = Site(office, backend, url)
        if working:
            office.work(backoff=backoff)
        try:
            yield made
        finally:
            office.close()
            made.http.close()
            parts.bell.close()

"""SQS servers for tests: moto, which others wrote, and the cloud of our own, which has faults."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from moto.server import ThreadedMotoServer

from barbeque_py.aws import open_client
from barbeque_py.brokers.sqs import SqsBroker
from barbeque_py.brokers.sqs_queues import VISIBILITY, SqsQueues

REGION = "eu-west-1"
PREFIX = "Test-"
INSTALLATION = "tests1"


class SqsRig:
    """An SQS that programs of this process find at its endpoint; closes what it opened."""

    def __init__(self, *, exact_receipts: bool) -> None:
        self.exact_receipts = exact_receipts
        """Whether a message that was received again is left alone by an older receipt."""
        self.client: Any = open_client("sqs", region=REGION)
        self._opened: list[Any] = [self.client]

    def broker(self, *, visibility: timedelta = VISIBILITY, prefix: str = PREFIX) -> SqsBroker:
        """Open a broker."""
        broker = SqsBroker(prefix, region=REGION, visibility=visibility)
        self._opened.append(broker)
        return broker

    def queues(self, *, prefix: str = PREFIX, installation: str = INSTALLATION) -> SqsQueues:
        """Open what makes queues."""
        queues = SqsQueues(prefix, installation=installation, region=REGION)
        self._opened.append(queues)
        return queues

    def attributes(self, called: str) -> dict[str, str]:
        """Return everything SQS says of the queue with this full name."""
        url = self.client.get_queue_url(QueueName=called)["QueueUrl"]
        answer = self.client.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
        found: dict[str, str] = answer["Attributes"]
        return found

    def tags(self, called: str) -> dict[str, str]:
        """Return the tags of the queue with this full name."""
        url = self.client.get_queue_url(QueueName=called)["QueueUrl"]
        found: dict[str, str] = self.client.list_queue_tags(QueueUrl=url).get("Tags", {})
        return found

    def forget_queues(self) -> None:
        """Delete every queue."""
        for url in self.client.list_queues().get("QueueUrls", []):
            self.client.delete_queue(QueueUrl=url)

    def close(self) -> None:
        """Close what was opened."""
        for each in self._opened:
            each.close()


@contextmanager
def rigged(endpoint: str, *, exact_receipts: bool) -> Iterator[SqsRig]:
    """Let AWS clients of this process speak to the endpoint, whose queues are all ours."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", endpoint)
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        patch.setenv("NO_PROXY", "127.0.0.1")
        rig = SqsRig(exact_receipts=exact_receipts)
        try:
            yield rig
        finally:
            rig.forget_queues()
            rig.close()


@pytest.fixture(scope="session")
def moto_endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()
    assert server._server is not None
    server._server.server_close()


@pytest.fixture
def moto_sqs(moto_endpoint: str) -> Iterator[SqsRig]:
    with rigged(moto_endpoint, exact_receipts=False) as rig:
        yield rig

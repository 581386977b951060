"""SQS servers for tests: moto, which others wrote, and the cloud of our own, which has faults."""

import json
import logging
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from moto.server import ThreadedMotoServer

from barbeque_py.aws import open_client
from barbeque_py.brokers.sqs import SqsBroker
from barbeque_py.brokers.sqs_queues import VISIBILITY, SqsQueues
from tests.cloud.rig import REGION, CloudProcess

INSTALLATION = "tests1"


class SqsRig:
    """Brokers and queues under a prefix of their own, on the SQS that the environment names."""

    def __init__(self, *, exact_receipts: bool) -> None:
        self.exact_receipts = exact_receipts
        """Whether a message that was received again is left alone by an older receipt."""
        self.by_boto3 = False
        """Whether brokers make every call by boto3, the reference, and none by our own wire."""
        self.prefix = f"T{uuid.uuid4().hex[:8]}-"
        self.client: Any = open_client("sqs", region=REGION)
        self._opened: list[Any] = [self.client]

    def broker(self, *, visibility: timedelta = VISIBILITY) -> SqsBroker:
        """Open a broker."""
        client = open_client("sqs", region=REGION, patience=30) if self.by_boto3 else None
        broker = SqsBroker(self.prefix, region=REGION, visibility=visibility, client=client)
        self._opened.append(broker)
        return broker

    def queues(self, *, installation: str = INSTALLATION) -> SqsQueues:
        """Open what makes queues."""
        queues = SqsQueues(self.prefix, installation=installation, region=REGION)
        self._opened.append(queues)
        return queues

    def url(self, queue: str) -> str:
        """Return the URL of our queue."""
        return str(self.client.get_queue_url(QueueName=self.prefix + queue)["QueueUrl"])

    def attributes(self, queue: str) -> dict[str, str]:
        """Return everything SQS says of our queue."""
        url = self.url(queue)
        answer = self.client.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
        found: dict[str, str] = answer["Attributes"]
        return found

    def tags(self, queue: str) -> dict[str, str]:
        """Return the tags of our queue."""
        found: dict[str, str] = self.client.list_queue_tags(QueueUrl=self.url(queue)).get(
            "Tags", {}
        )
        return found

    def close(self) -> None:
        """Delete the queues and close what was opened."""
        for url in self.client.list_queues(QueueNamePrefix=self.prefix).get("QueueUrls", []):
            self.client.delete_queue(QueueUrl=url)
        for each in self._opened:
            each.close()


@contextmanager
def rigged(*, exact_receipts: bool) -> Iterator[SqsRig]:
    """Hand out a rig on the SQS that the environment names."""
    rig = SqsRig(exact_receipts=exact_receipts)
    try:
        yield rig
    finally:
        rig.close()


@pytest.fixture(scope="session")
def moto_endpoint() -> Iterator[str]:
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()
    assert server._server is not None
    server._server.server_close()


@pytest.fixture
def moto_sqs(
    moto_endpoint: str, aws_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[SqsRig]:
    """Hand out moto's SQS: written by others, so that we don't test only what we believe."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", moto_endpoint)
    with rigged(exact_receipts=False) as rig:
        yield rig


@pytest.fixture
def cloud_sqs(calm_cloud: CloudProcess, aws_environment: dict[str, str]) -> Iterator[SqsRig]:
    """Hand out the cloud's SQS."""
    with rigged(exact_receipts=True) as rig:
        yield rig
        calm_cloud.faults()
        calm_cloud.control("sqs", "faults")


BOTH_WAYS = ["moto_sqs", "moto_sqs by boto3", "cloud_sqs", "cloud_sqs by boto3"]
"""Each SQS, spoken to by our own wire and by boto3."""


def rig_named(request: pytest.FixtureRequest, name: str) -> SqsRig:
    """Return the rig of one of `BOTH_WAYS`."""
    fixture, _, by = name.partition(" by ")
    found = request.getfixturevalue(fixture)
    assert isinstance(found, SqsRig)
    found.by_boto3 = bool(by)
    return found


@pytest.fixture(params=BOTH_WAYS)
def sqs(request: pytest.FixtureRequest) -> SqsRig:
    """Hand out each SQS in turn, both ways."""
    return rig_named(request, request.param)


class ScriptedSqs(ThreadingHTTPServer):
    """An SQS that gives prepared answers, one a call, and remembers what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Scripted)
        self.answers: list[tuple[int, dict[str, Any]]] = []
        self.asked: list[dict[str, Any]] = []
        self.client: Any = None


class _Scripted(BaseHTTPRequestHandler):
    server: ScriptedSqs

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        self.server.asked.append(json.loads(self.rfile.read(length)))
        status, answer = self.server.answers.pop(0)
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.0")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *facts: object) -> None:  # noqa: A002 - the base's name
        pass


@pytest.fixture
def scripted_sqs(
    aws_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[ScriptedSqs]:
    """Hand out an SQS that answers what the test says, and a client of it."""
    with ScriptedSqs() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        with monkeypatch.context() as patch:
            patch.setenv("AWS_ENDPOINT_URL_SQS", f"http://127.0.0.1:{server.server_port}")
            server.client = open_client("sqs", region=REGION)
        yield server
        server.client.close()
        server.shutdown()
        thread.join()

"""Our own wire to SQS signs and repeats as boto3 does, and leaves to it what it can't do."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError

from barbeque_py import clock
from barbeque_py.aws import Access, Keys, code_of, is_definite, is_throttle, open_client
from barbeque_py.broker import Parcel
from barbeque_py.brokers import sqs_wire
from barbeque_py.brokers.sqs import SqsBroker
from barbeque_py.brokers.sqs_wire import SqsWire, open_wire
from barbeque_py.errors import UnknownQueue
from tests.cloud.rig import REGION

QUEUE = "https://sqs.us-east-1.amazonaws.com/1/Barbeque-default"
Answer = tuple[int, dict[str, str], bytes]
Request = dict[str, Any]
FINE: Answer = (200, {}, b'{"Messages":[]}')
AWAY: Answer = (503, {}, b"")
THROTTLED: Answer = (400, {}, b'{"__type":"com.amazonaws.sqs#RequestThrottled","message":"slow"}')


class Server(ThreadingHTTPServer):
    """Gives prepared answers, one a call; None closes the connection without one."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: list[Answer | Callable[[Request], Answer] | None] = []
        self.asked: list[tuple[dict[str, str], Any]] = []
        self.connections: set[Any] = set()
        self.hang_up = False
        """Whether to close each connection once it has had its answer, without saying so."""
        self.before: Callable[[], object] = lambda: None
        """Called before each answer."""
        self.endpoint = f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.server.connections.add(self.client_address)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.asked.append((headers, json.loads(body)))
        self.server.before()
        found = self.server.answers.pop(0) if self.server.answers else FINE
        if found is None:
            self.close_connection = True
            return
        status, more, text = found(json.loads(body)) if callable(found) else found
        self.send_response(status)
        for name, value in {"Content-Length": str(len(text)), **more}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text)
        self.close_connection |= self.server.hang_up

    def log_message(self, format: str, *facts: object) -> None:  # noqa: A002 - the base's name
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def keys() -> list[Keys]:
    """The credentials, the last of which are those of now."""
    return [Keys("AKID", "secret", None)]


@pytest.fixture
def wire(server: Server, keys: list[Keys], monkeypatch: pytest.MonkeyPatch) -> Iterator[SqsWire]:
    monkeypatch.setattr(sqs_wire, "_PAUSE", 0.01)
    access = Access(server.endpoint, REGION, None, lambda: keys[-1])
    with closing(SqsWire(access, patience=5)) as opened:
        yield opened


def receive(wire: SqsWire) -> Any:
    return wire.receive_message(QueueUrl=QUEUE, MaxNumberOfMessages=10)


@pytest.mark.parametrize("token", [None, "a/token=="])
@pytest.mark.parametrize("endpoint", ["https://sqs.eu-west-1.amazonaws.com", "http://127.0.0.1:99"])
def test_a_request_is_signed_as_boto3_signs_it(token: str | None, endpoint: str) -> None:
    access = Access(endpoint, "eu-west-1", None, lambda: Keys("AKID", "se/cret", token))
    body = json.dumps({"QueueUrl": QUEUE, "MessageBody": "\N{BANANA}"}).encode()
    with closing(SqsWire(access, patience=1)) as wire:
        ours = wire._signed("SendMessageBatch", body)
    said = {name: value for name, value in ours.items() if name not in {"authorization", "host"}}
    request = AWSRequest("POST", endpoint + "/", headers=said, data=body)
    request.context["timestamp"] = ours["x-amz-date"]
    auth = SigV4Auth(Credentials("AKID", "se/cret", token), "sqs", "eu-west-1")
    whole = auth.canonical_request(request)
    signature = auth.signature(auth.string_to_sign(request, whole), request)
    assert ours["authorization"].endswith(f"Signature={signature}")
    assert (
        f"SignedHeaders={auth.signed_headers(auth.headers_to_sign(request))},"
        in (ours["authorization"])
    )
    at = datetime.strptime(ours["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    assert abs((clock.now() - at).total_seconds()) < 60


def test_credentials_that_were_renewed_sign_the_next_call(
    wire: SqsWire, server: Server, keys: list[Keys]
) -> None:
    receive(wire)
    keys.append(Keys("AKID2", "secret2", "token2"))
    receive(wire)
    first, second = (headers for headers, _ in server.asked)
    assert "Credential=AKID/" in first["authorization"]
    assert "x-amz-security-token" not in first
    assert "Credential=AKID2/" in second["authorization"]
    assert second["x-amz-security-token"] == "token2"


def test_calls_share_a_connection(wire: SqsWire, server: Server) -> None:
    for _ in range(5):
        assert receive(wire) == {"Messages": []}
    assert len(server.connections) == 1
    assert server.asked[0][1] == {"QueueUrl": QUEUE, "MaxNumberOfMessages": 10}
    assert server.asked[0][0]["x-amz-target"] == "AmazonSQS.ReceiveMessage"


def test_lots_are_asked_for_before_an_answer_is_read_and_only_faults_are_left(
    wire: SqsWire, server: Server
) -> None:
    lots = [{"QueueUrl": QUEUE, "Entries": [{"Id": str(number)}]} for number in range(6)]
    met = threading.Barrier(len(lots))
    server.before = lambda: met.wait(10)
    server.answers = [FINE, None, AWAY, THROTTLED, (200, {}, b"no JSON"), FINE]
    answers = wire.send_message_batches(lots)
    assert sorted(map(str, answers)) == ["None"] * 4 + ["{'Messages': []}"] * 2
    assert len(server.connections) == len(server.asked) == 6


def test_a_connection_closed_while_it_was_idle_costs_nobody_a_call(
    wire: SqsWire, server: Server
) -> None:
    server.hang_up = True
    for _ in range(5):
        assert receive(wire) == {"Messages": []}
    assert len(server.asked) == len(server.connections) == 5


@pytest.mark.parametrize("fault", [AWAY, THROTTLED, None, (200, {}, b"no JSON")])
def test_what_may_pass_is_asked_again_up_to_three_times(
    wire: SqsWire, server: Server, fault: Answer | None
) -> None:
    server.answers = [fault, fault, FINE]
    assert receive(wire) == {"Messages": []}
    server.asked.clear()
    server.answers = [fault] * 9
    with pytest.raises((ClientError, EndpointConnectionError)) as caught:
        receive(wire)
    on_an_idle_connection = fault is None  # where a lost answer says nothing of SQS
    assert len(server.asked) == 3 + on_an_idle_connection
    assert is_throttle(caught.value) is (fault is THROTTLED)
    assert not is_definite(caught.value)


def test_a_definite_no_is_told_at_once_by_the_name_sqs_gives_it(
    wire: SqsWire, server: Server
) -> None:
    text = b'{"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"no such queue"}'
    for more, name in (
        ({}, "QueueDoesNotExist"),
        (
            {"x-amzn-query-error": "AWS.SimpleQueueService.NonExistentQueue;Sender"},
            "AWS.SimpleQueueService.NonExistentQueue",
        ),
    ):
        server.asked.clear()
        server.answers = [(400, more, text)]
        with pytest.raises(ClientError, match="no such queue") as caught:
            receive(wire)
        assert code_of(caught.value) == name
        assert is_definite(caught.value)
        assert len(server.asked) == 1


def test_an_answer_that_does_not_come_is_given_up(server: Server) -> None:
    access = Access(server.endpoint, REGION, None, lambda: Keys("a", "b", None))
    held = threading.Event()
    server.answers = [FINE]
    server.RequestHandlerClass = type(
        "Slow", (_Handler,), {"do_POST": lambda _: held.wait(20) and None}
    )
    with closing(SqsWire(access, patience=0.1)) as wire, pytest.raises(ReadTimeoutError):
        wire._try("ReceiveMessage", b"{}")
    held.set()


def test_where_nobody_listens_the_network_is_named() -> None:
    access = Access("http://127.0.0.1:9", REGION, None, lambda: Keys("a", "b", None))
    with closing(SqsWire(access, patience=1)) as wire, pytest.raises(EndpointConnectionError):
        wire._try("ReceiveMessage", b"{}")


def test_threads_share_the_wire(wire: SqsWire, server: Server) -> None:
    threads = [threading.Thread(target=receive, args=(wire,)) for _ in range(20)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(server.asked) == 20


@pytest.fixture
def opened_broker(
    server: Server, aws_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], SqsBroker]]:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", server.endpoint)
    opened: list[SqsBroker] = []

    def make() -> SqsBroker:
        opened.append(SqsBroker("", region=REGION))
        return opened[-1]

    yield make
    for each in opened:
        each.close()


def test_a_broker_speaks_by_the_wire(opened_broker: Callable[[], SqsBroker]) -> None:
    broker = opened_broker()
    assert isinstance(broker._quick, SqsWire)
    assert isinstance(broker._poller(), SqsWire)


def test_what_several_calls_left_unacknowledged_is_sent_again_and_nothing_else(
    opened_broker: Callable[[], SqsBroker], server: Server
) -> None:
    kept: list[str] = []

    def keep(request: Request, but: str = "") -> Answer:
        entries = [each for each in request["Entries"] if each["Id"] != but]
        kept.extend(each["MessageBody"] for each in entries)
        return 200, {}, json.dumps({"Successful": [{"Id": e["Id"]} for e in entries]}).encode()

    broker = opened_broker()
    broker._urls["default"] = QUEUE
    server.answers = [keep, lambda request: keep(request, but="2"), AWAY, keep, keep]
    bodies = [f"m{number}" for number in range(25)]
    broker.send("default", [Parcel(body, "media") for body in bodies])
    assert sorted(kept) == sorted(bodies)
    assert len(server.asked) == 5
    gone: Answer = (400, {}, b'{"__type":"QueueDoesNotExist"}')
    server.answers = [keep, gone, gone]
    with pytest.raises(UnknownQueue):
        broker.send("default", [Parcel(body, "media") for body in bodies[:20]])


def test_through_a_proxy_or_without_keys_boto3_speaks(
    opened_broker: Callable[[], SqsBroker], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("http_proxy", "http://127.0.0.1:9")
        patch.setenv("no_proxy", "elsewhere")
        assert opened_broker()._quick is not None
        assert not isinstance(opened_broker()._quick, SqsWire)
        patch.setenv("no_proxy", "127.0.0.1")
        assert isinstance(opened_broker()._quick, SqsWire)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with closing(open_client("sqs", region=REGION)) as client:
        assert open_wire(client, patience=1) is None

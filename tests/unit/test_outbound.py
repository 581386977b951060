"""What is sent to addresses of others' choosing goes where it may, and takes no longer than it may.

Servers listen on 127.0.0.1, which these tests list as allowed where something is to get through.
"""

import datetime as dt
import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from barbeque_py import clock
from barbeque_py.errors import ForbiddenTarget, Unanswered
from barbeque_py.outbound import MOST, Outbound, look_up
from barbeque_py.targets import Address, Allowed, read_allowed
from tests.receiver import Receiver, Reply

LOOPBACK = read_allowed("127.0.0.0/8")
HERE = ipaddress.ip_address("127.0.0.1")


class Names:
    """A resolver that answers as it is told, each time the next, and counts."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.asked = 0
        self._answers = answers

    def __call__(self, host: str) -> list[Address]:
        self.asked += 1
        answer = self._answers[min(self.asked, len(self._answers)) - 1]
        return [ipaddress.ip_address(each) for each in answer]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


def send(url: str, allowed: Allowed = LOOPBACK, **how: object) -> int:
    outbound = Outbound(allowed, **how)  # type: ignore[arg-type]
    return outbound.send("POST", url, {"Content-Type": "text/plain"}, b"hello").status


def test_a_request_arrives_as_it_was_made(receiver: Receiver) -> None:
    receiver.answer = lambda _: Reply(201, b"done", {"X-Found": "yes"})
    outbound = Outbound(LOOPBACK)
    answer = outbound.send("PUT", f"{receiver.url}/a/b?c=d", {"X-Sent": "1"}, b"hello")
    (got,) = receiver.received
    assert (got.method, got.path, got.body) == ("PUT", "/a/b?c=d", b"hello")
    assert got.headers["x-sent"] == "1"
    assert got.headers["host"] == f"127.0.0.1:{receiver.server_port}"
    assert got.headers["content-length"] == "5"
    assert (answer.status, answer.body, answer.headers["x-found"]) == (201, b"done", "yes")
    assert answer.good


@pytest.mark.parametrize(
    "addresses", [["127.0.0.1"], ["93.184.215.14", "127.0.0.1"], ["::1"], ["::ffff:127.0.0.1"]]
)
def test_a_name_that_leads_inside_is_not_connected_to(
    receiver: Receiver, addresses: list[str]
) -> None:
    with pytest.raises(ForbiddenTarget, match="not public"):
        send(
            f"https://example.com:{receiver.server_port}/",
            read_allowed("10.0.0.0/8"),
            resolve=Names(addresses),
        )
    assert receiver.connections == 0


def test_a_name_that_changes_its_mind_gets_what_it_said_first(receiver: Receiver) -> None:
    names = Names(["127.0.0.1"], ["127.0.0.2"])
    outbound = Outbound(LOOPBACK, resolve=names)
    url = f"http://hooks.example.com:{receiver.server_port}/"
    assert outbound.send("POST", url, {}, b"").status == 200
    assert names.asked == 1
    assert receiver.received[0].headers["host"] == f"hooks.example.com:{receiver.server_port}"
    rebound = Outbound(read_allowed("127.0.0.1"), resolve=Names(["127.0.0.1"], ["127.0.0.2"]))
    assert rebound.send("POST", url, {}, b"").status == 200
    with pytest.raises(ForbiddenTarget):
        rebound.send("POST", url, {}, b"")


def test_a_redirect_is_an_answer_and_not_followed(receiver: Receiver) -> None:
    with Receiver() as inside:
        for status in (301, 302, 303, 307, 308):
            receiver.answer = lambda _, code=status: Reply(  # type: ignore[misc]
                code, headers={"Location": f"{inside.url}/", "Refresh": f"0;{inside.url}/"}
            )
            assert send(receiver.url) == status
        assert inside.connections == 0


def test_proxies_of_the_environment_are_not_asked(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Receiver() as proxy:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        assert send(receiver.url) == 200
        assert proxy.connections == 0


def test_another_address_is_tried_when_one_refuses(receiver: Receiver) -> None:
    names = Names(["127.0.0.77", "127.0.0.1"])
    url = f"http://hooks.example.com:{receiver.server_port}/"
    assert send(url, resolve=names) == 200


def test_it_is_told_whether_a_request_may_have_arrived(receiver: Receiver) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        with pytest.raises(Unanswered, match="could not be connected to") as refused:
            send(f"http://127.0.0.1:{nobody.getsockname()[1]}/secret")
    assert not refused.value.sent
    receiver.answer = lambda _: Reply(cut=True)
    with pytest.raises(Unanswered, match="broke off") as cut:
        send(f"{receiver.url}/secret")
    assert cut.value.sent
    assert "secret" not in f"{refused.value}{cut.value}"


def test_a_name_that_is_unknown_was_sent_nothing() -> None:
    def unknown(host: str) -> list[Address]:
        raise OSError(f"{host} is not known")

    with pytest.raises(Unanswered, match="can't be looked up") as failed:
        send("https://hooks.example.com/", resolve=unknown)
    assert not failed.value.sent


def test_a_resolver_that_sleeps_is_not_waited_for() -> None:
    woken = threading.Event()

    def asleep(host: str) -> list[Address]:
        woken.wait(60)
        return [HERE]

    asked = clock.monotonic()
    with pytest.raises(Unanswered, match="no answer in time"):
        send("https://hooks.example.com/", resolve=asleep, patience=0.2)
    woken.set()
    assert clock.monotonic() - asked < 25


@pytest.mark.parametrize(
    "drop", [b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n", b""]
)
def test_an_answer_that_drips_is_cut_off_in_time(drop: bytes) -> None:
    over = threading.Event()

    def drip(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            connection.sendall(drop)
            while not over.wait(0.05):
                try:
                    connection.sendall(b"x")
                except OSError:
                    return

    with socket.create_server(("127.0.0.1", 0)) as server:
        dripping = threading.Thread(target=drip, args=(server,), daemon=True)
        dripping.start()
        asked = clock.monotonic()
        with pytest.raises(Unanswered) as late:
            send(f"http://127.0.0.1:{server.getsockname()[1]}/", patience=0.5)
        assert clock.monotonic() - asked < 25
        assert late.value.sent
        over.set()
        dripping.join()


def test_of_a_large_answer_the_beginning_is_read(receiver: Receiver) -> None:
    receiver.answer = lambda _: Reply(body=b"x" * 3_000_000)
    answer = Outbound(LOOPBACK).send("GET", receiver.url, {}, b"")
    assert answer.body == b"x" * MOST


def test_a_compressed_answer_stays_as_it_is(receiver: Receiver) -> None:
    receiver.answer = lambda _: Reply(body=b"\x1f\x8bbomb", headers={"Content-Encoding": "gzip"})
    assert Outbound(LOOPBACK).send("GET", receiver.url, {}, b"").body == b"\x1f\x8bbomb"


def certificate(folder: Path, host: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return what a server of this name shows, and what trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = dt.datetime.fromtimestamp(clock.now().timestamp(), dt.UTC)
    day = dt.timedelta(days=1)
    own = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - day)
        .not_valid_after(now + day)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = own.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (folder / "server.pem").write_bytes(private + pem)
    shows = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    shows.load_cert_chain(folder / "server.pem")
    return shows, ssl.create_default_context(cadata=pem.decode())


def test_the_servers_certificate_is_of_the_name_though_an_address_was_pinned(
    tmp_path: Path,
) -> None:
    shows, trust = certificate(tmp_path, "hooks.example.com")
    names = Names(["127.0.0.1"])
    with Receiver(tls=shows) as receiver:
        port = receiver.server_port
        good = f"https://hooks.example.com:{port}/"
        assert send(good, resolve=names, trust=trust) == 200
        with pytest.raises(Unanswered, match=r"(?i)hostname") as wrong:
            send(f"https://other.example.com:{port}/", resolve=names, trust=trust)
        with pytest.raises(Unanswered, match=r"(?i)certificate") as strange:
            send(good, resolve=names)
        assert not wrong.value.sent
        assert not strange.value.sent
        assert len(receiver.received) == 1


def test_names_of_this_machine_are_looked_up() -> None:
    assert HERE in look_up("localhost")

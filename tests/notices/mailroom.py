"""A real mail server for tests: encrypted, with a login, and with faults on demand."""

import ssl
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from ipaddress import ip_address
from pathlib import Path
from typing import Any, cast

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from barbeque_py import clock
from tests.flows.place import free_port

CUT, TAKEN_AND_CUT = "cut", "taken, cut"
"""Answers that the client never hears."""
USER, PASSWORD = "barbeque", "s3cret/canary@smtp"
OK = "250 taken"


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate of 127.0.0.1 that trusts itself."""

    certificate: Path
    key: Path


def make_certificate(folder: Path) -> Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = clock.now()
    names = x509.SubjectAlternativeName(
        [x509.IPAddress(ip_address("127.0.0.1")), x509.DNSName("localhost")]
    )
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(names, critical=False)
        .sign(key, hashes.SHA256())
    )
    files = Certificate(folder / "mail.pem", folder / "mail.key")
    files.certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    files.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return files


@dataclass(frozen=True, slots=True)
class Post:
    """One message as the server took it."""

    sender: str
    recipients: tuple[str, ...]
    message: EmailMessage
    raw: bytes

    @property
    def id(self) -> str:
        return str(self.message["Message-ID"]).strip("<>").partition("@")[0]

    @property
    def text(self) -> str:
        part = self.message.get_body(("plain",))
        assert part is not None
        return str(part.get_content()).replace("\r\n", "\n")

    @property
    def html(self) -> str:
        part = self.message.get_body(("html",))
        assert part is not None
        return str(part.get_content()).replace("\r\n", "\n")


@dataclass
class Mailroom:
    """The server's letters, and what it answers."""

    port: int = 0
    posts: list[Post] = field(default_factory=list)
    answer: Callable[[str, str], str] = lambda _recipient, _stage: OK
    """Answers `rcpt` and `data` of a recipient; other than 250 is a fault, raising cuts off."""
    took: threading.Lock = field(default_factory=threading.Lock)
    lost: int = 0
    """How many messages were taken without an answer."""

    def to(self, recipient: str) -> list[Post]:
        with self.took:
            return [each for each in self.posts if recipient in each.recipients]

    def counts(self) -> Counter[str]:
        with self.took:
            return Counter(each.id for each in self.posts)

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name for it
        self, _server: Any, _session: Session, envelope: Envelope, address: str, _options: Any
    ) -> str:
        answer = self.answer(address, "rcpt")
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: Any, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        answer = self.answer(envelope.rcpt_tos[0], "data")
        if answer.startswith("250") or answer == TAKEN_AND_CUT:
            raw = cast("bytes", envelope.content)
            message = message_from_bytes(raw, policy=policy.default)
            assert isinstance(message, EmailMessage)
            with self.took:
                self.posts.append(
                    Post(str(envelope.mail_from), tuple(envelope.rcpt_tos), message, raw)
                )
                self.lost += answer == TAKEN_AND_CUT
        if answer.endswith(CUT):
            server.transport.abort()
            return "421 gone"
        return answer


def _login(_server: Any, _session: Any, _envelope: Any, _mechanism: str, login: Any) -> AuthResult:
    known = isinstance(login, LoginPassword) and login == LoginPassword(
        USER.encode(), PASSWORD.encode()
    )
    return AuthResult(success=known, handled=False)


class MailServer:
    """A server that can be away for a while, at one address."""

    def __init__(self, room: Mailroom, **facts: Any) -> None:
        self.room = room
        self._facts = facts
        self._controller: Controller | None = None

    def start(self) -> None:
        self._controller = Controller(
            self.room, hostname="127.0.0.1", port=self.room.port, **self._facts
        )
        self._controller.start()

    def stop(self) -> None:
        if self._controller is not None:
            self._controller.stop()
        self._controller = None


@contextmanager
def serve_mail(
    certificate: Certificate | None = None, *, kind: str = "smtps"
) -> Iterator[Mailroom]:
    """Serve as `smtps` or `starttls` with a login, or as `smtp` without either."""
    room, facts = Mailroom(free_port()), cast("dict[str, Any]", {})
    if certificate is not None and kind != "smtp":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate.certificate, certificate.key)
        facts = {"auth_required": True, "authenticator": _login}
        facts |= (
            {"ssl_context": context, "auth_require_tls": False}
            if kind == "smtps"
            else {"tls_context": context, "require_starttls": True}
        )
    server = MailServer(room, **facts)
    server.start()
    try:
        yield room
    finally:
        server.stop()

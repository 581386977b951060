"""Email: a notice as a message of plain text and HTML, and the mail server that takes it."""

import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from email.headerregistry import Address as Mailbox
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import format_datetime
from typing import Protocol

from barbeque_py import clock
from barbeque_py.errors import NoticeRefused, Undelivered
from barbeque_py.letter_forms import as_html, as_text
from barbeque_py.letters import write
from barbeque_py.notices import Notice
from barbeque_py.notifier import TIMEOUT, Receipt
from barbeque_py.setting_channels import MailUrl, Sender

_NO, _FOR_GOOD = 400, 500
"""From where on SMTP's answers are a no, and a definite one."""


class Post(Protocol):
    """Carries a message to one address."""

    def send(self, message: EmailMessage, sender: str, recipient: str) -> str:
        """Hand the message over and return what the other side said.

        Raises what `Notifier.deliver` does.
        """
        ...


class EmailNotifier:
    """Writes notices as email."""

    def __init__(self, post: Post, sender: Sender, *, host_url: str | None = None) -> None:
        """Send by `post` in the name of `sender`."""
        self._post = post
        self._sender = sender
        self._host_url = host_url

    def deliver(self, notice: Notice) -> Receipt:
        """Send the notice; its Message-ID is the same each time."""
        message = self.compose(notice)
        answer = self._post.send(message, self._sender.address, notice.target)
        return Receipt(answer)

    def compose(self, notice: Notice) -> EmailMessage:
        """Return the notice as a message."""
        letter = write(notice, self._host_url)
        domain = self._sender.address.rpartition("@")[2]
        message = EmailMessage(policy=SMTP_POLICY)
        message["From"] = Mailbox(self._sender.name, addr_spec=self._sender.address)
        message["To"] = Mailbox(addr_spec=notice.target)
        # What looks encoded would be decoded on its way, and a newline in it become a header.
        message["Subject"] = letter.subject.replace("=?", "= ?")
        message["Date"] = format_datetime(clock.now())
        message["Message-ID"] = f"<{notice.id}@{domain}>"
        if notice.occasion.message_id:
            message["References"] = f"<{notice.occasion.message_id}@{domain}>"
        message["Auto-Submitted"] = "auto-generated"
        message["X-Auto-Response-Suppress"] = "All"
        message["List-Unsubscribe"] = (
            f"<mailto:{self._sender.address}?subject=unsubscribe%20{notice.id}>"
        )
        message.set_content(as_text(letter))
        page = as_html(letter, notice.occasion.event, locale=notice.locale)
        message.add_alternative(page, subtype="html")
        return message


class SmtpPost:
    """Hands messages to a mail server, a connection each."""

    def __init__(self, url: MailUrl, *, context: ssl.SSLContext | None = None) -> None:
        self._url = url
        self._context = context

    def send(self, message: EmailMessage, sender: str, recipient: str) -> str:
        """Hand the message over; `sender` is where bounces go."""
        with self._faults(), self._connect() as server:
            if self._url.user:
                server.login(self._url.user, self._url.password)
            server.ehlo_or_helo_if_needed()
            return _hand_over(server, message.as_bytes(), sender, recipient)

    def _connect(self) -> smtplib.SMTP:
        url = self._url
        if url.kind == "smtp":
            return smtplib.SMTP(url.host, url.port, timeout=TIMEOUT)
        context = self._context or ssl.create_default_context()
        if url.kind == "smtps":
            return smtplib.SMTP_SSL(url.host, url.port, timeout=TIMEOUT, context=context)
        server = smtplib.SMTP(url.host, url.port, timeout=TIMEOUT)
        try:
            server.starttls(context=context)
        except BaseException:
            server.close()
            raise
        return server

    @contextmanager
    def _faults(self) -> Iterator[None]:
        """Tell of a server that does not answer, or does not know us, as the channel's fault."""
        try:
            yield
        except smtplib.SMTPAuthenticationError as error:
            answer = f"the mail server refuses the login: {_said(error)}; check BARBEQUE_MAIL"
            raise Undelivered(answer, whole=True) from None
        except smtplib.SMTPException as error:
            raise Undelivered(f"the mail server failed: {error}", whole=True) from error
        except OSError as error:
            place = f"{self._url.host}:{self._url.port}"
            answer = f"the mail server {place} can't be reached: {error}"
            raise Undelivered(answer, whole=True) from error


def _hand_over(server: smtplib.SMTP, content: bytes, sender: str, recipient: str) -> str:
    """Send one message, of which each answer is looked at: smtplib keeps the last to itself."""
    code, said = server.mail(sender)
    if code >= _NO:
        raise Undelivered(f"the sender {sender} is refused: {_line(code, said)}", whole=True)
    code, said = server.rcpt(recipient)
    if code >= _NO:
        raise _refusal(code, f"the address {recipient} is refused: {_line(code, said)}")
    code, said = server.data(content)
    if code >= _NO:
        raise _refusal(code, f"the message is refused: {_line(code, said)}")
    return _line(code, said)


def _refusal(code: int, answer: str) -> Exception:
    return NoticeRefused(answer) if code >= _FOR_GOOD else Undelivered(answer)


def _said(error: smtplib.SMTPResponseException) -> str:
    return _line(error.smtp_code, error.smtp_error)


def _line(code: int, said: bytes | str) -> str:
    text = said.decode(errors="replace") if isinstance(said, bytes) else said
    return f"{code} {' '.join(text.split())}"[:500]

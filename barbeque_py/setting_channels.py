"""Settings of the channels that notices go over: email and Slack.

Every reader raises `ValueError` with the cure; those of secrets leave the text out of it.
"""

import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from barbeque_py.addresses import AN_EMAIL, EMAIL, SLACK_WEBHOOK
from barbeque_py.setting_addresses import HTTP, LAST_PORT, LOOPBACK
from barbeque_py.setting_urls import read_parameters, read_region

_MAIL = re.compile(
    r"((?P<user>[^:/?#@\s]+):(?P<password>[^:/?#@\s]*)@)?"
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:(?P<port>\d{1,5}))?/?",
    re.ASCII,
)

_MAIL_PORTS = {"smtps": 465, "starttls": 587, "smtp": 25}

_BOT_TOKEN = re.compile(r"xoxb-[A-Za-z0-9-]{10,250}")


@dataclass(frozen=True, slots=True, repr=False)
class MailUrl:
    """What takes email."""

    kind: str
    """`smtps` and `starttls` (both encrypted), `smtp` (not), or `ses`."""
    host: str = ""
    port: int = 0
    user: str = ""
    password: str = ""
    region: str | None = None
    """Of SES; None is what the AWS settings say."""


@dataclass(frozen=True, slots=True)
class Sender:
    """In whose name email is sent."""

    address: str
    """Also where what can't be delivered comes back."""
    name: str = ""


@dataclass(frozen=True, slots=True, repr=False)
class SlackAccess:
    """What lets us post to Slack: a bot's token, or an incoming webhook."""

    token: str = ""
    webhook: str = ""


def read_mail(text: str) -> MailUrl:
    """Read what takes email; the text is a secret and in no error."""
    kind, mark, rest = text.partition("://")
    if text.partition(":")[0] == "ses":
        query = text.removeprefix("ses:")
        if query and not query.startswith("?"):
            raise ValueError("write ses: or ses:?region=eu-west-1")
        return MailUrl(
            "ses", region=read_region(read_parameters(query.removeprefix("?"), ("region",)))
        )
    form = _MAIL.fullmatch(rest)
    if kind not in _MAIL_PORTS or not mark or form is None:
        raise ValueError(
            "write smtps://USER:PASSWORD@HOST:465, starttls://USER:PASSWORD@HOST:587, smtp://HOST "
            "or ses:, with characters such as @ : / # ? % in the password percent-encoded"
        )
    port = int(form["port"] or _MAIL_PORTS[kind])
    if not 1 <= port <= LAST_PORT:
        raise ValueError("a port is a number from 1 to 65535")
    host, user = form["host"].strip("[]"), unquote(form["user"] or "")
    if kind == "smtp" and user and host not in LOOPBACK:
        raise ValueError("a password is never sent in the clear: write smtps:// or starttls://")
    return MailUrl(kind, host, port, user, unquote(form["password"] or ""))


def read_slack(text: str) -> SlackAccess:
    """Read a bot's token or an incoming webhook; the text is a secret and in no error."""
    if _BOT_TOKEN.fullmatch(text):
        return SlackAccess(token=text)
    local = HTTP.fullmatch(text) and (urlsplit(text).hostname or "") in LOOPBACK
    if local or SLACK_WEBHOOK.fullmatch(text):
        return SlackAccess(webhook=text)
    raise ValueError(
        "write a bot's token, which begins with xoxb-, or an incoming webhook's address, "
        "https://hooks.slack.com/services/..."
    )


def read_sender(text: str) -> Sender:
    """Read in whose name email is sent: an address, or `Name <address>`."""
    name, bracket, rest = text.partition("<")
    address = rest.removesuffix(">") if bracket else text
    named = bracket and rest.endswith(">") and not set('",;:<>@\\') & set(name)
    if (bracket and not named) or EMAIL.fullmatch(address) is None:
        raise ValueError("write ADDRESS or NAME <ADDRESS>, as in Barbeque <jobs@example.com>")
    return Sender(address, name.strip() if bracket else "")


def read_emails(text: str) -> tuple[str, ...]:
    """Read email addresses, joined by commas."""
    found = tuple(each.strip() for each in text.split(","))
    for each in found:
        if EMAIL.fullmatch(each) is None:
            raise ValueError(f"{each[:60]!r} is not {AN_EMAIL}; more than one are joined by commas")
    return found

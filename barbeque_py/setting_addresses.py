"""Settings that say where something is reached, each read by one function.

Every reader raises `ValueError` with the cure; those of secrets leave the text out of it.
"""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

LAST_PORT = 65_535

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})

_FLAGS = re.IGNORECASE | re.ASCII

HTTP = re.compile(r"https?://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:\d{1,5})?(/[^?#@\s]*)?", _FLAGS)

_ADDRESS = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+):(\d{1,5})", _FLAGS)


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server listens."""

    host: str
    """A name or an IP address, without brackets."""
    port: int


def read_http_url(text: str) -> str:
    """Read the address of an HTTP service; a slash at its end is dropped."""
    if HTTP.fullmatch(text) is None:
        raise ValueError(
            "write http://HOST:PORT or https://HOST, without user name, password, ? or #"
        )
    return text.rstrip("/")


def read_address(text: str) -> Address:
    """Read where to listen."""
    form = _ADDRESS.fullmatch(text)
    if form is None or not 1 <= int(form[2]) <= LAST_PORT:
        raise ValueError("write HOST:PORT, as in 10.0.3.7:3004, 0.0.0.0:3004 or [::]:3004")
    return Address(form[1].strip("[]"), int(form[2]))


def read_dsn(text: str) -> str:
    """Read a DSN: an address with a key before the host and a project's number behind it."""
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.username or not parts.hostname:
        raise ValueError("write a DSN as Sentry shows it, https://KEY@HOST/PROJECT")
    if not parts.path.rpartition("/")[2].isdigit():
        raise ValueError("a DSN ends with its project's number, https://KEY@HOST/PROJECT")
    return text

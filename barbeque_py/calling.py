"""How calls travel over HTTP with httpx, whether their client awaits or not."""

import ipaddress
import os
import ssl
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, TypeVar

import httpx

from barbeque_py.calls import Call, Tries
from barbeque_py.faults import Unreachable

T = TypeVar("T")

DEFAULT_URL = "http://127.0.0.1:3003"
DEFAULT_TIMEOUT = timedelta(seconds=15)
DEFAULT_RETRIES = 5

_ERRORS = 400
_FAULTS = (httpx.TransportError, httpx.InvalidURL)


class Server:
    """The server that calls go to: its address, and what each request shows it.

    Without a URL it is BARBEQUE_URL's, or the local one; BARBEQUE_TOKEN is shown to that one
    only, and not to a server that the program names itself.
    """

    def __init__(
        self,
        url: str | None,
        token: str | None,
        *,
        timeout: timedelta,
        headers: Mapping[str, str] | None,
    ) -> None:
        if url is None:
            url = os.environ.get("BARBEQUE_URL") or DEFAULT_URL
            token = token or os.environ.get("BARBEQUE_TOKEN")
        self.url = url.rstrip("/")
        self.faults = _FAULTS
        self._patience = timeout.total_seconds()
        self._headers = dict(headers or {})
        if token:
            self._headers["Authorization"] = f"Bearer {token}"

    @property
    def connection(self) -> dict[str, Any]:
        """What httpx's clients are made with."""
        url = httpx.URL(self.url)
        return {
            "base_url": self.url,
            "headers": self._headers,
            "timeout": self._patience,
            # Loading the authorities takes longer than all else, and plain HTTP asks none.
            "verify": url.scheme == "https" or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
            # A proxy for the internet can't reach this machine's own loopback.
            "trust_env": not _is_loopback(url.host),
        }

    def request(self, call: Call[Any]) -> dict[str, Any]:
        """Return what httpx's `request` is called with."""
        facts: dict[str, Any] = {"params": dict(call.params), "headers": dict(call.headers)}
        if call.json is not None:
            facts["json"] = call.json
        if call.content is not None:
            facts["content"] = call.content
        timeout = self._patience + call.wait
        return {"method": call.method, "url": call.path, "timeout": timeout, **facts}

    def after_silence(self, tries: Tries, error: Exception) -> float:
        """Return how many seconds to wait after a request that nobody answered; or raise."""
        unsent = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.InvalidURL)
        return tries.after_silence(self._unreachable(error), unsent=unsent)

    def after_answer(self, tries: Tries, response: httpx.Response) -> float | None:
        """Return how many seconds to wait after a fault's answer, or raise; None for a good one."""
        if response.status_code < _ERRORS:
            return None
        return tries.after_fault(
            response.status_code,
            _read(response),
            request_id=response.headers.get("x-request-id"),
            retry_after=response.headers.get("retry-after"),
        )

    def read(self, call: Call[T], response: httpx.Response) -> T:
        """Return what a good answer says. Raises `Unreachable` where it is no barbeque's."""
        try:
            return call.read(response.text if call.as_text else _read(response))
        except (LookupError, TypeError, ValueError, AttributeError):
            raise Unreachable(
                f"what answers at {self.url} is no barbeque: {call.method} {call.path}"
            ) from None

    def _unreachable(self, error: Exception) -> Unreachable:
        if isinstance(error, httpx.TimeoutException):
            return Unreachable(f"{self.url} did not answer in time")
        if isinstance(error, httpx.ConnectError):
            return Unreachable(f"no barbeque at {self.url}")
        return Unreachable(f"no barbeque at {self.url} ({error})")


def _read(response: httpx.Response) -> Any:
    if not response.content:
        return {}
    try:
        return response.json()
    except ValueError:
        return None


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

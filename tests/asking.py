"""How tests ask over HTTP."""

import ssl
from typing import Any

import httpx

_NOBODY = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def open_client(url: str = "", **facts: Any) -> httpx.Client:
    """Return a client of plain HTTP, with patience for a machine that has much to do.

    It trusts no authorities: to load them takes longer than most tests.
    """
    return httpx.Client(base_url=url, verify=_NOBODY, **{"timeout": 60, **facts})

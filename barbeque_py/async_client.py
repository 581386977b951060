"""What async apps speak to a barbeque_py with."""

from collections.abc import Mapping
from datetime import timedelta
from typing import TypeVar

import httpx

from barbeque_py.async_asking import AsyncAsking
from barbeque_py.calling import DEFAULT_RETRIES, DEFAULT_TIMEOUT, Server
from barbeque_py.calls import Call, Tries

T = TypeVar("T")


class AsyncClient(AsyncAsking):
    """Speaks to the API at `url` within one event loop, and keeps its connections until `close`.

    The arguments are those of `Client`.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        timeout: timedelta = DEFAULT_TIMEOUT,
        headers: Mapping[str, str] | None = None,
        retries: int = DEFAULT_RETRIES,
    ) -> None:
        self._server = Server(url, token, timeout=timeout, headers=headers)
        self.url = self._server.url
        self._retries = retries
        self._http = httpx.AsyncClient(**self._server.connection)

    async def ask(self, call: Call[T]) -> T:
        """Make the call, again where that may help, and return what it reads."""
        tries = Tries(call, self._retries)
        while True:
            try:
                response = await self._http.request(**self._server.request(call))
            except self._server.faults as error:
                pause = self._server.after_silence(tries, error)
            else:
                wait = self._server.after_answer(tries, response)
                if wait is None:
                    return self._server.read(call, response)
                pause = wait
            await self.sleep(pause)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

"""A browser that speaks to a console in this process: no server, no port, real HTTP semantics."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from http.cookies import SimpleCookie
from typing import Any

import httpx
from starlette.types import ASGIApp

SITE = "https://barbeque.example.com"
FROM = "198.51.100.7"


class Inside:
    """A browser: keeps cookies, and says of its forms what a browser says of the site's own."""

    def __init__(self, app: ASGIApp, *, site: str = SITE, peer: str = FROM) -> None:
        self.site = site
        self.cookies: dict[str, str] = {}
        self._app = app
        self._peer = peer

    def get(self, path: str, **headers: str) -> httpx.Response:
        return self.ask("GET", path, headers={"accept": "text/html", **headers})

    def post(
        self, path: str, form: dict[str, str] | None = None, **headers: str | None
    ) -> httpx.Response:
        """Send a form; a header that is None is left out."""
        usual = {"sec-fetch-site": "same-origin", "origin": self.site, "accept": "text/html"}
        given = {**usual, **{name.replace("_", "-"): each for name, each in headers.items()}}
        kept = {name: each for name, each in given.items() if each is not None}
        return self.ask("POST", path, headers=kept, data=form or {})

    def ask(self, verb: str, path: str, **more: Any) -> httpx.Response:
        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(self._app, client=(self._peer, 4000))
            async with httpx.AsyncClient(
                transport=transport, base_url=self.site, cookies=self.cookies
            ) as client:
                return await client.request(verb, path, **more)

        with ThreadPoolExecutor(1) as apart:  # a browser's loop may be running in this thread
            answer = apart.submit(asyncio.run, send()).result()
        for line in answer.headers.get_list("set-cookie"):
            for name, morsel in SimpleCookie(line).items():
                self.cookies[name] = morsel.value
                if morsel["max-age"] == "0":
                    del self.cookies[name]
        return answer

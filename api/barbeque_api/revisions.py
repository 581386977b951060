"""`/v1/apps/{name}/revision_lock`: the tag of an app's image, set and set back to latest."""

import re
from typing import Any

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response

from barbeque_api import schemas
from barbeque_api.bodies import read_object, shown
from barbeque_api.parts import Served
from barbeque_api.problems import answer, refusal
from barbeque_py.errors import UnknownApp
from barbeque_py.store import Tx, apps

_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_PATH = "/v1/apps/{name}/revision_lock"


class Revisions:
    """Changes which revision of an app's image its jobs run."""

    def __init__(self, parts: Served) -> None:
        self._parts = parts

    def add_to(self, router: APIRouter) -> None:
        """Add the routes."""
        extra: dict[str, Any] = {"openapi_extra": schemas.body(schemas.REVISION)}
        router.add_api_route(_PATH, self.lock, methods=["POST"], status_code=201, **extra)
        router.add_api_route(_PATH, self.unlock, methods=["DELETE"], status_code=204)

    async def lock(self, name: str, request: Request) -> Response:
        """Run this tag of the app's image from the next attempt on."""
        facts = await read_object(request, self._parts.max_body, known=("revision",))
        revision = facts.get("revision")
        if revision is None:
            raise refusal(400, "revision is missing")
        if not isinstance(revision, str) or _TAG.fullmatch(revision) is None:
            raise refusal(
                400, f"revision: {shown(revision)} is not a tag: up to 128 of A-Z a-z 0-9 _ . -"
            )
        await self._set_tag(name, revision)
        return answer({"revision": revision}, status=201)

    async def unlock(self, name: str) -> Response:
        """Run the app's image under the tag `latest` again."""
        await self._set_tag(name, "latest")
        return Response(status_code=204)

    async def _set_tag(self, name: str, tag: str) -> None:
        await run_in_threadpool(self._parts.store.write, lambda tx: _set_tag(tx, name, tag))


def with_tag(image: str, tag: str) -> str:
    """Return the image under another tag; registry, port and path stay, a digest goes."""
    name, _, _ = image.partition("@")
    folder, slash, last = name.rpartition("/")
    return f"{folder}{slash}{last.partition(':')[0]}:{tag}"


def _set_tag(tx: Tx, name: str, tag: str) -> None:
    app = apps.get_app(tx, name)
    if app is None:
        raise UnknownApp(f"no app is called {shown(name)}")
    apps.set_image(tx, name, with_tag(app.image, tag))

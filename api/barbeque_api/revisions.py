"""`/v1/apps/{name}/revision_lock`: Barbeque's way to release a tag, and `latest` again."""

import re
from typing import Any

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response
from typing_extensions import TypedDict

from barbeque_api import schemas
from barbeque_api.bodies import read_object, shown
from barbeque_api.parts import Served
from barbeque_api.problems import Answer, answer, refusal
from barbeque_api.releases import check_app
from barbeque_api.rights import caller_of, needs
from barbeque_py.errors import UnknownApp, UnknownImage
from barbeque_py.identity import Identity, Scope
from barbeque_py.images import with_tag
from barbeque_py.release import release
from barbeque_py.store import apps

_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_NOTE = "revision_lock"
_PATH = "/v1/apps/{name}/revision_lock"


class Locked(TypedDict):
    """The tag that is released."""

    revision: str


class Revisions:
    """Releases tags of an app's image."""

    def __init__(self, parts: Served) -> None:
        self._parts = parts

    def add_to(self, router: APIRouter) -> None:
        """Add the routes."""
        rights: dict[str, Any] = {"dependencies": [needs(Scope.DEPLOY)]}
        router.add_api_route(
            _PATH,
            self.lock,
            methods=["POST"],
            status_code=201,
            openapi_extra=schemas.body(schemas.REVISION),
            **rights,
        )
        router.add_api_route(_PATH, self.unlock, methods=["DELETE"], status_code=204, **rights)

    async def lock(self, name: str, request: Request) -> Answer[Locked]:
        """Release what this tag of the app's image means now, for the executions to come."""
        facts = await read_object(request, self._parts.max_body, known=("revision",))
        revision = facts.get("revision")
        if revision is None:
            raise refusal(400, "revision is missing")
        if not isinstance(revision, str) or _TAG.fullmatch(revision) is None:
            raise refusal(
                400, f"revision: {shown(revision)} is not a tag: up to 128 of A-Z a-z 0-9 _ . -"
            )
        await run_in_threadpool(self._release, caller_of(request), name, revision)
        locked: Locked = {"revision": revision}
        return answer(locked, status=201)

    async def unlock(self, name: str, request: Request) -> Response:
        """Release what the tag `latest` means now."""
        await run_in_threadpool(self._release, caller_of(request), name, "latest")
        return Response(status_code=204)

    def _release(self, who: Identity, name: str, tag: str) -> None:
        check_app(who, Scope.DEPLOY, name)
        app = self._parts.store.read(lambda tx: apps.get_app(tx, name))
        if app is None:
            raise UnknownApp(f"no app is called {shown(name)}")
        image = with_tag(app.image, tag)
        sources = self._parts.sources
        sources.check(image)
        try:
            pinned = sources.pin(image)
        except UnknownImage:  # Barbeque takes a tag that is pushed later
            pinned = None
        self._parts.store.write(lambda tx: release(tx, who, name, image, pinned=pinned, note=_NOTE))
        self._parts.bell.ring()

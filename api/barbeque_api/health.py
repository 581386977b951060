"""`/livez`, `/readyz` and `/`: whether this process lives, and whether it can do its work."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from barbeque_api.parts import Served
from barbeque_api.problems import RETRY_AFTER, answer
from barbeque_api.rights import open_to_all
from barbeque_py.errors import OutsideError
from barbeque_py.store import apps, lanes
from barbeque_py.store.schema import check_schema


class Health:
    """Answers those who watch the process."""

    def __init__(self, parts: Served) -> None:
        self._parts = parts

    def add_to(self, router: APIRouter) -> None:
        """Add the routes."""
        rights: dict[str, Any] = {"dependencies": [open_to_all()]}
        router.add_api_route("/livez", self.live, methods=["GET"], **rights)
        router.add_api_route("/readyz", self.ready, methods=["GET"], **rights)
        router.add_api_route("/", self.root, methods=["GET"], include_in_schema=False, **rights)

    async def live(self) -> Response:
        """Say that the process answers."""
        return answer({"status": "ok"})

    def ready(self) -> Response:
        """Say whether database, schema and broker can be used; 503 with the reasons if not."""
        try:
            check_schema(self._parts.store)
            self._parts.store.read(apps.installation_name)
            self._parts.store.read(lambda tx: lanes.any_visible(tx, self._parts.default_queue))
        except OutsideError as error:
            facts = {"message": "not ready", "reasons": [str(error)]}
            return answer(facts, status=503, headers=RETRY_AFTER)
        return answer({"status": "ok"})

    async def root(self) -> Response:
        """Say where to look."""
        return answer({"name": "barbeque_py", "openapi": "/openapi.json", "health": "/readyz"})

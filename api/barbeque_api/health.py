"""`/livez`, `/readyz` and `/`: whether this process lives, and whether it can do its work."""

from contextlib import suppress
from typing import Any, Literal, NotRequired

from fastapi import APIRouter
from typing_extensions import TypedDict

from barbeque_api.document import answers
from barbeque_api.parts import Served
from barbeque_api.problems import RETRY_AFTER, Answer, answer
from barbeque_api.rights import open_to_all
from barbeque_api.snapshot import Snapshot
from barbeque_py import clock
from barbeque_py.broker import SharedBroker
from barbeque_py.errors import OutsideError
from barbeque_py.glance import Glance
from barbeque_py.store import apps, lanes
from barbeque_py.store.revision import check_schema

_LITTLE = 0.5
"""Seconds to wait for names, once the database has been waited for."""


class Alive(TypedDict):
    """That the process answers."""

    status: Literal["ok"]


class Ready(TypedDict):
    """What works; with `enqueue only` the reasons, and how old what is known is, in seconds."""

    status: Literal["ok", "enqueue only"]
    reasons: NotRequired[list[str]]
    known_seconds_ago: NotRequired[int | None]


class NotReady(TypedDict):
    """Why nothing works."""

    message: Literal["not ready"]
    reasons: list[str]


class Signpost(TypedDict):
    """Where to look."""

    name: str
    openapi: str
    health: str


class Health:
    """Answers those who watch the process."""

    def __init__(self, parts: Served, snapshot: Snapshot) -> None:
        self._parts = parts
        self._snapshot = snapshot
        self._usable = Glance(self._use)
        self._known = Glance(snapshot.refresh_quietly, patience=_LITTLE)

    def add_to(self, router: APIRouter) -> None:
        """Add the routes."""
        rights: dict[str, Any] = {"dependencies": [open_to_all()]}
        router.add_api_route("/livez", self.live, methods=["GET"], **rights)
        router.add_api_route(
            "/readyz", self.ready, methods=["GET"], responses=answers(503), **rights
        )
        router.add_api_route("/", self.root, methods=["GET"], include_in_schema=False, **rights)

    async def live(self) -> Answer[Alive]:
        """Say that the process answers."""
        return answer({"status": "ok"})

    def ready(self) -> Answer[Ready | NotReady]:
        """Say whether database, schema and broker can be used; 503 with the reasons if not.

        `enqueue only` where messages go on without the database, checked against what is known of
        it: `known_seconds_ago` says how old that is. Answers within three seconds whatever is away.
        """
        try:
            self._usable.look()
        except OutsideError as error:
            return self._explain(error)
        return answer({"status": "ok"})

    def _use(self) -> None:
        """Use the database as requests do."""
        check_schema(self._parts.store)
        self._parts.store.read(apps.installation_name)
        self._parts.store.read(lambda tx: lanes.any_visible(tx, self._parts.default_queue))

    def _explain(self, error: OutsideError) -> Answer[Ready | NotReady]:
        open_to_strangers = self._parts.ask_for_tokens
        reasons = ["the database can't be used" if open_to_strangers else str(error)]
        if isinstance(self._parts.broker, SharedBroker):
            return _away(reasons)
        names = self._snapshot.names
        if names is None:
            with suppress(OutsideError):
                self._known.look()
            names = self._snapshot.names
        if names is None and self._parts.ask_for_tokens:
            return _away(reasons)
        age = None if names is None else round((clock.now() - names.taken_at).total_seconds())
        return answer({"status": "enqueue only", "reasons": reasons, "known_seconds_ago": age})

    async def root(self) -> Answer[Signpost]:
        """Say where to look."""
        return answer({"name": "barbeque_py", "openapi": "/openapi.json", "health": "/readyz"})


def _away(reasons: list[str]) -> Answer[NotReady]:
    facts: NotReady = {"message": "not ready", "reasons": reasons}
    return answer(facts, status=503, headers=RETRY_AFTER)

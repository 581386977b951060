"""One click that runs something where nothing is defined yet: an app with one job, and a run."""

import time

from fastapi import Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from barbeque_console.pages import Pages, redirect
from barbeque_console.parts import Shown
from barbeque_console.rights import Router, asker, needs
from barbeque_py import clock
from barbeque_py.apply import Applying, Wish
from barbeque_py.enqueue import Request as Wanted
from barbeque_py.enqueue import enqueue
from barbeque_py.errors import Outrun
from barbeque_py.identity import Scope
from barbeque_py.ids import new_message_id
from barbeque_py.messages import JobMessage, Options
from barbeque_py.store import Tx, apps
from barbeque_py.store import executions as rows
from barbeque_py.store.editions import CONSOLE
from barbeque_py.yaml_tree import read_yaml

FILE = """\
apps:
  - name: hello
    image: debian:bookworm-slim
    jobs:
      - {name: Greet, command: [sh, -c, 'echo "hello, $BARBEQUE_MESSAGE"']}
queues: [{name: default}]
"""
"""What the guide tells people to write, too."""
_PATIENCE, _LOOK_AGAIN = 2.0, 0.05
MESSAGE = '{"name":"world"}'


class SamplePages:
    """Defines a first job, and runs it."""

    def __init__(self, parts: Shown, pages: Pages) -> None:
        del pages
        self._parts = parts
        self._applying = Applying(parts.store, parts.sources, parts.queues, parts.topics)

    def router(self) -> Router:
        """Return the routes."""
        router = Router()
        router.add_api_route("/sample", self.run, methods=["POST"], **needs(Scope.ADMIN))
        return router

    def run(self, request: Request) -> Response:
        """Define the job and enqueue it, if nothing is defined."""
        wish = Wish(asker(request), read_yaml(FILE), still=_is_empty, made_with=CONSOLE)
        if not self._parts.store.read(_is_empty):
            raise HTTPException(409, _NOT_EMPTY)
        try:
            self._applying.make(wish)
        except Outrun:
            raise HTTPException(409, _NOT_EMPTY) from None
        job = JobMessage(
            new_message_id(),
            "hello",
            "Greet",
            "default",
            MESSAGE,
            enqueued_at=clock.now(),
            options=Options(),
        )
        enqueue(self._parts.broker, self._parts.logs, [Wanted(job, "default")])
        self._parts.bell.ring()
        page = (
            f"/job_executions/{job.message_id}" if self._is_seen(job.message_id) else "/executions"
        )
        return redirect(request.scope, f"{page}?notice=enqueued")

    def _is_seen(self, message_id: str) -> bool:
        """Wait a moment for a worker to take the message in, before which it has no page."""
        until = clock.monotonic() + _PATIENCE
        while not self._parts.store.read(lambda tx: rows.by_message_id(tx, message_id)):
            if clock.monotonic() > until:
                return False
            time.sleep(_LOOK_AGAIN)
        return True


_NOT_EMPTY = "Jobs are defined here already: run one from its page."


def _is_empty(tx: Tx) -> bool:
    return not apps.all_apps(tx)

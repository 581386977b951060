"""One click that runs something where nothing is defined yet: an app with one job, and a run."""

from fastapi import Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from barbeque_console.ad_hoc import send_and_show
from barbeque_console.pages import Pages
from barbeque_console.parts import Shown
from barbeque_console.rights import Router, asker, needs
from barbeque_py import clock
from barbeque_py.apply import Applying, Wish
from barbeque_py.enqueue import Request as Wanted
from barbeque_py.errors import Outrun
from barbeque_py.identity import Scope
from barbeque_py.ids import new_message_id
from barbeque_py.messages import JobMessage, Options
from barbeque_py.store import Tx, apps
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
        return send_and_show(self._parts, request.scope, Wanted(job, "default"))


_NOT_EMPTY = "Jobs are defined here already: run one from its page."


def _is_empty(tx: Tx) -> bool:
    return not apps.all_apps(tx)

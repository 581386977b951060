"""The page of help: keys, what states mean, what exit codes mean, commands."""

from fastapi import Request
from starlette.responses import Response

from barbeque_console.executions import READ
from barbeque_console.pages import Pages
from barbeque_console.parts import Shown
from barbeque_console.rights import Router, open_to_all
from barbeque_console.tongue import mark as _
from barbeque_console.words import EXIT_CODES

_STATES = (
    ("queued", _("It waits: for its time, a free slot, or a worker.")),
    ("running", _("An attempt is being started or runs.")),
    ("retrying", _("An attempt failed; the next one comes after a while that grows each time.")),
    ("succeeded", _("The last attempt exited with 0.")),
    ("failed", _("All attempts of the round failed. A retry by hand begins another round.")),
    ("cancelled", _("Somebody cancelled it.")),
    ("interrupted", _("An attempt ended through no fault of its own; it does not count.")),
)
_COMMANDS = (
    ("barbeque enqueue APP JOB '{\"id\": 1}' --wait", _("run a job and wait for its end")),
    ("barbeque status MESSAGE_ID", _("how an execution stands")),
    ("barbeque logs -f MESSAGE_ID", _("follow its log")),
    ("barbeque retry MESSAGE_ID", _("give it another round")),
    ("barbeque cancel MESSAGE_ID", _("stop it")),
    ("barbeque rollback APP", _("go back to the image before")),
    ("barbeque check", _("every setting and connection, with the cure")),
)


class HelpPages:
    """Shows the page of help."""

    def __init__(self, parts: Shown, pages: Pages) -> None:
        self._with_api = parts.with_api
        self._pages = pages

    def router(self) -> Router:
        """Return the routes."""
        router = Router()
        router.add_api_route("/help", self.show, methods=READ, **open_to_all())
        return router

    def show(self, request: Request) -> Response:
        """Show it."""
        return self._pages.render(
            request.scope,
            "help.html",
            with_api=self._with_api,
            states=_STATES,
            exit_codes=EXIT_CODES,
            commands=_COMMANDS,
        )

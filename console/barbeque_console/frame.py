"""What belongs to every page: how a person wants to see it, the search box, old addresses."""

from fastapi import Request
from starlette.responses import Response

from barbeque_console.forms import Form
from barbeque_console.pages import Pages, redirect
from barbeque_console.parts import Shown
from barbeque_console.preferences import remember
from barbeque_console.rights import Router, open_to_all


class FramePages:
    """Keeps preferences, and leads old addresses to the right page."""

    def __init__(self, parts: Shown, pages: Pages) -> None:
        del parts, pages

    def router(self) -> Router:
        """Return the routes."""
        router = Router()
        router.add_api_route("/preferences", self.prefer, methods=["POST"], **open_to_all())
        return router

    def prefer(self, request: Request, form: Form) -> Response:
        """Keep what was chosen, and show the page again."""
        back = form.get("back", "/")
        own = back.startswith("/") and not back.startswith(("//", "/\\"))
        return remember(request.scope, form, redirect(request.scope, back if own else "/"))

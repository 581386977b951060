"""Tags of one execution, as lines of text that a person changes."""

from collections.abc import Mapping

from fastapi import Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from barbeque_console.executions import READ, find
from barbeque_console.forms import Form
from barbeque_console.pages import Pages, redirect
from barbeque_console.parts import Shown
from barbeque_console.rights import Router, asker, execution, needs
from barbeque_console.tongue import gettext
from barbeque_py.acts import tag_execution
from barbeque_py.errors import BadTags
from barbeque_py.identity import Scope
from barbeque_py.store import Tx
from barbeque_py.tag import Tagging

_PATH = "/job_executions/{message_id}/tags"


class TagPages:
    """Asks for tags, and changes them."""

    def __init__(self, parts: Shown, pages: Pages) -> None:
        self._parts = parts
        self._pages = pages

    def router(self) -> Router:
        """Return the routes."""
        router = Router()
        run = needs(Scope.ENQUEUE, of=execution)
        router.add_api_route(_PATH, self.ask, methods=READ, **run)
        router.add_api_route(_PATH, self.change, methods=["POST"], **run)
        return router

    def ask(self, request: Request, message_id: str) -> Response:
        """Show the tags as text that can be changed."""
        found = self._parts.store.read(lambda tx: find(tx, message_id)).execution
        text = write_lines(found.options.get("tags", {}))
        return self._pages.render(request.scope, "tags.html", found=found, text=text)

    def change(self, request: Request, message_id: str, form: Form) -> Response:
        """Change what the person has changed; what others have changed meanwhile stays."""
        seen, said = read_lines(form.get("seen", "")), read_lines(form.get("tags", ""))
        new = {name: value for name, value in said.items() if seen.get(name) != value}
        tagging = Tagging(new, frozenset(seen.keys() - said.keys()))

        def change(tx: Tx) -> str:
            own = find(tx, message_id).execution.message_id
            tag_execution(tx, asker(request), own, tagging)
            return own

        try:
            own = self._parts.store.write(change)
        except BadTags as error:
            raise HTTPException(422, gettext("Nothing was changed: %s.") % error) from None
        return redirect(request.scope, f"/job_executions/{own}?notice=tagged")


def write_lines(tags: Mapping[str, str]) -> str:
    """Return the tags as people write them: one a line, `name=value`."""
    return "\n".join(f"{name}={value}" for name, value in sorted(tags.items()))


def read_lines(text: str) -> dict[str, str]:
    """Return the tags that the lines name. Raises `HTTPException`."""
    found = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        name, sign, value = line.partition("=")
        if not sign or not name.strip():
            sentence = gettext("Nothing was changed: “%s” is no tag. Write name=value.")
            raise HTTPException(422, sentence % line[:80])
        found[name.strip()] = value.strip()
    return found

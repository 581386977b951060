"""Turns facts into HTML: the templates, and the words they use."""

import hashlib
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from starlette.responses import HTMLResponse, RedirectResponse
from starlette.types import Scope

from barbeque_console import words
from barbeque_py.addresses import hide
from barbeque_py.waiting import Waiting

_HERE = Path(__file__).parent
ASSETS = _HERE / "static"

NOTICES = {
    "retried": "It will be tried again: a new round has begun.",
    "cancelled": "It is cancelled.",
    "cancelling": "Its cancel was asked for; it ends as soon as its container has.",
    "too-late": "There was nothing left to cancel: it had ended already.",
    "paused": "The queue is paused: what runs goes on, nothing new is started.",
    "resumed": "The queue is at work again.",
    "sent": "The message was sent again.",
    "dropped": "The message was dropped.",
}
"""What an action did, by the word that its redirect carries."""


class Pages:
    """Renders the templates; everything in them is escaped."""

    def __init__(self) -> None:
        self._environment = Environment(
            loader=FileSystemLoader(_HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        filters = (
            words.plain,
            words.shorten,
            words.iso,
            words.exact,
            words.relative,
            words.lasting,
            words.exit_meaning,
            words.outcome,
            words.why_ended,
            hide,
        )
        self._environment.filters |= {each.__name__: each for each in filters}
        self._environment.filters["segment"] = _segment
        self._environment.filters["with_links"] = _with_links
        self._environment.globals["version"] = _version()

    def render(
        self, scope: Scope, template: str, *, status: int = 200, **facts: Any
    ) -> HTMLResponse:
        """Return the page; links in it begin with the prefix under which the console is served."""
        page = self._environment.get_template(template)
        text = page.render(root=scope.get("root_path", "").rstrip("/"), **facts)
        return HTMLResponse(text, status)

    def refuse(self, scope: Scope, status: int, sentence: str, cure: str = "") -> HTMLResponse:
        """Return the page that says what is wrong and what to do."""
        return self.render(
            scope, "error.html", status=status, code=status, sentence=sentence, cure=cure
        )


def redirect(scope: Scope, path: str) -> RedirectResponse:
    """Send the browser to another page of ours with GET."""
    return RedirectResponse(scope.get("root_path", "").rstrip("/") + path, 303)


def _segment(name: str) -> str:
    """Return the name as one part of a path."""
    return quote(name, safe="")


def _with_links(waiting: Waiting, root: str) -> Markup:
    """Return the sentence, in which the ids of those who hold a limit lead to their pages."""
    text = str(escape(words.plain(waiting.sentence)))
    for each in waiting.facts.get("holders", ()):
        own = each["message_id"]
        link = Markup('<a class="id" href="{}/job_executions/{}" title="{}">{}</a>')
        text = text.replace(f" {own}", f" {link.format(root, own, own, words.shorten(own))}")
    return Markup(text)  # noqa: S704 - escaped above


def _version() -> str:
    """Return what changes whenever a static file does, so that browsers may keep them."""
    content = b"".join(path.read_bytes() for path in sorted(ASSETS.iterdir()))
    return hashlib.sha256(content).hexdigest()[:12]

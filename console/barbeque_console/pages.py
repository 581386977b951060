"""Turns facts into HTML: the templates, the frame around each page, and the words they use."""

from difflib import get_close_matches
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from starlette.responses import HTMLResponse, RedirectResponse
from starlette.types import Scope

from barbeque_console import drawings, tongue, words
from barbeque_console.assets import read_manifest
from barbeque_console.keys import KEYS
from barbeque_console.navigation import ENTRIES
from barbeque_console.preferences import read_preferences
from barbeque_console.refusals import CURES
from barbeque_console.tongue import mark as _
from barbeque_console.visitor import Visitor
from barbeque_py.addresses import hide
from barbeque_py.setting_values import EnvironmentName
from barbeque_py.waiting import Waiting

NOTICES = {
    "retried": _("It will be tried again: a new round has begun."),
    "cancelled": _("It is cancelled."),
    "cancelling": _("Its cancel was asked for; it ends as soon as its container has."),
    "killing": _("It is killed: nothing of its grace is left. It ends as soon as that is seen."),
    "tagged": _("Its tags are saved."),
    "too-late": _("There was nothing left to cancel: it had ended already."),
    "paused": _("The queue is paused: what runs goes on, nothing new is started."),
    "resumed": _("The queue is at work again."),
    "draining": _("The worker takes nothing new; what it has, it finishes."),
    "undrained": _("The worker takes again."),
    "resent": _("It is sent again, at once and under its id."),
    "resent-all": _("They are sent again, each under its id."),
    "tested": _("A test is sent: what comes back is in the list."),
    "subscribed": _("The queue hears the topic: its messages start the job from now on."),
    "unsubscribed": _("The subscription is removed; SNS is told again until it has let go."),
    "sent": _("The message was sent again."),
    "dropped": _("The message was dropped."),
    "kept": _("It is kept."),
    "view-kept": _("The view is kept: it stands above the list from now on."),
    "enqueued": _("It is enqueued: it begins as soon as a worker has room for it."),
    "released": _("It is released: executions that begin from now on run it."),
    "as-before": _("The app runs exactly this image already: nothing was changed."),
    "rolled-back": _("The former image is back: executions that begin from now on run it."),
    "suspended": _("It rests: nothing of it starts by the clock until it is resumed."),
    "timed-again": _("It goes by the clock again; what passed meanwhile is not caught up."),
    "told": _("A test is on its way to them. The notices tell what became of it."),
    "defined": _("The definition is saved: what begins from now on follows it."),
    "removed": _("The job is removed. What it ran is still listed."),
    "app-removed": _("The app is removed. What its jobs ran is still listed."),
    "revoked": _("The token is revoked: nobody can use it any more within ten seconds."),
    "roles": _("Their roles are saved, and hold from their next click on."),
    "disabled": _("They are kept out, and every session of theirs has ended."),
    "enabled": _("They may log in again."),
    "password": _("Your password is another one now; your other sessions have ended."),
}
"""What an action did, by the word that its redirect carries."""


_PASSING = frozenset({429, 500, 502, 503})
"""What may be another thing a moment later."""


class Pages:
    """Renders the templates; everything in them is escaped."""

    def __init__(self, environment: EnvironmentName | None = None) -> None:
        self._templates = _environment()
        self._frame = {
            "assets": read_manifest(),
            "entries": ENTRIES,
            "keys": KEYS,
            "environment": environment,
        }

    def render(
        self, scope: Scope, template: str, *, status: int = 200, **facts: Any
    ) -> HTMLResponse:
        """Return the page; links in it begin with the prefix under which the console is served."""
        page = self._templates.get_template(template)
        here = scope["path"].removeprefix(scope.get("root_path", ""))
        query = scope.get("query_string", b"").decode("latin-1")
        viewer: Visitor | None = scope.get("barbeque.viewer")
        whole = status < HTTPStatus.BAD_REQUEST and not is_fragment(scope)
        text = page.render(
            self._frame
            | {
                "root": root_of(scope),
                "here": here,
                "back": f"{here}?{query}" if query else here,
                "preferences": read_preferences(scope),
                "language": tongue.spoken(),
                "viewer": viewer,
                "idleness": viewer.idleness() if viewer and whole else None,
                "fragment": is_fragment(scope),
                "request_id": scope.get("barbeque.request_id", ""),
            }
            | facts
        )
        return HTMLResponse(text, status, {"vary": "cookie, hx-request"})

    def refuse(self, scope: Scope, status: int, sentence: str, cure: str = "") -> HTMLResponse:
        """Return the page that says what is wrong and what to do, translated where it can be."""
        here = scope["path"].removeprefix(scope.get("root_path", ""))
        facts: dict[str, Any] = {
            "sentence": tongue.gettext(sentence),
            "cure": tongue.gettext(cure or CURES.get(status, "")),
        }
        facts["again"] = status in _PASSING and scope["method"] in ("GET", "HEAD")
        facts["meant"] = _meant(here) if status == HTTPStatus.NOT_FOUND else ""
        return self.render(scope, "error.html", status=status, code=status, **facts)

    def confirm(  # noqa: PLR0913 - what a person has to know before something is lost
        self,
        scope: Scope,
        *,
        title: str,
        question: str,
        answer: str,
        action: str,
        typed: str | None = None,
        cancel: str,
    ) -> HTMLResponse:
        """Return the page, shown as a dialog where scripts run, that asks before danger.

        `answer` stands on the button that posts to `action`; with `typed` that name has to be
        typed before (`forms.require_typed` checks it); `cancel` is where a change of mind leads.
        """
        return self.render(
            scope,
            "confirm.html",
            title=title,
            question=question,
            answer=answer,
            action=action,
            typed=typed,
            cancel=cancel,
        )


def root_of(scope: Scope) -> str:
    """Return the prefix under which the console is served."""
    return str(scope.get("root_path", "")).rstrip("/")


def is_fragment(scope: Scope) -> bool:
    """Tell whether a script asks for a part of a page that it shows already."""
    return any(name == b"hx-request" for name, _ in scope["headers"])


def redirect(scope: Scope, path: str) -> RedirectResponse:
    """Send the browser to another page of ours with GET."""
    return RedirectResponse(root_of(scope) + path, 303)


def _meant(path: str) -> str:
    """Return the page whose address is most like this one, nothing where none is."""
    known = [each.path for each in ENTRIES if each.path != "/"]
    first = "/" + path.strip("/").partition("/")[0].lower()
    found = get_close_matches(first, known, n=1)
    return found[0] if found else ""


def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    made.install_gettext_callables(  # type: ignore[attr-defined]
        tongue.gettext, tongue.ngettext, newstyle=True
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
        words.grouped,
        words.day,
        words.percent,
        hide,
    )
    made.filters |= {each.__name__: each for each in filters}
    made.filters["segment"] = segment
    made.filters["bytes"] = words.size
    made.filters["with_links"] = _with_links
    made.globals |= {"bars_of": drawings.bars_of, "line_of": drawings.line_of}
    return made


def segment(name: str) -> str:
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

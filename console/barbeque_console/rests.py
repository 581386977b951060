"""Asks why something is to rest, and for how long, and reads what the person says."""

from collections.abc import Mapping

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Scope

from barbeque_console.pages import Pages
from barbeque_console.tongue import gettext
from barbeque_console.tongue import mark as _
from barbeque_py.suspend import LONGEST_REASON, Rest

SUSPENDED = _("Nothing of it starts by the clock meanwhile, and what passes is not caught up.")
_LENGTHS = (
    ("", _("until somebody resumes it")),
    ("15m", _("15 minutes")),
    ("1h", _("1 hour")),
    ("4h", _("4 hours")),
    ("12h", _("12 hours")),
    ("1d", _("1 day")),
    ("7d", _("7 days")),
)


def ask(  # noqa: PLR0913 - what a person has to know before it rests
    pages: Pages,
    scope: Scope,
    *,
    title: str,
    meaning: str,
    answer: str,
    action: str,
    cancel: str,
    fields: Mapping[str, str] | None = None,
) -> Response:
    """Return the page, shown as a dialog where scripts run, whose form posts to `action`."""
    return pages.render(
        scope,
        "rest.html",
        title=title,
        meaning=meaning,
        answer=answer,
        action=action,
        cancel=cancel,
        fields=fields or {},
        lengths=_LENGTHS,
        longest=LONGEST_REASON,
    )


def read(form: Mapping[str, str]) -> Rest:
    """Return what the form says; one without fields says: until it is resumed."""
    try:
        return Rest.read(form.get("reason", "").strip(), form.get("lasts", "").strip())
    except ValueError as error:
        sentence = gettext("Nothing was changed: %s.")
        raise HTTPException(422, sentence % error) from None

"""Which columns the list of executions has for a person; kept in a cookie."""

from collections.abc import Mapping

from starlette.requests import cookie_parser
from starlette.responses import Response
from starlette.types import Scope

from barbeque_console.preferences import COOKIE
from barbeque_console.tongue import mark as _

COLUMNS = {
    "job": _("Job"),
    "queue": _("Queue"),
    "attempts": _("Attempts"),
    "enqueued": _("Enqueued"),
    "ran": _("Last attempt ran"),
    "end": _("How it ended"),
}
"""Those that may be left out; state and id are always there."""

_NAME = f"{COOKIE}columns"
_YEAR = 365 * 86_400


def read_columns(scope: Scope) -> frozenset[str]:
    """Return the columns that the browser's cookie names; all without one."""
    headers = dict(scope["headers"])
    kept = cookie_parser(headers.get(b"cookie", b"").decode("latin-1")).get(_NAME)
    return frozenset(COLUMNS if kept is None else COLUMNS.keys() & set(kept.split("-")))


def keep_columns(scope: Scope, form: Mapping[str, str], response: Response) -> Response:
    """Let the browser keep which columns the form has ticked."""
    path = str(scope.get("root_path", "")).rstrip("/") or "/"
    ticked = "-".join(name for name in COLUMNS if form.get(name)) or "none"
    response.set_cookie(_NAME, ticked, max_age=_YEAR, path=path, samesite="lax")
    return response

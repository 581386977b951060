"""How a person wants to see the console: theme, times, language, live updates; kept in cookies."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from starlette.requests import cookie_parser
from starlette.responses import Response
from starlette.types import Scope

from barbeque_console import tongue
from barbeque_console.tongue import mark as _

CHOICES = {
    "theme": ("auto", "light", "dark"),
    "times": ("relative", "local", "utc"),
    "live": ("live", "paused", "5s", "30s"),
    "language": tuple(tongue.LANGUAGES),
}
"""What each may be, the default first; the language's is what the browser asks for."""

COOKIE = "barbeque_"
"""What the names of our cookies begin with."""

_YEAR = 365 * 86_400
_SPOKEN = {
    "theme": {"auto": _("Auto"), "light": _("Light"), "dark": _("Dark")},
    "times": {"relative": _("Relative"), "local": _("Local"), "utc": _("UTC")},
    "live": {"live": _("Live"), "paused": _("Paused"), "5s": _("5 s"), "30s": _("30 s")},
    "language": tongue.LANGUAGES,
}


@dataclass(frozen=True, slots=True)
class Preferences:
    """What one person chose; see `CHOICES`."""

    theme: str
    times: str
    live: str
    language: str

    def options(self) -> list[tuple[str, list[tuple[str, str, bool]]]]:
        """Return each choice with its values: the value, its name, whether it is the chosen one."""
        return [
            (
                field.name,
                [
                    (value, _SPOKEN[field.name][value], value == getattr(self, field.name))
                    for value in CHOICES[field.name]
                ],
            )
            for field in fields(self)
        ]


def read_preferences(scope: Scope) -> Preferences:
    """Return what the browser's cookies say."""
    headers = dict(scope["headers"])
    cookies = cookie_parser(headers.get(b"cookie", b"").decode("latin-1"))
    chosen: dict[str, Any] = {}
    for name, values in CHOICES.items():
        asked = cookies.get(COOKIE + name)
        chosen[name] = asked if asked in values else values[0]
    accepted = headers.get(b"accept-language", b"").decode("latin-1")
    chosen["language"] = tongue.choose(cookies.get(f"{COOKIE}language"), accepted)
    return Preferences(**chosen)


def remember(scope: Scope, form: Mapping[str, str], response: Response) -> Response:
    """Let the browser keep what the form chooses; what may not be chosen is left as it is."""
    path = str(scope.get("root_path", "")).rstrip("/") or "/"
    for name, values in CHOICES.items():
        if form.get(name) in values:
            response.set_cookie(COOKIE + name, form[name], max_age=_YEAR, path=path, samesite="lax")
    return response

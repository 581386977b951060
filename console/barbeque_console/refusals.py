"""Why a page is not shown, in sentences that name what is missing and the cure."""

from collections.abc import Collection

from barbeque_console.tongue import gettext
from barbeque_console.tongue import mark as _
from barbeque_py.identity import Scope
from barbeque_py.roles import MEANINGS, Person, role_for, write_grants

CURES = {
    400: _("Go back, and look at the address or at what was typed."),
    403: _("Nothing was changed. Go back, reload the page, and try once more."),
    409: _("It has changed since you looked. Go back, reload the page, and decide anew."),
    413: _("Nothing was changed. Send less at once, or use the API for what is large."),
    422: _("Go back: your browser still has what you wrote."),
    429: _("Wait a minute, then try again. Nothing was changed."),
    500: _("Try again. If it stays so, give whoever runs this server the request's id."),
}
"""What to do, where nothing better is known."""
_OF_ONE = _("This needs the role %(role)s of the app %(app)s. You are %(name)s, with %(has)s.")
_OF_ALL = _("This needs the role %(role)s of all apps. You are %(name)s, with %(has)s.")
_GIVEN = _(
    "%(role)s: %(meaning)s. An admin gives roles, under Settings, Members, or with "
    "`barbeque user roles`."
)


class Refusal(Exception):
    """The page is not shown, or the form not acted on."""

    status = 403
    cure = ""

    def __init__(self, sentence: str = "", cure: str = "") -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.cure = cure or self.cure


class LoginNeeded(Refusal):
    """Nobody is known to ask."""

    status = 401

    def __init__(self) -> None:
        super().__init__("Log in to go on. Your session is over, or you have not begun one.")


class ChooseApp(Refusal):
    """The page is about all apps; who asks is shown one of theirs."""

    def __init__(self, app: str) -> None:
        super().__init__()
        self.app = app


class Nowhere(Refusal):
    """It is not there, or another app's, which is told alike."""

    status = 404

    def __init__(self) -> None:
        super().__init__("Nothing has this address.")


class Missing(Refusal):
    """Who asks has not the role."""

    def __init__(
        self,
        person: Person,
        scope: Scope,
        *,
        app: str | None = None,
        own: Collection[str] | None = None,
    ) -> None:
        role = role_for(scope)
        facts = {
            "role": role,
            "app": app,
            "name": person.name,
            "has": write_grants(person.grants) or gettext("no role"),
            "own": ", ".join(sorted(own or ())),
            "meaning": gettext(MEANINGS[role]),
        }
        needed = _OF_ONE if app else _OF_ALL
        there = " " + gettext("It shows more than %(own)s.") if own else ""
        super().__init__((gettext(needed) + there) % facts, gettext(_GIVEN) % facts)
        self.role = role


class Closed(Refusal):
    """Nobody comes in by this way."""

    status = 404

    def __init__(self) -> None:
        super().__init__("This way in is not open here.", "BARBEQUE_LOGIN says which are.")


class ForeignForm(Refusal):
    """The form is none that we gave to this browser in this session."""

    cure = "Nothing was changed. Go back, reload the page, and send the form once more."


class ReadOnly(Refusal):
    """Nothing may be changed here now."""

    def __init__(self) -> None:
        super().__init__(
            "This console is read-only: nothing can be changed here now.",
            "BARBEQUE_READ_ONLY is set where the console is started.",
        )

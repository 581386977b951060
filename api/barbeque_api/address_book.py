"""`/v2/apps/{app}/users`: whom an app can have told, under the ids it uses for them."""

from collections.abc import Callable
from typing import Annotated, Any, TypeVar
from zoneinfo import available_timezones

from fastapi import APIRouter, Path, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response
from typing_extensions import TypedDict

from barbeque_api import schemas
from barbeque_api.bodies import read_object, shown
from barbeque_api.document import answers
from barbeque_api.parts import Served
from barbeque_api.problems import Answer, answer, refusal
from barbeque_api.rights import caller_of, needs
from barbeque_py.addresses import A_SLACK_MEMBER, AN_EMAIL, EMAIL, LOCALES, SLACK_MEMBER
from barbeque_py.errors import UnknownApp
from barbeque_py.identity import Identity, Scope
from barbeque_py.notices import THE_END, Hear, User
from barbeque_py.store import Tx, address_book, apps, audit

T = TypeVar("T")

_PATH = "/v2/apps/{app}/users/{user_id:path}"
_MOST_EMAILS = 10
_FIELDS = ("emails", "slack", "locale", "time_zone", "hears")
_USER = "the app's address book has no user {}"

_UserId = Annotated[str, Path(min_length=1, max_length=255)]


class UserFacts(TypedDict):
    """Where a user of an app is told of what."""

    app: str
    user_id: str
    emails: list[str]
    slack: str | None
    locale: str | None
    time_zone: str | None
    hears: list[Hear]


class AddressBook:
    """Keeps and shows the users of each app."""

    def __init__(self, parts: Served) -> None:
        self._parts = parts

    def add_to(self, router: APIRouter) -> None:
        """Add the routes.

        An app's own process keeps its users, so this needs no more than enqueueing does: whoever
        may enqueue can name any address in the request anyway.
        """
        rights: dict[str, Any] = {"dependencies": [needs(Scope.ENQUEUE)]}
        router.add_api_route(_PATH, self.get, methods=["GET"], **rights)
        router.add_api_route(
            _PATH,
            self.put,
            methods=["PUT"],
            openapi_extra=schemas.body(schemas.USER),
            responses=answers(201),
            **rights,
        )
        router.add_api_route(_PATH, self.remove, methods=["DELETE"], status_code=204, **rights)

    def get(self, request: Request, app: str, user_id: _UserId) -> Answer[UserFacts]:
        """Show where the user is told of what."""
        who = caller_of(request)

        def find(tx: Tx) -> User | None:
            _check_app(tx, who, app)
            return address_book.get(tx, app, user_id)

        found = self._parts.store.read(find)
        if found is None:
            raise refusal(404, _USER.format(shown(user_id)))
        return answer(_facts(found))

    async def put(self, request: Request, app: str, user_id: _UserId) -> Answer[UserFacts]:
        """Make the user or replace all that is known of them."""
        said = await read_object(request, self._parts.max_body, known=_FIELDS)
        if not user_id.isprintable():
            raise refusal(400, f"user_id: {shown(user_id)} has characters that can't be seen")
        user, who = _read_user(app, user_id, said), caller_of(request)

        def put(tx: Tx) -> bool:
            _check_app(tx, who, app)
            before = address_book.get(tx, app, user_id)
            made = address_book.put(tx, user)
            _record(tx, who, "user.put", before, user)
            return made

        made = await run_in_threadpool(self._parts.store.write, put)
        return answer(_facts(user), status=201 if made else 200)

    def remove(self, request: Request, app: str, user_id: _UserId) -> Response:
        """Forget the user."""
        who = caller_of(request)

        def remove(tx: Tx) -> bool:
            _check_app(tx, who, app)
            before = address_book.get(tx, app, user_id)
            if before is not None and address_book.remove(tx, app, user_id):
                _record(tx, who, "user.remove", before, None)
                return True
            return False

        if not self._parts.store.write(remove):
            raise refusal(404, _USER.format(shown(user_id)))
        return Response(status_code=204)


def _check_app(tx: Tx, who: Identity, app: str) -> None:
    """Raise `UnknownApp` for an app that is not there, or another's."""
    if not who.may(Scope.ENQUEUE, app) or apps.get_app(tx, app) is None:
        raise UnknownApp(f"no app is called {shown(app)}")


def _record(tx: Tx, who: Identity, action: str, before: User | None, after: User | None) -> None:
    user = after or before
    assert user is not None
    audit.record(
        tx,
        who,
        action,
        f"app:{user.app}",
        before=_facts(before) if before else None,
        after=_facts(after) if after else None,
    )


def _facts(user: User) -> UserFacts:
    return {
        "app": user.app,
        "user_id": user.user_id,
        "emails": list(user.emails),
        "slack": user.slack,
        "locale": user.locale,
        "time_zone": user.time_zone,
        "hears": sorted(user.hears),
    }


def _read_user(app: str, user_id: str, said: dict[str, Any]) -> User:
    hears = _read(said, "hears", _hears)
    return User(
        app,
        user_id,
        emails=_read(said, "emails", _emails) or (),
        slack=_read(said, "slack", _slack),
        locale=_read(said, "locale", _locale),
        time_zone=_read(said, "time_zone", _time_zone),
        hears=THE_END if hears is None else hears,
    )


def _read(said: dict[str, Any], name: str, read: Callable[[Any], T]) -> T | None:
    """Read the field, None where it is absent or null; a refusal names it."""
    value = said.get(name)
    if value is None:
        return None
    try:
        return read(value)
    except ValueError as error:
        raise refusal(400, f"{name}: {error}") from None


def _emails(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > _MOST_EMAILS:
        raise ValueError(f"{shown(value)} is not a list of up to {_MOST_EMAILS} addresses")
    for each in value:
        if not isinstance(each, str) or EMAIL.fullmatch(each) is None:
            raise ValueError(f"{shown(each)} is not {AN_EMAIL}")
    return tuple(dict.fromkeys(value))


def _slack(value: Any) -> str:
    if not isinstance(value, str) or SLACK_MEMBER.fullmatch(value) is None:
        raise ValueError(f"{shown(value)} is not {A_SLACK_MEMBER}")
    return value


def _locale(value: Any) -> str:
    if value not in LOCALES:
        raise ValueError(f"{shown(value)} is not one of {', '.join(LOCALES)}")
    return str(value)


def _time_zone(value: Any) -> str:
    if not isinstance(value, str) or value not in available_timezones():
        raise ValueError(f"{shown(value)} is not a time zone, as in Asia/Tokyo")
    return value


def _hears(value: Any) -> frozenset[Hear]:
    known = sorted(THE_END)
    if not isinstance(value, list) or not all(each in known for each in value):
        raise ValueError(f"{shown(value)} is not a list of {' and '.join(known)}")
    return frozenset(map(Hear, value))

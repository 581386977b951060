"""`/v2/apps/{app}/revisions`: an app's images, released one after the other, and brought back."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from fastapi.concurrency import run_in_threadpool
from typing_extensions import TypedDict

from barbeque_api import schemas
from barbeque_api.bodies import read_object, read_text, shown
from barbeque_api.document import answers
from barbeque_api.parts import Served
from barbeque_api.problems import Answer, answer, refusal
from barbeque_api.rights import caller_of, needs
from barbeque_api.times import Instant, written
from barbeque_py.apps import Revision
from barbeque_py.errors import UnknownApp, UnknownRevision
from barbeque_py.identity import Identity, Scope
from barbeque_py.images import IMAGE
from barbeque_py.release import release, roll_back
from barbeque_py.store import Tx, apps, revisions
from barbeque_py.verdicts import Outcomes

MOST = 200
"""The most revisions that one answer lists."""

MOST_WATCHED = 10_000
"""The most executions whose outcomes one answer counts."""

_PATH = "/v2/apps/{app}/revisions"
_LARGEST = (1 << 31) - 1
_LONGEST_NOTE = 1_000


class RevisionFacts(TypedDict):
    """One released image of an app; `pinned` is null until somebody knows what the tag means."""

    app: str
    number: int
    image: str
    pinned: str | None
    pinned_at: Instant | None
    current: bool
    rollback_of: int | None
    made_by: str
    made_at: Instant
    note: str | None


class History(TypedDict):
    """An app's revisions; `next` is the `before` of the page that follows."""

    app: str
    revisions: list[RevisionFacts]
    next: int | None


class OutcomeFacts(TypedDict):
    """How executions fared on a revision."""

    app: str
    number: int
    current: bool
    begun: int
    succeeded: int
    failed: int


class Releases:
    """Releases images, brings earlier ones back, and tells who did it when."""

    def __init__(self, parts: Served) -> None:
        self._parts = parts

    def add_to(self, router: APIRouter) -> None:
        """Add the routes."""
        reading, deploying = [needs(Scope.READ)], [needs(Scope.DEPLOY)]
        router.add_api_route(_PATH, self.history, methods=["GET"], dependencies=reading)
        router.add_api_route(
            f"{_PATH}/{{number}}/outcomes", self.outcomes, methods=["GET"], dependencies=reading
        )
        router.add_api_route(
            _PATH,
            self.release,
            methods=["POST"],
            status_code=201,
            dependencies=deploying,
            openapi_extra=schemas.body(schemas.RELEASE),
            responses=answers(200, 409),
        )
        router.add_api_route(
            "/v2/apps/{app}/rollback",
            self.roll_back,
            methods=["POST"],
            status_code=201,
            dependencies=deploying,
            openapi_extra=schemas.body(schemas.ROLLBACK, required=False),
            responses=answers(409),
        )

    def history(
        self,
        app: str,
        request: Request,
        before: Annotated[int | None, Query(ge=1, le=_LARGEST)] = None,
        limit: Annotated[int, Query(ge=1, le=MOST)] = 50,
    ) -> Answer[History]:
        """List the app's revisions, the newest first; `next` is the `before` of the next page."""
        check_app(caller_of(request), Scope.READ, app)
        current, found = self._parts.store.read(
            lambda tx: (
                _current(tx, app),
                revisions.history(tx, app, before=before, most=limit),
            )
        )
        following = found[-1].number if len(found) == limit else None
        listed = [show(each, current) for each in found]
        return answer({"app": app, "revisions": listed, "next": following})

    def outcomes(
        self,
        app: str,
        number: Annotated[int, Path(ge=1, le=_LARGEST)],
        request: Request,
        limit: Annotated[int, Query(ge=1, le=MOST_WATCHED)] = 100,
        *,
        newest: bool = False,
    ) -> Answer[OutcomeFacts]:
        """Tell how executions fared on the revision: the first ones, or the newest.

        `succeeded` are those with a success on it, `failed` those with a failed attempt and no
        success; the others have begun and not ended.
        """
        check_app(caller_of(request), Scope.READ, app)

        def look(tx: Tx) -> tuple[Outcomes, bool]:
            found, current = revisions.get(tx, app, number), _current(tx, app)
            if found is None:
                raise UnknownRevision(f"the app {app} has no revision {number}")
            seen = revisions.outcomes(tx, found.id, most=limit, newest=newest)
            return seen, current is not None and current.id == found.id

        seen, is_current = self._parts.store.read(look)
        return answer(
            {
                "app": app,
                "number": number,
                "current": is_current,
                "begun": seen.begun,
                "succeeded": seen.succeeded,
                "failed": seen.failed,
            }
        )

    async def release(self, app: str, request: Request) -> Answer[RevisionFacts]:
        """Run this image from the next execution on; those that have begun go on as they were.

        A tag is made a digest at once where this API can ask the image's registry; else `pinned`
        is null until the first worker that prepares the image has found out what it means. 200
        with the current revision where the app runs exactly that image already.
        """
        who = caller_of(request)
        check_app(who, Scope.DEPLOY, app)
        facts = await read_object(request, self._parts.max_body, known=("image", "note"))
        image, note = read_text(facts, "image"), _read_note(facts)
        if image is None or IMAGE.fullmatch(image) is None:
            raise refusal(400, f"image: {shown(image)} is not an image's name")
        made, is_new = await run_in_threadpool(self._release, who, app, image, note)
        self._parts.bell.ring()
        return answer(show(made, made), status=201 if is_new else 200)

    async def roll_back(self, app: str, request: Request) -> Answer[RevisionFacts]:
        """Bring back the image of revision `to`, by default the one before, as a new revision.

        With `current` it is 409 unless that is the app's current revision.
        """
        who = caller_of(request)
        check_app(who, Scope.DEPLOY, app)
        facts = await read_object(
            request, self._parts.max_body, known=("to", "current", "note"), may_be_empty=True
        )
        to, current = (_read_number(facts, name) for name in ("to", "current"))
        note, sources = _read_note(facts), self._parts.sources
        made = await run_in_threadpool(
            self._parts.store.write,
            lambda tx: roll_back(tx, who, app, sources, to=to, current=current, note=note),
        )
        self._parts.bell.ring()
        return answer(show(made, made), status=201)

    def _release(
        self, who: Identity, app: str, image: str, note: str | None
    ) -> tuple[Revision, bool]:
        sources, store = self._parts.sources, self._parts.store
        sources.check(image)
        before = store.read(lambda tx: _current(tx, app))
        pinned = sources.pin(image)
        made = store.write(lambda tx: release(tx, who, app, image, pinned=pinned, note=note))
        return made, before is None or made.id != before.id


def check_app(who: Identity, scope: Scope, app: str) -> None:
    """Answer 404 for an app that is not the caller's, as for one that is not there."""
    if not who.may(scope, app):
        raise UnknownApp(f"no app is called {shown(app)}")


def show(revision: Revision, current: Revision | None) -> RevisionFacts:
    """Return what answers tell of a revision."""
    return {
        "app": revision.app,
        "number": revision.number,
        "image": revision.image,
        "pinned": revision.pinned,
        "pinned_at": written(revision.pinned_at),
        "current": current is not None and revision.id == current.id,
        "rollback_of": revision.rollback_of,
        "made_by": revision.made_by,
        "made_at": written(revision.made_at),
        "note": revision.note,
    }


def _current(tx: Tx, app: str) -> Revision | None:
    if apps.get_app(tx, app) is None:
        raise UnknownApp(f"no app is called {shown(app)}")
    return revisions.current(tx, app)


def _read_number(facts: dict[str, Any], name: str) -> int | None:
    value = facts.get(name)
    if value is not None and (type(value) is not int or not 1 <= value <= _LARGEST):
        raise refusal(400, f"{name}: {shown(value)} is not a revision's number")
    return value


def _read_note(facts: dict[str, Any]) -> str | None:
    note = read_text(facts, "note")
    if note is not None and len(note) > _LONGEST_NOTE:
        raise refusal(400, f"note: it has {len(note)} characters; at most {_LONGEST_NOTE}")
    return note

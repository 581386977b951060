"""Releases of an app: another image, looked at before it runs; one release; and the way back."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from fastapi import Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from barbeque_console.apps import WATCHED, Fared, Release, fared, find_app, release_of
from barbeque_console.executions import READ
from barbeque_console.forms import Form, require_typed
from barbeque_console.pages import Pages, redirect, segment
from barbeque_console.paging import read_number
from barbeque_console.parts import Shown
from barbeque_console.rights import Router, app_of_path, asker, needs
from barbeque_console.tongue import gettext
from barbeque_py.apps import Revision
from barbeque_py.errors import ImageRefused, Outrun, RequestError, UnknownImage
from barbeque_py.identity import Identity, Scope
from barbeque_py.images import IMAGE
from barbeque_py.release import release, roll_back
from barbeque_py.store import Tx, revisions
from barbeque_py.store.revisions import Failed

_LONGEST_NOTE = 1_000
_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Opened:
    """One release on its page."""

    now: datetime
    release: Release
    fared: Fared | None
    failed: list[Failed]
    is_current: bool


class ReleasePages:
    """Releases images and brings earlier ones back."""

    def __init__(self, parts: Shown, pages: Pages) -> None:
        self._parts = parts
        self._pages = pages

    def router(self) -> Router:
        """Return the routes."""
        router = Router()
        seen, deploy = (needs(scope, of=app_of_path) for scope in (Scope.READ, Scope.DEPLOY))
        one = "/apps/{app}"
        router.add_api_route(f"{one}/releases/{{revision:number}}", self.show, methods=READ, **seen)
        router.add_api_route(f"{one}/release", self.look_up, methods=READ, **deploy)
        router.add_api_route(f"{one}/release", self.release, methods=["POST"], **deploy)
        router.add_api_route(f"{one}/rollback", self.ask_back, methods=READ, **deploy)
        router.add_api_route(f"{one}/rollback", self.roll_back, methods=["POST"], **deploy)
        return router

    def show(self, request: Request, app: str, revision: int) -> Response:
        """Show one release: what it changed, and which of its first executions failed."""
        found = self._parts.store.read(lambda tx: _read(tx, app, revision))
        return self._pages.render(
            request.scope, "release.html", found=found, app=app, watched=WATCHED
        )

    def look_up(self, request: Request, app: str) -> Response:
        """Show what releasing this image would change, before anything is."""
        query = request.query_params
        return self._ask(request, app, query.get("image", ""), query.get("note", ""))

    def release(self, request: Request, app: str, form: Form) -> Response:
        """Run this image from the next execution on."""
        image, note = form.get("image", "").strip(), form.get("note", "").strip()
        try:
            made, is_new = self._release(asker(request), app, image, note, form)
        except (ImageRefused, UnknownImage) as error:
            return self._ask(request, app, image, note, fault=str(error), status=422)
        except Outrun as error:
            return self._ask(request, app, image, note, fault=str(error), status=409)
        self._parts.bell.ring()
        notice = "released" if is_new else "as-before"
        return redirect(request.scope, f"/apps/{segment(made.app)}?notice={notice}")

    def ask_back(self, request: Request, app: str) -> Response:
        """Ask before the app goes back."""
        to = read_number(request.query_params.get("to"))
        now, found = self._parts.store.read(lambda tx: _target(tx, app, to))
        said = {"number": found.number, "image": found.image, "now": now.number}
        return self._pages.confirm(
            request.scope,
            title=gettext("Go back to release %(number)s?") % said,
            question=gettext(
                "Executions that begin from now on run %(image)s again, as release %(number)s did. "
                "What has begun on release %(now)s goes on as it is."
            )
            % said,
            answer=gettext("Roll back"),
            action=f"/apps/{segment(app)}/rollback?to={found.number}&current={now.number}",
            typed=app,
            cancel=f"/apps/{segment(app)}",
        )

    def roll_back(self, request: Request, app: str, form: Form) -> Response:
        """Bring the image of an earlier release back."""
        require_typed(form, app)
        query, who = request.query_params, asker(request)
        to, current = (read_number(query.get(name)) for name in ("to", "current"))
        try:
            self._parts.store.write(
                lambda tx: roll_back(tx, who, app, self._parts.sources, to=to, current=current)
            )
        except Outrun as error:
            raise HTTPException(409, _sentence(error)) from None
        except ImageRefused as error:
            raise HTTPException(422, _sentence(error)) from None
        self._parts.bell.ring()
        return redirect(request.scope, f"/apps/{segment(app)}?notice=rolled-back")

    def _ask(
        self,
        request: Request,
        app: str,
        image: str,
        note: str,
        *,
        fault: str = "",
        status: int = 200,
    ) -> Response:
        """Show the page on which the release is looked at before it is made."""
        image = image.strip()
        found, now, at = self._parts.store.read(
            lambda tx: (find_app(tx, app), revisions.current(tx, app), tx.now)
        )
        pinned = None
        if not fault and image:
            try:
                pinned = self._pin(image)
            except (ImageRefused, UnknownImage) as error:
                fault, status = str(error), 422
        return self._pages.render(
            request.scope,
            "release_ask.html",
            status=status,
            app=found,
            now=at,
            current=now,
            image=image or found.image,
            asked=bool(image),
            note=note,
            pinned=pinned,
            fault=fault,
        )

    def _pin(self, image: str) -> str | None:
        """Return what the image's name means now; raises what `Sources` raises."""
        if IMAGE.fullmatch(image) is None:
            raise ImageRefused(gettext("%r is not an image's name") % image[:100])
        self._parts.sources.check(image)
        return self._parts.sources.pin(image)

    def _release(
        self, who: Identity, app: str, image: str, note: str, form: Mapping[str, str]
    ) -> tuple[Revision, bool]:
        if len(note) > _LONGEST_NOTE:
            raise HTTPException(422, gettext("A note has at most %s characters.") % _LONGEST_NOTE)
        pinned = self._pin(image)
        seen = read_number(form.get("current"))

        def make(tx: Tx) -> tuple[Revision, bool]:
            before = revisions.current(tx, app, lock=True)
            if seen is not None and before is not None and before.number != seen:
                sentence = gettext("%(who)s has released %(image)s meanwhile")
                raise Outrun(sentence % {"who": before.made_by, "image": before.image})
            made = release(tx, who, app, image, pinned=pinned, note=note or None)
            return made, before is None or made.id != before.id

        return self._parts.store.write(make)


def _read(tx: Tx, app: str, number: int) -> Opened:
    find_app(tx, app)
    found, now = revisions.get(tx, app, number), revisions.current(tx, app)
    if found is None:
        raise HTTPException(404, "This app has no such release.")
    is_current = now is not None and now.id == found.id
    opened = release_of(tx, found, revisions.running(tx))
    return Opened(
        tx.now,
        opened,
        fared(tx, opened),
        revisions.failed_first(tx, found.id, among=WATCHED, most=_SHOWN),
        is_current,
    )


def _target(tx: Tx, app: str, to: int | None) -> tuple[Revision, Revision]:
    """Return the app's current revision, and the one that it is to go back to."""
    find_app(tx, app)
    now = revisions.current(tx, app)
    if now is None:
        raise HTTPException(409, "This app has no release yet, so there is no way back.")
    found = revisions.get(tx, app, now.number - 1 if to is None else to)
    if found is None or found.id == now.id:
        raise HTTPException(409, "There is no such release to go back to.")
    return now, found


def _sentence(error: RequestError) -> str:
    text = str(error)
    return gettext("%s. Nothing was changed.") % f"{text[:1].upper()}{text[1:]}"

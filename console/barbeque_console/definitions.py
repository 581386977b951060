"""What apps and jobs are defined as: changed after a look at the difference, kept, brought back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from fastapi import Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from barbeque_console.diffs import Line, difference
from barbeque_console.executions import READ
from barbeque_console.forms import Form
from barbeque_console.pages import Pages, redirect, segment
from barbeque_console.paging import read_number
from barbeque_console.parts import Shown
from barbeque_console.rights import Router, app_of_path, asker, needs
from barbeque_console.tongue import gettext
from barbeque_py.apply import Applying, Wish
from barbeque_py.editing import (
    Section,
    like,
    new_app,
    part_of,
    place_of,
    section_in,
    section_of,
    with_part,
)
from barbeque_py.errors import Outrun
from barbeque_py.identity import Identity, Scope
from barbeque_py.manifest import ManifestError, Problem, parse, write_path
from barbeque_py.store import Tx, editions
from barbeque_py.store.editions import APPLY, CONSOLE, Edition
from barbeque_py.yaml_tree import Tree, read_yaml

_SHOWN = 30
_LONGEST_NOTE = 1_000
_TRIES = 3
"""How often it is planned anew when something else of the app changes meanwhile."""
_NEW_JOB = "command: []\nqueue: default\ntimeout: 15m\n"
_NEW_APP = "image: \ndescription: \njobs: []\n"


@dataclass(frozen=True, slots=True)
class Part:
    """A job, or with an empty name the app itself."""

    app: str
    job: str
    is_new: bool = False

    @property
    def path(self) -> str:
        """Its page."""
        if self.job:
            return f"/jobs/{segment(self.app)}/{segment(self.job)}"
        return f"/apps/{segment(self.app)}"

    @property
    def name(self) -> str:
        """What people call it."""
        return f"{self.app}/{self.job}" if self.job else self.app


@dataclass(frozen=True, slots=True)
class Draft:
    """What somebody has written."""

    text: str
    base: str | None
    """What it was when they began; None of what was not there."""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Standing:
    """What there is of a part now."""

    now: datetime
    section: Section | None
    text: str | None
    newest: Edition | None
    applied: Edition | None
    """The newest edition that came from a file."""
    made_here: bool
    """Whether it was first defined in the console."""

    @property
    def from_file(self) -> bool:
        """Whether a file defines it, or nobody knows better."""
        return self.text is not None and (self.applied is not None or not self.made_here)


class DefinitionPages:
    """Shows definitions and changes them, as applying a file does."""

    def __init__(self, parts: Shown, pages: Pages) -> None:
        self._parts = parts
        self._pages = pages
        self._applying = Applying(parts.store, parts.sources, parts.queues, parts.topics)

    def router(self) -> Router:
        """Return the routes."""
        router = Router()
        deploy, admin = needs(Scope.DEPLOY, of=app_of_path), needs(Scope.ADMIN)
        for one in ("/apps/{app}", "/jobs/{app}/{job}"):
            router.add_api_route(f"{one}/definition", self.show, methods=READ, **deploy)
            router.add_api_route(f"{one}/edit", self.edit, methods=READ, **deploy)
            router.add_api_route(f"{one}/edit", self.act, methods=["POST"], **deploy)
        for path, begin, declared in (
            ("/apps/{app}/new_job", self.begin_job, deploy),
            ("/new_app", self.begin_app, admin),
        ):
            router.add_api_route(path, begin, methods=READ, **declared)
            router.add_api_route(path, self.act, methods=["POST"], **declared)
        return router

    def show(self, request: Request) -> Response:
        """Show the definition, its editions, and the difference between two of them."""
        part, query = _part(request), request.query_params
        before, old, new = (read_number(query.get(name)) for name in ("before", "from", "to"))
        standing = self._stand(part)
        listed, left, right = self._parts.store.read(
            lambda tx: _read_editions(tx, part, before, old, new)
        )
        if standing.text is None and not listed:
            raise HTTPException(404, NOT_THERE)
        return self._pages.render(
            request.scope,
            "definition.html",
            part=part,
            standing=standing,
            listed=listed[:_SHOWN],
            older=listed[_SHOWN - 1].number if len(listed) > _SHOWN else None,
            left=left,
            right=right,
            lines=_between(left, right),
        )

    def edit(self, request: Request) -> Response:
        """Show the definition to be edited, or an earlier edition of it to be brought back."""
        part, number = _part(request), read_number(request.query_params.get("edition"))
        standing = self._stand(part)
        draft = Draft(standing.text or "", standing.text)
        if number is not None:
            found = self._parts.store.read(lambda tx: editions.get(tx, part.app, part.job, number))
            if found is None:
                raise HTTPException(404, "There is no such edition.")
            note = gettext("as in edition %(number)s") % {"number": number}
            draft = Draft(found.text or "", standing.text, note)
        elif standing.text is None:
            raise HTTPException(404, NOT_THERE)
        return self._ask(request, part, standing, draft)

    def begin_job(self, request: Request) -> Response:
        """Ask what a new job is."""
        part = replace(_part(request), is_new=True)
        standing = self._stand(part)
        if standing.section is None:
            raise HTTPException(404, NOT_THERE)
        text = like(standing.section, request.query_params.get("like", "")) or _NEW_JOB
        return self._ask(request, part, replace(standing, text=None), Draft(text, None))

    def begin_app(self, request: Request) -> Response:
        """Ask what a new app is."""
        part = Part("", "", is_new=True)
        return self._ask(request, part, self._stand(part), Draft(_NEW_APP, None))

    def act(self, request: Request, form: Form) -> Response:
        """Show what saving would change, or save it; or go on editing."""
        part = _part(request, form)
        draft = Draft(_lines_of(form, "text"), None, form.get("note", "").strip()[:_LONGEST_NOTE])
        if not part.is_new and "base" in form:
            draft = replace(draft, base=_lines_of(form, "base"))
        standing = self._stand(part)
        if form.get("step") == "edit":
            return self._ask(request, part, standing, draft)
        if standing.text != draft.base:
            return self._tell_conflict(request, part, standing, draft)
        if form.get("step") == "save":
            return self._save(request, part, draft)
        return self._look(request, part, standing, draft)

    def _look(self, request: Request, part: Part, standing: Standing, draft: Draft) -> Response:
        """Show the difference; what is wrong with it, as `barbeque apply` says it."""
        try:
            file = _file(part, standing, draft)
            self._applying.plan(Wish(asker(request), file))
            after = _canonical(part, file)
        except ManifestError as error:
            return self._ask(request, part, standing, draft, error=error)
        lines = difference(standing.text or "", after)
        return self._ask(request, part, standing, draft, lines=lines)

    def _save(self, request: Request, part: Part, draft: Draft) -> Response:
        for _ in range(_TRIES):
            standing = self._stand(part)
            if standing.text != draft.base:
                break
            try:
                file = _file(part, standing, draft)
                self._make(asker(request), file, part, standing.section, draft.note)
            except ManifestError as error:
                return self._ask(request, part, standing, draft, error=error)
            except Outrun:
                continue
            return redirect(request.scope, f"{part.path}?notice=defined")
        return self._tell_conflict(request, part, self._stand(part), draft)

    def _make(
        self, who: Identity, file: Tree, part: Part, section: Section | None, note: str
    ) -> None:
        """Apply the file; raises `Outrun` unless the app is still what the file was made of."""

        def still(tx: Tx) -> bool:
            return section_of(tx, part.app) == section

        wish = Wish(who, file, still=still, made_with=CONSOLE, why=note)
        self._applying.make(wish)
        self._parts.bell.ring()

    def _stand(self, part: Part) -> Standing:
        def read(tx: Tx) -> Standing:
            section = section_of(tx, part.app)
            text = part_of(section, part.job)
            newest = editions.newest(tx, part.app, part.job)
            applied = editions.newest(tx, part.app, part.job, made_with=APPLY)
            first = editions.get(tx, part.app, part.job, 1)
            made_here = first is not None and first.made_with == CONSOLE
            return Standing(tx.now, section, text, newest, applied, made_here)

        return self._parts.store.read(read)

    def _tell_conflict(
        self, request: Request, part: Part, standing: Standing, draft: Draft
    ) -> Response:
        """Show what somebody else has changed, beside what this person has."""
        base = draft.base or ""
        conflict = {
            "theirs": difference(base, standing.text or ""),
            "yours": difference(base, draft.text),
        }
        rebased = replace(draft, base=standing.text)
        return self._ask(request, part, standing, rebased, conflict=conflict)

    def _ask(  # noqa: PLR0913 - what is asked, and why
        self,
        request: Request,
        part: Part,
        standing: Standing,
        draft: Draft,
        *,
        error: ManifestError | None = None,
        lines: Sequence[Line] | None = None,
        conflict: Mapping[str, Sequence[Line]] | None = None,
    ) -> Response:
        status = 422 if error is not None else 409 if conflict is not None else 200
        return self._pages.render(
            request.scope,
            "definition_edit.html",
            status=status,
            part=part,
            standing=standing,
            draft=draft,
            problems=_problems(part, standing, error),
            lines=lines,
            conflict=conflict,
            action=request.url.path.removeprefix(request.scope.get("root_path", "")),
        )


NOT_THERE = "There is no such definition."


def _part(request: Request, form: Mapping[str, str] | None = None) -> Part:
    """Return what the path names; of something new, what the form calls it."""
    path, named = request.path_params, (form or {}).get("name", "").strip()
    if "app" not in path:
        return Part(named, "", is_new=True)
    if request.url.path.endswith("/new_job"):
        return Part(path["app"], named or "", is_new=True)
    return Part(path["app"], path.get("job", ""))


def _file(part: Part, standing: Standing, draft: Draft) -> Tree:
    """Return the file that says of the app what it is, but for what is written."""
    written = read_yaml(draft.text)
    if standing.section is None:
        return new_app(part.app, written)
    return with_part(standing.section, part.job, written)


def _canonical(part: Part, file: Tree) -> str:
    """Return what is written as it will be shown from then on."""
    section = section_in(parse(file, base=None))
    return part_of(section, part.job) or ""


def _problems(part: Part, standing: Standing, error: ManifestError | None) -> list[Problem]:
    """Return what is wrong, with paths that begin at the part."""
    if error is None:
        return []
    place = write_path(place_of(standing.section or {}, part.job))
    return [
        replace(each, path=each.path.removeprefix(place).removeprefix("."))
        for each in error.problems
    ]


def _lines_of(form: Mapping[str, str], name: str) -> str:
    """Return the text as it was written: forms end each line with two characters."""
    return form.get(name, "").replace("\r\n", "\n")


def _read_editions(
    tx: Tx, part: Part, before: int | None, old: int | None, new: int | None
) -> tuple[list[Edition], Edition | None, Edition | None]:
    """Return the editions, and the two of them that are compared: the newest two unless said."""
    listed = editions.history(tx, part.app, part.job, before=before, most=_SHOWN + 1)
    right = editions.get(tx, part.app, part.job, new) if new else next(iter(listed), None)
    wanted = old or (right.number - 1 if right is not None else None)
    left = editions.get(tx, part.app, part.job, wanted) if wanted else None
    return listed, left, right


def _between(left: Edition | None, right: Edition | None) -> list[Line]:
    if left is None or right is None:
        return []
    return difference(left.text or "", right.text or "")

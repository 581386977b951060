"""`/v2/job_executions/bulk`: cancel, retry or delete many at once, counted before and after."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Request
from fastapi.concurrency import run_in_threadpool
from pydantic import ValidationError
from typing_extensions import TypedDict

from barbeque_api import schemas
from barbeque_api.bodies import read_object, shown
from barbeque_api.document import answers
from barbeque_api.filters import Asked
from barbeque_api.parts import Served
from barbeque_api.problems import Answer, answer, refusal
from barbeque_api.rights import caller_of, needs
from barbeque_api.times import Instant, written
from barbeque_py import clock
from barbeque_py.bulk import MOST, Action, begin, step, subject_to
from barbeque_py.identity import Identity, Scope
from barbeque_py.store import bulk_changes, lists
from barbeque_py.store.bulk_changes import BulkChange
from barbeque_py.store.filters import Filter

_PATH = "/v2/job_executions/bulk"
_TURN = 5.0
"""Seconds that one request works; what is left is done by the next one."""

_Number = Annotated[int, Path(ge=1, le=(1 << 63) - 1)]


class Counted(TypedDict):
    """How many there are, with `dry_run`."""

    action: Action
    dry_run: Literal[True]
    found: int


class BulkFacts(TypedDict):
    """How far a bulk change has come; it is over once it has `finished_at`."""

    id: int
    action: str
    filter: dict[str, Any]
    found: int
    changed: int
    left_alone: int
    created_at: Instant
    finished_at: Instant | None


class Bulk:
    """Changes many executions."""

    def __init__(self, parts: Served) -> None:
        self._parts = parts

    def add_to(self, router: APIRouter) -> None:
        """Add the routes."""
        rights: dict[str, Any] = {"dependencies": [needs(Scope.ENQUEUE)]}
        router.add_api_route(
            _PATH,
            self.begin,
            methods=["POST"],
            openapi_extra=schemas.body(schemas.BULK),
            responses=answers(202, 404, 409),
            **rights,
        )
        router.add_api_route(
            f"{_PATH}/{{number}}", self.go_on, methods=["POST"], responses=answers(202), **rights
        )
        router.add_api_route(
            f"{_PATH}/{{number}}", self.get, methods=["GET"], responses=answers(202), **rights
        )

    async def begin(self, request: Request) -> Answer[Counted | BulkFacts]:
        """Count them with `dry_run`; else change them, unless there are more than `expected`."""
        known = schemas.BULK["properties"]
        facts = await read_object(request, self._parts.max_body, known=known)
        caller = caller_of(request)
        action = _action(facts)
        asked = _asked(facts)
        wanted = _filter(asked, caller)
        if action is Action.DELETE and not caller.may(Scope.DEPLOY, wanted.app):
            raise refusal(403, f"to delete needs a token with the scope {Scope.DEPLOY}")
        return await run_in_threadpool(self._begin, caller, action, facts, wanted)

    def _begin(
        self, caller: Identity, action: Action, facts: dict[str, Any], wanted: Filter
    ) -> Answer[Counted | BulkFacts]:
        subject = subject_to(action, wanted)
        found = self._parts.store.read(lambda tx: lists.count(tx, subject, most=MOST))
        if found > MOST:
            raise refusal(400, f"filter: more than {MOST:,} match; narrow it, by time for example")
        if facts.get("dry_run"):
            counted: Counted = {"action": action, "dry_run": True, "found": found}
            return answer(counted)
        expected = _expected(facts)
        if found > expected:
            fault = f"{found:,} match now, and {expected:,} were expected: look again (dry_run)"
            raise refusal(409, fault)
        asked = {"filter": facts["filter"], "image": facts.get("image") or "same"}
        number = self._parts.store.write(
            lambda tx: begin(tx, caller, action, asked, app=wanted.app, found=found)
        )
        return self._work(number, wanted)

    def go_on(self, number: _Number, request: Request) -> Answer[BulkFacts]:
        """Go on with what is left, for some seconds."""
        change = self._find(number, caller_of(request))
        return self._work(number, _filter(_asked(dict(change.wanted)), caller_of(request)))

    def get(self, number: _Number, request: Request) -> Answer[BulkFacts]:
        """Tell how far it has come."""
        return _shown(self._find(number, caller_of(request)))

    def _find(self, number: int, caller: Identity) -> BulkChange:
        change = self._parts.store.read(lambda tx: bulk_changes.get(tx, number))
        if change is None or (caller.app is not None and change.app != caller.app):
            raise refusal(404, f"there is no bulk change {number}")
        return change

    def _work(self, number: int, wanted: Filter) -> Answer[BulkFacts]:
        until = clock.monotonic() + _TURN
        change = step(self._parts.store, self._parts.logs, number, wanted)
        while change.top is not None and clock.monotonic() < until:
            change = step(self._parts.store, self._parts.logs, number, wanted)
        self._parts.bell.ring()
        return _shown(change)


def _action(facts: dict[str, Any]) -> Action:
    names = schemas.BULK["properties"]["action"]["enum"]
    if facts.get("action") not in names:
        fault = f"action: {shown(facts.get('action'))} is none of {', '.join(names)}"
        raise refusal(400, fault)
    action = Action(facts["action"])
    if facts.get("image") not in (None, "same", "current"):
        raise refusal(400, f"image: {shown(facts['image'])} is neither same nor current")
    if facts.get("dry_run") not in (None, True, False):
        raise refusal(400, f"dry_run: {shown(facts['dry_run'])} is neither true nor false")
    return action


def _asked(facts: dict[str, Any]) -> Asked:
    try:
        asked = Asked.model_validate(facts.get("filter") or {})
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, ("filter", *first["loc"])))
        raise refusal(400, f"{name}: {first['msg']}") from None
    if not asked.model_dump(exclude_defaults=True):
        raise refusal(400, "filter: say which executions; an empty one would be all of them")
    return asked


def _filter(asked: Asked, caller: Identity) -> Filter:
    try:
        wanted = asked.filter(caller)
    except ValueError as error:
        raise refusal(400, str(error)) from None
    if wanted is None:
        raise refusal(404, f"there is no app {asked.app}")
    return wanted


def _expected(facts: dict[str, Any]) -> int:
    value = facts.get("expected")
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise refusal(400, "expected: say how many there are, as dry_run counts them")
    return value


def _shown(change: BulkChange) -> Answer[BulkFacts]:
    facts: BulkFacts = {
        "id": change.id,
        "action": change.action,
        "filter": change.wanted["filter"],
        "found": change.found,
        "changed": change.changed,
        "left_alone": change.left_alone,
        "created_at": written(change.created_at),
        "finished_at": written(change.finished_at),
    }
    return answer(facts, status=202 if change.finished_at is None else 200)

"""What each page needs of who asks: declared where its route is added.

    router.add_api_route(path, act, methods=["POST"], **needs(Scope.ENQUEUE, of=execution))

A console with a route that declares nothing does not start. `of` says to whose thing it is done:
without it to what is everybody's, for which a role to one app is not enough.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from fastapi import APIRouter, Depends, Request
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool
from starlette.convertors import Convertor, register_url_convertor

from barbeque_console.door import VIEWER, Door
from barbeque_console.refusals import ChooseApp, Missing, Nowhere
from barbeque_console.visitor import Visitor
from barbeque_py.identity import Identity, Scope
from barbeque_py.store import Tx, dead, queries
from barbeque_py.store import executions as rows
from barbeque_py.store.executions import Execution

Owner = Callable[[Request, Visitor, Scope], str | None]
"""Finds the app whose thing is asked for; None where it is nobody's. Raises `Nowhere`."""

_LONGEST_NUMBER = 18


class _RowNumber(Convertor[int]):
    """What `{name:number}` in a path takes: the number of a row; of anything else there is none."""

    regex = f"[0-9]{{1,{_LONGEST_NUMBER}}}"

    def convert(self, value: str) -> int:
        """Read it from the path."""
        return int(value)

    def to_string(self, value: int) -> str:
        """Write it into a path."""
        return str(value)


register_url_convertor("number", _RowNumber())


def everything(request: Request, visitor: Visitor, scope: Scope) -> str | None:
    """Return no app: what is asked for is everybody's."""
    del request, visitor, scope
    return None


def app_of_path(request: Request, visitor: Visitor, scope: Scope) -> str | None:
    """Return the app that the path names."""
    del visitor, scope
    return str(request.path_params["app"])


def chosen_app(request: Request, visitor: Visitor, scope: Scope) -> str | None:
    """Return the app that the query names; who may not see all of them is shown one of theirs."""
    chosen = request.query_params.get("app") or None
    own = visitor.person.apps(scope)
    if chosen is None and own:
        raise ChooseApp(min(own))
    return chosen


def theirs(request: Request, visitor: Visitor, scope: Scope) -> str | None:
    """Return one of their apps: the page itself shows nothing of any other."""
    del request
    own = visitor.person.apps(scope)
    return min(own) if own else None


def execution(request: Request, visitor: Visitor, scope: Scope) -> str | None:
    """Return the app of the execution that the path names."""
    del scope
    given = str(request.path_params["message_id"])
    found = visitor.store.read(lambda tx: find_execution(tx, given))
    if found is None:
        raise Nowhere
    return found.app


def dead_message(request: Request, visitor: Visitor, scope: Scope) -> str | None:
    """Return the app of the dead message that the path names."""
    del scope
    number = int(request.path_params["number"])
    found = visitor.store.read(lambda tx: dead.get(tx, number))
    if found is None:
        raise Nowhere
    return found.app


def find_execution(tx: Tx, given: str) -> Execution | None:
    """Return the execution with this id, a retry's id, or this number."""
    if given.isascii() and given.isdigit() and len(given) <= _LONGEST_NUMBER:
        return rows.by_id(tx, int(given))
    return rows.by_message_id(tx, given)


class Needs:
    """Lets in who may do this to that, and nobody else."""

    def __init__(self, scope: Scope, of: Owner) -> None:
        self.scope = scope
        self.of = of

    async def __call__(self, request: Request) -> None:
        """Raise the refusal that says what is missing."""
        visitor: Visitor = await door_of(request).admit(request)
        owner = await run_in_threadpool(self._owner, request, visitor)
        request.state.identity = visitor.person.on(owner)

    def _owner(self, request: Request, visitor: Visitor) -> str | None:
        """Return whose it is; only who may not do it to everything makes us look."""
        if visitor.person.may(self.scope):
            return None
        if self.of is everything or not visitor.person.apps(self.scope):
            raise Missing(visitor.person, self.scope, own=visitor.person.apps(self.scope))
        owner = self.of(request, visitor, self.scope)
        if not visitor.person.may(self.scope, owner):
            if self.of in (execution, dead_message):
                raise Nowhere
            raise Missing(visitor.person, self.scope, app=owner)
        return owner


class OpenToAll:
    """Lets everybody in."""

    async def __call__(self, request: Request) -> None:
        """Find out who asks, where that is known."""
        await door_of(request).look(request)


class Known:
    """Lets in who has logged in, whatever their roles."""

    async def __call__(self, request: Request) -> None:
        """Raise the refusal of who has not."""
        visitor: Visitor = await door_of(request).admit(request, changes=False)
        request.state.identity = visitor.person.on(None)


class Router(APIRouter):
    """Routes, of which each says whom it is for."""

    def add_api_route(  # type: ignore[override]
        self,
        path: str,
        endpoint: Callable[..., Any],
        *,
        methods: list[str],
        dependencies: Sequence[Any],
    ) -> None:
        """Add a route: `**needs(...)`, `**known()` or `**open_to_all()` are its dependencies."""
        super().add_api_route(path, endpoint, methods=methods, dependencies=dependencies)


def needs(scope: Scope, *, of: Owner = everything) -> Any:
    """Return what a route that needs the scope is added with: `**needs(...)`."""
    return {"dependencies": [Depends(Needs(scope, of))]}


def known() -> Any:
    """Return what a route for whoever has logged in is added with: it is about themselves."""
    return {"dependencies": [Depends(Known())]}


def open_to_all() -> Any:
    """Return what a route for everybody is added with."""
    return {"dependencies": [Depends(OpenToAll())]}


def visitor_of(request: Request) -> Visitor:
    """Return who asks for a page that is not for everybody."""
    visitor: Visitor = request.scope[VIEWER]
    return visitor


def jobs_seen(tx: Tx, request: Request) -> list[tuple[str, str]]:
    """Return the (app, job) of every definition that who asks may see."""
    own = visitor_of(request).person.apps(Scope.READ)
    return [each for each in queries.job_names(tx) if own is None or each[0] in own]


def door_of(request: Request) -> Door:
    """Return the door through which who asks has come."""
    door: Door = request.state.door
    return door


def asker(request: Request) -> Identity:
    """Return in whose name a verb is called: who asks, as they are to the app it is about."""
    identity: Identity = request.state.identity
    return identity


def routes_of(routes: Iterable[Any]) -> Iterator[tuple[APIRoute, object]]:
    """Yield every route with what it declares. Raises `RuntimeError` for one that does not."""
    for route in routes:
        included = getattr(route, "original_router", None)
        if included is not None:
            yield from routes_of(included.routes)
        elif isinstance(route, APIRoute):
            declared = [each.dependency for each in route.dependencies]
            found = [each for each in declared if isinstance(each, Needs | OpenToAll | Known)]
            if len(found) != 1:
                raise RuntimeError(f"{route.path} does not say who may ask for it: see rights.py")
            yield route, found[0]

"""Every route of the API as it stands: what the generated tests go through."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute

from barbeque_api.rights import ByTicket, Needs, OpenToAll
from barbeque_py.identity import Scope

WRITING = frozenset({"POST", "PUT", "PATCH", "DELETE"})


@dataclass(frozen=True, slots=True)
class Route:
    """One verb at one path, and who may ask for it."""

    verb: str
    path: str
    declared: tuple[object, ...]

    @property
    def scope(self) -> Scope | None:
        """The scope it needs; None where no token is asked for."""
        needed = [each.scope for each in self.declared if isinstance(each, Needs)]
        return needed[0] if needed else None

    @property
    def name(self) -> str:
        return f"{self.verb} {self.path}"

    def at(self, **values: Any) -> str:
        """Return its address with these in the place of the path's parameters."""
        return re.sub(r"\{(\w+)(:\w+)?\}", lambda found: str(values[found[1]]), self.path)


def routes_of(app: FastAPI) -> list[Route]:
    """Return every route that was added, also those that the document leaves out."""
    return [route for added in _flat(app.routes) for route in _routes(added)]


def _flat(routes: Any) -> Iterator[APIRoute]:
    """Yield the routes of the app and of the routers it includes."""
    for route in routes:
        included = getattr(route, "original_router", None)
        if included is not None:
            yield from _flat(included.routes)
        elif isinstance(route, APIRoute):
            yield route


def _routes(route: APIRoute) -> Iterator[Route]:
    declared = tuple(each.dependency for each in route.dependencies)
    known = tuple(each for each in declared if isinstance(each, Needs | OpenToAll | ByTicket))
    for verb in sorted(route.methods or ()):
        yield Route(verb, route.path, known)

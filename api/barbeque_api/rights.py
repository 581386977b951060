"""What each route needs of its caller: declared where the route is added.

A route that declares nothing fails the suite. `needs(scope)` is for all of ours; `open_to_all()`
for what holds no secret and must answer those who can't show a token; `by_ticket()` for what jobs
ask, who show a ticket of their own.
"""

from typing import Any

from fastapi import Depends, Request

from barbeque_api.problems import refusal
from barbeque_py.identity import NOBODY, Identity, Scope

OPEN_PATHS = frozenset({"/", "/livez", "/readyz", "/openapi.json", "/docs"})
"""What the gate lets in without a token."""


def caller_of(request: Request) -> Identity:
    """Return who asks, as the gate found out."""
    found: Identity = request.scope.get("state", {}).get("identity", NOBODY)
    return found


class Needs:
    """Lets a caller with this scope in, nobody else."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope

    def __call__(self, request: Request) -> None:
        """Raise the refusal that names what is missing."""
        if not caller_of(request).may(self.scope):
            raise refusal(403, f"this needs a token with the scope {self.scope}")


class OpenToAll:
    """Lets everybody in."""

    def __call__(self) -> None:
        """Let them in."""


class ByTicket:
    """Leaves it to the route to look at the ticket."""

    def __call__(self) -> None:
        """Let them in."""


def needs(scope: Scope) -> Any:
    """Return what a route that needs the scope is added with: `dependencies=[needs(...)]`."""
    return Depends(Needs(scope))


def open_to_all() -> Any:
    """Return what a route for everybody is added with; its path must be in `OPEN_PATHS`."""
    return Depends(OpenToAll())


def by_ticket() -> Any:
    """Return what a route for jobs is added with; its path must begin with `JOB_PATHS`."""
    return Depends(ByTicket())

"""What each route needs of its caller: declared where the route is added."""

from typing import Any

from fastapi import Depends, Request

from barbeque_api.problems import refusal
from barbeque_py.identity import EVERYBODY, Identity, Scope


def caller_of(request: Request) -> Identity:
    """Return who asks, as the gate found out."""
    found: Identity | None = request.scope.get("state", {}).get("identity")
    if found is None:
        client = request.client
        return Identity(EVERYBODY.name, EVERYBODY.scopes, origin=client.host if client else "")
    return found


class Needs:
    """Lets a caller with this scope in, nobody else."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope

    def __call__(self, request: Request) -> None:
        """Raise the refusal that names what is missing."""
        if not caller_of(request).may(self.scope):
            raise refusal(403, f"this needs a token with the scope {self.scope}")


def needs(scope: Scope) -> Any:
    """Return what a route that needs the scope is added with: `dependencies=[needs(...)]`."""
    return Depends(Needs(scope))

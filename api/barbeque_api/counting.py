"""Counts requests by their routes, of which there are few, whatever is asked for."""

from functools import lru_cache
from typing import Any

from starlette.types import Scope

from barbeque_py import metrics

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_GONE = 499
"""The status, as nginx has it, of a request whose sender left before it was answered."""


def tell(scope: Scope, status: int, seconds: float) -> None:
    """Count a request that is over; `seconds` passed until its answer began."""
    counter, histogram = _told(scope["method"], route_of(scope), status or _GONE)
    counter.inc()
    if status:
        histogram.observe(seconds)


def route_of(scope: Scope) -> str:
    """Return the path of the route that answered, `-` where there is none."""
    route = scope.get("route")
    path: str | None = getattr(route, "path", None)
    return path or scope.get("barbeque.route", "-")


@lru_cache(maxsize=4096)
def _told(method: str, route: str, status: int) -> tuple[Any, Any]:
    """Return what counts and times it: looking them up costs more than counting."""
    known = method if method in _METHODS else "-"
    return metrics.requests.labels(known, route, str(status)), metrics.request_seconds.labels(route)

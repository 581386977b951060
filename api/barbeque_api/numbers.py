"""`GET /v2/stats` and `GET /v2/failures`: how jobs fared, and what of it was the same failure."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from typing_extensions import TypedDict

from barbeque_api.parts import Served
from barbeque_api.problems import Answer, answer, refusal
from barbeque_api.rights import caller_of, needs
from barbeque_api.times import Instant, written
from barbeque_py.histogram import Histogram
from barbeque_py.identity import Identity, Scope
from barbeque_py.store import Tx, failures, rollups
from barbeque_py.store.failures import Group, Standing
from barbeque_py.store.rollups import ALL, Span, Sums, start_of

MOST = 200
_LONGEST_NAME = 128
_DECIMALS = 3

_Name = Annotated[str | None, Query(max_length=_LONGEST_NAME)]


class Range(StrEnum):
    """How far back."""

    DAY = "24h"
    WEEK = "7d"
    MONTH = "30d"
    QUARTER = "90d"


_STEPS = {
    Range.DAY: (Span.HOUR, timedelta(hours=1), 24),
    Range.WEEK: (Span.HOUR, timedelta(hours=1), 168),
    Range.MONTH: (Span.DAY, timedelta(days=1), 30),
    Range.QUARTER: (Span.DAY, timedelta(days=1), 90),
}


class Shares(TypedDict):
    """Seconds within which so many in a hundred were; null where there were none."""

    p50: float | None
    p95: float | None
    p99: float | None


class SumFacts(TypedDict):
    """How executions fared, added up."""

    succeeded: int
    failed: int
    not_started: int
    cancelled: int
    retried: int
    interrupted: int
    wait_seconds: Shares
    run_seconds: Shares
    cpu_seconds: float
    memory_seconds: float


class Point(SumFacts):
    """How they fared in the hour or on the day that begins then."""

    at: Instant


class Stats(TypedDict):
    """How a job, an app or all fared."""

    app: str | None
    job: str | None
    range: Range
    span: Span
    total: SumFacts
    points: list[Point]


class GroupFacts(TypedDict):
    """Failures of one job that are the same."""

    id: int
    app: str
    job: str
    line: str | None
    reason: str | None
    exit_code: int | None
    times: int
    users: int
    first_at: Instant
    last_at: Instant
    sample: str
    state: Standing
    owner: str | None


class FailureList(TypedDict):
    """Groups of failures, those that came last first."""

    failures: list[GroupFacts]


class Numbers:
    """Shows what was added up and sorted."""

    def __init__(self, parts: Served) -> None:
        self._parts = parts

    def add_to(self, router: APIRouter) -> None:
        """Add the routes."""
        reading: dict[str, Any] = {"methods": ["GET"], "dependencies": [needs(Scope.READ)]}
        router.add_api_route("/v2/stats", self.stats, **reading)
        router.add_api_route("/v2/failures", self.failures, **reading)

    def stats(
        self,
        request: Request,
        *,
        app: _Name = None,
        job: _Name = None,
        range_: Annotated[Range, Query(alias="range")] = Range.DAY,
    ) -> Answer[Stats]:
        """Tell how a job, an app or all fared, by the hour or by the day, and in total."""
        if job and not app:
            raise refusal(400, "job: name its app, too")
        app = _own(request, app)
        span, step, count = _STEPS[range_]

        def read(tx: Tx) -> dict[datetime, Sums]:
            until = start_of(span, tx.now) + step
            return rollups.of_one(tx, app or ALL, job or ALL, span, until - count * step, until)

        found = self._parts.store.read(read)
        return answer(
            {
                "app": app,
                "job": job,
                "range": range_,
                "span": span,
                "total": _sums(rollups.total(found.values())),
                "points": [{"at": written(at), **_sums(each)} for at, each in found.items()],
            }
        )

    def failures(
        self,
        request: Request,
        *,
        app: _Name = None,
        job: _Name = None,
        state: Standing | None = None,
        limit: Annotated[int, Query(ge=1, le=MOST)] = 50,
    ) -> Answer[FailureList]:
        """List groups of failures that are the same, those that came last first."""
        caller, app = caller_of(request), _own(request, app)
        page = self._parts.store.read(
            lambda tx: failures.newest(tx, app=app, job=job, state=state, most=limit)
        )
        return answer({"failures": [_group(each, caller) for each in page.rows]})


def _own(request: Request, app: str | None) -> str | None:
    """Return the app that is asked for, for a caller who may see it."""
    caller = caller_of(request)
    if app is not None and not caller.may(Scope.READ, app):
        raise refusal(404, f"there is no app {app}")
    return app or caller.app


def _sums(sums: Sums) -> SumFacts:
    return {
        "succeeded": sums.succeeded,
        "failed": sums.failed,
        "not_started": sums.not_started,
        "cancelled": sums.cancelled,
        "retried": sums.retried,
        "interrupted": sums.interrupted,
        "wait_seconds": _shares(sums.waits),
        "run_seconds": _shares(sums.runs),
        "cpu_seconds": round(sums.cpu_seconds, _DECIMALS),
        "memory_seconds": round(sums.memory_seconds, _DECIMALS),
    }


def _shares(found: Histogram) -> Shares:
    return {"p50": _share(found, 0.50), "p95": _share(found, 0.95), "p99": _share(found, 0.99)}


def _share(found: Histogram, share: float) -> float | None:
    span = found.quantile(share)
    return None if span is None else round(span.total_seconds(), _DECIMALS)


def _group(group: Group, caller: Identity) -> GroupFacts:
    """Return what a group is; the line of a log in it only to who may read logs."""
    return {
        "id": group.id,
        "app": group.app,
        "job": group.job,
        "line": group.line if caller.may(Scope.LOGS, group.app) else None,
        "reason": group.reason,
        "exit_code": group.exit_code,
        "times": group.times,
        "users": group.users,
        "first_at": written(group.first_at),
        "last_at": written(group.last_at),
        "sample": group.sample,
        "state": group.state,
        "owner": group.owner,
    }

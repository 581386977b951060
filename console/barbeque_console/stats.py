"""How a job, an app or everything fared over time: charts, and the same as a table and as CSV."""

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from fastapi import Request
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, Response

from barbeque_console.charts import Stack, polyline, stacked
from barbeque_console.executions import READ
from barbeque_console.pages import Pages
from barbeque_console.parts import Shown
from barbeque_console.rights import Router, app_of_path, chosen_app, needs
from barbeque_console.tongue import gettext
from barbeque_py.identity import Scope
from barbeque_py.store import Tx, revisions, rollups
from barbeque_py.store.rollups import ALL, Span, Sums, start_of

RANGES: dict[str, tuple[Span, int]] = {
    "6h": (Span.HOUR, 6),
    "24h": (Span.HOUR, 24),
    "3d": (Span.HOUR, 72),
    "7d": (Span.HOUR, 168),
    "30d": (Span.DAY, 30),
    "90d": (Span.DAY, 90),
}
"""What may be looked at, by hours or by days."""

STEPS = {Span.HOUR: timedelta(hours=1), Span.DAY: timedelta(days=1)}
_SHARES = (0.5, 0.95, 0.99)
_VCPU_HOUR, _GIB_HOUR = 0.04048, 0.004445
"""Dollars of Fargate on Linux and x86 in us-east-1, which is where prices are compared."""


@dataclass(frozen=True, slots=True)
class Lines:
    """One kind of duration over time: a line for each share, on one scale."""

    most: timedelta | None
    lines: list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Stats:
    """What the page shows."""

    now: datetime
    since: datetime
    until: datetime
    span: Span
    found: dict[datetime, Sums]
    total: Sums
    before: Sums
    """The same for as long before."""
    stack: Stack
    waits: Lines
    runs: Lines

    @property
    def cost(self) -> float:
        """Dollars that it would cost on Fargate, at its list price."""
        return cost_of(self.total)


def cost_of(sums: Sums) -> float:
    """Return what the time would cost on Fargate, in dollars at its list price."""
    return (sums.cpu_seconds * _VCPU_HOUR + sums.memory_seconds * _GIB_HOUR) / 3600


class StatsPages:
    """Shows statistics."""

    def __init__(self, parts: Shown, pages: Pages) -> None:
        self._parts = parts
        self._pages = pages

    def router(self) -> Router:
        """Return the routes."""
        router = Router()
        own, chosen = needs(Scope.READ, of=app_of_path), needs(Scope.READ, of=chosen_app)
        for path, end in (("/stats", ""), ("/stats.csv", ".csv")):
            show = self.show_csv if end else self.show
            router.add_api_route(path, show, methods=READ, **chosen)
            router.add_api_route(f"/jobs/{{app}}/{{job}}{path}", show, methods=READ, **own)
        return router

    def show(self, request: Request) -> Response:
        """Show the charts of a job, an app, or all."""
        app, job = _scope(request)
        chosen = _range(request)
        found = self._parts.store.read(lambda tx: read(tx, app, job, chosen))
        return self._pages.render(
            request.scope,
            "stats.html",
            found=found,
            app=app,
            job=job,
            chosen=chosen,
            ranges=list(RANGES),
            cost_of=cost_of,
            shares=_SHARES,
        )

    def show_csv(self, request: Request) -> Response:
        """Answer with the same numbers for a spreadsheet."""
        app, job = _scope(request)
        chosen = _range(request)
        found = self._parts.store.read(lambda tx: read(tx, app, job, chosen))
        name = "-".join(filter(None, ("stats", app, job, chosen)))
        headers = {"content-disposition": f'attachment; filename="{name}.csv"'}
        return PlainTextResponse(_csv(found.found), headers=headers, media_type="text/csv")


def read(tx: Tx, app: str, job: str, chosen: str) -> Stats:
    """Read what the page shows, from roll-ups alone."""
    span, count = RANGES[chosen]
    step = STEPS[span]
    until = start_of(span, tx.now) + step
    since = until - count * step
    found = rollups.of_one(tx, app, job, span, since, until)
    before = rollups.of_one(tx, app, job, span, since - count * step, since)
    released = [
        (each.made_at, f"{each.app} {each.number}")
        for each in revisions.lately(tx, since, app=app or None)
    ]
    at = [since + place * step for place in range(count)]
    return Stats(
        now=tx.now,
        since=since,
        until=until,
        span=span,
        found=found,
        total=rollups.total(found.values()),
        before=rollups.total(before.values()),
        stack=stacked(found, since, until, step, released),
        waits=_lines([found.get(each, Sums()) for each in at], "waits"),
        runs=_lines([found.get(each, Sums()) for each in at], "runs"),
    )


def _lines(sums: list[Sums], name: str) -> Lines:
    values: dict[float, list[timedelta | None]] = {
        share: [getattr(each, name).quantile(share) for each in sums] for share in _SHARES
    }
    most = max((each for line in values.values() for each in line if each), default=None)
    seconds = most.total_seconds() if most else 1.0
    return Lines(
        most,
        [
            (
                f"p{round(share * 100)}",
                polyline([each.total_seconds() if each else None for each in line], seconds),
            )
            for share, line in values.items()
        ],
    )


def _scope(request: Request) -> tuple[str, str]:
    path, query = request.path_params, request.query_params
    return path.get("app") or query.get("app") or ALL, path.get("job") or ALL


def _range(request: Request) -> str:
    chosen = request.query_params.get("range") or "24h"
    if chosen not in RANGES:
        raise HTTPException(404, gettext("range is one of %s.") % ", ".join(RANGES))
    return chosen


def _csv(found: Mapping[datetime, Sums]) -> str:
    text = io.StringIO()
    rows = list(_rows(found))
    writer = csv.DictWriter(text, rows[0] if rows else ["from"])
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _rows(found: Mapping[datetime, Sums]) -> Iterator[dict[str, Any]]:
    for at, sums in found.items():
        row: dict[str, Any] = {"from": at.isoformat()}
        for name in ("succeeded", "failed", "not_started", "cancelled", "retried", "interrupted"):
            row[name] = getattr(sums, name)
        for name in ("waits", "runs"):
            for share in _SHARES:
                value = getattr(sums, name).quantile(share)
                row[f"{name}_p{round(share * 100)}"] = value and round(value.total_seconds(), 3)
        yield row | {
            "cpu_seconds": round(sums.cpu_seconds, 1),
            "memory_seconds": round(sums.memory_seconds, 1),
            "dollars": round(cost_of(sums), 4),
        }

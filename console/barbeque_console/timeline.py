"""What ran when: one lane a job, overlaps and gaps to be seen."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from fastapi import Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from barbeque_console.charts import WIDE, lanes
from barbeque_console.executions import READ
from barbeque_console.pages import Pages
from barbeque_console.parts import Shown
from barbeque_console.rights import Router, chosen_app, jobs_seen, needs
from barbeque_console.tongue import gettext
from barbeque_py.identity import Scope
from barbeque_py.store import Tx, lists
from barbeque_py.store.entries import Entry
from barbeque_py.store.filters import Filter

RANGES = {
    "1h": timedelta(hours=1),
    "6h": timedelta(hours=6),
    "24h": timedelta(days=1),
    "3d": timedelta(days=3),
    "7d": timedelta(days=7),
}
_TICKS = 6
_MOST = 600
"""Executions that are drawn: the newest of the time."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """One execution's bar."""

    entry: Entry
    x: float
    width: float
    row: int
    lasted: timedelta


@dataclass(frozen=True, slots=True)
class Lane:
    """One job: its bars, in as many rows as run at once."""

    app: str
    job: str
    bars: list[Drawn]
    rows: int


@dataclass(frozen=True, slots=True)
class Timeline:
    """What the page shows."""

    now: datetime
    since: datetime
    lanes: list[Lane]
    ticks: list[tuple[float, datetime]]
    cut: bool
    """Whether there was more than is drawn."""
    jobs: list[tuple[str, str]]


class TimelinePages:
    """Shows the timeline."""

    def __init__(self, parts: Shown, pages: Pages) -> None:
        self._parts = parts
        self._pages = pages

    def router(self) -> Router:
        """Return the routes."""
        router = Router()
        seen = needs(Scope.READ, of=chosen_app)
        router.add_api_route("/timeline", self.show, methods=READ, **seen)
        return router

    def show(self, request: Request) -> Response:
        """Show what ran in the last hours or days."""
        query = request.query_params
        chosen = {name: query[name] for name in ("app", "job") if query.get(name)}
        range_ = query.get("range") or "6h"
        if range_ not in RANGES:
            raise HTTPException(404, gettext("range is one of %s.") % ", ".join(RANGES))
        found = self._parts.store.read(lambda tx: _read(tx, request, chosen, RANGES[range_]))
        return self._pages.render(
            request.scope,
            "timeline.html",
            found=found,
            chosen=chosen,
            range=range_,
            ranges=list(RANGES),
            wide=WIDE,
        )


def _read(tx: Tx, request: Request, chosen: dict[str, str], span: timedelta) -> Timeline:
    now = tx.now
    since = now - span
    wanted = Filter(app=chosen.get("app"), job=chosen.get("job"), since=since)
    entries: list[Entry] = []
    before: int | None = None
    while len(entries) < _MOST:
        page = lists.newest(tx, wanted, before=before, most=lists.MOST)
        entries += page.rows
        before = page.next
        if before is None:
            break
    by_job: dict[tuple[str, str], list[Entry]] = {}
    for each in entries[:_MOST]:
        if each.started_at is not None:
            by_job.setdefault((each.app, each.job), []).append(each)
    ticks = [(place / _TICKS * WIDE, since + span * place / _TICKS) for place in range(_TICKS + 1)]
    return Timeline(
        now=now,
        since=since,
        lanes=[_lane(*job, each, since, now) for job, each in sorted(by_job.items())],
        ticks=ticks,
        cut=before is not None,
        jobs=jobs_seen(tx, request),
    )


def _lane(app: str, job: str, found: Sequence[Entry], since: datetime, now: datetime) -> Lane:
    begun = sorted((each.started_at, each.id, each) for each in found if each.started_at)
    spans = [(at, each.finished_at or now) for at, _, each in begun]
    placed, rows = lanes(spans, since, now)
    bars = [
        Drawn(each, x, width, row, end - at)
        for (_, _, each), (at, end), (x, width, row) in zip(begun, spans, placed, strict=True)
    ]
    return Lane(app, job, bars, rows)

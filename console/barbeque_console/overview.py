"""The first page: how everything is right now, and what needs somebody."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from fastapi import Request
from starlette.responses import Response

from barbeque_console.charts import Stack, stacked
from barbeque_console.executions import READ
from barbeque_console.pages import Pages
from barbeque_console.parts import Shown
from barbeque_console.rights import Router, chosen_app, needs, visitor_of
from barbeque_py.executions import State
from barbeque_py.identity import Scope
from barbeque_py.settle import SEAL
from barbeque_py.store import (
    Tx,
    apps,
    channels,
    failures,
    lists,
    lots,
    marks,
    outbox,
    queries,
    revisions,
    rollups,
    workers,
)
from barbeque_py.store.channels import Health
from barbeque_py.store.failures import Group, Standing
from barbeque_py.store.filters import Filter
from barbeque_py.store.lots import Origin
from barbeque_py.store.queries import Counts
from barbeque_py.store.rollups import ALL, Span, Sums, start_of
from barbeque_py.store.workers import Worker

_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)
_LOOKED_AT = 100
"""Jobs that are looked at for what needs attention."""
_SHOWN = 6
_SLOWER = 2
_FEW = 10
_STUCK = 3
"""Times its p95 after which an attempt is taken for stuck."""
_SHORTEST = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Slow:
    """A job that is much slower today than yesterday, or tried again more often than it ends."""

    app: str
    job: str
    retried: int
    before: timedelta | None
    now: timedelta | None


@dataclass(frozen=True, slots=True)
class Overview:
    """What the page shows, at one instant."""

    now: datetime
    counts: Counts
    oldest: datetime | None
    workers: Sequence[Worker]
    paused: Sequence[str]
    late: datetime | None
    """Since when what was left to be done outside is due."""
    hour: Sums
    """The last full hour."""
    week_ago: Sums
    day: Sums
    stack: Stack
    failing: Sequence[Group]
    sealing: bool
    """Whether logs can be stored, as far as workers have tried."""
    unreached: Sequence[Health]
    stuck: Sequence[Origin]
    """Attempts that run for much longer than such do."""
    slow: Sequence[Slow]
    stormy: Sequence[Slow]
    starred: Sequence[tuple[str, str, Sums]]
    empty: bool
    defined: bool
    """Whether there is any job."""


class OverviewPages:
    """Shows the overview."""

    def __init__(self, parts: Shown, pages: Pages) -> None:
        self._parts = parts
        self._pages = pages

    def router(self) -> Router:
        """Return the routes."""
        router = Router()
        seen = needs(Scope.READ, of=chosen_app)
        router.add_api_route("/", self.show, methods=READ, **seen)
        return router

    def show(self, request: Request) -> Response:
        """Show how everything is, or one app."""
        app = request.query_params.get("app") or None
        person = visitor_of(request).person.name
        found = self._parts.store.read(lambda tx: read(tx, app, person))
        return self._pages.render(request.scope, "overview.html", found=found, app=app)


def read(tx: Tx, app: str | None, person: str) -> Overview:
    """Read what the page shows: gauges and roll-ups alone."""
    now, scope = tx.now, app or ALL
    hour = start_of(Span.HOUR, now)
    until, since = hour + _HOUR, hour - 23 * _HOUR
    hours = rollups.of_one(tx, scope, ALL, Span.HOUR, since, until)
    week = rollups.of_one(tx, scope, ALL, Span.HOUR, hour - 7 * _DAY - _HOUR, hour - 7 * _DAY)
    released = [
        (each.made_at, f"{each.app} {each.number}") for each in revisions.lately(tx, since, app=app)
    ]
    jobs = [each for each in queries.job_names(tx) if app in (None, each[0])]
    item = outbox.oldest_due(tx)
    slow, stormy, spans = _attention(tx, jobs[:_LOOKED_AT], now)
    return Overview(
        now=now,
        counts=_counts(tx, app),
        oldest=queries.oldest_ready(tx),
        workers=workers.alive(tx),
        paused=sorted(apps.paused_queues(tx)),
        late=getattr(item, "due_at", None),
        hour=hours.get(hour - _HOUR, Sums()),
        week_ago=rollups.total(week.values()),
        day=rollups.total(hours.values()),
        stack=stacked(hours, since, until, _HOUR, released),
        failing=_failing(tx, app),
        sealing=outbox.oldest_failing(tx, SEAL) is None,
        unreached=[each for each in channels.read(tx, app=app) if each.dead][:_SHOWN],
        stuck=_stuck(tx, spans),
        slow=slow,
        stormy=stormy,
        starred=_starred(tx, person, jobs, until),
        empty=not hours and not queries.any_execution(tx),
        defined=bool(jobs),
    )


def _counts(tx: Tx, app: str | None) -> Counts:
    if app is None:
        return queries.count_headlines(tx, lately=_HOUR)
    queued, running, retrying = (
        lists.count(tx, Filter(app=app, state=state), most=queries.MOST_COUNTED)
        for state in (State.QUEUED, State.RUNNING, State.RETRYING)
    )
    return Counts(queued, running, retrying, failed_lately=0, dead=0)


def _failing(tx: Tx, app: str | None) -> list[Group]:
    open_ = (Standing.REGRESSED, Standing.NEW)
    found = [
        each
        for state in open_
        for each in failures.newest(tx, app=app, state=state, most=_SHOWN).rows
        if each.last_at > tx.now - _DAY
    ]
    return found[:_SHOWN]


def _attention(
    tx: Tx, jobs: Sequence[tuple[str, str]], now: datetime
) -> tuple[list[Slow], list[Slow], dict[tuple[str, str], timedelta]]:
    """Return what is slower than it was, what is tried again a lot, and what is long for each."""
    today = start_of(Span.DAY, now)
    slow, stormy, spans = [], [], {}
    for app, job in jobs:
        days = rollups.of_one(tx, app, job, Span.DAY, today - _DAY, today + _DAY)
        this, last = days.get(today, Sums()), days.get(today - _DAY, Sums())
        then, lately = last.runs.quantile(0.95), this.runs.quantile(0.95)
        usual = max((each for each in (then, lately) if each), default=None)
        if usual and this.runs.total() + last.runs.total() >= _FEW:
            spans[app, job] = max(_SHORTEST, _STUCK * usual)
        each = Slow(app, job, this.retried, then, lately)
        enough = min(this.runs.total(), last.runs.total()) >= _FEW
        if enough and then and lately and lately > _SLOWER * then:
            slow.append(each)
        if this.retried > max(_FEW, this.ended):
            stormy.append(each)
    return slow[:_SHOWN], stormy[:_SHOWN], spans


def _stuck(tx: Tx, spans: Mapping[tuple[str, str], timedelta]) -> list[Origin]:
    return list(lots.origins(tx, lots.running_longer(tx, spans, most=_SHOWN)).values())


def _starred(
    tx: Tx, person: str, jobs: Sequence[tuple[str, str]], until: datetime
) -> list[tuple[str, str, Sums]]:
    mine = [each for each, tags in marks.of_person(tx, person).items() if marks.STAR in tags]
    own = sorted(set(mine) & set(jobs))
    sums = rollups.of_jobs(tx, own, until - _DAY, until)
    return [(app, job, sums.get((app, job), Sums())) for app, job in own]

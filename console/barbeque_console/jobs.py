"""The jobs, and the page of one: what it is, how it fares, what to do when it fails."""

import json
import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Any

from fastapi import Request
from markdown_it import MarkdownIt
from markupsafe import Markup
from starlette.exceptions import HTTPException
from starlette.responses import Response

from barbeque_console.ad_hoc import send_and_show
from barbeque_console.apps import told_of
from barbeque_console.executions import READ
from barbeque_console.forms import Form
from barbeque_console.pages import NOTICES, Pages, redirect
from barbeque_console.parts import Shown
from barbeque_console.rights import (
    Router,
    app_of_path,
    asker,
    chosen_app,
    jobs_seen,
    needs,
    visitor_of,
)
from barbeque_console.tongue import gettext
from barbeque_py import clock, strict_json
from barbeque_py.apps import App, JobDefinition
from barbeque_py.backoff import delay_after
from barbeque_py.enqueue import Request as Wanted
from barbeque_py.identity import Scope
from barbeque_py.ids import new_message_id
from barbeque_py.messages import JobMessage, Options
from barbeque_py.schedules import times_after
from barbeque_py.store import Tx, apps, audit, failures, lists, marks, rollups, schedules
from barbeque_py.store.entries import Entry
from barbeque_py.store.failures import Group, Standing
from barbeque_py.store.filters import Filter
from barbeque_py.store.marks import STAR
from barbeque_py.store.rollups import Span, Sums, start_of
from barbeque_py.store.schedules import Scheduled

_DAY = timedelta(days=1)
_ROWS = 50
_RECENT = 10
_MOST_TAGS, _LONGEST_TAG = 10, 40
_LARGEST = 1024 * 1024
_WIDE = 900.0

_CHANCE = random.Random(0)  # noqa: S311 - drawings have no jitter
_MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")


@dataclass(frozen=True, slots=True)
class Row:
    """One job in the list."""

    app: str
    job: str
    starred: bool
    tags: list[str]
    last: Entry | None
    sums: Sums
    """What today and yesterday counted."""


@dataclass(frozen=True, slots=True)
class Retry:
    """When a try begins at the latest, if all before it fail at once."""

    number: int
    x: float
    wait: timedelta
    after: timedelta


@dataclass(frozen=True, slots=True)
class Opened:
    """One job on its page."""

    now: datetime
    job: JobDefinition
    app: App
    tags: list[str]
    starred: bool
    day: Sums
    recent: Sequence[Entry]
    failing: Sequence[Group]
    timed: Sequence[tuple[Scheduled, datetime | None]]
    """Its schedules, and when each is due next."""


class JobPages:
    """Shows jobs; people put stars and tags on them, and run them."""

    def __init__(self, parts: Shown, pages: Pages) -> None:
        self._parts = parts
        self._pages = pages

    def router(self) -> Router:
        """Return the routes."""
        router = Router()
        seen, run = (needs(scope, of=app_of_path) for scope in (Scope.READ, Scope.ENQUEUE))
        one = "/jobs/{app}/{job}"
        router.add_api_route(
            "/jobs", self.show_list, methods=READ, **needs(Scope.READ, of=chosen_app)
        )
        router.add_api_route(one, self.show, methods=READ, **seen)
        router.add_api_route(f"{one}/star", self.star, methods=["POST"], **seen)
        router.add_api_route(f"{one}/tags", self.tag, methods=["POST"], **seen)
        router.add_api_route(f"{one}/run", self.run, methods=["POST"], **run)
        return router

    def show_list(self, request: Request) -> Response:
        """Show the jobs, those with a star first."""
        query = request.query_params
        chosen = {name: query[name].strip() for name in ("app", "q", "tag") if query.get(name)}
        after, person = query.get("after", ""), visitor_of(request).person.name
        now, found, more, tags, names = self._parts.store.read(
            lambda tx: _read_list(tx, jobs_seen(tx, request), chosen, after, person)
        )
        return self._pages.render(
            request.scope,
            "jobs.html",
            now=now,
            found=found,
            more=more,
            tags=tags,
            names=names,
            chosen=chosen,
            notice=NOTICES.get(query.get("notice", "")),
        )

    def show(self, request: Request, app: str, job: str) -> Response:
        """Show one job."""
        return self._page(request, app, job, said={})

    def _page(
        self,
        request: Request,
        app: str,
        job: str,
        *,
        said: Mapping[str, str],
        fault: str = "",
        status: int = 200,
    ) -> Response:
        person = visitor_of(request).person.name
        found = self._parts.store.read(lambda tx: _read(tx, app, job, person))
        return self._pages.render(
            request.scope,
            "job.html",
            status=status,
            said=said,
            fault=fault,
            found=found,
            runbook=render(found.job.runbook),
            fields=fields_of(found.job.message_schema),
            retries=drawn(found.job),
            notify=told_of(found.app.notify | found.job.notify),
            notice=NOTICES.get(request.query_params.get("notice", "")),
        )

    def star(self, request: Request, app: str, job: str, form: Form) -> Response:
        """Put this person's star on the job, or take it away."""
        self._mark(request, app, job, lambda tags: tags ^ {STAR})
        back = "/jobs" if form.get("back") == "/jobs" else f"/jobs/{app}/{job}"
        return redirect(request.scope, back)

    def tag(self, request: Request, app: str, job: str, form: Form) -> Response:
        """Put this person's tags on the job."""
        words = {each.strip()[:_LONGEST_TAG] for each in form.get("tags", "").split(",")} - {""}
        if len(words) > _MOST_TAGS:
            raise HTTPException(422, gettext("A job has at most %s tags of yours.") % _MOST_TAGS)
        self._mark(request, app, job, lambda tags: (tags & {STAR}) | words)
        return redirect(request.scope, f"/jobs/{app}/{job}?notice=kept")

    def _mark(self, request: Request, app: str, job: str, change: "_Change") -> None:
        person = visitor_of(request).person.name

        def put(tx: Tx) -> None:
            _job(tx, app, job)
            tags = marks.of_person(tx, person).get((app, job), set())
            marks.put(tx, person, (app, job), change(tags))

        self._parts.store.write(put)

    def run(self, request: Request, app: str, job: str, form: Form) -> Response:
        """Enqueue the job with the message of the form."""
        definition = self._parts.store.read(lambda tx: _job(tx, app, job))
        try:
            text = message_of(form, definition.message_schema)
        except HTTPException as error:  # what was typed stays
            return self._page(request, app, job, said=form, fault=error.detail, status=422)
        who, message_id = asker(request), new_message_id()
        wanted = JobMessage(
            message_id,
            app,
            job,
            definition.queue,
            text,
            enqueued_at=clock.now(),
            options=Options(),
        )
        after = {"message_id": message_id}
        self._parts.store.write(
            lambda tx: audit.record(tx, who, "job.run", f"job:{app}/{job}", app=app, after=after)
        )
        return send_and_show(self._parts, request.scope, Wanted(wanted, definition.queue))


_Change = Callable[[set[str]], set[str]]


def render(text: str) -> Markup:
    """Return Markdown as HTML in which nothing but Markdown's own has a meaning."""
    return Markup(_MARKDOWN.render(text))  # noqa: S704 - HTML in it is text, and no link runs a script


def fields_of(schema: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what a form asks for, of a schema of an object of plain values; else nothing."""
    found = []
    required = schema.get("required", [])
    for name, each in schema.get("properties", {}).items():
        kind = each.get("type") if isinstance(each, dict) else None
        if kind not in ("string", "integer", "number", "boolean"):
            return []
        facts = {key: each.get(key) for key in ("title", "description", "enum", "default")}
        found.append({"name": name, "kind": kind, "required": name in required, **facts})
    return found


def message_of(form: Mapping[str, str], schema: Mapping[str, Any]) -> str:
    """Return the message that the form means; raises `HTTPException` for one that is no JSON."""
    if "message" in form:
        text = form["message"].strip()
        if len(text) > _LARGEST:
            raise HTTPException(422, "The message is longer than 1 MiB.")
        return _compact(text)
    facts: dict[str, Any] = {}
    for field in fields_of(schema):
        said = form.get(f"field.{field['name']}", "").strip()
        if field["kind"] == "boolean":
            facts[field["name"]] = said == "true"
        elif said:
            facts[field["name"]] = _value(field, said)
        elif field["required"]:
            raise HTTPException(422, gettext("%s is needed.") % field["name"])
    return json.dumps(facts, ensure_ascii=False, separators=(",", ":"))


def _value(field: Mapping[str, Any], said: str) -> Any:
    if field["enum"] and said not in map(str, field["enum"]):
        raise HTTPException(422, gettext("%s is none of its choices.") % field["name"])
    if field["kind"] == "string":
        return said
    try:
        return int(said) if field["kind"] == "integer" else float(said)
    except ValueError:
        raise HTTPException(422, gettext("%s is a number.") % field["name"]) from None


def _compact(text: str) -> str:
    try:
        found = strict_json.loads(text.encode())
    except ValueError as error:
        raise HTTPException(422, gettext("The message is no JSON: %s") % error) from None
    if found is None:
        raise HTTPException(422, "The message can't be null.")
    return strict_json.dumps(found)


def drawn(job: JobDefinition) -> list[Retry]:
    """Return the tries of a job that fails at once each time, on a line of time."""
    policy = replace(job.retry, jitter=False)
    waits = [delay_after(policy, each, _CHANCE) for each in range(1, policy.limit + 1)]
    ends = list(accumulate(waits, initial=timedelta(0)))
    whole = ends[-1].total_seconds() or 1.0
    return [
        Retry(number, math.sqrt(end.total_seconds() / whole) * _WIDE, wait, end)
        for number, (wait, end) in enumerate(
            zip([timedelta(0), *waits], ends, strict=True), start=1
        )
    ]


def _job(tx: Tx, app: str, job: str) -> JobDefinition:
    found = apps.get_job(tx, app, job)
    if found is None:
        raise HTTPException(404, "No such job is defined; what it ran may still be listed.")
    return found


def _read_list(
    tx: Tx, names: Sequence[tuple[str, str]], chosen: Mapping[str, str], after: str, person: str
) -> Any:
    own = marks.of_person(tx, person)
    words, tag = chosen.get("q", "").lower(), chosen.get("tag")

    def fits(each: tuple[str, str]) -> bool:
        named = words in "/".join(each).lower() or any(
            words == each_ for each_ in own.get(each, ())
        )
        return (
            chosen.get("app") in (None, each[0])
            and named
            and (tag is None or tag in own.get(each, ()))
        )

    def order(each: tuple[str, str]) -> tuple[bool, str]:
        return STAR not in own.get(each, ()), "/".join(each)

    found = sorted(filter(fits, names), key=order)
    start = next((at + 1 for at, each in enumerate(found) if "/".join(each) == after), 0)
    page = found[start : start + _ROWS]
    more = "/".join(page[-1]) if len(found) > start + _ROWS else None
    tags = sorted({tag for tags in own.values() for tag in tags} - {STAR})
    return tx.now, [_row(tx, each, own) for each in page], more, tags, sorted({a for a, _ in names})


def _next(tx: Tx, found: Scheduled) -> datetime | None:
    if found.suspended_at is not None:
        return None
    return next(times_after(found.schedule, max(found.until, tx.now)), None)


def _row(tx: Tx, each: tuple[str, str], own: Mapping[tuple[str, str], set[str]]) -> Row:
    app, job = each
    today = start_of(Span.DAY, tx.now)
    days = rollups.of_one(tx, app, job, Span.DAY, today - _DAY, today + _DAY)
    last = lists.newest(tx, Filter(app=app, job=job), most=1).rows
    tags = own.get(each, set())
    sums = rollups.total(days.values())
    return Row(app, job, STAR in tags, sorted(tags - {STAR}), last[0] if last else None, sums)


def _read(tx: Tx, app: str, job: str, person: str) -> Opened:
    definition, owner = _job(tx, app, job), apps.get_app(tx, app)
    assert owner is not None, "a job has an app"
    until = start_of(Span.HOUR, tx.now) + timedelta(hours=1)
    day = rollups.of_one(tx, app, job, Span.HOUR, until - _DAY, until)
    tags = marks.of_person(tx, person).get((app, job), set())
    failing = failures.newest(tx, app=app, job=job, most=50).rows
    return Opened(
        now=tx.now,
        job=definition,
        app=owner,
        tags=sorted(tags - {STAR}),
        starred=STAR in tags,
        day=rollups.total(day.values()),
        recent=lists.newest(tx, Filter(app=app, job=job), most=_RECENT).rows,
        failing=[each for each in failing if each.state != Standing.RESOLVED][:5],
        timed=[(each, _next(tx, each)) for each in schedules.of_job(tx, app, job)],
    )

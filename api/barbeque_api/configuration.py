"""`POST /v2/apply` and `GET /v2/apps`: which apps, jobs and queues there are."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response

from barbeque_api.applying import check_named
from barbeque_api.bodies import read_body
from barbeque_api.changes import (
    Change,
    Making,
    check_images,
    make,
    name_of,
    plan,
    planned_for,
    refuse_topics,
)
from barbeque_api.document import answers
from barbeque_api.parts import Served
from barbeque_api.problems import answer, refusal
from barbeque_api.rights import caller_of, needs
from barbeque_py.apps import App, JobDefinition
from barbeque_py.durations import format_duration
from barbeque_py.errors import ConfigurationError, UnknownImage
from barbeque_py.identity import Identity, Scope
from barbeque_py.manifest import Manifest, parse
from barbeque_py.store import apps, subscriptions
from barbeque_py.subscriptions import Unfinished, bring_right

LARGEST = 1024 * 1024
_KINDS = ("application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml")


class Configuration:
    """Shows and changes what may be run."""

    def __init__(self, parts: Served) -> None:
        self._parts = parts

    def add_to(self, router: APIRouter) -> None:
        """Add the routes."""
        content = {"application/yaml": {"schema": {"type": "object"}}}
        router.add_api_route(
            "/v2/apply",
            self.apply,
            methods=["POST"],
            dependencies=[needs(Scope.DEPLOY)],
            responses=answers(409, 422),
            openapi_extra={"requestBody": {"required": True, "content": content}},
        )
        router.add_api_route(
            "/v2/apps", self.apps, methods=["GET"], dependencies=[needs(Scope.READ)]
        )

    async def apply(
        self,
        request: Request,
        base: str | None = None,
        *,
        planned: Annotated[str | None, Query(max_length=64)] = None,
        prune: bool = False,
        dry_run: bool = False,
        diff: bool = False,
    ) -> Response:
        """Make apps, jobs and queues as the YAML file says: all of it or nothing.

        `base` is the absolute directory of the file. With `prune` jobs and subscriptions that it
        does not name of apps that it names are removed; with `dry_run` nothing changes. With `diff`
        each change tells its `differences`, and `state` is what to give as `planned` to the
        request that is to make exactly these: 409 when something has changed since.
        `unfinished` lists the subscriptions that SNS could not be told of: the same request again
        finishes them. With SQS the queues are made there first: what can't be made is 409, or 503
        while SQS is away, and nothing is stored.
        """
        text = await self._read_text(request)
        folder = _read_base(base)
        changes, left = await run_in_threadpool(
            self._apply,
            _Wish(caller_of(request), text, folder, planned, prune=prune, dry_run=dry_run),
        )
        shown = [_show(each, diff=diff) for each in changes]
        told = [{"name": name_of(each.wanted), "reason": each.reason} for each in left]
        facts = {"changes": shown, "dry_run": dry_run, "unfinished": told}
        return answer(facts | ({"state": planned_for(changes)} if diff else {}))

    def apps(self, request: Request) -> Response:
        """List the apps with their jobs; an app's token is shown its own."""
        who = caller_of(request)
        found, jobs = self._parts.store.read(lambda tx: (apps.all_apps(tx), apps.all_jobs(tx)))
        own = [app for app in found if who.may(Scope.READ, app.name)]
        shown = [_app(app, [job for job in jobs if job.app == app.name]) for app in own]
        return answer({"apps": shown})

    async def _read_text(self, request: Request) -> str:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind not in _KINDS:
            raise refusal(400, f"Content-Type is {kind[:60]!r}; send application/yaml")
        body = await read_body(request, LARGEST)
        try:
            return body.decode()
        except UnicodeDecodeError as error:
            raise refusal(400, f"the body is not UTF-8: byte {error.start} is wrong") from None

    def _apply(self, wish: "_Wish") -> tuple[list[Change], list[Unfinished]]:
        who, text, prune = wish.who, wish.text, wish.prune
        manifest = parse(text, base=wish.base)
        check_named(who, manifest)
        if manifest.subscriptions and self._parts.topics is None:
            raise refuse_topics(text)
        check_images(manifest, text, self._parts.sources)
        store = self._parts.store
        if wish.dry_run:
            return store.read(lambda tx: plan(tx, who, manifest, text, prune=prune)), []
        self._make_queues(who, manifest, text, prune=prune)
        making = Making(who, self._pins(manifest), wish.planned)
        changes = store.write(lambda tx: make(tx, manifest, text, making, prune=prune))
        self._parts.bell.ring()
        return changes, self._subscribe(changes)

    def _pins(self, manifest: Manifest) -> dict[str, str | None]:
        """Find out what the images mean that are new to their apps.

        One that its registry does not know may have been built on the worker's machine.
        """
        had = {app.name: app.image for app in self._parts.store.read(apps.all_apps)}
        new = {app.image for app in manifest.apps if app.image != had.get(app.name, "")}
        pins = dict.fromkeys(new)
        for image in new:
            with suppress(UnknownImage):
                pins[image] = self._parts.sources.pin(image)
        return pins

    def _make_queues(self, who: Identity, manifest: Manifest, text: str, *, prune: bool) -> None:
        """Make the broker's queues that the file names, before the rows that send to them.

        A queue without a row is found by the next apply, and nobody sends to it until then.
        """
        queues = self._parts.queues
        if queues is None:
            return
        self._parts.store.read(lambda tx: plan(tx, who, manifest, text, prune=prune))
        named = {queue.name for queue in manifest.queues} | {job.queue for job in manifest.jobs}
        named |= {each.queue for each in manifest.schedules if each.queue is not None}
        for name in sorted(named):
            try:
                queues.ensure_queue(name)
            except ConfigurationError as error:
                raise refusal(409, f"nothing was stored, as {error}") from error

    def _subscribe(self, changes: list[Change]) -> list[Unfinished]:
        """Bring SNS right for what the file says and for what is left, after the commit."""
        store, topics = self._parts.store, self._parts.topics
        if topics is None:
            return []
        queues = {each.heard_by for each in changes if each.heard_by is not None}
        queues |= {each.queue for each in store.read(subscriptions.unfinished)}
        return [each for queue in sorted(queues) for each in bring_right(store, topics, queue)]


@dataclass(frozen=True, slots=True)
class _Wish:
    """What is to be applied, for whom, and how."""

    who: Identity
    text: str
    base: Path | None
    planned: str | None
    prune: bool
    dry_run: bool


def _show(change: Change, *, diff: bool) -> dict[str, Any]:
    facts: dict[str, Any] = {"kind": change.kind, "name": change.name, "change": change.change}
    return facts | ({"differences": change.differences} if diff else {})


def _read_base(base: str | None) -> Path | None:
    if base is None:
        return None
    folder = Path(base)
    if not folder.is_absolute() or not base.isprintable():
        raise refusal(400, "base: write the absolute path of the file's directory")
    return folder


def _app(app: App, jobs: list[JobDefinition]) -> dict[str, Any]:
    return {
        "name": app.name,
        "image": app.image,
        "pinned": app.pinned,
        "description": app.description,
        "process_path": list(app.process_path),
        "logs": app.logs,
        "ecs": app.ecs,
        "jobs": list(map(_job, jobs)),
    }


def _job(job: JobDefinition) -> dict[str, Any]:
    longest = job.retry.max_delay
    return {
        "name": job.name,
        "command": list(job.command),
        "callback": {"url": job.callback} if job.callback else None,
        "queue": job.queue,
        "timeout": format_duration(job.timeout),
        "grace": format_duration(job.grace),
        "cpu": job.cpu,
        "memory": job.memory,
        "priority": job.priority,
        "concurrency": job.concurrency,
        "at_most_once": job.at_most_once,
        "retry": {
            "limit": job.retry.limit,
            "base_delay": format_duration(job.retry.base_delay),
            "max_delay": None if longest is None else format_duration(longest),
            "jitter": job.retry.jitter,
        },
        "ecs": job.ecs,
    }

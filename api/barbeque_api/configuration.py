"""`POST /v2/apply` and `GET /v2/apps`: which apps, jobs and queues there are."""

from pathlib import Path
from typing import Annotated, Any, NotRequired

from fastapi import APIRouter, Query, Request
from fastapi.concurrency import run_in_threadpool
from typing_extensions import TypedDict

from barbeque_api.bodies import read_body
from barbeque_api.document import answers
from barbeque_api.parts import Served
from barbeque_api.problems import Answer, answer, refusal
from barbeque_api.rights import caller_of, needs
from barbeque_py.apply import Applying, Wish
from barbeque_py.apps import App, JobDefinition
from barbeque_py.changes import Change, name_of, planned_for
from barbeque_py.durations import format_duration
from barbeque_py.identity import Scope
from barbeque_py.store import apps
from barbeque_py.subscriptions import Unfinished
from barbeque_py.yaml_tree import read_yaml

LARGEST = 1024 * 1024
_KINDS = ("application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml")


class ChangeFacts(TypedDict):
    """What the file changes of one thing; `differences` with `diff`."""

    kind: str
    name: str
    change: str
    differences: NotRequired[list[dict[str, Any]]]


class Left(TypedDict):
    """A subscription that SNS could not be told of."""

    name: str
    reason: str


class ApplyAnswer(TypedDict):
    """What applying the file does; `state` with `diff`."""

    changes: list[ChangeFacts]
    dry_run: bool
    unfinished: list[Left]
    state: NotRequired[str]


class CallbackFacts(TypedDict):
    """Where a job runs that has no command."""

    url: str


class RetryFacts(TypedDict):
    """When a job that failed is tried again, as in the file."""

    limit: int
    base_delay: str
    max_delay: str | None
    jitter: bool


class JobFacts(TypedDict):
    """A job's definition, as in the file."""

    name: str
    command: list[str]
    callback: CallbackFacts | None
    queue: str
    timeout: str
    grace: str
    cpu: int
    memory: int
    priority: int
    concurrency: int | None
    at_most_once: bool
    retry: RetryFacts
    ecs: dict[str, Any] | None


class AppFacts(TypedDict):
    """An app with its jobs, as in the file."""

    name: str
    image: str
    pinned: str | None
    description: str | None
    process_path: list[str]
    logs: str | None
    ecs: dict[str, Any] | None
    jobs: list[JobFacts]


class AppList(TypedDict):
    """The apps with their jobs."""

    apps: list[AppFacts]


class Configuration:
    """Shows and changes what may be run."""

    def __init__(self, parts: Served) -> None:
        self._parts = parts
        self._applying = Applying(parts.store, parts.sources, parts.queues, parts.topics)

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
    ) -> Answer[ApplyAnswer]:
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
        wish = Wish(caller_of(request), read_yaml(text), _read_base(base), planned, prune)
        changes, left = await run_in_threadpool(self._apply, wish, dry_run=dry_run)
        facts: ApplyAnswer = {
            "changes": [_show(each, diff=diff) for each in changes],
            "dry_run": dry_run,
            "unfinished": [{"name": name_of(each.wanted), "reason": each.reason} for each in left],
        }
        if diff:
            facts["state"] = planned_for(changes)
        return answer(facts)

    def apps(self, request: Request) -> Answer[AppList]:
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

    def _apply(self, wish: Wish, *, dry_run: bool) -> tuple[list[Change], list[Unfinished]]:
        if dry_run:
            return self._applying.plan(wish), []
        made = self._applying.make(wish)
        self._parts.bell.ring()
        return made


def _show(change: Change, *, diff: bool) -> ChangeFacts:
    facts: ChangeFacts = {"kind": change.kind, "name": change.name, "change": change.change}
    if diff:
        facts["differences"] = change.differences
    return facts


def _read_base(base: str | None) -> Path | None:
    if base is None:
        return None
    folder = Path(base)
    if not folder.is_absolute() or not base.isprintable():
        raise refusal(400, "base: write the absolute path of the file's directory")
    return folder


def _app(app: App, jobs: list[JobDefinition]) -> AppFacts:
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


def _job(job: JobDefinition) -> JobFacts:
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

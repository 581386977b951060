"""`POST /v2/apply` and `GET /v2/apps`: which apps, jobs and queues there are."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response

from barbeque_api.bodies import read_body
from barbeque_api.parts import Served
from barbeque_api.problems import answer, refusal
from barbeque_py.apps import App, JobDefinition, Queue
from barbeque_py.durations import format_duration
from barbeque_py.manifest import Manifest, ManifestError, Problem, parse, unknown_queues, write_path
from barbeque_py.setting_values import nearest
from barbeque_py.store import Tx, apps
from barbeque_py.yaml_tree import read_yaml

LARGEST = 1024 * 1024
_KINDS = ("application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Change:
    """What applying a file does to one app, job or queue."""

    kind: str
    name: str
    change: str
    """`created`, `changed`, `unchanged` or `removed`."""
    thing: App | JobDefinition | Queue


class Configuration:
    """Shows and changes what may be run."""

    def __init__(self, parts: Served) -> None:
        self._parts = parts

    def add_to(self, router: APIRouter) -> None:
        """Add the routes."""
        content = {"application/yaml": {"schema": {"type": "string"}}}
        router.add_api_route(
            "/v2/apply",
            self.apply,
            methods=["POST"],
            openapi_extra={"requestBody": {"required": True, "content": content}},
        )
        router.add_api_route("/v2/apps", self.apps, methods=["GET"])

    async def apply(
        self,
        request: Request,
        base: str | None = None,
        *,
        prune: bool = False,
        dry_run: bool = False,
    ) -> Response:
        """Make apps, jobs and queues as the YAML file says: all of it or nothing.

        `base` is the absolute directory of the file. With `prune` jobs that it does not name of
        apps that it names are removed; with `dry_run` nothing changes.
        """
        text = await self._read_text(request)
        folder = _read_base(base)
        changes = await run_in_threadpool(self._apply, text, folder, prune=prune, dry_run=dry_run)
        shown = [{"kind": each.kind, "name": each.name, "change": each.change} for each in changes]
        return answer({"changes": shown, "dry_run": dry_run})

    def apps(self) -> Response:
        """List the apps with their jobs."""
        found, jobs = self._parts.store.read(lambda tx: (apps.all_apps(tx), apps.all_jobs(tx)))
        shown = [_app(app, [job for job in jobs if job.app == app.name]) for app in found]
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

    def _apply(self, text: str, base: Path | None, *, prune: bool, dry_run: bool) -> list[Change]:
        manifest = parse(text, base=base)
        if dry_run:
            return self._parts.store.read(lambda tx: _compare(tx, manifest, text, prune=prune))
        changes = self._parts.store.write(lambda tx: _apply(tx, manifest, text, prune=prune))
        self._parts.bell.ring()
        return changes


def _read_base(base: str | None) -> Path | None:
    if base is None:
        return None
    folder = Path(base)
    if not folder.is_absolute() or not base.isprintable():
        raise refusal(400, "base: write the absolute path of the file's directory")
    return folder


def _apply(tx: Tx, manifest: Manifest, text: str, *, prune: bool) -> list[Change]:
    changes = _compare(tx, manifest, text, prune=prune)
    for each in changes:
        if each.change == "unchanged":
            continue
        match each.thing:
            case App():
                apps.put_app(tx, each.thing)
            case JobDefinition() if each.change == "removed":
                apps.remove_job(tx, each.thing.app, each.thing.name)
            case JobDefinition():
                apps.put_job(tx, each.thing)
            case Queue():
                apps.put_queue(tx, each.thing)
    return changes


def _compare(tx: Tx, manifest: Manifest, text: str, *, prune: bool) -> list[Change]:
    """Say what applying would do; raises `ManifestError` for queues that are nowhere."""
    _check_queues(manifest, text, apps.queue_names(tx))
    there = {(job.app, job.name): job for job in apps.all_jobs(tx)}
    changes = [
        Change("queue", queue.name, _change(queue, apps.get_queue(tx, queue.name)), queue)
        for queue in manifest.queues
    ]
    changes += [
        Change("app", app.name, _change(app, apps.get_app(tx, app.name)), app)
        for app in manifest.apps
    ]
    changes += [
        Change("job", f"{job.app}/{job.name}", _change(job, there.get((job.app, job.name))), job)
        for job in manifest.jobs
    ]
    if prune:
        named = {(job.app, job.name) for job in manifest.jobs}
        owners = {app.name for app in manifest.apps}
        changes += [
            Change("job", f"{job.app}/{job.name}", "removed", job)
            for key, job in there.items()
            if job.app in owners and key not in named
        ]
    return changes


def _change(wanted: T, found: T | None) -> str:
    if found is None:
        return "created"
    return "unchanged" if wanted == found else "changed"


def _check_queues(manifest: Manifest, text: str, known: list[str]) -> None:
    lost = unknown_queues(manifest, known)
    if not lost:
        return
    names = {*known, *(queue.name for queue in manifest.queues)}
    tree = read_yaml(text)
    paths = _job_paths(tree.value)
    problems = []
    for job in lost:
        path = paths[job.app, job.name]
        queue = (*path, "queue")
        line, column = tree.values.get(queue) or tree.values[path]
        meant = nearest(job.queue, names)
        cure = f"did you mean {meant!r}?" if meant else "name it under queues:"
        fault = f"no queue is called {job.queue!r}; {cure}"
        problems.append(Problem(line, column, write_path(queue), fault))
    raise ManifestError(problems)


def _job_paths(value: Any) -> dict[tuple[str, str], tuple[str | int, ...]]:
    """Return where each job of a valid file stands."""
    return {
        (app["name"], job["name"]): ("apps", number, "jobs", position)
        for number, app in enumerate(value.get("apps") or [])
        for position, job in enumerate(app.get("jobs") or [])
    }


def _app(app: App, jobs: list[JobDefinition]) -> dict[str, Any]:
    return {
        "name": app.name,
        "image": app.image,
        "description": app.description,
        "process_path": list(app.process_path),
        "jobs": list(map(_job, jobs)),
    }


def _job(job: JobDefinition) -> dict[str, Any]:
    longest = job.retry.max_delay
    return {
        "name": job.name,
        "command": list(job.command),
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
    }

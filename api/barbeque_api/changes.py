"""What applying a file changes: compared with what there is, then done, in one transaction."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from barbeque_py.apps import App, JobDefinition, Queue
from barbeque_py.ecs_faults import faults
from barbeque_py.manifest import Manifest, ManifestError, Problem, unknown_queues, write_path
from barbeque_py.setting_values import nearest
from barbeque_py.store import Tx, apps
from barbeque_py.yaml_tree import Path, Tree, read_yaml

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Change:
    """What applying a file does to one app, job or queue."""

    kind: str
    name: str
    change: str
    """`created`, `changed`, `unchanged` or `removed`."""
    thing: App | JobDefinition | Queue


def make(tx: Tx, manifest: Manifest, text: str, *, prune: bool) -> list[Change]:
    """Make what the file says and return what that changed; raises what `compare` raises."""
    changes = compare(tx, manifest, text, prune=prune)
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


def compare(tx: Tx, manifest: Manifest, text: str, *, prune: bool) -> list[Change]:
    """Say what applying would do; raises `ManifestError` for what does not fit what there is."""
    there = {(job.app, job.name): job for job in apps.all_jobs(tx)}
    named = {(job.app, job.name) for job in manifest.jobs}
    owners = {app.name for app in manifest.apps}
    others = [job for key, job in there.items() if job.app in owners and key not in named]
    _check(tx, manifest, text, [] if prune else others)
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
        changes += [Change("job", f"{job.app}/{job.name}", "removed", job) for job in others]
    return changes


def _change(wanted: T, found: T | None) -> str:
    if found is None:
        return "created"
    return "unchanged" if wanted == found else "changed"


def _check(tx: Tx, manifest: Manifest, text: str, others: list[JobDefinition]) -> None:
    """Raise `ManifestError` for queues that are nowhere, and for jobs that could not be run."""
    tree: Tree | None = None
    problems = []
    for fault in (*_lost_queues(tx, manifest), *_spoilt_jobs(manifest, others)):
        tree = read_yaml(text) if tree is None else tree
        path = fault.path(tree.value)
        line, column = _position(tree, path)
        problems.append(Problem(line, column, write_path(path), fault.sentence))
    if problems:
        raise ManifestError(problems)


@dataclass(frozen=True, slots=True)
class _Fault:
    app: str
    job: str | None
    rest: Path
    sentence: str

    def path(self, value: Any) -> Path:
        """Return where it stands in a valid file."""
        for number, app in enumerate(value.get("apps") or []):
            if app["name"] == self.app:
                if self.job is None:
                    return ("apps", number, *self.rest)
                names = [job["name"] for job in app["jobs"]]
                return ("apps", number, "jobs", names.index(self.job), *self.rest)
        raise LookupError(self.app)


def _position(tree: Tree, path: Path) -> tuple[int, int]:
    while path not in tree.values:
        path = path[:-1]
    return tree.values[path]


def _lost_queues(tx: Tx, manifest: Manifest) -> Iterator[_Fault]:
    known = apps.queue_names(tx)
    names = {*known, *(queue.name for queue in manifest.queues)}
    for job in unknown_queues(manifest, known):
        meant = nearest(job.queue, names)
        cure = f"did you mean {meant!r}?" if meant else "name it under queues:"
        sentence = f"no queue is called {job.queue!r}; {cure}"
        yield _Fault(job.app, job.name, ("queue",), sentence)


def _spoilt_jobs(manifest: Manifest, others: list[JobDefinition]) -> Iterator[_Fault]:
    """Find jobs that the file does not name and that its word for their app makes impossible."""
    owners = {app.name: app for app in manifest.apps}
    for job in others:
        for path, sentence in faults(owners[job.app], job):
            about = f"{sentence} (of the job {job.name}, which is not in this file)"
            yield _Fault(job.app, None, path, about)

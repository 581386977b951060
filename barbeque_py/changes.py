"""What applying a file changes: compared with what there is, then done, in one transaction."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from barbeque_py.applying import check_change, note
from barbeque_py.apps import App, JobDefinition, Queue, Subscription
from barbeque_py.differences import differences, state_of
from barbeque_py.ecs_faults import faults
from barbeque_py.editing import Keeping
from barbeque_py.errors import Forbidden, ImageRefused, Outrun, UnknownApp
from barbeque_py.identity import Identity, Scope
from barbeque_py.manifest import (
    Manifest,
    ManifestError,
    Problem,
    Thing,
    unknown_queues,
    write_path,
)
from barbeque_py.release import Sources, release
from barbeque_py.schedules import Schedule
from barbeque_py.spelling import nearest
from barbeque_py.store import Tx, apps, schedules, subscriptions
from barbeque_py.store.editions import APPLY
from barbeque_py.subscriptions import NO_TOPICS
from barbeque_py.yaml_tree import Path, Tree

T = TypeVar("T", App, JobDefinition, Queue, Schedule, Subscription)


@dataclass(frozen=True, slots=True)
class Change:
    """What applying a file does to one app, job, queue, schedule or subscription."""

    kind: str
    name: str
    change: str
    """`created`, `changed`, `unchanged` or `removed`."""
    thing: Thing
    before: Thing | None = None
    """What there is under its name."""

    @property
    def differences(self) -> list[dict[str, Any]]:
        """The keys of the file that differ."""
        return differences(self.before, None if self.change == "removed" else self.thing)

    @property
    def heard_by(self) -> str | None:
        """The queue, of a subscription."""
        return self.thing.queue if isinstance(self.thing, Subscription) else None


@dataclass(frozen=True, slots=True)
class Making:
    """Who applies a file, and what its images mean where that is known."""

    who: Identity
    pins: Mapping[str, str | None]
    """By the image's name."""
    planned: str | None = None
    """The state for which it was planned; None makes it whatever there is."""
    still: Callable[[Tx], bool] | None = None
    """Tells, while nobody else can change the apps, whether they are what the file was made of."""
    made_with: str = APPLY
    """How they do it: `apply` or `console`."""
    why: str = ""
    """What they say of it."""


def planned_for(changes: list[Change]) -> str:
    """Return the state of what there is, for which these changes hold."""
    return state_of((each.kind, each.name, each.before) for each in changes)


def make(tx: Tx, manifest: Manifest, tree: Tree, making: Making, *, prune: bool) -> list[Change]:
    """Make what the file says and return what that changed; raises what `compare` raises."""
    apps.lock(tx, [app.name for app in manifest.apps])
    if making.still is not None and not making.still(tx):
        raise Outrun("what there is has changed meanwhile")
    changes = plan(tx, making.who, manifest, tree, prune=prune)
    if making.planned not in (None, planned_for(changes)):
        raise Outrun("what there is has changed since this was planned: plan it again")
    made = [each for each in changes if each.change != "unchanged"]
    keeping = Keeping(tx, making.who.name, making.made_with, making.why)
    keeping.note_before(each.thing for each in made)
    for each in made:
        removed = each.change == "removed"
        note(tx, making.who, each.change, each.before, None if removed else each.thing)
        if removed:
            _remove(tx, each.thing)
        else:
            _put(tx, each.thing, making)
    keeping.note_after()
    return changes


def remove_app(tx: Tx, name: str, making: Making) -> list[Change]:
    """Remove the app with all that is defined of it; its executions and releases stay listed.

    Raises `UnknownApp`, and `Forbidden` for who is no admin.
    """
    apps.lock(tx, [name])
    app = apps.get_app(tx, name)
    if app is None:
        raise UnknownApp(f"no app is called {name[:60]!r}")
    if not making.who.may(Scope.ADMIN):
        raise Forbidden(f"to remove the app {name} needs an admin")
    heard = [each.wanted for each in subscriptions.everything(tx) if each.removed_at is None]
    things: list[Thing] = [each for each in heard if each.app == name]
    things += [each.schedule for each in schedules.everything(tx, name)]
    things += [*apps.jobs_of(tx, name), app]
    keeping = Keeping(tx, making.who.name, making.made_with, making.why)
    keeping.note_before(things)
    for each in things:
        note(tx, making.who, "removed", each, None)
        _remove(tx, each)
    keeping.note_after()
    return [Change("", "", "removed", each, each) for each in things]


def plan(tx: Tx, who: Identity, manifest: Manifest, tree: Tree, *, prune: bool) -> list[Change]:
    """Compare, and refuse what the caller may not change; raises what `compare` raises."""
    changes = compare(tx, manifest, tree, prune=prune)
    for each in changes:
        check_change(tx, who, each.kind, each.change, each.thing)
    return changes


def _put(tx: Tx, thing: Thing, making: Making) -> None:
    match thing:
        case App():
            _put_app(tx, thing, making)
        case JobDefinition():
            apps.put_job(tx, thing)
        case Queue():
            apps.put_queue(tx, thing)
        case Schedule():
            schedules.put(tx, thing)
        case Subscription():
            subscriptions.put(tx, thing)


def _put_app(tx: Tx, app: App, making: Making) -> None:
    """Make or change the app; another image is a release of it."""
    before = apps.get_app(tx, app.name)
    apps.put_app(tx, app)
    if app.image and (before is None or before.image != app.image):
        release(tx, making.who, app.name, app.image, pinned=making.pins.get(app.image))


def _remove(tx: Tx, thing: Thing) -> None:
    match thing:
        case App():
            apps.remove_app(tx, thing.name)
        case JobDefinition():
            apps.remove_job(tx, thing.app, thing.name)
        case Schedule():
            schedules.remove(tx, thing)
        case Subscription():
            _retire(tx, thing)


def _retire(tx: Tx, gone: Subscription) -> None:
    found = subscriptions.find(tx, gone.queue, gone.topic)
    if found is not None:
        subscriptions.retire(tx, [found.id])


def compare(tx: Tx, manifest: Manifest, tree: Tree, *, prune: bool) -> list[Change]:
    """Say what applying would do; raises `ManifestError` for what does not fit what there is."""
    there = {(job.app, job.name): job for job in apps.all_jobs(tx)}
    named = {(job.app, job.name) for job in manifest.jobs}
    owners = {app.name for app in manifest.apps}
    others = [job for key, job in there.items() if job.app in owners and key not in named]
    gone = others if prune else []
    kept = there.keys() - {(job.app, job.name) for job in gone}
    found = [*_lost_queues(tx, manifest), *_lost_jobs(manifest, kept)]
    _check(tree, [*found, *_spoilt_jobs(manifest, [] if prune else others)])
    heard = [each.wanted for each in subscriptions.everything(tx) if each.removed_at is None]
    changes = [
        _change("queue", queue.name, queue, apps.get_queue(tx, queue.name))
        for queue in manifest.queues
    ]
    changes += [_change("app", app.name, app, apps.get_app(tx, app.name)) for app in manifest.apps]
    changes += [
        _change("job", f"{job.app}/{job.name}", job, there.get((job.app, job.name)))
        for job in manifest.jobs
    ]
    changes += [Change("job", f"{job.app}/{job.name}", "removed", job, job) for job in gone]
    changes += _compare_schedules(tx, manifest, named | {(job.app, job.name) for job in gone})
    return changes + _compare_topics(manifest, heard, owners if prune else set())


def _compare_schedules(tx: Tx, manifest: Manifest, jobs: set[tuple[str, str]]) -> list[Change]:
    """Compare the schedules of these jobs; those that the file does not say go."""
    found = [each.schedule for each in schedules.everything(tx)]
    there = {_key_of(each): each for each in found if (each.app, each.job) in jobs}
    wanted = {_key_of(each): each for each in manifest.schedules}
    changes = [
        _change("schedule", "/".join(key), each, there.get(key)) for key, each in wanted.items()
    ]
    return changes + [
        Change("schedule", "/".join(key), "removed", each, each)
        for key, each in there.items()
        if key not in wanted
    ]


def _key_of(schedule: Schedule) -> tuple[str, str, str]:
    return schedule.app, schedule.job, schedule.name


def _compare_topics(
    manifest: Manifest, heard: list[Subscription], pruned: set[str]
) -> list[Change]:
    """Compare subscriptions; those of pruned apps go when the file does not name them."""
    there = {(each.queue, each.topic): each for each in heard}
    named = {(each.queue, each.topic) for each in manifest.subscriptions}
    changes = [
        _change("topic", name_of(each), each, there.get((each.queue, each.topic)))
        for each in manifest.subscriptions
    ]
    return changes + [
        Change("topic", name_of(each), "removed", each, each)
        for key, each in there.items()
        if each.app in pruned and key not in named
    ]


def name_of(subscription: Subscription) -> str:
    """Return how people are told of a subscription."""
    return f"{subscription.topic} on {subscription.queue}"


def _change(kind: str, name: str, wanted: T, found: T | None) -> Change:
    if found is None:
        return Change(kind, name, "created", wanted)
    return Change(kind, name, "unchanged" if wanted == found else "changed", wanted, found)


def _check(tree: Tree, found: list["_Fault"]) -> None:
    """Raise `ManifestError` for what was found, each with its place in the file."""
    if not found:
        return
    problems = []
    for fault in found:
        path = fault.path(tree.value)
        line, column = _position(tree, path)
        problems.append(Problem(line, column, write_path(path), fault.sentence))
    raise ManifestError(problems)


@dataclass(frozen=True, slots=True)
class _Fault:
    app: str
    job: str | None
    rest: Path
    sentence: str

    def path(self, value: Any) -> Path:
        """Return where it stands in a valid file."""
        if not self.app:
            return self.rest
        for number, app in enumerate(value.get("apps") or []):
            if app["name"] == self.app:
                if self.job is None:
                    return ("apps", number, *self.rest)
                names = [job["name"] for job in app["jobs"]]
                return ("apps", number, "jobs", names.index(self.job), *self.rest)
        raise LookupError(self.app)


def check_images(manifest: Manifest, tree: Tree, sources: Sources) -> None:
    """Raise `ManifestError` for images that come from where none may come from."""
    _check(tree, list(_refused_images(manifest, sources)))


def _refused_images(manifest: Manifest, sources: Sources) -> Iterator[_Fault]:
    for app in manifest.apps:
        try:
            sources.check(app.image)
        except ImageRefused as error:
            yield _Fault(app.name, None, ("image",), str(error))


def refuse_topics(tree: Tree) -> ManifestError:
    """Return the error of a file with subscriptions where there is no SNS."""
    line, column = tree.keys[("subscriptions",)]
    return ManifestError([Problem(line, column, "subscriptions", NO_TOPICS)])


def _position(tree: Tree, path: Path) -> tuple[int, int]:
    while path not in tree.values:
        path = path[:-1]
    return tree.values[path]


def _lost_queues(tx: Tx, manifest: Manifest) -> Iterator[_Fault]:
    known = apps.queue_names(tx)
    names = {*known, *(queue.name for queue in manifest.queues)}
    for job in unknown_queues(manifest, known):
        yield _Fault(job.app, job.name, ("queue",), _no_queue(job.queue, names))
    for number, each in enumerate(manifest.subscriptions):
        if each.queue not in names:
            path: Path = ("subscriptions", number, "queue")
            yield _Fault("", None, path, _no_queue(each.queue, names))
    places: Counter[tuple[str, str]] = Counter()
    for schedule in manifest.schedules:
        job_key = (schedule.app, schedule.job)
        if schedule.queue is not None and schedule.queue not in names:
            path = ("schedules", places[job_key], "queue")
            yield _Fault(*job_key, path, _no_queue(schedule.queue, names))
        places[job_key] += 1


def _no_queue(name: str, known: set[str]) -> str:
    meant = nearest(name, known)
    cure = f"did you mean {meant!r}?" if meant else "name it under queues:"
    return f"no queue is called {name!r}; {cure}"


def _lost_jobs(manifest: Manifest, known: set[tuple[str, str]]) -> Iterator[_Fault]:
    """Find subscriptions whose job is nowhere."""
    known = known | {(job.app, job.name) for job in manifest.jobs}
    for number, each in enumerate(manifest.subscriptions):
        if (each.app, each.job) not in known:
            meant = nearest(each.job, [job for app, job in known if app == each.app])
            cure = f"did you mean {meant!r}?" if meant else "define it under the app's jobs:"
            sentence = f"no job {each.job!r} is defined in the app {each.app!r}; {cure}"
            yield _Fault("", None, ("subscriptions", number, "job"), sentence)


def _spoilt_jobs(manifest: Manifest, others: list[JobDefinition]) -> Iterator[_Fault]:
    """Find jobs that the file does not name and that its word for their app makes impossible."""
    owners = {app.name: app for app in manifest.apps}
    for job in others:
        for path, sentence in faults(owners[job.app], job):
            about = f"{sentence} (of the job {job.name}, which is not in this file)"
            yield _Fault(job.app, None, path, about)

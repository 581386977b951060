"""The apply file: apps, jobs and queues as YAML, read strictly, every fault at once."""

import json
import os
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass, fields
from datetime import timedelta
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from barbeque_py import strict_json
from barbeque_py.apps import DEFAULT_LOGS, App, JobDefinition, Queue, Subscription
from barbeque_py.backoff import RetryPolicy
from barbeque_py.durations import format_duration
from barbeque_py.ecs_faults import faults
from barbeque_py.errors import RequestError
from barbeque_py.manifest_fields import describe_kind
from barbeque_py.manifest_form import FORMS, AppForm, FileForm, JobForm
from barbeque_py.schedules import CatchUp, Overlap, Schedule
from barbeque_py.spelling import nearest
from barbeque_py.yaml_text import write_yaml
from barbeque_py.yaml_tree import Path as KeyPath
from barbeque_py.yaml_tree import Tree, read_yaml

_LISTED = 50


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One fault of the file: where (from 1; 0 is the file as a whole), which key, and what."""

    line: int
    column: int
    path: str
    message: str

    def __str__(self) -> str:
        where = f"line {self.line}: " if self.line else ""
        return f"{where}{self.path}: {self.message}" if self.path else f"{where}{self.message}"


class ManifestError(RequestError):
    """The apply file can't be taken; the message lists its faults, one a line."""

    def __init__(self, problems: Collection[Problem]) -> None:
        self.problems = sorted(problems)
        lines = [str(each) for each in self.problems[:_LISTED]]
        if len(self.problems) > _LISTED:
            lines.append(f"and {len(self.problems) - _LISTED} more")
        super().__init__("\n".join(lines))


Thing = App | JobDefinition | Queue | Schedule | Subscription


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an apply file says, jobs in the order of their apps."""

    apps: tuple[App, ...] = ()
    jobs: tuple[JobDefinition, ...] = ()
    queues: tuple[Queue, ...] = ()
    subscriptions: tuple[Subscription, ...] = ()
    schedules: tuple[Schedule, ...] = ()


def parse(file: str | Tree, *, base: Path | None) -> Manifest:
    """Read the file, or its tree; paths in it are relative to `base`, the file's directory.

    Raises `ManifestError` with every fault. Without `base` relative paths are faults.
    """
    tree = read_yaml(file) if isinstance(file, str) else file
    if tree.value is None and not tree.faults:
        raise ManifestError([Problem(0, 0, "", "the file is empty; it has apps: or queues:")])
    form, problems = _fit(tree)
    problems += _repeated(tree)
    if form is not None:
        problems += _lost_paths(tree, form, base)
    if form is None or problems:
        raise ManifestError(problems)
    if problems := _ecs_problems(tree, form):
        raise ManifestError(problems)
    return Manifest(
        apps=tuple(_app(each, base) for each in form.apps),
        jobs=tuple(_job(app.name, each) for app in form.apps for each in app.jobs),
        queues=tuple(Queue(each.name, each.concurrency) for each in form.queues),
        schedules=tuple(_schedules(form)),
        subscriptions=tuple(Subscription(**each.model_dump()) for each in form.subscriptions),
    )


def unknown_queues(manifest: Manifest, known: Collection[str]) -> tuple[JobDefinition, ...]:
    """Return the jobs whose queue is neither in the file nor among the known ones."""
    there = {queue.name for queue in manifest.queues} | set(known)
    return tuple(job for job in manifest.jobs if job.queue not in there)


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of the file, for editors; docs/apply.schema.json is its copy."""
    schema = FileForm.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | schema


def dump(manifest: Manifest) -> str:
    """Write the YAML that `parse` reads as the same manifest; defaults are left out.

    Raises `ValueError` for a job whose app is not in the manifest.
    """
    jobs: dict[str, list[dict[str, Any]]] = {app.name: [] for app in manifest.apps}
    for job in manifest.jobs:
        if job.app not in jobs:
            raise ValueError(f"the job {job.name} is of the app {job.app}, which is not here")
        own = [each for each in manifest.schedules if (each.app, each.job) == (job.app, job.name)]
        said = {"schedules": list(map(_schedule_facts, own))} if own else {}
        jobs[job.app].append(_job_facts(job) | said)
    facts = {
        "apps": [_app_facts(app, jobs[app.name]) for app in manifest.apps],
        "queues": [_without_none(asdict(queue)) for queue in manifest.queues],
    }
    if manifest.subscriptions:
        facts["subscriptions"] = [asdict(each) for each in manifest.subscriptions]
    return write_yaml(facts)


def facts_of(thing: Thing | None) -> dict[str, Any]:
    """Return what the file says of one thing, of an app without its jobs; defaults are left out."""
    match thing:
        case None:
            return {}
        case App():
            facts = _app_facts(thing, [])
        case JobDefinition():
            facts = _job_facts(thing)
        case Schedule():
            facts = _schedule_facts(thing)
        case _:
            facts = _without_none(asdict(thing))
    return {name: value for name, value in facts.items() if name != "name"}


def _fit(tree: Tree) -> tuple[FileForm | None, list[Problem]]:
    problems = [
        Problem(fault.line, fault.column, write_path(fault.path), fault.message)
        for fault in tree.faults
    ]
    if tree.value is None:
        return None, problems
    try:
        return FileForm.model_validate(tree.value), problems
    except ValidationError as error:
        told = {fault.path for fault in tree.faults}
        details = error.errors(include_url=False)
        return None, problems + [
            _problem(tree, each) for each in details if each["loc"] not in told
        ]


def _problem(tree: Tree, details: ErrorDetails) -> Problem:
    path: KeyPath = tuple(details["loc"])
    about_key = details["type"] == "extra_forbidden"
    line, column = _position(tree.keys if about_key else tree.values, path)
    return Problem(line, column, write_path(path), _sentence(path, details))


def _position(places: dict[KeyPath, tuple[int, int]], path: KeyPath) -> tuple[int, int]:
    """Return where the path stands, or the nearest thing around it that is in the file."""
    while path and path not in places:
        path = path[:-1]
    return places.get(path, (1, 1))


def write_path(path: KeyPath) -> str:
    """Write a path as people do: `apps[0].jobs[1].timeout`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part[:60]}" for part in path)
    return text.removeprefix(".")


_SENTENCES = {
    "bool_type": "{shown} stands where true or false is needed",
    "dict_type": "{shown} stands where a mapping is needed",
    "greater_than_equal": "{shown} is too low; at least {ge}",
    "int_type": "{shown} stands where a whole number is needed",
    "less_than_equal": "{shown} is too high; at most {le}",
    "list_type": "{shown} stands where a list is needed",
    "literal_error": "{shown} is not one of {expected}",
    "missing": "this key is missing",
    "model_type": "{shown} stands where a mapping is needed",
    "value_error": "{error}",
}
"""What we say for pydantic's kinds of error; without an entry its own words are shown."""


def _sentence(path: KeyPath, details: ErrorDetails) -> str:
    if details["type"] == "extra_forbidden":
        return _unknown_key(path)
    sentence = _SENTENCES.get(details["type"])
    if sentence is None:
        return details["msg"]
    return sentence.format(shown=describe_kind(details["input"]), **details.get("ctx", {}))


def _unknown_key(path: KeyPath) -> str:
    around = tuple(part for part in path[:-1] if isinstance(part, str))
    known = list(FORMS[around].model_fields)
    meant = nearest(str(path[-1]), known)
    return "unknown key; " + (
        f'did you mean "{meant}"?' if meant else f"known here: {', '.join(known)}"
    )


def _repeated(tree: Tree) -> list[Problem]:
    """Find names that stand twice, also in a file that has other faults."""
    top = tree.value if isinstance(tree.value, dict) else {}
    found = list(_repeated_names(tree, top.get("apps"), ("apps",)))
    found += _repeated_names(tree, top.get("queues"), ("queues",))
    found += _repeated_topics(tree, top.get("subscriptions"))
    apps = top.get("apps")
    for index, app in enumerate(apps if isinstance(apps, list) else []):
        if isinstance(app, dict):
            found += _repeated_in_app(tree, app, ("apps", index, "jobs"))
    return found


def _repeated_in_app(tree: Tree, app: dict[str, Any], path: KeyPath) -> Iterator[Problem]:
    jobs = app.get("jobs")
    yield from _repeated_names(tree, jobs, path)
    for index, job in enumerate(jobs if isinstance(jobs, list) else []):
        if isinstance(job, dict):
            yield from _repeated_names(tree, job.get("schedules"), (*path, index, "schedules"))


def _repeated_names(tree: Tree, entries: object, path: KeyPath) -> Iterator[Problem]:
    seen: dict[str, int] = {}
    for index, entry in enumerate(entries if isinstance(entries, list) else []):
        name = entry.get("name") if isinstance(entry, dict) else None
        if not isinstance(name, str):
            continue
        here: KeyPath = (*path, index, "name")
        line, column = _position(tree.values, here)
        if name in seen:
            fault = f"{name[:60]!r} is also the name of the one in line {seen[name]}"
            yield Problem(line, column, write_path(here), fault)
        seen.setdefault(name, line)


def _repeated_topics(tree: Tree, entries: object) -> Iterator[Problem]:
    seen: dict[tuple[str, str], int] = {}
    for index, entry in enumerate(entries if isinstance(entries, list) else []):
        if not isinstance(entry, dict):
            continue
        pair = (str(entry.get("queue", "default")), str(entry.get("topic")))
        here: KeyPath = ("subscriptions", index, "topic")
        line, column = _position(tree.values, here)
        if pair in seen:
            fault = f"the queue {pair[0][:80]} hears this topic in line {seen[pair]} already"
            yield Problem(line, column, write_path(here), fault)
        seen.setdefault(pair, line)


def _lost_paths(tree: Tree, form: FileForm, base: Path | None) -> list[Problem]:
    if base is not None and base.is_absolute():
        return []
    return [
        Problem(
            *_position(tree.values, ("apps", index, "process", "path", number)),
            write_path(("apps", index, "process", "path", number)),
            "a relative path needs the file's directory, which is not known; make it absolute",
        )
        for index, app in enumerate(form.apps)
        for number, path in enumerate(app.process.path)
        if not PurePosixPath(path).is_absolute()
    ]


def _ecs_problems(tree: Tree, form: FileForm) -> list[Problem]:
    """Find what can't be true together; a fault of the app is told once, not for each job."""
    found: dict[Problem, None] = {}
    for number, app in enumerate(form.apps):
        for position, job in enumerate(app.jobs):
            for path, message in faults(_app(app, None), _job(app.name, job)):
                in_app: KeyPath = ("apps", number, *path)
                in_job: KeyPath = ("apps", number, "jobs", position, *path)
                here = in_app if in_app in tree.values and in_job not in tree.values else in_job
                problem = Problem(*_position(tree.values, here), write_path(here), message)
                found.setdefault(problem)
    return list(found)


def _app(form: AppForm, base: Path | None) -> App:
    root = base or Path("/")
    return App(
        name=form.name,
        image=form.image or "",
        description=form.description,
        env=form.env,
        process_path=tuple(os.path.normpath(root / path) for path in form.process.path),
        mask=tuple(form.mask),
        notify=form.notify.model_dump(exclude_unset=True),
        logs=form.logs,
        ecs=form.ecs.model_dump(exclude_unset=True),
    )


def _job(app: str, form: JobForm) -> JobDefinition:
    facts = {name: getattr(form, name) for name in JobForm.model_fields if name != "schedules"}
    retry = RetryPolicy(
        **{name: getattr(form.retry, name) for name in type(form.retry).model_fields}
    )
    for name in ("command", "capabilities"):
        facts[name] = tuple(facts[name] or ())
    facts["callback"] = form.callback.url if form.callback else ""
    said = {name: facts[name].model_dump(exclude_unset=True) for name in ("ecs", "notify")}
    return JobDefinition(**facts | {"app": app, "retry": retry, **said})


def _schedules(form: FileForm) -> Iterator[Schedule]:
    for app in form.apps:
        for job in app.jobs:
            for each in job.schedules:
                facts = each.model_dump() | {
                    "message": strict_json.dumps(each.message),
                    "overlap": Overlap(each.overlap),
                    "catch_up": CatchUp(each.catch_up),
                }
                yield Schedule(app=app.name, job=job.name, **facts)


def _schedule_facts(schedule: Schedule) -> dict[str, Any]:
    plain = Schedule(schedule.app, schedule.job, schedule.name, schedule.cron)
    facts: dict[str, Any] = {"name": schedule.name, "cron": schedule.cron}
    for each in fields(schedule)[4:]:
        value = getattr(schedule, each.name)
        if value != getattr(plain, each.name):
            facts[each.name] = value.value if isinstance(value, Overlap | CatchUp) else value
    if "message" in facts:
        facts["message"] = json.loads(schedule.message)
    return facts


def _app_facts(app: App, jobs: list[dict[str, Any]]) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "name": app.name,
        "image": app.image,
        "description": app.description,
        "process": {"path": list(app.process_path)} if app.process_path else None,
        "env": app.env,
        "mask": list(app.mask),
        "notify": app.notify,
        "logs": app.logs if app.logs != DEFAULT_LOGS else None,
        "ecs": app.ecs,
        "jobs": jobs,
    }
    return {name: value for name, value in facts.items() if value}


def _job_facts(job: JobDefinition) -> dict[str, Any]:
    plain = JobDefinition(app=job.app, name=job.name, command=job.command)
    facts: dict[str, Any] = {"name": job.name}
    if job.callback:
        facts["callback"] = {"url": job.callback}
    else:
        facts["command"] = list(job.command)
    for each in fields(job):
        value = getattr(job, each.name)
        if each.name not in ("app", "retry", "callback") and value != getattr(plain, each.name):
            facts[each.name] = _written(value)
    retry = {name: _written(value) for name, value in asdict(job.retry).items()}
    usual = {name: _written(value) for name, value in asdict(RetryPolicy()).items()}
    changed = {name: value for name, value in retry.items() if value != usual[name]}
    return facts | ({"retry": changed} if changed else {})


def _written(value: object) -> object:
    if isinstance(value, timedelta):
        return format_duration(value)
    return list(value) if isinstance(value, tuple) else value


def _without_none(facts: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in facts.items() if value is not None}

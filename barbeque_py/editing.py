"""One app's section of an apply file; one part of it as people edit it, and as it is kept."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from barbeque_py.apps import App, JobDefinition
from barbeque_py.manifest import Manifest, Thing, dump
from barbeque_py.schedules import Schedule
from barbeque_py.store import Tx, apps, editions, schedules, subscriptions
from barbeque_py.yaml_text import write_yaml
from barbeque_py.yaml_tree import Fault, Path, Tree, read_yaml

Section = Mapping[str, Any]
"""What a file says of an app, with its jobs and their schedules."""

Part = tuple[str, str]
"""An app and a job of it; the app itself where the job is empty."""

_ELSEWHERE = {
    "name": "a name can't be changed",
    "image": "another image is a release of the app",
    "jobs": "each job has a definition of its own",
}


def section_of(tx: Tx, app: str) -> Section | None:
    """Return what a file would say of the app; None where there is no such app."""
    found = apps.get_app(tx, app)
    if found is None:
        return None
    timed = tuple(each.schedule for each in schedules.everything(tx, app))
    return section_in(Manifest((found,), tuple(apps.jobs_of(tx, app)), schedules=timed))


def section_in(manifest: Manifest) -> Section:
    """Return what the file says of its only app."""
    tree: Any = read_yaml(dump(manifest)).value
    section: Section = tree["apps"][0]
    return section


def part_of(section: Section | None, job: str) -> str | None:
    """Return the text of a job, or with an empty name of the app itself; None where it is not."""
    if section is None:
        return None
    facts: Mapping[str, Any] | None = section
    if job:
        facts = next((each for each in _jobs(section) if each["name"] == job), None)
    if facts is None:
        return None
    left_out = {"name"} if job else _ELSEWHERE.keys()
    kept = {name: value for name, value in facts.items() if name not in left_out}
    return write_yaml(kept) if kept else ""


def like(section: Section, job: str) -> str | None:
    """Return the text for a job like this one, which does not run by the clock as well."""
    found = next((each for each in _jobs(section) if each["name"] == job), None)
    if found is None:
        return None
    return write_yaml({n: each for n, each in found.items() if n not in ("name", "schedules")})


def place_of(section: Section, job: str) -> Path:
    """Return where this part stands, or would stand, in a file with the section alone."""
    if not job:
        return ("apps", 0)
    names = [each["name"] for each in _jobs(section)]
    return ("apps", 0, "jobs", names.index(job) if job in names else len(names))


def with_part(section: Section, job: str, written: Tree) -> Tree:
    """Return the file of this section in which the part is as it is written.

    Its faults and places are those of the written text, under the path of the part.
    """
    value = {} if written.value is None else written.value
    elsewhere = _elsewhere(written, ["name"] if job else list(_ELSEWHERE))
    return _file(
        {"apps": [_replaced(section, job, value)]}, place_of(section, job), written, elsewhere
    )


def _file(value: object, place: Path, written: Tree, more: list[Fault]) -> Tree:
    tree = Tree(value=value, values={(): (0, 0)})
    tree.keys = {(*place, *path): at for path, at in written.keys.items()}
    tree.values |= {(*place, *path): at for path, at in written.values.items()}
    tree.faults = [
        Fault(each.line, each.column, (*place, *each.path), each.message)
        for each in [*written.faults, *more]
    ]
    return tree


def new_app(name: str, written: Tree) -> Tree:
    """Return the file with an app of this name that is as it is written, its jobs included."""
    value = {} if written.value is None else written.value
    named = {"name": name, **value} if isinstance(value, dict) else value
    return _file({"apps": [named]}, ("apps", 0), written, _elsewhere(written, ["name"]))


def without_job(tx: Tx, app: str, job: str) -> Tree:
    """Return the file of the app without the job; applied with `prune` it removes it."""
    section = section_of(tx, app) or {"name": app}
    kept = [each for each in _jobs(section) if each["name"] != job]
    heard = [each.wanted for each in subscriptions.everything(tx) if each.removed_at is None]
    others = [asdict(each) for each in heard if each.app == app and each.job != job]
    value = {"apps": [{**section, "jobs": kept}]} | ({"subscriptions": others} if others else {})
    return Tree(value=value, values={(): (0, 0)}, keys={("subscriptions",): (0, 0)})


def _replaced(section: Section, job: str, value: object) -> object:
    named: object = value
    if isinstance(value, dict):
        kept = {"name": job} if job else {n: section[n] for n in _ELSEWHERE if n in section}
        named = kept | value
    if not job:
        return named
    jobs = _jobs(section)
    found = [named if each["name"] == job else each for each in jobs]
    return {**section, "jobs": found if job in [each["name"] for each in jobs] else [*jobs, named]}


def _elsewhere(written: Tree, names: Iterable[str]) -> list[Fault]:
    """Find keys that another part, or another page, has the say of."""
    value = written.value if isinstance(written.value, dict) else {}
    return [
        Fault(*written.keys[name,], (name,), f"leave this key out: {_ELSEWHERE[name]}")
        for name in names
        if name in value
    ]


def _jobs(section: Section) -> list[dict[str, Any]]:
    return list(section.get("jobs", ()))


class Keeping:
    """Keeps the editions of what is changed in one transaction: before it, and after it."""

    def __init__(self, tx: Tx, who: str, made_with: str, why: str) -> None:
        self._tx = tx
        self._facts = {"made_with": made_with, "made_by": who, "note": why or None}
        self._before: dict[Part, str | None] = {}

    def note_before(self, things: Iterable[Thing]) -> None:
        """Note what these are before they are changed."""
        parts = {part for each in things if (part := _part(each)) is not None}
        self._before = self._read(parts)

    def note_after(self) -> None:
        """Keep what they have become; what nobody has kept before as the edition before that."""
        for part, text in self._read(self._before).items():
            before = self._before[part]
            if text == before:
                continue
            if before is not None and editions.newest(self._tx, *part) is None:
                editions.add(self._tx, *part, before, made_with="", made_by="")
            editions.add(self._tx, *part, text, **self._facts)  # type: ignore[arg-type]

    def _read(self, parts: Iterable[Part]) -> dict[Part, str | None]:
        sections = {app: section_of(self._tx, app) for app in {app for app, _ in parts}}
        return {(app, job): part_of(sections[app], job) for app, job in sorted(parts)}


def _part(thing: Thing) -> Part | None:
    match thing:
        case App():
            return thing.name, ""
        case JobDefinition():
            return thing.app, thing.name
        case Schedule():
            return thing.app, thing.job
    return None

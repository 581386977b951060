"""Who may apply what of a file, and what the audit trail says of what was applied."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from barbeque_py.apps import App, JobDefinition, Queue, Subscription
from barbeque_py.durations import format_duration
from barbeque_py.errors import Forbidden
from barbeque_py.identity import Identity, Scope
from barbeque_py.manifest import Manifest, Thing
from barbeque_py.schedules import Schedule
from barbeque_py.store import Tx, apps, audit, schedules, subscriptions

_DONE = {"created": "create", "changed": "change", "removed": "remove"}


def check_named(who: Identity, manifest: Manifest) -> None:
    """Refuse a file that names apps that are not the caller's, before it is compared."""
    named = [app.name for app in manifest.apps] + [job.app for job in manifest.jobs]
    named += [each.app for each in manifest.subscriptions]
    for app in named:
        if not who.may(Scope.DEPLOY, app):
            raise Forbidden(f"this token may not change the app {app}")


def check_change(tx: Tx, who: Identity, kind: str, change: str, thing: Thing) -> None:
    """Refuse a change that needs an admin, and one that takes something from another app."""
    if change == "unchanged" or who.may(Scope.ADMIN):
        return
    if isinstance(thing, Queue) or (isinstance(thing, App) and change == "created"):
        raise Forbidden(
            f"the {kind} {thing.name} is not there so: this needs a token with the scope admin"
        )
    before = find(tx, thing)
    if isinstance(before, Subscription) and not who.may(Scope.DEPLOY, before.app):
        raise Forbidden(f"the queue {before.queue} hears {before.topic} for another app")


def find(tx: Tx, thing: Thing) -> Thing | None:
    """Return what there is under the name of this."""
    match thing:
        case App():
            return apps.get_app(tx, thing.name)
        case JobDefinition():
            return apps.get_job(tx, thing.app, thing.name)
        case Queue():
            return apps.get_queue(tx, thing.name)
        case Schedule():
            timed = schedules.get(tx, thing.app, thing.job, thing.name)
            return None if timed is None else timed.schedule
        case Subscription():
            found = subscriptions.find(tx, thing.queue, thing.topic)
            return None if found is None else found.wanted


def note(tx: Tx, who: Identity, change: str, before: Thing | None, after: Thing | None) -> None:
    """Record one change that was made; the release of an image has a row of its own."""
    thing = after or before
    assert thing is not None
    left, right = (facts(each) for each in (before, after))
    if before is not None and after is not None:
        same = {name for name in left if left[name] == right[name]}
        left, right = _without(left, same), _without(right, same)
        if isinstance(thing, App) and left.keys() == {"image"}:
            return
    kind, subject, app = _subject(thing)
    audit.record(
        tx,
        who,
        f"{kind}.{_DONE[change]}",
        subject,
        app=app,
        before=left if before is not None else None,
        after=right if after is not None else None,
    )


def facts(thing: Thing | None) -> dict[str, Any]:
    """Return what may be told of it: of settings that may hold secrets their names alone."""
    found = {} if thing is None else asdict(thing)
    return {name: _told(name, value) for name, value in found.items()}


def _told(name: str, value: Any) -> Any:
    if isinstance(value, timedelta):
        return format_duration(value)
    if name == "retry":
        return {each: _told(each, item) for each, item in value.items()}
    if isinstance(value, dict):
        return sorted(map(str, value))
    return value


def _without(told: dict[str, Any], names: Sequence[str] | set[str]) -> dict[str, Any]:
    return {name: value for name, value in told.items() if name not in names}


def _subject(thing: Thing) -> tuple[str, str, str | None]:
    match thing:
        case App():
            return "app", f"app:{thing.name}", thing.name
        case JobDefinition():
            return "job", f"job:{thing.app}/{thing.name}", thing.app
        case Queue():
            return "queue", f"queue:{thing.name}", None
        case Schedule():
            return "schedule", f"schedule:{thing.app}/{thing.job}/{thing.name}"[:300], thing.app
        case Subscription():
            return "subscription", f"subscription:{thing.queue} {thing.topic}"[:300], thing.app

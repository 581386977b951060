"""What support needs to know of an installation, gathered without a secret of it."""

import platform
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from datetime import datetime
from functools import partial
from importlib.metadata import PackageNotFoundError, requires, version
from typing import Any

from barbeque_py import clock
from barbeque_py.cli.findings import examine
from barbeque_py.cli.observing import secrets_of
from barbeque_py.environment import inherited
from barbeque_py.errors import BarbequeError
from barbeque_py.masks import compile_masks, secret_values
from barbeque_py.settings import Settings
from barbeque_py.settings_page import describe
from barbeque_py.store import Store, Tx, apps, gauges, limits, pauses, troubles, workers
from barbeque_py.store.revision import newest_revision, revision_of

_LOOKS_SECRET = (
    r"bq_[a-z0-9]{12}_[A-Za-z0-9_-]+",
    r"(?:AKIA|ASIA)[A-Z0-9]{16}",
    r"xox[a-z]-[A-Za-z0-9-]+",
    r"hooks\.slack\.com/services/[^\s\"']+",
    r"(?<=://)[^/@\s:\"']*:[^/@\s\"']+(?=@)",
    r"(?i:(?<=token=)|(?<=key=)|(?<=signature=)|(?<=bearer ))[A-Za-z0-9._~+/=%-]{6,}",
)
"""Forms of secrets, whosever they are."""

Facts = dict[str, Any]


def diagnose(settings: Settings, *, looking: Callable[[str], None]) -> Facts:
    """Return everything, by what it is about; of what can't be looked at, why."""
    facts: Facts = {
        "made_at": clock.rfc3339(clock.now()),
        "versions": _versions(),
        "settings": {row.variable: row.value for row in describe(settings)},
        "warnings": list(settings.warnings),
        "checks": _looked(lambda: [each.facts() for each in examine(settings, looking=looking)]),
    }
    looking("the database")
    secret = [*secrets_of(settings), *secret_values(inherited())]
    try:
        store = Store(settings.database)
    except BarbequeError as error:
        facts["database"] = {"fault": str(error)}
        return _masked(facts, secret)
    try:
        facts |= {name: _looked(partial(store.read, ask)) for name, ask in _ASKED.items()}
        facts["schema"] = _looked(lambda: revision_of(store))
        known = _looked(lambda: _secrets_of_apps(store))
        if isinstance(known, list):
            secret += known
        else:  # what can't be masked is left out
            facts["troubles"] = known
    finally:
        store.close()
    return _masked(facts, secret)


def _looked(look: Callable[[], Any]) -> Any:
    """Return what is found; where looking fails, as in a schema of another version, how."""
    try:
        return look()
    except Exception as error:  # noqa: BLE001 - whoever needs help has faults that nobody foresaw
        return {"fault": f"{type(error).__name__}: {error}"}


def _is_key(scope: str) -> bool:
    """Tell whether the scope is named by those who enqueue, perhaps after a user."""
    return scope.startswith("key:")


def _database(tx: Tx) -> Facts:
    name = apps.installation_name(tx)
    return {"installation": name, "now": tx.now, "rows": troubles.count_rows(tx)}


_ASKED: dict[str, Callable[[Tx], Any]] = {
    "database": _database,
    "gauges": lambda tx: asdict(gauges.read(tx)),
    "workers": lambda tx: list(map(asdict, workers.alive(tx))),
    "limits": lambda tx: [asdict(each) for each in limits.read_all(tx) if not _is_key(each.scope)],
    "pauses": lambda tx: list(map(asdict, pauses.current(tx).values())),
    "troubles": lambda tx: list(map(asdict, troubles.newest(tx))),
}


def _versions() -> Facts:
    needed = [each.split(";")[0] for each in requires("barbeque-py") or ()]
    names = sorted({_name(each) for each in needed})
    return {
        "barbeque-py": version("barbeque-py"),
        "schema": newest_revision(),
        "python": platform.python_version(),
        "system": platform.platform(),
        "packages": {name: _version(name) for name in names},
    }


def _name(requirement: str) -> str:
    return requirement.replace("[", " ").replace(">", " ").replace("=", " ").split()[0]


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _secrets_of_apps(store: Store) -> list[str]:
    """Return what apps and jobs give their containers under the name of a secret."""

    def read(tx: Tx) -> list[str]:
        environments = [each.env for each in apps.all_apps(tx)]
        environments += [each.env for each in apps.all_jobs(tx)]
        return [value for each in environments for value in secret_values(each)]

    return store.read(read)


def _masked(facts: Facts, secret: Iterable[str]) -> Facts:
    mask = compile_masks(secret, _LOOKS_SECRET)
    assert mask is not None, "there are forms to look for"

    def masked(value: Any) -> Any:
        match value:
            case str():
                return mask(value.encode(errors="replace")).decode(errors="replace")
            case datetime():
                return clock.rfc3339(value)
            case Mapping():
                return {str(key): masked(each) for key, each in value.items()}
            case list() | tuple():
                return [masked(each) for each in value]
        return value

    found: Facts = masked(facts)
    return found

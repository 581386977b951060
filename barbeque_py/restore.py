"""Read a backup back, into an installation that is empty yet."""

from collections.abc import Callable, Iterator
from typing import Any

from barbeque_py.backup_file import Manifest, Reader
from barbeque_py.errors import ConfigurationError, NotEmpty, UnfitBackup
from barbeque_py.identity import Identity, Scope
from barbeque_py.logstore import LogStore
from barbeque_py.store import Store, audit
from barbeque_py.store.dump import Shape, check_empty, fill, is_known
from barbeque_py.store.schema import migrate

_WHO = Identity("barbeque restore", frozenset(Scope))

Telling = Callable[[str, int], None]


def restore(
    reader: Reader,
    store: Store,
    logs: LogStore,
    *,
    name: str | None = None,
    tell: Telling = lambda _what, _count: None,
) -> Manifest:
    """Read everything of the backup back, and bring the tables up to date.

    All is checked before anything is written. `name` is what the installation must be called. One
    that was interrupted can be done again. Raises `UnfitBackup`, `NotEmpty`, `ConfigurationError`,
    `StoreUnavailable`, `LogStoreUnavailable`.
    """
    manifest = reader.check()
    if not is_known(manifest.schema):
        raise UnfitBackup(
            f"the backup has schema {manifest.schema} of barbeque_py {manifest.program}, which "
            "this version does not know: restore it with that version, or a newer one"
        )
    if name not in (None, manifest.installation):
        raise ConfigurationError(
            f"BARBEQUE_INSTALLATION is {name}, but the backup is of the installation "
            f"{manifest.installation}: unset it"
        )
    shapes = _shapes(manifest)
    check_empty(store)
    _check_logs(reader, logs)
    for count, (key, pieces) in enumerate(reader.logs(), start=1):
        logs.put(key, pieces)
        tell("logs", count)
    fill(store, manifest.schema, shapes, _parts(reader, manifest, tell))
    migrate(store)
    _note(store, manifest)
    return manifest


def _shapes(manifest: Manifest) -> list[Shape]:
    try:
        return [
            Shape(table, tuple((name, kind) for name, kind in held.columns))
            for table, held in manifest.tables.items()
        ]
    except ValueError as error:
        raise UnfitBackup(f"the backup's tables can't be read: {error}") from None


def _check_logs(reader: Reader, logs: LogStore) -> None:
    """Raise `NotEmpty` where there are logs that are not the backup's."""
    there = set(logs.names(""))
    if there:
        there.difference_update(reader.keys())
    if there:
        raise NotEmpty(
            f"BARBEQUE_LOGS is not empty, it has {min(there)} and {len(there) - 1} more: nothing "
            "was changed; name an empty place"
        )


def _parts(
    reader: Reader, manifest: Manifest, tell: Telling
) -> Iterator[tuple[str, list[list[Any]]]]:
    done = dict.fromkeys(manifest.tables, 0)
    for table, rows in reader.rows(manifest):
        yield table, rows
        done[table] += len(rows)
        tell(table, done[table])


def _note(store: Store, manifest: Manifest) -> None:
    facts = {
        "taken_at": manifest.taken_at,
        "program": manifest.program,
        "schema": manifest.schema,
        "logs": manifest.with_logs,
    }
    store.write(lambda tx: audit.record(tx, _WHO, "barbeque.restore", "installation", after=facts))

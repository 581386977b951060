"""Write everything that an installation keeps into one file."""

from collections.abc import Callable, Iterator
from typing import IO

from barbeque_py import clock
from barbeque_py.backup_file import LOGS, Held, Manifest, Writer
from barbeque_py.errors import NoSuchLog, UnfitBackup
from barbeque_py.logstore import LogStore
from barbeque_py.store import Store
from barbeque_py.store.dump import Snapshot, snapshot
from barbeque_py.store.revision import check_schema, newest_revision

_PIECE = 8 * 1024 * 1024

Telling = Callable[[str, int], None]
"""Hears of what there is how much is done: a table's rows, the logs' objects."""


def back_up(
    store: Store,
    logs: LogStore | None,
    file: IO[bytes],
    *,
    program: str,
    logs_at: str,
    tell: Telling = lambda _what, _count: None,
) -> Manifest:
    """Write the database as it is at one instant, and the logs that there are after it.

    Without `logs` it only tells where they are. Jobs run and logs are written meanwhile. Raises
    `StoreUnavailable`, `LogStoreUnavailable`, `UnfitBackup` where a newer version made the tables.
    """
    check_schema(store)
    writer = Writer(file)
    with snapshot(store) as found:
        if found.schema != newest_revision():
            raise UnfitBackup(
                f"the database has schema {found.schema}, which this version does not know: back "
                "it up with the version that made it"
            )
        manifest = Manifest(
            program=program,
            schema=found.schema,
            installation=found.installation,
            taken_at=clock.rfc3339(clock.now()),
            logs_at=logs_at,
            with_logs=logs is not None,
        )
        _add_tables(writer, manifest, found, tell)
    if logs is not None:
        _add_logs(writer, manifest, logs, tell)
    writer.finish(manifest)
    return manifest


def _add_tables(writer: Writer, manifest: Manifest, found: Snapshot, tell: Telling) -> None:
    for shape in found.shapes():
        held = Held([list(column) for column in shape.columns])
        manifest.tables[shape.table] = held
        for rows in writer.add_rows(shape.table, held, found.rows(shape)):
            tell(shape.table, rows)


def _add_logs(writer: Writer, manifest: Manifest, logs: LogStore, tell: Telling) -> None:
    for key in logs.names(""):
        try:
            manifest.log_bytes += writer.add(f"{LOGS}{key}", _pieces(logs, key))
        except NoSuchLog:  # sealed, or past its retention, since it was listed
            continue
        manifest.log_objects += 1
        tell("logs", manifest.log_objects)


def _pieces(logs: LogStore, key: str) -> Iterator[bytes]:
    position = 0
    while piece := logs.read(key, position, _PIECE):
        yield piece
        position += len(piece)
        if len(piece) < _PIECE:
            return

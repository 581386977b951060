"""`barbeque backup | restore`: everything in one file, and back."""

import fcntl
import glob
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any

import typer

from barbeque_py.cli.exits import Code, Failure, complain, warn
from barbeque_py.cli.options import Json
from barbeque_py.cli.screen import print_json, print_line
from barbeque_py.cli.session import session_of

if TYPE_CHECKING:
    from barbeque_py.backup_file import Manifest
    from barbeque_py.settings import Settings

_PIPE = "-"
_AGAIN = 60.0
"""Seconds after which a backup that failed is tried again, where they are made by the clock."""
_OFTEN = 0.5
_UNFINISHED = ".unfinished"


def backup(
    context: typer.Context,
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="Where to write it: a new file, a folder for one with the time in its name, or - "
            "for standard output.",
        ),
    ],
    *,
    logs: Annotated[
        bool | None,
        typer.Option(
            "--logs/--no-logs",
            help="Whether logs are in it. Default: a directory's are, those in S3 stay there.",
        ),
    ] = None,
    every: Annotated[
        str | None,
        typer.Option(
            metavar="DURATION", help="Stay, and write one so often, as in 24h; to a folder."
        ),
    ] = None,
    keep: Annotated[
        int | None,
        typer.Option(min=1, help="Remove all but so many of the newest backups in the folder."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Write the database and the logs into one file, while everything goes on.

    The database is as it was at one instant. The file holds secrets and can be read by its owner
    only; docs/backup.md says which. `barbeque restore` reads it, on SQLite as on MySQL.
    """
    settings = session_of(context).settings()
    where = Path(file)
    if (every is not None or keep is not None) and not where.is_dir():
        raise Failure(f"--every and --keep need a folder that is there, not {file}", Code.USAGE)
    if file == _PIPE:
        with _unless_terminal() as pipe:
            _write(settings, pipe, logs=logs)
        return
    make = _maker(settings, where, logs=logs, keep=keep, as_json=as_json)
    if every is None:
        make()
        return
    signal.signal(signal.SIGTERM, _interrupt)
    with suppress(KeyboardInterrupt):
        _repeat(make, _read_duration(every), where)


def restore(
    context: typer.Context,
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE", help="What `barbeque backup` wrote; - reads it from standard input."
        ),
    ],
    as_json: Json = False,
) -> None:
    """Read a backup back, into a database and a log store that are empty yet.

    Everything is checked before anything is written: each object by its checksum, the version, and
    that nothing is there. A backup of an older version is brought up to date. Run it before
    the other processes; one that was interrupted can be done again.
    """
    from barbeque_py.backup_file import Reader
    from barbeque_py.cli.folders import make_folder
    from barbeque_py.restore import restore as read_back
    from barbeque_py.store import Store
    from barbeque_py.wiring.logs import open_logs

    settings = session_of(context).settings()
    store = Store(settings.database, create=True)
    context.call_on_close(store.close)
    if store.sqlite:
        make_folder(Path(store.url.database or "").parent, "The folder of BARBEQUE_DATABASE")
    logs, name = open_logs(settings), settings.installation
    with _given(file) as path:
        found = read_back(Reader(path), store, logs, name=name, tell=_teller())
        _print(found, path, as_json=as_json, verb="restored from")
    where = _logs_at(settings)
    if not found.with_logs and found.logs_at != where:
        warn(f"logs are not in this backup, they were in {found.logs_at}; BARBEQUE_LOGS is {where}")


@contextmanager
def _given(file: str) -> Iterator[Path]:
    """Hand out the file; one that comes by standard input is kept meanwhile: it is read twice."""
    if file != _PIPE:
        yield Path(file)
        return
    import shutil

    with tempfile.NamedTemporaryFile(prefix="barbeque-restore-", suffix=".tar") as kept:
        shutil.copyfileobj(sys.stdin.buffer, kept)
        kept.flush()
        yield Path(kept.name)


def _maker(
    settings: "Settings", where: Path, *, logs: bool | None, keep: int | None, as_json: bool
) -> Callable[[], None]:
    def make() -> None:
        with _new_file(where) as (unfinished, path_of):
            found = _write(settings, unfinished, logs=logs)
            path = path_of(found)
        _print(found, path, as_json=as_json, verb="written to")
        if keep is not None:
            for old in _made(where, found.installation)[:-keep]:
                old.unlink()

    return make


def _write(settings: "Settings", file: IO[bytes], *, logs: bool | None) -> "Manifest":
    from importlib.metadata import version

    from barbeque_py.backup import back_up
    from barbeque_py.store import Store
    from barbeque_py.wiring.logs import open_logs

    wanted = settings.logs.kind == "directory" if logs is None else logs
    store = Store(settings.database)
    try:
        return back_up(
            store,
            open_logs(settings) if wanted else None,
            file,
            program=version("barbeque-py"),
            logs_at=_logs_at(settings),
            tell=_teller(),
        )
    finally:
        store.close()


@contextmanager
def _new_file(where: Path) -> Iterator[tuple[IO[bytes], Callable[["Manifest"], Path]]]:
    """Hand out a file that gets its name once it is whole and on disk."""
    if where.exists() and not where.is_dir():
        raise Failure(f"{where} is there already: name a new file, or a folder", Code.USAGE)
    folder = where if where.is_dir() else where.parent
    name = where
    unfinished = None

    def path_of(found: "Manifest") -> Path:
        nonlocal name
        if where.is_dir():
            taken = "".join(letter for letter in found.taken_at[:19] if letter.isalnum())
            name = where / f"barbeque-{found.installation}-{taken}Z.tar"
        return name

    try:
        _sweep(folder, where.name)
        descriptor, path = tempfile.mkstemp(_UNFINISHED, f".{where.name}.", folder)
        unfinished = Path(path)
        with os.fdopen(descriptor, "wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield file, path_of
            file.flush()
            os.fsync(file.fileno())
        unfinished.rename(name)
    except OSError as error:
        raise Failure(f"{name} can't be written: {error.strerror}") from None
    finally:
        if unfinished is not None:
            unfinished.unlink(missing_ok=True)


def _sweep(folder: Path, name: str) -> None:
    """Remove what backups have left that were killed: who writes one has it locked."""
    for left in folder.glob(f".{glob.escape(name)}.*{_UNFINISHED}"):
        with left.open("rb") as file, suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            left.unlink(missing_ok=True)


@contextmanager
def _unless_terminal() -> Iterator[IO[bytes]]:
    if sys.stdout.isatty():
        raise Failure("a backup is no text for a terminal: name a file, or a pipe", Code.USAGE)
    yield sys.stdout.buffer
    sys.stdout.buffer.flush()


def _repeat(make: Callable[[], None], every: timedelta, folder: Path) -> None:
    """Make one when the newest is that old, for ever."""
    from barbeque_py.errors import OutsideError

    while True:
        newest = max((each.stat().st_mtime for each in _made(folder, "*")), default=0.0)
        rest = newest + every.total_seconds() - time.time()
        if rest > 0:
            time.sleep(rest)
        try:
            make()
        except (OutsideError, Failure) as error:
            complain(f"no backup was made, the next try is in {_AGAIN:.0f} s: {error}")
            time.sleep(_AGAIN)


def _made(folder: Path, installation: str) -> list[Path]:
    """Return the backups in the folder, the oldest first."""
    return sorted(folder.glob(f"barbeque-{installation}-*.tar"))


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _read_duration(text: str) -> timedelta:
    from barbeque_py.durations import parse_duration

    try:
        found = parse_duration(text)
    except ValueError as error:
        raise Failure(f"--every: {error}", Code.USAGE) from None
    if found < timedelta(seconds=1):
        raise Failure(f"--every: {text} is less than a second", Code.USAGE)
    return found


def _logs_at(settings: "Settings") -> str:
    return dict(settings.shown)["BARBEQUE_LOGS"]


def _teller() -> Callable[[str, int], None]:
    """Return what shows how far it is, where somebody looks on."""
    told_at = 0.0

    def tell(what: str, count: int) -> None:
        nonlocal told_at
        if sys.stderr.isatty() and time.monotonic() - told_at > _OFTEN:
            told_at = time.monotonic()
            sys.stderr.write(f"\r\x1b[K{what}: {count} done")
            sys.stderr.flush()

    return tell


def _print(found: "Manifest", file: Path, *, as_json: bool, verb: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")
    if as_json:
        print_json(_facts(found, file))
        return
    rows = sum(held.rows for held in found.tables.values())
    logs = f"{found.log_objects} objects of logs" if found.with_logs else "no logs"
    size = file.stat().st_size
    print_line(
        f"{verb} {file}: installation {found.installation} of {found.taken_at}, schema "
        f"{found.schema}, {rows} rows, {logs}, {size} bytes"
    )


def _facts(found: "Manifest", file: Path) -> dict[str, Any]:
    return {
        "file": str(file),
        "bytes": file.stat().st_size,
        "installation": found.installation,
        "taken_at": found.taken_at,
        "program": found.program,
        "schema": found.schema,
        "tables": {name: held.rows for name, held in found.tables.items()},
        "logs": {
            "included": found.with_logs,
            "at": found.logs_at,
            "objects": found.log_objects,
            "bytes": found.log_bytes,
        },
    }

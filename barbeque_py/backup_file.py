"""The file of a backup: a tar of rows and logs, then what it holds, then checksums of all.

    database/<table>/<number>.jsonl.gz    a JSON array a row
    logs/<key>                            the objects of the log store as they are
    manifest.json                         what there is
    SHA256SUMS                            as sha256sum writes it: `sha256sum --check` reads it

It is written and checked from front to back, so that a pipe takes it, and one that is not whole
has no checksums.
"""

import gzip
import hashlib
import io
import json
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from barbeque_py.errors import UnfitBackup

VERSION = 1
"""Of the file's form; one that is read by newer programs only has a higher one."""

MANIFEST = "manifest.json"
SUMS = "SHA256SUMS"
LOGS = "logs/"
TABLES = "database/"

_PART = 4 * 1024 * 1024
"""Characters of rows after which another part begins."""
_PIECE = 1024 * 1024
_LEVEL = 3
_MOST_OF_MANIFEST = 4 * 1024 * 1024


@dataclass(slots=True)
class Held:
    """A table in the file."""

    columns: list[list[str]]
    """Each with the name of its type."""
    rows: int = 0
    parts: int = 0


@dataclass(slots=True)
class Manifest:
    """What the file says of itself."""

    program: str
    """The version of barbeque_py that wrote it."""
    schema: str
    installation: str
    taken_at: str
    logs_at: str
    """Where the logs were."""
    with_logs: bool
    tables: dict[str, Held] = field(default_factory=dict)
    log_objects: int = 0
    log_bytes: int = 0
    version: int = VERSION

    def facts(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return asdict(self)

    @classmethod
    def read(cls, body: bytes) -> "Manifest":
        """Read it strictly; raises `UnfitBackup`."""
        try:
            facts = json.loads(body)
            if facts.get("version") != VERSION:
                raise UnfitBackup(
                    f"the backup has form {facts.get('version')}, this version reads {VERSION}: "
                    "restore it with the version that wrote it, or a newer one"
                )
            tables = {name: Held(**held) for name, held in facts.pop("tables").items()}
            return cls(**facts, tables=tables)
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            raise UnfitBackup(f"the backup's {MANIFEST} can't be read: {error}") from None


class Writer:
    """Writes a backup's file, front to back."""

    def __init__(self, file: IO[bytes]) -> None:
        self._tar = tarfile.open(fileobj=file, mode="w|", format=tarfile.PAX_FORMAT)  # noqa: SIM115 - closed by `finish`
        self._sums = _Sums()

    def add_rows(self, table: str, held: Held, rows: Iterable[list[Any]]) -> Iterator[int]:
        """Add a table, in parts that fit memory; yield after each how many rows are added."""
        lines: list[str] = []
        size = 0
        for row in rows:
            line = json.dumps(row, ensure_ascii=False, separators=(",", ":"))
            lines.append(line)
            size += len(line)
            held.rows += 1
            if size >= _PART:
                self._add_part(table, held, lines)
                yield held.rows
                lines, size = [], 0
        if lines:
            self._add_part(table, held, lines)
            yield held.rows

    def _add_part(self, table: str, held: Held, lines: list[str]) -> None:
        held.parts += 1
        packed = gzip.compress("".join(f"{line}\n" for line in lines).encode(), _LEVEL, mtime=0)
        self.add(f"{TABLES}{table}/{held.parts:06}.jsonl.gz", [packed])

    def add(self, name: str, pieces: Iterable[bytes]) -> int:
        """Add an object of any size; return how many bytes it has."""
        digest = hashlib.sha256()
        with tempfile.SpooledTemporaryFile(max_size=2 * _PIECE) as spool:
            for piece in pieces:
                digest.update(piece)
                spool.write(piece)
            size = spool.tell()
            spool.seek(0)
            self._put(name, size, spool)
        self._sums.add(name, digest.hexdigest())
        return size

    def finish(self, manifest: Manifest) -> None:
        """Write what the file holds, and the checksums; the file is whole then."""
        body = json.dumps(manifest.facts(), indent=2).encode()
        self.add(MANIFEST, [body])
        sums = self._sums.file()
        self._put(SUMS, self._sums.size, sums)
        self._tar.close()

    def _put(self, name: str, size: int, file: Any) -> None:
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode = size, 0o600
        self._tar.addfile(entry, file)
        self._tar.members.clear()  # type: ignore[attr-defined] # else it remembers every one


class Reader:
    """Reads a backup's file, which `check` has found whole."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def check(self) -> Manifest:
        """Read everything once and compare it with the checksums; raises `UnfitBackup`."""
        found = _Sums()
        manifest = b""
        with self._open() as tar:
            for entry in _entries(tar):
                body = _body(tar, entry)
                if entry.name == SUMS:
                    _compare(found, body)
                    return Manifest.read(manifest)
                found.add(entry.name, _digest(body))
                if entry.name == MANIFEST:
                    body.seek(0)
                    manifest = body.read(_MOST_OF_MANIFEST)
        raise UnfitBackup(f"{self._path} is not a whole backup: its end is missing")

    def rows(self, manifest: Manifest) -> Iterator[tuple[str, list[list[Any]]]]:
        """Yield the tables' parts in the order in which they were written."""
        with self._open() as tar:
            for entry in _entries(tar):
                if not entry.name.startswith(TABLES):
                    return
                table = entry.name.removeprefix(TABLES).partition("/")[0]
                if table not in manifest.tables:
                    raise UnfitBackup(f"the backup has rows of {table}, its {MANIFEST} has not")
                yield table, _rows(entry.name, _body(tar, entry).read())

    def logs(self) -> Iterator[tuple[str, Iterator[bytes]]]:
        """Yield the logs' objects: key and content."""
        with self._open() as tar:
            for entry in _entries(tar):
                if entry.name.startswith(LOGS):
                    yield entry.name.removeprefix(LOGS), _pieces(_body(tar, entry))

    def keys(self) -> Iterator[str]:
        """Yield the keys of the logs' objects."""
        with self._open() as tar:
            names = (entry.name for entry in _entries(tar))
            yield from (name.removeprefix(LOGS) for name in names if name.startswith(LOGS))

    @contextmanager
    def _open(self) -> Iterator[tarfile.TarFile]:
        try:
            with tarfile.open(self._path, "r:") as tar:
                yield tar
        except OSError as error:
            raise UnfitBackup(f"{self._path} can't be read: {error.strerror}") from None
        except (tarfile.TarError, EOFError) as error:
            raise UnfitBackup(f"{self._path} is not a whole backup: {error}") from None


class _Sums:
    """Checksums as they come: some 130 bytes an object."""

    def __init__(self) -> None:
        self._lines = io.BytesIO()

    def add(self, name: str, digest: str) -> None:
        self._lines.write(f"{digest}  {name}\n".encode())

    @property
    def size(self) -> int:
        return self._lines.tell()

    def file(self) -> IO[bytes]:
        return io.BytesIO(self._lines.getbuffer())


def _compare(found: _Sums, told: IO[bytes]) -> None:
    """Raise `UnfitBackup` that names the first object that is not as it was written."""
    for mine, theirs in zip(found.file(), told, strict=False):
        if mine != theirs:
            name = mine.decode(errors="replace").partition("  ")[2].strip()
            raise UnfitBackup(f"the backup is damaged: {name} is not as it was written")
    if found.file().read() != b"".join(_again(told)):
        raise UnfitBackup(f"the backup is damaged: {SUMS} and what is there don't agree")


def _again(file: IO[bytes]) -> Iterator[bytes]:
    file.seek(0)
    yield from _pieces(file)


def _entries(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    while (entry := tar.next()) is not None:
        tar.members.clear()  # type: ignore[attr-defined] # else it remembers every one
        if not entry.isfile():
            raise UnfitBackup(f"{entry.name} is no file: this is not a backup of ours")
        yield entry


def _body(tar: tarfile.TarFile, entry: tarfile.TarInfo) -> IO[bytes]:
    body = tar.extractfile(entry)
    assert body is not None, "it is a file"
    return body


def _pieces(body: IO[bytes]) -> Iterator[bytes]:
    while piece := body.read(_PIECE):
        yield piece


def _digest(body: IO[bytes]) -> str:
    digest = hashlib.sha256()
    for piece in _pieces(body):
        digest.update(piece)
    return digest.hexdigest()


def _rows(name: str, packed: bytes) -> list[list[Any]]:
    try:
        with gzip.open(io.BytesIO(packed)) as lines:
            return [json.loads(line) for line in lines]
    except (OSError, EOFError, ValueError) as error:
        raise UnfitBackup(f"the backup's {name} can't be read: {error}") from None

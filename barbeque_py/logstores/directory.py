"""The log store of one machine: a directory, one file per object."""

import errno
import fcntl
import os
import re
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from barbeque_py.errors import LogStoreUnavailable, NoSuchLog

_PART = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9._~%-]+")
_UNFINISHED = "#"
"""Opens the name of a file that is being written; no percent-encoded name can begin so."""
_LOOKS = 20
"""How often a folder that others keep removing is made again."""
_ABSENT = (FileNotFoundError, IsADirectoryError, NotADirectoryError)
_CURES = {
    errno.ENOSPC: "free space there or point BARBEQUE_LOGS at a larger disk",
    errno.EDQUOT: "raise that user's quota or point BARBEQUE_LOGS at another disk",
    errno.EACCES: "let the user barbeque runs as write there, or change BARBEQUE_LOGS",
    errno.EPERM: "let the user barbeque runs as write there, or change BARBEQUE_LOGS",
    errno.EROFS: "mount it writable or change BARBEQUE_LOGS",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ENAMETOOLONG: "shorten the name of the app or job",
}


class DirectoryLogStore:
    """Keeps each object as a file below `root`; a key's parts are the folders.

    An object appears by a rename after its bytes are on disk. What a killed writer leaves is
    recognised by its lock being free and goes when its folder is next pruned.
    """

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()

    def put(self, key: str, chunks: Iterable[bytes]) -> int:
        """Write the chunks to a file beside the object, sync it and rename it into place."""
        path = self._path(key)
        with _explained(path, "write"):
            descriptor, unfinished = _create_beside(path)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    for chunk in chunks:
                        file.write(chunk)
                    file.flush()
                    os.fsync(file.fileno())
                    size = file.tell()
                    unfinished.rename(path)
            except BaseException:
                unfinished.unlink(missing_ok=True)
                raise
            _sync_folder(path.parent)
        return size

    def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """Return that range of the object's file; raises `NoSuchLog`."""
        path = self._path(key)
        with _explained(path, "read"):
            try:
                with path.open("rb") as file:
                    file.seek(start)
                    return file.read(length)
            except _ABSENT as error:
                raise NoSuchLog(f"no log object {key}") from error

    def names(self, prefix: str) -> list[str]:
        """Return the keys that begin with the prefix, sorted as S3 sorts them."""
        folder, _, _ = prefix.rpartition("/")
        top = self._path(folder) if folder else self._root
        with _explained(top, "list"):
            keys = (path.relative_to(self._root).as_posix() for path in _finished_files(top))
            return sorted(key for key in keys if key.startswith(prefix))

    def remove(self, keys: Iterable[str]) -> None:
        """Unlink the objects' files, then the folders that are empty now."""
        folders = set()
        for key in keys:
            path = self._path(key)
            with _explained(path, "remove"), suppress(*_ABSENT):
                path.unlink()
            folders.add(path.parent)
        for folder in folders:
            with _explained(folder, "remove"):
                self._prune(folder)

    def _path(self, key: str) -> Path:
        if not all(_PART.fullmatch(part) for part in key.split("/")):
            raise ValueError(f"{key!r} is not a key: parts are percent-encoded and joined by /")
        return self._root.joinpath(key)

    def _prune(self, folder: Path) -> None:
        while folder != self._root:
            try:
                _sweep(folder)
                folder.rmdir()
            except FileNotFoundError:
                pass
            except OSError as error:
                if error.errno in {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR}:
                    return
                raise
            folder = folder.parent


def _create_beside(path: Path) -> tuple[int, Path]:
    """Open a new, locked file in the object's folder, which others may be removing meanwhile."""
    for look in range(_LOOKS):
        _make_folders(path.parent)
        unfinished = path.with_name(f"{_UNFINISHED}{secrets.token_hex(8)}")
        try:
            descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
        except FileNotFoundError:
            if look == _LOOKS - 1:
                raise
            continue
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            return descriptor, unfinished
        os.close(descriptor)
    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path.parent))


def _make_folders(folder: Path) -> None:
    """Make the folder and those above it, each entry on disk before the next."""
    if folder.is_dir():
        return
    _make_folders(folder.parent)
    with suppress(FileExistsError, FileNotFoundError):
        folder.mkdir(mode=0o750)
        _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    """Make a rename last; a folder removed meanwhile has nothing to make last."""
    with suppress(FileNotFoundError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _sweep(folder: Path) -> None:
    """Unlink what killed writers left in the folder: unfinished files that nobody locks."""
    for path in folder.glob(f"{_UNFINISHED}*"):
        with suppress(FileNotFoundError, BlockingIOError), path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()


def _finished_files(top: Path) -> Iterator[Path]:
    for folder, _, names in os.walk(top, onerror=_raise_unless_absent):
        yield from (Path(folder, name) for name in names if not name.startswith(_UNFINISHED))


def _raise_unless_absent(error: OSError) -> None:
    if not isinstance(error, _ABSENT):
        raise error


@contextmanager
def _explained(path: Path, verb: str) -> Iterator[None]:
    """Turn the system's error into `LogStoreUnavailable` that names setting, path and cure."""
    try:
        yield
    except OSError as error:
        cure = _CURES.get(error.errno or 0, "look at that disk, or change BARBEQUE_LOGS")
        raise LogStoreUnavailable(
            f"can't {verb} {path} in the log store (BARBEQUE_LOGS): {error.strerror}; {cure}"
        ) from error

"""The two files in which a container may tell its progress and its result."""

import io
import tarfile
from urllib.parse import quote

from barbeque_py.executors.engine import Engine
from barbeque_py.reports import PROGRESS_LIMIT, RESULT_LIMIT, Report, read_files

FOLDER = "/barbeque"
"""An anonymous volume, gone with the container."""

LABEL = "barbeque.reports"
"""The label of containers that were given the files."""

_PROGRESS, _RESULT = f"{FOLDER}/progress", f"{FOLDER}/result.json"
VARIABLES = {"BARBEQUE_PROGRESS_FILE": _PROGRESS, "BARBEQUE_RESULT_FILE": _RESULT}
EMPTY = {"progress": b"", "result.json": b""}
"""What the container starts with: files that any user of its image may write to."""

_HEAD = 16 * 1024
"""Bytes of a tar around its first file: two headers, and what rounds them up."""


def read_report(engine: Engine, container: str, *, ended: bool) -> Report | None:
    """Return what the container has told so far; its result only when it has ended.

    What stands there is the job's and may be anything: it is read up to a limit, and a file that
    is none is no report. Raises `ExecutorUnavailable` when the engine is away.
    """
    progress = _read(engine, container, _PROGRESS, PROGRESS_LIMIT)
    result = _read(engine, container, _RESULT, RESULT_LIMIT) if ended else None
    return read_files(progress, result)


def _read(engine: Engine, container: str, path: str, limit: int) -> bytes | None:
    """Return the file's content up to a byte behind the limit, None where it is no file."""
    packed = b""
    address = f"/containers/{container}/archive?path={quote(path, safe='')}"
    with engine.stream("GET", address, silence=engine.timeout) as answer:
        if answer.status != 200:  # noqa: PLR2004 - HTTP's OK
            return None
        while not answer.complete and len(packed) <= limit + _HEAD:
            packed += b"".join(answer.read() or ())
    return _first_file(packed, limit)


def _first_file(packed: bytes, limit: int) -> bytes | None:
    try:
        with tarfile.open(fileobj=io.BytesIO(packed), mode="r:") as tar:
            entry = tar.next()
            file = tar.extractfile(entry) if entry is not None and entry.isreg() else None
            return None if file is None else file.read(limit + 1)
    except tarfile.TarError:
        return None

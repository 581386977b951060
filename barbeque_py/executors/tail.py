"""The log of one attempt in process mode, read from the file its supervisor writes."""

import re
import time
from collections.abc import Iterator
from contextlib import closing
from io import FileIO
from pathlib import Path

from barbeque_py.errors import ExecutorUnavailable, NoSuchLog
from barbeque_py.executor import Standing
from barbeque_py.executors.folder import Folder

CHUNK = 256 * 1024
SHORTEST_WAIT = 0.02
LONGEST_WAIT = 0.5

_HEAD = re.compile(rb"(\S+Z) (out|err|-)\+? ")


class Tail:
    """A `LogSource` over the file `log` of an attempt's folder."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder

    def batches(self, *, follow: bool) -> Iterator[list[bytes]]:
        """Yield the stored lines; the promise is `LogSource`'s."""
        try:
            if not self._folder.path.is_dir():
                raise NoSuchLog(f"no log of {self._folder.path.name}")
            yield from self._lines(follow=follow)
        except OSError as fault:
            raise ExecutorUnavailable(f"can't read the log: {fault}") from fault

    def _lines(self, *, follow: bool) -> Iterator[list[bytes]]:
        rest = b""
        for chunk in self._chunks(follow=follow):
            *lines, rest = (rest + chunk).split(b"\n")
            if lines or not chunk:
                yield lines
        if rest and self._is_over():
            yield from _torn(rest)

    def _chunks(self, *, follow: bool) -> Iterator[bytes]:
        """Yield what was written, and nothing while nothing is new."""
        wait = SHORTEST_WAIT
        with closing(_Growing(self._folder.path / "log")) as log:
            while True:
                # Asked before reading, or the last lines would be missed.
                last = not follow or self._is_over()
                while chunk := log.read():
                    yield chunk
                    wait = SHORTEST_WAIT
                if last:
                    return
                yield b""
                time.sleep(wait)
                wait = min(wait * 2, LONGEST_WAIT)

    def _is_over(self) -> bool:
        return self._folder.sighting().standing in (Standing.ENDED, Standing.ABSENT)


class _Growing:
    """A file that may not be there yet."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: FileIO | None = None

    def close(self) -> None:
        """Close what was opened."""
        if self._file:
            self._file.close()

    def read(self) -> bytes:
        """Return the next bytes; none when there are none now."""
        if self._file is None:
            try:
                self._file = FileIO(str(self._path))
            except FileNotFoundError:
                return b""
        return self._file.read(CHUNK)


def _torn(rest: bytes) -> Iterator[list[bytes]]:
    """Keep what a killed supervisor left of its last line, as a line without a newline."""
    head = _HEAD.match(rest)
    if head:
        yield [b"%s %s+ %s" % (head[1], head[2], rest[head.end() :])]

"""Logs that nobody ships while their jobs run, read only while somebody watches."""

import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from barbeque_py import clock
from barbeque_py.archive import Archive
from barbeque_py.errors import BarbequeError, ExecutorUnavailable, NoSuchLog
from barbeque_py.log_reading import Log
from barbeque_py.logs import LogSource, Page, live_firsts, live_key
from barbeque_py.masks import Mask
from barbeque_py.shipment import Masking

logger = logging.getLogger(__name__)

MOST = 64
"""Logs that one process watches at a time; each takes a thread and up to 2 MiB."""

_FIRST_LOOK = 3.0
"""Seconds that a reader waits for the first lines."""
_AGAIN = 5.0
"""Seconds until a source that failed is asked again."""
_TOLD = 60.0
"""Seconds for which a failure is told to readers who find nothing new."""
_BEAT = 0.5


class Watching:
    """Shows logs from where they are being written, one reader at the source for all watchers.

    A source is opened by the text in the attempt's row and must go on where it was when it is
    read again. It is followed while somebody reads and `linger` longer; then what was read of it
    is forgotten. Line numbers are those of the sealed log, as both are read from the first line.
    """

    def __init__(
        self,
        open_source: Callable[[str], LogSource],
        *,
        linger: timedelta = timedelta(seconds=15),
        spool_folder: Path | None = None,
        max_bytes: int = 1024**3,
    ) -> None:
        self._open_source = open_source
        self._linger = linger.total_seconds()
        self._spool_folder = spool_folder
        self._max_bytes = max_bytes
        self._watched: dict[str, _Watched] = {}
        self._guard = threading.Lock()
        self._closed = threading.Event()

    def read(
        self,
        log_at: str,
        *,
        first: int,
        count: int,
        stream: str | None = None,
        mask: Callable[[], Mask | None] = lambda: None,
    ) -> Page:
        """Return lines as `logs.read_lines` does; the first reader waits up to 3 s for some.

        `mask` is asked for once, by the first reader. Raises what the source raised
        (`ExecutorUnavailable`, `NoSuchLog`) when there is nothing new because of it,
        `ExecutorUnavailable` also when too many logs are watched.
        """
        with self._entered(log_at, mask) as watched:
            return watched.read(first, count, stream)

    @contextmanager
    def opened(
        self, log_at: str, *, mask: Callable[[], Mask | None] = lambda: None
    ) -> Iterator[Log]:
        """Hand out what was read of the log, waiting as `read` does; raises the same if nothing."""
        with self._entered(log_at, mask) as watched:
            yield watched.opened()

    def take(
        self, log_at: str, *, mask: Callable[[], Mask | None] = lambda: None
    ) -> Iterator[list[bytes]]:
        """Yield all stored lines that are there now, from the source itself, for this one reader.

        Raises what the source raises.
        """
        source, masked = self._open_source(log_at), mask()
        masking = Masking(masked) if masked else None
        for batch in source.batches(follow=False):
            yield masking.apply(batch) if masking else batch
        if masking:
            yield masking.rest()

    def close(self, timeout: float = 5.0) -> None:
        """Stop following, within `timeout` seconds where no source is in the middle of a call."""
        until = clock.monotonic() + timeout
        self._closed.set()
        with self._guard:
            threads = [each.thread for each in self._watched.values()]
        for thread in threads:
            thread.join(max(0.0, until - clock.monotonic()))

    @contextmanager
    def _entered(self, log_at: str, mask: Callable[[], Mask | None]) -> Iterator["_Watched"]:
        watched = self._enter(log_at, mask)
        try:
            yield watched
        finally:
            with self._guard:
                watched.readers -= 1
                watched.left_at = clock.monotonic()

    def _enter(self, log_at: str, mask: Callable[[], Mask | None]) -> "_Watched":
        with self._guard:
            found = self._watched.get(log_at)
            if found is not None:
                found.readers += 1
                return found
        source, masking = self._open_source(log_at), mask()
        with self._guard:
            found = self._watched.get(log_at) or self._begin(log_at, source, masking)
            found.readers += 1
            return found

    def _begin(self, log_at: str, source: LogSource, mask: Mask | None) -> "_Watched":
        if self._closed.is_set():
            raise ExecutorUnavailable("this process is stopping: no log is watched here any more")
        if len(self._watched) >= MOST:
            raise ExecutorUnavailable(
                f"{MOST} logs are watched here already: close a page that shows one, or read this "
                "one when its job has ended"
            )
        watched = _Watched(source, Archive(self._spool_folder, self._max_bytes), mask)
        watched.thread = threading.Thread(
            target=self._follow, args=(log_at, watched), name=f"watching {log_at}", daemon=True
        )
        self._watched[log_at] = watched
        watched.thread.start()
        return watched

    def _follow(self, log_at: str, watched: "_Watched") -> None:
        try:
            for batch in watched.batches():
                watched.take(batch)
                if self._is_over(log_at, watched):
                    return
        except BarbequeError as error:  # the spool's: what is missing now would shift all numbers
            watched.fail(error)
            while not self._is_over(log_at, watched):
                self._closed.wait(_BEAT)
        except Exception:
            logger.exception("watching the log %s failed", log_at)
        finally:
            with self._guard:
                if self._watched.get(log_at) is watched:
                    del self._watched[log_at]
            watched.close()

    def _is_over(self, log_at: str, watched: "_Watched") -> bool:
        """Tell whether nobody reads it any more; from then on no reader can find it."""
        with self._guard:
            unread = clock.monotonic() - watched.left_at > self._linger
            over = self._closed.is_set() or (not watched.readers and unread)
            if over:
                self._watched.pop(log_at, None)
            return over


class _Watched:
    """One log that somebody watches; `readers` and `left_at` belong to the guard of all."""

    thread: threading.Thread

    def __init__(self, source: LogSource, archive: Archive, mask: Mask | None) -> None:
        self.readers = 0
        self.left_at = clock.monotonic()
        self._source = source
        self._archive = archive
        self._masking = Masking(mask) if mask else None
        self._guard = threading.Lock()
        self._caught_up = threading.Event()
        self._fault: BarbequeError | None = None
        self._fault_at = 0.0

    def read(self, first: int, count: int, stream: str | None) -> Page:
        """Return lines that are there, or raise what keeps more from coming."""
        self._caught_up.wait(_FIRST_LOOK)
        page = self._log().page(first, count, stream)
        if not page.lines:
            self._tell_fault()
        return page

    def opened(self) -> Log:
        """Return what is there, or raise what keeps any of it from coming."""
        self._caught_up.wait(_FIRST_LOOK)
        if not self._archive.lines:
            self._tell_fault()
        return self._log()

    def _log(self) -> Log:
        return Log(_Segments(self._archive, self._guard), "")

    def _tell_fault(self) -> None:
        fault = self._fault
        if fault is not None and clock.monotonic() - self._fault_at <= _TOLD:
            raise type(fault)(str(fault)) from fault

    def batches(self) -> Iterator[list[bytes]]:
        """Yield what the source yields, and empty batches where it has ended or failed."""
        while True:
            try:
                yield from self._source.batches(follow=True)
            except (ExecutorUnavailable, NoSuchLog) as error:
                self.fail(error)
            for _ in range(int(_AGAIN / _BEAT)):
                threading.Event().wait(_BEAT)
                yield []

    def take(self, batch: list[bytes]) -> None:
        """Keep the lines; an empty batch says that there are no more for now."""
        if batch:
            with self._guard:
                self._archive.add(self._masking.apply(batch) if self._masking else batch)
            self._fault = None
        else:
            self._caught_up.set()

    def fail(self, error: BarbequeError) -> None:
        """Tell readers who find nothing new why."""
        self._fault, self._fault_at = error, clock.monotonic()
        self._caught_up.set()

    def close(self) -> None:
        """Give the spool back."""
        self._caught_up.set()
        with self._guard:
            self._archive.close()


class _Segments:
    """An archive as a log store in which each member is a live segment, and to which none adds."""

    def __init__(self, archive: Archive, guard: threading.Lock) -> None:
        self._archive = archive
        self._guard = guard

    def names(self, prefix: str) -> list[str]:
        with self._guard:
            firsts = list(self._archive.firsts)
            if self._archive.lines > self._archive.first_unfinished():
                firsts.append(self._archive.first_unfinished())
        return [live_key(prefix, first) for first in firsts]

    def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        (first,) = live_firsts("", [key])
        archive = self._archive
        with self._guard:
            if first == archive.first_unfinished():
                data = archive.unfinished()
            else:
                member = archive.firsts.index(first)
                end = [*archive.offsets[member + 1 : member + 2], archive.size][0]
                data = b"".join(archive.chunks(archive.offsets[member], end))
        return data[start:] if length is None else data[start : start + length]

    def put(self, key: str, chunks: Iterable[bytes]) -> int:
        del chunks
        raise TypeError(f"{key} is a part of a watched log, which only its source writes")

    def remove(self, keys: Iterable[str]) -> None:
        raise TypeError(f"{list(keys)} are parts of a watched log, which only its source writes")

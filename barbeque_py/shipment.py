"""One attempt's log on its way from where it is written to the log store.

Whatever is stored depends on the source's lines alone, never on time or on how they came in
batches: a process killed at any moment is followed by another that starts over with the same
result. Members are cut by lines and bytes; live segments begin where members do.
"""

import json
import logging
from collections.abc import Generator, Iterable
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from threading import Event

from barbeque_py import clock
from barbeque_py.archive import Archive
from barbeque_py.errors import LogStoreUnavailable
from barbeque_py.logs import (
    FACTS,
    INDEX,
    LIVE,
    LOG,
    MARKS,
    LogFacts,
    LogSource,
    live_firsts,
    live_key,
    split_line,
)
from barbeque_py.logstore import LogStore
from barbeque_py.masks import Mask

logger = logging.getLogger(__name__)

_SEGMENT_MEMBERS = 16
_PAUSE = timedelta(seconds=5)
"""How long a log store that refused a live segment is left alone."""


@dataclass(frozen=True, slots=True)
class Shipping:
    """How a worker ships logs: where it spools, how much it keeps, how often watchers see more.

    `max_bytes` counts stored lines before compression; what comes later is counted and dropped.
    Without `live_every` watchers see nothing before the log is sealed.
    """

    spool_folder: Path | None = None
    max_bytes: int = 5 * 1024**3
    live_every: timedelta | None = timedelta(seconds=0.5)


class Shipment:
    """Ships one attempt's log: `run` while it is written, then `seal`, then `close`.

    After a failure of `run`, or a `stop`, a new Shipment of the same attempt starts over. A failed
    `seal` may be called again. `run` may be called again before the `seal` where the source goes on
    where it was, as the one of CloudWatch does.
    """

    def __init__(
        self,
        source: LogSource,
        store: LogStore,
        prefix: str,
        *,
        mask: Mask | None = None,
        shipping: Shipping | None = None,
    ) -> None:
        shipping = shipping or Shipping()
        self._source = source
        self._store = store
        self._prefix = prefix
        self._masking = Masking(mask) if mask else None
        self._archive = Archive(shipping.spool_folder, shipping.max_bytes)
        self._live = _Live(self._archive, store, prefix, every=shipping.live_every)
        self._stopped = Event()
        self._ended = False
        self._finished = False

    def run(self, *, follow: bool = True) -> None:
        """Follow the source to its end, showing watchers what there is; return early on `stop`.

        Without `follow` what the source has now is all. Raises `ExecutorUnavailable` and
        `NoSuchLog` as the source does, `LogStoreUnavailable` when the spool is full. A log store
        that is away does not stop it.
        """
        if self._finished:
            raise RuntimeError("a log that is being sealed takes no more lines")
        self._ended = False
        batches = self._source.batches(follow=follow)
        try:
            for batch in batches:
                if self._stopped.is_set():
                    return
                self._archive.add(self._masking.apply(batch) if self._masking else batch)
                self._live.show()
        finally:
            if isinstance(batches, Generator):
                batches.close()
        self._ended = True

    def stop(self) -> None:
        """Make `run` return soon, from any thread; this shipment can't be sealed any more."""
        self._stopped.set()

    def seal(self, *, fresh: bool = False) -> LogFacts:
        """Store the whole log for good, remove the live segments, and return the log's facts.

        `fresh` says that nothing of this attempt was stored before, so that nothing is looked for:
        a short log is one put then. Raises `LogStoreUnavailable`; doing it again changes nothing.
        """
        if not self._ended:
            raise RuntimeError("a log can't be sealed before its source has ended")
        self._finished = True
        self._archive.finish(self._masking.rest() if self._masking else ())
        facts, prefix = self._archive.facts(), self._prefix
        names = [] if fresh and not self._live.shown else self._store.names(prefix)
        # Beside an older index a new log.gz could be misread, if it was masked in another way.
        older = (prefix + FACTS, prefix + INDEX, prefix + MARKS)
        self._remove([key for key in older if key in names])
        self._store.put(prefix + LOG, self._archive.chunks(0, self._archive.size))
        if facts.members > 1:
            self._store.put(prefix + INDEX, self._archive.index())
            self._store.put(prefix + MARKS, [self._archive.marks().write()])
            known = asdict(facts)
            del known["error"]  # the attempt's row has it
            text = json.dumps(known, sort_keys=True)
            self._store.put(prefix + FACTS, [text.encode() + b"\n"])
        self._remove([live_key(prefix, first) for first in live_firsts(prefix, names)])
        return facts

    def close(self) -> None:
        """Give the spool back; to be called in any case."""
        self._archive.close()

    def _remove(self, keys: list[str]) -> None:
        if keys:
            self._store.remove(keys)


class _Live:
    """What watchers can see of a log that is not sealed.

    Segments are finished members, up to 16 each, and the unfinished one, which is put again under
    the same key as it grows. Segments of a predecessor serve until ours have come as far.
    """

    def __init__(
        self, archive: Archive, store: LogStore, prefix: str, *, every: timedelta | None
    ) -> None:
        self._archive = archive
        self._store = store
        self._prefix = prefix
        self._every = None if every is None else every.total_seconds()
        self.shown = False
        """Whether a segment was put, or may have been."""
        self._due: float | None = None
        self._members = 0
        self._lines = 0
        self._older: list[int] | None = None

    def show(self) -> None:
        """Put what is new, if it is time; a store that is away is tried again later."""
        if self._every is None:
            return
        now = clock.monotonic()
        if self._due is None:
            self._due = now + self._every
        if now < self._due or self._lines == self._archive.lines:
            return
        self.shown = True
        try:
            self._put_segments()
            self._due = clock.monotonic() + self._every
        except LogStoreUnavailable as error:
            logger.warning("%s: watchers see no newer lines yet: %s", self._prefix, error)
            self._due = clock.monotonic() + _PAUSE.total_seconds()

    def _put_segments(self) -> None:
        archive = self._archive
        while self._members < len(archive.offsets):
            self._members = self._put_members(self._members)
        unfinished = archive.unfinished()
        if unfinished:
            self._put(archive.first_unfinished(), archive.lines, [unfinished])
        self._lines = archive.lines

    def _put_members(self, begin: int) -> int:
        archive = self._archive
        offsets, firsts = archive.offsets, archive.firsts
        end = min(begin + _SEGMENT_MEMBERS, len(offsets))
        is_last = end == len(offsets)
        chunks = archive.chunks(offsets[begin], archive.size if is_last else offsets[end])
        self._put(firsts[begin], archive.first_unfinished() if is_last else firsts[end], chunks)
        return end

    def _put(self, first: int, end: int, chunks: Iterable[bytes]) -> None:
        """Put the segment of the lines from `first` to `end`, then remove what it covers."""
        if self._older is None:
            self._older = live_firsts(self._prefix, self._store.names(self._prefix + LIVE))
        self._store.put(live_key(self._prefix, first), chunks)
        covered = [older for older in self._older if first < older < end]
        if covered:
            self._store.remove([live_key(self._prefix, older) for older in covered])
        self._older = [older for older in self._older if older >= end]


class Masking:
    """Masks lines; one piece of a long line waits for the next, as a secret may be in both."""

    def __init__(self, mask: Mask) -> None:
        self._mask = mask
        self._held: tuple[bytes, bytes, bytes] | None = None

    def apply(self, lines: list[bytes]) -> list[bytes]:
        """Return the lines that are ready, masked."""
        text = b"\n".join(lines)
        if not self._held and b"+ " not in text and self._mask.spares(text):
            return lines
        ready: list[bytes] = []
        for stored in lines:
            at, stream, text = split_line(stored)
            if self._held:
                piece, text = self._join(stream, text)
                ready.append(piece)
            if stream.endswith(b"+"):
                self._held = at, stream, text
            else:
                ready.append(b"%s %s %s" % (at, stream, self._mask(text)))
        return ready

    def rest(self) -> list[bytes]:
        """Return the piece that waited for no more."""
        return [self._join(b"", b"")[0]] if self._held else []

    def _join(self, stream: bytes, text: bytes) -> tuple[bytes, bytes]:
        """Return the held piece, masked, and what is left of the text behind it."""
        assert self._held is not None
        at, held_stream, held = self._held
        self._held = None
        if stream.rstrip(b"+") == held_stream.rstrip(b"+"):
            both = self._mask(held + text)
            cut = max(0, len(both) - len(text))
            held, text = both[:cut], both[cut:]
        else:
            held = self._mask(held)
        return b"%s %s %s" % (at, held_stream, held), text

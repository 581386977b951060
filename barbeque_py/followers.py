"""Logs that somebody follows: one reader of each, however many follow it."""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass

from barbeque_py import clock
from barbeque_py.errors import OutsideError, RequestError
from barbeque_py.logs import Line, Page

log = logging.getLogger("barbeque.logs")

Read = Callable[[int], Awaitable[tuple[Page, bool]]]
"""Reads a page of the log from that line on, and tells whether its attempt has ended."""

BEAT = 10.0
"""Seconds after which a follower is told that there is nothing new."""

_PAUSE = 0.25
_PAUSE_AFTER_FAULT = 2.0
_KEPT = 4 * 1024 * 1024
"""Characters of lines kept for those who are a little behind."""
_UNSEALED = 60.0
"""Seconds after an attempt's end before its log is taken for complete without its seal."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Lines that follow on the ones before, perhaps none; `over` says that there are no more."""

    lines: Sequence[Line]
    next: int
    over: bool = False
    sealed: bool = False


class Followers:
    """All logs that are followed in this process, each by the attempt's id."""

    def __init__(self) -> None:
        self._followed: dict[str, _Followed] = {}

    async def follow(self, attempt: str, read: Read, first: int) -> AsyncIterator[Batch]:
        """Yield what the attempt's log has from line `first` on, to its end.

        A batch without lines comes every `BEAT` seconds while there is nothing new.
        """
        followed = self._followed.get(attempt)
        if followed is None:
            followed = self._followed[attempt] = _Followed(read, first)
        followed.followers += 1
        try:
            async for batch in followed.batches(first):
                yield batch
        finally:
            followed.followers -= 1
            if not followed.followers:
                self._followed.pop(attempt, None)
                followed.reading.cancel()


class _Followed:
    """One log: what was read of it last, and the task that reads on while somebody waits."""

    def __init__(self, read: Read, first: int) -> None:
        self.followers = 0
        self._read = read
        self._head = first
        self._lines: deque[Line] = deque()
        self._size = 0
        self._kept_from = first
        self._over: Batch | None = None
        self._news = asyncio.Event()
        self._wanted = asyncio.Event()
        self.reading = asyncio.create_task(self._go_on())

    async def batches(self, first: int) -> AsyncIterator[Batch]:
        """Yield the lines from `first` on: kept ones, or read anew by one who is far behind."""
        while True:
            if first < self._kept_from:
                page, _ = await self._read(first)
                first = page.next
                yield Batch(page.lines, first)
            elif first < self._head:
                lines = [each for each in self._lines if each.number >= first]
                first = self._head
                yield Batch(lines, first)
            elif self._over is not None:
                yield self._over
                return
            elif not await self._wait():
                yield Batch((), first)

    async def _wait(self) -> bool:
        """Wait for news; False after a while without."""
        news = self._news
        self._wanted.set()
        try:
            await asyncio.wait_for(news.wait(), BEAT)
        except TimeoutError:
            return False
        return True

    async def _go_on(self) -> None:
        ended_at: float | None = None
        while self._over is None:
            await self._wanted.wait()
            try:
                page, ended = await self._read(self._head)
            except RequestError:  # it was deleted meanwhile
                self._take(Page([], self._head, sealed=True, total=None), None)
                return
            except OutsideError as error:
                log.warning("a log that is followed can't be read for now: %s", error)
                await asyncio.sleep(_PAUSE_AFTER_FAULT)
                continue
            ended_at = (ended_at or clock.monotonic()) if ended else None
            moved = page.next > self._head
            self._take(page, ended_at)
            if not moved and self._over is None:
                await asyncio.sleep(_PAUSE)

    def _take(self, page: Page, ended_at: float | None) -> None:
        moved = page.next > self._head
        self._keep(page.lines)
        self._head = page.next
        complete = page.sealed and (page.total is None or page.next >= page.total)
        given_up = ended_at is not None and clock.monotonic() - ended_at > _UNSEALED
        if complete or (given_up and not moved):
            self._over = Batch((), self._head, over=True, sealed=page.sealed)
        if moved or self._over is not None:
            self._wanted.clear()
            self._news.set()
            self._news = asyncio.Event()

    def _keep(self, lines: Sequence[Line]) -> None:
        self._lines.extend(lines)
        self._size += sum(len(each.text) for each in lines)
        while self._size > _KEPT:
            dropped = self._lines.popleft()
            self._size -= len(dropped.text)
            self._kept_from = dropped.number + 1

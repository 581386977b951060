"""Sends what was asked for, together: requests that come while a send is under way share the next.

Each is answered only after its own message is durable. Threads of its own send, so a commit never
waits for a free thread of a pool that other requests use up: one for a database, which has one
writer, and several for a broker that is far away, which full batches don't wait for. Messages too
large to travel go into the log store beforehand, in other threads: that takes long, and where it
fails, only they do.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from barbeque_api.problems import Refusal, unavailable
from barbeque_py import metrics
from barbeque_py.broker import BATCH, Broker, SharedBroker
from barbeque_py.enqueue import TOGETHER, Request, enqueue, is_too_large, pack
from barbeque_py.errors import BarbequeError
from barbeque_py.logstore import LogStore
from barbeque_py.wake import Bell

LINGER = 0.001
"""Seconds that a batch waits to fill, once requests were seen to come together."""
MOST_WAITING = 64 * 1024 * 1024
"""Characters of messages that may wait for the broker; more are refused."""

_PATIENCE = 0.05
"""Seconds that a request waits at most for a send that is under way, where others may go beside."""
_SENDERS = 8
"""How many batches are under way at once to a broker that is far away."""
_PACKERS = 4
"""How many large messages go into the log store at once."""

End = Callable[[Exception | None], None]
"""Is told, in the loop of whoever asked, that a request is durable, or why it may not be."""


@dataclass(slots=True)
class _Waiting:
    request: Request
    size: int
    loop: asyncio.AbstractEventLoop
    end: End


class Sender:
    """Sends requests to one broker from threads of its own, which the first requests start."""

    def __init__(self, broker: Broker, logs: LogStore, bell: Bell) -> None:
        self._broker = broker
        self._logs = logs
        self._bell = bell
        self._packers = ThreadPoolExecutor(_PACKERS, thread_name_prefix="packer")
        shared = isinstance(broker, SharedBroker)
        self._enough = TOGETHER if shared else BATCH
        """How many requests need not wait for more: they fill a call."""
        self._most_threads = 1 if shared else _SENDERS
        self._waiting: deque[_Waiting] = deque()
        self._size = 0
        self._change = threading.Condition()
        self._threads: list[threading.Thread] = []
        self._idle = 0
        self._sending = 0
        self._closed = False
        self._crowded = False
        self._hurried = False

    async def send(self, request: Request) -> None:
        """Return when the request can't be lost any more.

        Raises what broker and log store raise, and a `Refusal` (503) when too much waits already.
        """
        loop = asyncio.get_running_loop()
        if is_too_large(self._broker, request):
            request = await self._pack(request)
        sent: asyncio.Future[None] = loop.create_future()
        end = partial(_settle, sent)
        self._line_up([_Waiting(request, len(request.job.message), loop, end)])
        await sent

    async def send_all(self, requests: Sequence[Request]) -> list[Exception | None]:
        """Return, when it is known of all, which can't be lost, and why the others may be."""
        if not requests:
            return []
        loop = asyncio.get_running_loop()
        large = [n for n, each in enumerate(requests) if is_too_large(self._broker, each)]
        packed = await asyncio.gather(*(self._try_to_pack(requests[n]) for n in large))
        left = dict(enumerate(requests))
        ends: list[Exception | None] = [None] * len(requests)
        for number, found in zip(large, packed, strict=True):
            if isinstance(found, Request):
                left[number] = found
            else:
                ends[number] = found
                del left[number]
        over = asyncio.Event()

        def end(number: int, error: Exception | None) -> None:
            ends[number] = error
            del left[number]
            if not left:
                over.set()

        lined_up = [
            _Waiting(each, len(each.job.message), loop, partial(end, number))
            for number, each in left.items()
        ]
        if lined_up:
            self._line_up(lined_up)
            await over.wait()
        return ends

    def close(self) -> None:
        """Send what waits, then end the threads."""
        with self._change:
            self._closed = True
            self._change.notify_all()
        self._packers.shutdown()
        for thread in self._threads:
            thread.join()

    async def _try_to_pack(self, request: Request) -> Request | Exception:
        try:
            return await self._pack(request)
        except (BarbequeError, Refusal) as error:
            return error

    async def _pack(self, request: Request) -> Request:
        with self._counted(len(request.job.message)):
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(
                self._packers, pack, self._broker, self._logs, request
            )

    @contextmanager
    def _counted(self, size: int) -> Iterator[None]:
        """Count a message among those that wait, while it is put into the log store."""
        with self._change:
            self._make_room(size)
        try:
            yield
        finally:
            with self._change:
                self._size -= size

    def _make_room(self, size: int) -> None:
        if self._closed:
            raise unavailable("this API is shutting down; try again")
        if self._size and self._size + size > MOST_WAITING:
            raise unavailable("too many messages wait to be stored; try again later")
        self._size += size

    def _line_up(self, waiting: Sequence[_Waiting]) -> None:
        """Let them wait for a sender; a thread more is started while all are at work."""
        with self._change:
            self._make_room(sum(each.size for each in waiting))
            before = len(self._waiting)
            self._waiting.extend(waiting)
            after = len(self._waiting)
            more = after // TOGETHER - before // TOGETHER
            full = after // self._enough > before // self._enough
            if before == 0 and self._sending:
                waiting[0].loop.call_later(_PATIENCE, self._hurry)
            self._wake(more or int(full or (before == 0 and not self._sending)))

    def _wake(self, wanted: int) -> None:
        """Let so many threads look for what to send; what is under way goes on by itself."""
        if not wanted:
            return
        self._change.notify(wanted)
        for _ in range(min(wanted - self._idle, self._most_threads - len(self._threads))):
            thread = threading.Thread(target=self._run, name="sender", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _hurry(self) -> None:
        """Let those who have waited for long be sent beside what is still under way."""
        with self._change:
            if self._waiting and self._sending:
                self._hurried = True
                self._wake(1)

    def _run(self) -> None:
        while batch := self._next_batch():
            self._send_batch(batch)

    def _next_batch(self) -> list[_Waiting]:
        """Wait for requests and take the first ones that go to one queue; empty is the end."""
        with self._change:
            while True:
                self._idle += 1
                while not self._is_time():
                    self._change.wait()
                self._idle -= 1
                if self._crowded and not self._closed:
                    self._change.wait_for(lambda: len(self._waiting) >= self._enough, LINGER)
                if self._waiting:
                    return self._take()
                if self._closed:
                    return []

    def _is_time(self) -> bool:
        """Tell whether to send what waits, and not to let it share the next batch."""
        if not self._waiting:
            return self._closed
        alone = self._sending == 0 or self._closed
        return alone or self._hurried or len(self._waiting) >= self._enough

    def _take(self) -> list[_Waiting]:
        batch: list[_Waiting] = []
        others: list[_Waiting] = []
        while self._waiting and len(batch) < TOGETHER:
            each = self._waiting.popleft()
            same = not batch or each.request.queue == batch[0].request.queue
            (batch if same else others).append(each)
        self._waiting.extendleft(reversed(others))
        self._size -= sum(each.size for each in batch)
        self._crowded = len(batch) > 1 or bool(self._waiting)
        self._sending += 1
        self._hurried = self._hurried and bool(others)
        if self._hurried:
            self._wake(1)
        return batch

    def _send_batch(self, batch: list[_Waiting]) -> None:
        error: Exception | None = None
        try:
            enqueue(self._broker, self._logs, [each.request for each in batch])
        except Exception as raised:  # noqa: BLE001 - told to each who waits, and the thread goes on
            error = raised
        with self._change:
            self._sending -= 1
        for loop in {each.loop for each in batch}:
            ends = [each.end for each in batch if each.loop is loop]
            try:
                loop.call_soon_threadsafe(_tell, ends, error)
            except RuntimeError:
                continue  # the loop has ended, and with it everyone who asked
        if error is None:
            metrics.enqueued.labels(batch[0].request.queue).inc(len(batch))
            self._bell.ring()


def _tell(ends: list[End], error: Exception | None) -> None:
    for end in ends:
        end(error)


def _settle(sent: "asyncio.Future[None]", error: Exception | None) -> None:
    if sent.done():
        return  # whoever asked has gone
    if error is None:
        sent.set_result(None)
    else:
        sent.set_exception(error)

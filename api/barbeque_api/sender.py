"""Sends what was asked for, together: requests that come while a send is under way share the next.

Each is answered only after its own message is durable. One thread sends, so a commit never waits
for a free thread of a pool that other requests use up. Messages too large to travel go into the
log store beforehand, in threads of their own: that takes long, and where it fails, only they do.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from barbeque_api.problems import unavailable
from barbeque_py.broker import Broker
from barbeque_py.enqueue import Request, batch_size, enqueue, is_too_large, pack
from barbeque_py.logstore import LogStore
from barbeque_py.wake import Bell

LINGER = 0.001
"""Seconds that a batch waits to fill, once requests were seen to come together."""
MOST_WAITING = 64 * 1024 * 1024
"""Characters of messages that may wait for the broker; more are refused."""

_PACKERS = 4
"""How many large messages go into the log store at once."""


@dataclass(slots=True)
class _Waiting:
    request: Request
    size: int
    loop: asyncio.AbstractEventLoop
    sent: "asyncio.Future[None]"

    def settle(self, error: Exception | None) -> None:
        if self.sent.done():
            return  # whoever asked has gone
        if error is None:
            self.sent.set_result(None)
        else:
            self.sent.set_exception(error)


class Sender:
    """Sends requests to one broker from a thread of its own, which the first request starts."""

    def __init__(self, broker: Broker, logs: LogStore, bell: Bell) -> None:
        self._broker = broker
        self._logs = logs
        self._bell = bell
        self._packers = ThreadPoolExecutor(_PACKERS, thread_name_prefix="packer")
        self._most = batch_size(broker)
        self._waiting: deque[_Waiting] = deque()
        self._size = 0
        self._change = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._crowded = False

    async def send(self, request: Request) -> None:
        """Return when the request can't be lost any more.

        Raises what broker and log store raise, and a `Refusal` (503) when too much waits already.
        """
        loop = asyncio.get_running_loop()
        if is_too_large(self._broker, request):
            with self._counted(len(request.job.message)):
                request = await loop.run_in_executor(
                    self._packers, pack, self._broker, self._logs, request
                )
        waiting = _Waiting(request, len(request.job.message), loop, loop.create_future())
        self._line_up(waiting)
        await waiting.sent

    def close(self) -> None:
        """Send what waits, then end the threads."""
        with self._change:
            self._closed = True
            self._change.notify()
        self._packers.shutdown()
        if self._thread is not None:
            self._thread.join()

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

    def _line_up(self, waiting: _Waiting) -> None:
        with self._change:
            self._make_room(waiting.size)
            self._waiting.append(waiting)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="sender", daemon=True)
                self._thread.start()
            if len(self._waiting) in (1, self._most):
                self._change.notify()

    def _run(self) -> None:
        while batch := self._next_batch():
            self._send_batch(batch)

    def _next_batch(self) -> list[_Waiting]:
        """Wait for requests and take the first ones that go to one queue; empty is the end."""
        with self._change:
            self._change.wait_for(lambda: self._waiting or self._closed)
            if self._crowded and not self._closed:
                self._change.wait_for(lambda: len(self._waiting) >= self._most, LINGER)
            batch: list[_Waiting] = []
            others: list[_Waiting] = []
            while self._waiting and len(batch) < self._most:
                each = self._waiting.popleft()
                same = not batch or each.request.queue == batch[0].request.queue
                (batch if same else others).append(each)
            self._waiting.extendleft(reversed(others))
            self._size -= sum(each.size for each in batch)
            self._crowded = len(batch) > 1 or bool(self._waiting)
            return batch

    def _send_batch(self, batch: list[_Waiting]) -> None:
        error: Exception | None = None
        try:
            enqueue(self._broker, self._logs, [each.request for each in batch])
        except Exception as raised:  # noqa: BLE001 - told to each who waits, and the thread goes on
            error = raised
        for loop in {each.loop for each in batch}:
            own = [each for each in batch if each.loop is loop]
            try:
                loop.call_soon_threadsafe(_settle, own, error)
            except RuntimeError:
                continue  # the loop has ended, and with it everyone who asked
        if error is None:
            self._bell.ring()


def _settle(batch: list[_Waiting], error: Exception | None) -> None:
    for each in batch:
        each.settle(error)

"""One queue of the SQS stand-in: messages by stage, with no work that grows with the backlog."""

import asyncio
import random
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from heapq import heapify, heappop, heappush

from barbeque_py import clock
from tests.cloud.service import AwsFault, Json

IN_FLIGHT_LIMIT = 120_000
_STALE = 256
_WINDOW = 16


class Stage(Enum):
    """Where a message stands."""

    DELAYED = "delayed"
    VISIBLE = "visible"
    IN_FLIGHT = "in flight"
    GONE = "gone"


@dataclass(slots=True)
class Knobs:
    """How unkind the queues are; probabilities from 0 to 1."""

    duplicate: float = 0.0
    """A message is handed out, and stays for another receiver as if it had not been."""
    forget_delete: float = 0.0
    """A delete answers well, and the message comes back."""
    shuffle: bool = False
    in_flight_limit: int = IN_FLIGHT_LIMIT


@dataclass(slots=True, eq=False)
class Message:
    """A message; `turn` tells the entries of heap and line that speak of it from stale ones."""

    id: str
    body: str
    md5: str
    sent: int
    attributes: Json = field(default_factory=dict)
    system: dict[str, str] = field(default_factory=dict)
    receives: int = 0
    first_received: int = 0
    received: float = 0.0
    stage: Stage = Stage.GONE
    turn: int = 0
    serial: int = 0
    second: bool = False
    """It is the duplicate of another, and makes no more of them."""
    source: str = ""
    """The queue it died in, when it is a dead letter."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a receiver asks for: how many messages, hidden for how long, waited for how long (s)."""

    limit: int = 1
    hidden: float = 30
    wait: float = 0


class Queue:
    """Messages of one name; `bury` takes one received too often away, and tells if it did."""

    def __init__(
        self, name: str, arn: str, *, knobs: Knobs, luck: random.Random, bury: "Bury"
    ) -> None:
        self.name = name
        self.arn = arn
        self.attributes: dict[str, str] = {}
        self.tags: dict[str, str] = {}
        self.created = self.modified = clock.milliseconds(clock.now()) // 1000
        self.retention = 345_600
        self.max_receives: int | None = None
        self.dead_queue: str | None = None
        self._knobs = knobs
        self._luck = luck
        self._bury = bury
        self._serial = 0
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._alarm: asyncio.TimerHandle | None = None
        self._empty()

    def _empty(self) -> None:
        self._messages: dict[int, Message] = {}
        self._ready: deque[tuple[Message, int]] = deque()
        self._hidden: list[tuple[float, int, int, Message]] = []
        self._counts = dict.fromkeys(Stage, 0)

    def count(self, stage: Stage) -> int:
        """Return how many messages are at the stage now."""
        self._advance()
        return self._counts[stage]

    def everything(self) -> Iterator[Message]:
        """Yield every message there is, oldest first."""
        self._advance()
        yield from list(self._messages.values())

    def add(self, message: Message, delay: float = 0.0) -> None:
        """Take a new message in, to be seen after so many seconds."""
        self._serial += 1
        message.serial = self._serial
        self._messages[message.serial] = message
        if delay > 0:
            self._hide(message, Stage.DELAYED, delay)
        else:
            self._show(message)

    def purge(self) -> None:
        """Forget every message."""
        self._empty()

    async def receive(self, wish: Wish) -> list[Message]:
        """Hand out messages, waiting for the first as long as wished."""
        deadline = clock.monotonic() + wish.wait
        while True:
            taken = self.take(wish)
            left = deadline - clock.monotonic()
            if taken or left <= 0:
                return taken
            await self._news(left)

    def take(self, wish: Wish) -> list[Message]:
        """Hand out what is visible; raises `AwsFault` when too much is in flight already."""
        self._advance()
        taken: list[Message] = []
        while self._ready and len(taken) < wish.limit:
            if self._counts[Stage.IN_FLIGHT] >= self._knobs.in_flight_limit:
                if not wish.wait and not taken:
                    raise AwsFault("OverLimit", "Too many messages are in flight.")
                break
            message = self._next()
            if message is not None:
                self._hand_out(message, wish.hidden)
                taken.append(message)
        for message in taken:  # only now, so that no one answer holds a message twice
            self._leave_seen(message, wish.hidden)
        return taken

    def delete(self, serial: int, receives: int) -> None:
        """Delete the message if the receipt is of its last delivery; else change nothing."""
        self._advance()
        message = self._messages.get(serial)
        if message is None or message.receives != receives:
            return
        if self._luck.random() >= self._knobs.forget_delete:
            self.remove(message)

    def remove(self, message: Message) -> None:
        """Take the message out, wherever it stands."""
        self._move(message, Stage.GONE)
        self._messages.pop(message.serial, None)

    def change_visibility(self, serial: int, receives: int, seconds: int) -> None:
        """Hide the message for so many seconds from now; raises `AwsFault`."""
        self._advance()
        message = self._messages.get(serial)
        if message is None:
            raise AwsFault(
                "InvalidParameterValue",
                "Value for parameter ReceiptHandle is invalid. Reason: Message does not exist or "
                "is not available for visibility timeout change.",
            )
        if message.receives != receives:
            raise AwsFault("ReceiptHandleIsInvalid", "The receipt handle has expired.")
        if message.stage is not Stage.IN_FLIGHT:
            raise AwsFault("MessageNotInflight", "The message is not in flight.")
        if int(clock.monotonic() - message.received) + seconds > 43_200:
            raise AwsFault(
                "InvalidParameterValue",
                "Total VisibilityTimeout for the message is beyond the limit [43200 seconds]",
            )
        if seconds:
            self._hide(message, Stage.IN_FLIGHT, seconds)
        else:
            self._show(message)

    def close(self) -> None:
        """Let every receiver that waits go with nothing."""
        if self._alarm is not None:
            self._alarm.cancel()
        self._wake(len(self._waiters))

    def _next(self) -> Message | None:
        """Return the next of the line, or None when that one turned out not to be for hand-out."""
        if self._knobs.shuffle:
            self._shuffle()
        message, turn = self._ready.popleft()
        if message.turn != turn:
            return None
        if message.sent + self.retention * 1000 < clock.milliseconds(clock.now()):
            self.remove(message)
            return None
        spent = self.max_receives is not None and message.receives >= self.max_receives
        return None if spent and self._bury(self, message) else message

    def _hand_out(self, message: Message, hidden: float) -> None:
        message.receives += 1
        message.received = clock.monotonic()
        message.first_received = message.first_received or clock.milliseconds(clock.now())
        if hidden:
            self._hide(message, Stage.IN_FLIGHT, hidden)

    def _leave_seen(self, message: Message, hidden: float) -> None:
        """Leave for others what stays to be seen: the unhidden, and the duplicate of bad luck."""
        if not hidden:
            self._show(message)
        if not message.second and self._luck.random() < self._knobs.duplicate:
            self.add(_second(message))

    def _shuffle(self) -> None:
        several = [self._ready.popleft() for _ in range(min(_WINDOW, len(self._ready)))]
        self._luck.shuffle(several)
        self._ready.extendleft(several)

    def _show(self, message: Message) -> None:
        self._move(message, Stage.VISIBLE)
        self._ready.append((message, message.turn))
        self._wake(1)

    def _hide(self, message: Message, stage: Stage, seconds: float) -> None:
        self._move(message, stage)
        due = clock.monotonic() + seconds
        heappush(self._hidden, (due, self._tick(), message.turn, message))
        if self._waiters:
            self._set_alarm()

    def _tick(self) -> int:
        self._serial += 1
        return self._serial

    def _move(self, message: Message, stage: Stage) -> None:
        counts = self._counts
        counts[message.stage] -= 1
        counts[stage] += 1
        message.stage = stage
        message.turn += 1
        live = counts[Stage.DELAYED] + counts[Stage.IN_FLIGHT]
        if len(self._hidden) > _STALE + 2 * live:
            self._hidden = [each for each in self._hidden if each[3].turn == each[2]]
            heapify(self._hidden)
        if len(self._ready) > _STALE + 2 * counts[Stage.VISIBLE]:
            self._ready = deque(each for each in self._ready if each[0].turn == each[1])

    def _advance(self) -> None:
        """Show what has been hidden or delayed long enough."""
        if not self._hidden:
            return
        now = clock.monotonic()
        while self._hidden and self._hidden[0][0] <= now:
            _, _, turn, message = heappop(self._hidden)
            if message.turn == turn:
                self._show(message)

    async def _news(self, patience: float) -> None:
        """Wait until a message may have become visible, or the patience ends (s)."""
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        self._waiters.append(waiter)
        self._set_alarm()
        timer = loop.call_later(patience, _release, waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self._wake(1)  # what it was woken for is another's now
            raise
        finally:
            timer.cancel()
            if waiter in self._waiters:
                self._waiters.remove(waiter)

    def _wake(self, number: int) -> None:
        while number and self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                number -= 1

    def _set_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if self._hidden:
            wait = max(0.0, self._hidden[0][0] - clock.monotonic())
            self._alarm = asyncio.get_running_loop().call_later(wait, self._ring)

    def _ring(self) -> None:
        self._alarm = None
        self._advance()
        if self._waiters:
            self._set_alarm()


Bury = Callable[[Queue, Message], bool]


def _release(waiter: "asyncio.Future[None]") -> None:
    if not waiter.done():
        waiter.set_result(None)


def _second(message: Message) -> Message:
    return Message(
        message.id,
        message.body,
        message.md5,
        message.sent,
        message.attributes,
        message.system,
        message.receives - 1,
        message.first_received,
        second=True,
    )

"""What ECS tells of tasks unasked: EventBridge brings it through an SQS queue."""

import json
import logging
import re
from collections.abc import Callable, Iterator, Sequence
from threading import Event
from typing import Any

from barbeque_py import clock
from barbeque_py.aws import FAILURES, code_of, explain
from barbeque_py.executor import News, Sighting, Standing
from barbeque_py.executors.ecs_fate import see
from barbeque_py.ids import AttemptId

log = logging.getLogger(__name__)

Json = dict[str, Any]

_BATCH = 10
_TOGETHER = 50
"""Events up to which full batches are told together."""
_WAIT = 20
"""Seconds of one long poll, SQS's longest; nobody waits for it at a stop."""
_FIRST_WAIT = 1
"""Seconds of each until the first that brings nothing, so that whoever starts hears soon."""
_AT_ONCE, _EVERY = 3, 1.0
"""How many receives that bring little may follow each other, and seconds between more of them."""
_BEAT = 5.0
_HIDDEN = 60
"""Seconds until events are told again that were not acknowledged."""
_LOOK_AGAIN = 30.0
"""Seconds between two looks for a queue that is not there."""
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.5, 10.0
_NO_QUEUE = ("QueueDoesNotExist", "NonExistentQueue")
_ATTEMPT = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}-[1-9][0-9]{0,9}")
_TOLD = frozenset({"RUNNING", "STOPPED"})


def read_event(body: str, ours: str) -> tuple[AttemptId, Sighting] | None:
    """Return the attempt that the event is about, and what it says of it.

    None for a step that says nothing new, and for tasks whose `startedBy` does not begin with
    `ours`. Raises `ValueError` for what is no event of a task.
    """
    try:
        event = json.loads(body)
        if event["source"] != "aws.ecs" or event["detail-type"] != "ECS Task State Change":
            return None
        task = event["detail"]
        starter, status = str(task.get("startedBy") or ""), task["lastStatus"]
        attempt = starter.removeprefix(ours)
        if not starter.startswith(ours) or not _ATTEMPT.fullmatch(attempt) or status not in _TOLD:
            return None
        sighting = see(task)
    except (AttributeError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"not an event of a task: {error!r}") from error
    if sighting.version is None or not sighting.handle.startswith("arn:"):
        raise ValueError("an event of a task without its version or ARN")
    started_or_over = sighting.started_at is not None or sighting.standing is Standing.ENDED
    return (AttemptId(attempt), sighting) if started_or_over else None


class Pace:
    """Spreads receives that bring little: under load they bring much, for a tenth of the calls."""

    def __init__(self, at_once: int = _AT_ONCE, every: float = _EVERY) -> None:
        self._most = at_once
        self._every = every
        self._left = float(at_once)
        self._drawn_at = clock.monotonic()

    def draw(self) -> float:
        """Count one more; return how many seconds to rest before the next."""
        now = clock.monotonic()
        self._left = min(self._most, self._left + (now - self._drawn_at) / self._every) - 1
        self._drawn_at = now
        return max(0.0, -self._left * self._every)


class TaskEvents:
    """Listens to one queue; what it can't read is deleted, counted, and stops nothing."""

    def __init__(self, client: Any, queue: str, ours: str) -> None:
        self._client = client
        self._queue = queue
        self._ours = ours
        self._url: str | None = None
        self._warned = False
        self._pause = _SHORTEST_PAUSE
        self._pace = Pace()
        self._wait = _FIRST_WAIT
        self.foreign = 0
        """How many events were of no attempt of ours, or said nothing new."""
        self.broken = 0
        """How many messages were no events."""

    def listen(self, stop: Event) -> Iterator[News]:
        """Yield what events tell, and no news at least each 20 s, until the stop."""
        while not stop.is_set():
            try:
                messages = self._receive(self._wait)
            except FAILURES as error:
                yield from self._pausing(error, stop)
                continue
            self._pause, self._warned = _SHORTEST_PAUSE, False
            if not messages:
                self._wait = _WAIT
            more, some_left = self._receive_more(messages)
            yield self._news(messages + more)
            if messages and not some_left:
                stop.wait(self._pace.draw())

    def _receive_more(self, messages: Sequence[Json]) -> tuple[list[Json], bool]:
        """Receive on while batches are full; return what came, and whether more may be there."""
        found: list[Json] = []
        last = messages
        while len(last) == _BATCH and len(messages) + len(found) < _TOGETHER:
            try:
                last = self._receive(0)
            except FAILURES:
                return found, True  # what was received must not wait for it
            found += last
        return found, len(last) == _BATCH

    def _receive(self, wait: int) -> list[Json]:
        if self._url is None:
            self._url = str(self._client.get_queue_url(QueueName=self._queue)["QueueUrl"])
        answer = self._client.receive_message(
            QueueUrl=self._url,
            MaxNumberOfMessages=_BATCH,
            WaitTimeSeconds=wait,
            VisibilityTimeout=_HIDDEN,
        )
        messages: list[Json] = answer.get("Messages", [])
        return messages

    def _pausing(self, error: BaseException, stop: Event) -> Iterator[News]:
        """Tell that nothing is heard: half a minute without a queue, less after other failures."""
        missing = code_of(error).rpartition(".")[2] in _NO_QUEUE
        if not self._warned:
            cure = (
                f"there is no SQS queue {self._queue}: make it with a rule of EventBridge that "
                "sends ECS Task State Change to it, or name another one (events= in "
                "BARBEQUE_EXECUTOR)"
                if missing
                else f"the SQS queue {self._queue} can't be read: {explain(error)}"
            )
            log.warning("task events: %s. Ends of jobs are found by looking, meanwhile", cure)
            self._warned = True
        if missing:
            self._url = None
        until = clock.monotonic() + (_LOOK_AGAIN if missing else self._pause)
        self._pause = min(self._pause * 2, _LONGEST_PAUSE)
        while not stop.is_set() and (left := until - clock.monotonic()) > 0:
            yield News(deaf=True)
            stop.wait(min(left, _BEAT))

    def _news(self, messages: Sequence[Json]) -> News:
        seen: dict[AttemptId, Sighting | None] = {}
        useful: list[Json] = []
        useless: list[Json] = []
        for message in messages:
            found = self._read(message)
            (useful if found else useless).append(message)
            if found and _is_newer(found[1], seen.get(found[0])):
                seen[found[0]] = found[1]
        self._delete(useless)
        return News(seen, self._deletion(useful)) if useful else News()

    def _read(self, message: Json) -> tuple[AttemptId, Sighting] | None:
        try:
            found = read_event(message["Body"], self._ours)
        except ValueError as error:
            self.broken += 1
            log.debug("task events: dropped a message: %s", error)
            return None
        self.foreign += found is None
        return found

    def _deletion(self, messages: Sequence[Json]) -> Callable[[], None]:
        return lambda: self._delete(messages)

    def _delete(self, messages: Sequence[Json]) -> None:
        """Delete; what is not deleted is told again, which does no harm."""
        entries = [
            {"Id": str(number), "ReceiptHandle": each["ReceiptHandle"]}
            for number, each in enumerate(messages)
        ]
        try:
            for first in range(0, len(entries), _BATCH):
                batch = entries[first : first + _BATCH]
                self._client.delete_message_batch(QueueUrl=self._url, Entries=batch)
        except FAILURES as error:
            log.debug("task events: not deleted, to be told again: %s", explain(error))


def _is_newer(sighting: Sighting, known: Sighting | None) -> bool:
    return known is None or (sighting.version or 0) > (known.version or 0)

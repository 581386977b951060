"""Message move tasks of the SQS stand-in: dead letters sent back, at the pace asked for."""

import asyncio
import itertools
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from barbeque_py import clock
from tests.cloud import sqs_words
from tests.cloud.service import AwsFault, Json
from tests.cloud.sqs_queue import Message, Queue, Stage
from tests.cloud.sqs_queues import Queues
from tests.cloud.sqs_words import text_of

_FASTEST = 500


@dataclass(slots=True)
class Move:
    """One task, as ListMessageMoveTasks tells it."""

    handle: str
    source: Queue
    target: Queue | None
    pace: int
    to_move: int
    started: int
    moved: int = 0
    status: str = "RUNNING"


class Moves:
    """The tasks there were, newest first, and those that run."""

    def __init__(self, queues: Queues) -> None:
        self._queues = queues
        self._moves: list[Move] = []
        self._running: dict[str, asyncio.Task[None]] = {}
        self.answers: dict[str, Callable[[Json], Json]] = {
            "CancelMessageMoveTask": self._cancel,
            "ListMessageMoveTasks": self._list,
            "StartMessageMoveTask": self._start,
        }

    async def close(self) -> None:
        """End what runs."""
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _start(self, request: Json) -> Json:
        source = self._existing(text_of(request, "SourceArn"))
        if not self._queues.sources_of(source):
            raise AwsFault(
                "InvalidParameterValue", "Source queue must be configured as a Dead Letter Queue."
            )
        if any(each.source is source and each.status == "RUNNING" for each in self._moves):
            raise AwsFault(
                "UnsupportedOperation",
                "There is already a task running. "
                "Only one active task is allowed for a source queue arn at a given time.",
            )
        target = request.get("DestinationArn")
        pace = sqs_words.number_of(
            request, "MaxNumberOfMessagesPerSecond", _FASTEST, within=(1, _FASTEST)
        )
        move = Move(
            str(uuid.uuid4()),
            source,
            self._existing(target) if target else None,
            pace,
            source.count(Stage.VISIBLE),
            clock.milliseconds(clock.now()),
        )
        self._moves.insert(0, move)
        task = asyncio.get_running_loop().create_task(self._move(move))
        self._running[move.handle] = task
        task.add_done_callback(lambda _: self._running.pop(move.handle, None))
        return {"TaskHandle": move.handle}

    def _existing(self, arn: str) -> Queue:
        if (queue := self._queues.of_arn(arn)) is None:
            raise AwsFault(
                "ResourceNotFoundException",
                "The resource that you specified for the SourceArn parameter doesn't exist.",
            )
        return queue

    async def _move(self, move: Move) -> None:
        letters = [each for each in move.source.everything() if each.stage is Stage.VISIBLE]
        remaining = iter(letters)
        while some := list(itertools.islice(remaining, move.pace)):
            for letter in some:
                if letter.stage is Stage.VISIBLE:
                    self._send_back(move, letter)
            if move.moved < len(letters):
                await asyncio.sleep(1)
        move.status = "COMPLETED"

    def _send_back(self, move: Move, letter: Message) -> None:
        target = move.target or self._queues.of_arn(letter.source)
        if target is None:
            return
        move.source.remove(letter)
        sent = clock.milliseconds(clock.now())  # AWS makes it a new message, with a new id
        target.add(
            Message(
                str(uuid.uuid4()), letter.body, letter.md5, sent, letter.attributes, letter.system
            )
        )
        move.moved += 1

    def _cancel(self, request: Json) -> Json:
        handle = text_of(request, "TaskHandle")
        for move in self._moves:
            if move.handle == handle and move.status == "RUNNING":
                self._running[handle].cancel()
                move.status = "CANCELLED"
                return {"ApproximateNumberOfMessagesMoved": move.moved}
        raise AwsFault("ResourceNotFoundException", "Task does not exist.")

    def _list(self, request: Json) -> Json:
        source = self._existing(text_of(request, "SourceArn"))
        most = sqs_words.number_of(request, "MaxResults", 1, within=(1, 10))
        found = [each for each in self._moves if each.source is source][:most]
        return {"Results": [_told(each) for each in found]}


def _told(move: Move) -> Json:
    told: Json = {
        "Status": move.status,
        "SourceArn": move.source.arn,
        "MaxNumberOfMessagesPerSecond": move.pace,
        "ApproximateNumberOfMessagesMoved": move.moved,
        "ApproximateNumberOfMessagesToMove": move.to_move,
        "StartedTimestamp": move.started,
    }
    if move.target is not None:
        told["DestinationArn"] = move.target.arn
    if move.status == "RUNNING":
        told["TaskHandle"] = move.handle
    return told

"""A stand-in for SQS: standard queues, in memory, as its JSON protocol shows them, with faults.

Left out on purpose: FIFO queues, permissions between accounts, and the minute that AWS makes one
wait between two purges or before a deleted name may be used again.
"""

import dataclasses
import random
import uuid
from collections.abc import Awaitable, Callable

from barbeque_py import clock
from tests.cloud import sqs_words
from tests.cloud.caller import ACCOUNT
from tests.cloud.service import AwsFault, Json
from tests.cloud.sqs_moves import Moves
from tests.cloud.sqs_queue import Knobs, Message, Queue, Stage, Wish
from tests.cloud.sqs_queues import Queues
from tests.cloud.sqs_words import number_of, text_of

Answer = Callable[[Json], Json | Awaitable[Json]]

_HIDDEN = (0, 43_200)


class Sqs:
    """The service."""

    def __init__(self, *, seed: int) -> None:
        self.knobs = Knobs()
        self.queues = Queues(knobs=self.knobs, luck=random.Random(seed))
        self._moves = Moves(self.queues)
        self._answers: dict[str, Answer] = {
            "ChangeMessageVisibility": self._change_visibility,
            "ChangeMessageVisibilityBatch": self._change_visibility_batch,
            "DeleteMessage": self._delete,
            "DeleteMessageBatch": self._delete_batch,
            "PurgeQueue": self._purge,
            "ReceiveMessage": self._receive,
            "SendMessage": self._send,
            "SendMessageBatch": self._send_batch,
            **self.queues.answers,
            **self._moves.answers,
        }

    async def answer(self, operation: str, request: Json) -> Json:
        """Carry the operation out and return its result; raises `AwsFault`."""
        answer = self._answers.get(operation)
        if answer is None:
            raise AwsFault("UnknownOperationException", f"{operation} is not known here.")
        result = answer(request)
        return result if isinstance(result, dict) else await result

    def put(self, queue_name: str, body: str, delay: float = 0.0) -> None:
        """Enqueue from inside the loop, as EventBridge and SNS do; a missing queue loses it."""
        queue = self.queues.by_name.get(queue_name)
        if queue is not None:
            queue.add(_message(body), delay)

    async def control(self, verb: str, request: Json) -> Json:
        """Carry out `faults` {duplicate, ...}, `peek` {queue} or `purge` {queue, or all}."""
        if verb == "faults":
            return self._set_knobs(request)
        if verb == "peek":
            return {"messages": [_shown(each) for each in self._named(request).everything()]}
        if verb == "purge":
            several = [self._named(request)] if "queue" in request else self.queues.by_name.values()
            for queue in several:
                queue.purge()
            return {}
        raise AwsFault("UnknownVerb", f"sqs has no verb {verb}")

    async def close(self) -> None:
        """Let receivers go and end what moves."""
        await self._moves.close()
        for queue in self.queues.by_name.values():
            queue.close()

    def _named(self, request: Json) -> Queue:
        return self.queues.named(str(request.get("queue", "")))

    def _set_knobs(self, request: Json) -> Json:
        fresh = Knobs()
        for name, value in request.items():
            if name not in {each.name for each in dataclasses.fields(Knobs)}:
                raise AwsFault("UnknownKnob", f"sqs has no knob {name}")
            setattr(fresh, name, value)
        for each in dataclasses.fields(Knobs):  # the queues hold this very object
            setattr(self.knobs, each.name, getattr(fresh, each.name))
        return dataclasses.asdict(self.knobs)

    def _send(self, request: Json) -> Json:
        queue = self.queues.at(request)
        body = text_of(request, "MessageBody")
        attributes = request.get("MessageAttributes") or {}
        size = sqs_words.size_of(body, attributes)
        sqs_words.check_body(
            body, size=size, largest=self.queues.number(queue, "MaximumMessageSize")
        )
        delay = number_of(
            request, "DelaySeconds", self.queues.number(queue, "DelaySeconds"), within=(0, 900)
        )
        message = _message(body, attributes)
        _note_system(message, request)
        queue.add(message, delay)
        answer = {"MessageId": message.id, "MD5OfMessageBody": message.md5}
        if attributes:
            answer["MD5OfMessageAttributes"] = sqs_words.attributes_digest(attributes)
        return answer

    def _send_batch(self, request: Json) -> Json:
        self.queues.at(request)
        entries = sqs_words.entries_of(request)
        total = sum(
            sqs_words.size_of(each.get("MessageBody", ""), each.get("MessageAttributes") or {})
            for each in entries
        )
        if total > sqs_words.LARGEST:
            raise AwsFault(
                "BatchRequestTooLong",
                f"Batch requests cannot be longer than {sqs_words.LARGEST} bytes. "
                f"You have sent {total} bytes.",
            )
        return self._each(self._send, request, entries)

    def _each(self, answer: Callable[[Json], Json], request: Json, entries: list[Json]) -> Json:
        """Carry out every entry for itself, and tell which failed."""
        url = request["QueueUrl"]
        successful: list[Json] = []
        failed: list[Json] = []
        for entry in entries:
            try:
                successful.append({"Id": entry["Id"], **answer({**entry, "QueueUrl": url})})
            except AwsFault as fault:
                failed.append(
                    {
                        "Id": entry["Id"],
                        "SenderFault": True,
                        "Code": fault.code,
                        "Message": fault.message,
                    }
                )
        return {"Successful": successful, "Failed": failed}

    async def _receive(self, request: Json) -> Json:
        queue = self.queues.at(request)
        wish = Wish(
            limit=number_of(request, "MaxNumberOfMessages", 1, within=(1, sqs_words.BATCH)),
            hidden=number_of(
                request,
                "VisibilityTimeout",
                self.queues.number(queue, "VisibilityTimeout"),
                within=_HIDDEN,
            ),
            wait=number_of(
                request,
                "WaitTimeSeconds",
                self.queues.number(queue, "ReceiveMessageWaitTimeSeconds"),
                within=(0, 20),
            ),
        )
        messages = await queue.receive(wish)
        return {"Messages": [_told(queue, each, request) for each in messages]} if messages else {}

    def _delete(self, request: Json) -> Json:
        queue = self.queues.at(request)
        queue.delete(*sqs_words.read_receipt(queue.name, text_of(request, "ReceiptHandle")))
        return {}

    def _delete_batch(self, request: Json) -> Json:
        self.queues.at(request)
        return self._each(self._delete, request, sqs_words.entries_of(request))

    def _change_visibility(self, request: Json) -> Json:
        queue = self.queues.at(request)
        seconds = number_of(request, "VisibilityTimeout", 0, within=_HIDDEN)
        receipt = sqs_words.read_receipt(queue.name, text_of(request, "ReceiptHandle"))
        queue.change_visibility(*receipt, seconds)
        return {}

    def _change_visibility_batch(self, request: Json) -> Json:
        self.queues.at(request)
        return self._each(self._change_visibility, request, sqs_words.entries_of(request))

    def _purge(self, request: Json) -> Json:
        self.queues.at(request).purge()
        return {}


def _message(body: str, attributes: Json | None = None) -> Message:
    sent = clock.milliseconds(clock.now())
    return Message(str(uuid.uuid4()), body, sqs_words.digest(body), sent, attributes or {})


def _note_system(message: Message, request: Json) -> None:
    if group := request.get("MessageGroupId"):
        message.system["MessageGroupId"] = group
    for name, value in (request.get("MessageSystemAttributes") or {}).items():
        message.system[name] = str(value.get("StringValue", ""))


def _told(queue: Queue, message: Message, request: Json) -> Json:
    """Return the message as a receiver sees it."""
    told: Json = {
        "MessageId": message.id,
        "ReceiptHandle": sqs_words.write_receipt(queue.name, message.serial, message.receives),
        "MD5OfBody": message.md5,
        "Body": message.body,
    }
    asked = [*request.get("AttributeNames", ()), *request.get("MessageSystemAttributeNames", ())]
    if asked:
        known = _system_of(message)
        told["Attributes"] = (
            known if "All" in asked else {each: known[each] for each in asked if each in known}
        )
    names = request.get("MessageAttributeNames") or []
    shown = {
        key: value for key, value in message.attributes.items() if sqs_words.wanted(key, names)
    }
    if shown:
        told["MessageAttributes"] = shown
        told["MD5OfMessageAttributes"] = sqs_words.attributes_digest(shown)
    return told


def _system_of(message: Message) -> dict[str, str]:
    known = {
        "SenderId": ACCOUNT,
        "SentTimestamp": str(message.sent),
        "ApproximateReceiveCount": str(message.receives),
        "ApproximateFirstReceiveTimestamp": str(message.first_received),
        **message.system,
    }
    if message.source:
        known["DeadLetterQueueSourceArn"] = message.source
    return known


def _shown(message: Message) -> Json:
    return {
        "id": message.id,
        "body": message.body,
        "stage": message.stage.value,
        "visible": message.stage is Stage.VISIBLE,
        "receives": message.receives,
        "duplicate": message.second,
        **message.system,
    }

"""The queues of the SQS stand-in by name: making, finding, describing and dropping them."""

import json
import random
from collections.abc import Callable

from barbeque_py import clock
from tests.cloud import sqs_words
from tests.cloud.caller import ACCOUNT, ENDPOINT, REGION
from tests.cloud.service import AwsFault, Json
from tests.cloud.sqs_queue import Knobs, Message, Queue, Stage
from tests.cloud.sqs_words import NUMBERS, WORDS, text_of

_PAGE = 1000
_COUNTS = {
    "ApproximateNumberOfMessages": Stage.VISIBLE,
    "ApproximateNumberOfMessagesDelayed": Stage.DELAYED,
    "ApproximateNumberOfMessagesNotVisible": Stage.IN_FLIGHT,
}
_TOLD = {*_COUNTS, "CreatedTimestamp", "LastModifiedTimestamp", "QueueArn"}


class Queues:
    """All queues of the account; names are the same in every Region."""

    def __init__(self, *, knobs: Knobs, luck: random.Random) -> None:
        self.by_name: dict[str, Queue] = {}
        self._knobs = knobs
        self._luck = luck
        self.answers: dict[str, Callable[[Json], Json]] = {
            "CreateQueue": self._create,
            "DeleteQueue": self._drop,
            "GetQueueAttributes": self._attributes,
            "GetQueueUrl": self._url,
            "ListDeadLetterSourceQueues": self._sources,
            "ListQueueTags": self._tags,
            "ListQueues": self._list,
            "SetQueueAttributes": self._set_attributes,
            "TagQueue": self._tag,
            "UntagQueue": self._untag,
        }

    def named(self, name: str) -> Queue:
        """Return the queue; raises `AwsFault` when there is none."""
        if (queue := self.by_name.get(name)) is None:
            raise AwsFault("QueueDoesNotExist", "The specified queue does not exist.")
        return queue

    def at(self, request: Json) -> Queue:
        """Return the queue whose URL is in the request; raises `AwsFault`."""
        return self.named(text_of(request, "QueueUrl").rpartition("/")[2])

    def of_arn(self, arn: str) -> Queue | None:
        """Return the queue of the ARN, None when there is none."""
        return self.by_name.get(arn.rpartition(":")[2])

    def number(self, queue: Queue, attribute: str) -> int:
        """Return a queue's attribute that is a number."""
        value = queue.attributes.get(attribute)
        return NUMBERS[attribute][2] if value is None else int(value)

    def sources_of(self, queue: Queue) -> list[Queue]:
        """Return the queues whose dead letters go to this one."""
        return [each for each in self.by_name.values() if each.dead_queue == queue.name]

    def url_of(self, queue: Queue) -> str:
        """Return where clients find the queue."""
        return f"{ENDPOINT.get()}/{ACCOUNT}/{queue.name}"

    def _create(self, request: Json) -> Json:
        name = text_of(request, "QueueName")
        if not sqs_words.NAME.match(name):
            raise AwsFault(
                "InvalidParameterValue",
                "Can only include alphanumeric characters, hyphens, or underscores. "
                "1 to 80 in length",
            )
        attributes = request.get("Attributes") or {}
        sqs_words.check_attributes(attributes)
        queue = self.by_name.get(name)
        if queue is not None:
            self._check_same(queue, attributes)
            return {"QueueUrl": self.url_of(queue)}
        arn = f"arn:aws:sqs:{REGION.get()}:{ACCOUNT}:{name}"
        queue = Queue(name, arn, knobs=self._knobs, luck=self._luck, bury=self._bury)
        self._change(queue, attributes)
        queue.tags.update(request.get("tags") or {})
        self.by_name[name] = queue
        return {"QueueUrl": self.url_of(queue)}

    def _check_same(self, queue: Queue, attributes: dict[str, str]) -> None:
        for name, value in attributes.items():
            if value != self._attribute(queue, name):
                raise AwsFault(
                    "QueueNameExists",
                    "A queue already exists with the same name and a different value "
                    f"for attribute {name}",
                )

    def _change(self, queue: Queue, attributes: dict[str, str]) -> None:
        """Set checked attributes; an empty one of words is taken away."""
        if "RedrivePolicy" in attributes:
            self._aim(queue, attributes["RedrivePolicy"])
        for name, value in attributes.items():
            if value:
                queue.attributes[name] = value
            else:
                queue.attributes.pop(name, None)
        queue.retention = self.number(queue, "MessageRetentionPeriod")
        queue.modified = clock.milliseconds(clock.now()) // 1000

    def _aim(self, queue: Queue, policy: str) -> None:
        """Note where the queue's dead letters go."""
        if not policy:
            queue.max_receives = queue.dead_queue = None
            return
        redrive = json.loads(policy)
        target = self.of_arn(str(redrive.get("deadLetterTargetArn", "")))
        most = str(redrive.get("maxReceiveCount", ""))
        if target is None or not most.isdecimal() or not 1 <= int(most) <= 1000:
            reason = (
                "Dead letter target does not exist."
                if target is None
                else "Invalid value for maxReceiveCount: must be between 1 and 1000."
            )
            raise AwsFault(
                "InvalidParameterValue",
                f"Value {policy} for parameter RedrivePolicy is invalid. Reason: {reason}",
            )
        queue.max_receives, queue.dead_queue = int(most), target.name

    def _bury(self, queue: Queue, message: Message) -> bool:
        """Move a message received too often; False when the other queue is gone meanwhile."""
        dead = self.by_name.get(queue.dead_queue or "")
        if dead is None:
            return False
        queue.remove(message)
        message.source = queue.arn
        dead.add(message)
        return True

    def _drop(self, request: Json) -> Json:
        queue = self.at(request)
        del self.by_name[queue.name]
        queue.purge()
        queue.close()
        return {}

    def _url(self, request: Json) -> Json:
        return {"QueueUrl": self.url_of(self.named(text_of(request, "QueueName")))}

    def _attribute(self, queue: Queue, name: str) -> str | None:
        """Return one attribute as text, None when it is not set."""
        if name in _COUNTS:
            return str(queue.count(_COUNTS[name]))
        if name in NUMBERS and name not in queue.attributes:
            return None if name.startswith("Kms") else str(NUMBERS[name][2])
        told = {
            "CreatedTimestamp": str(queue.created),
            "LastModifiedTimestamp": str(queue.modified),
            "QueueArn": queue.arn,
            "SqsManagedSseEnabled": "true",
        }
        return queue.attributes.get(name, told.get(name))

    def _attributes(self, request: Json) -> Json:
        queue = self.at(request)
        known = {*NUMBERS, *WORDS, *_TOLD}
        asked = request.get("AttributeNames") or []
        for name in asked:
            if name != "All" and name not in known:
                raise AwsFault("InvalidAttributeName", f"Unknown Attribute {name}.")
        names = sorted(known) if "All" in asked else asked
        found = {name: self._attribute(queue, name) for name in names}
        return {"Attributes": {name: value for name, value in found.items() if value is not None}}

    def _set_attributes(self, request: Json) -> Json:
        queue = self.at(request)
        attributes = request.get("Attributes") or {}
        sqs_words.check_attributes(attributes)
        self._change(queue, attributes)
        return {}

    def _list(self, request: Json) -> Json:
        prefix = request.get("QueueNamePrefix") or ""
        names = sorted(each for each in self.by_name if each.startswith(prefix))
        return self._page("QueueUrls", names, request)

    def _sources(self, request: Json) -> Json:
        names = sorted(each.name for each in self.sources_of(self.at(request)))
        return self._page("queueUrls", names, request)

    def _page(self, member: str, names: list[str], request: Json) -> Json:
        most = sqs_words.number_of(request, "MaxResults", _PAGE, within=(1, _PAGE))
        after = request.get("NextToken") or ""
        page = [each for each in names if each > after][: most + 1]
        answer: Json = {member: [self.url_of(self.by_name[each]) for each in page[:most]]}
        if len(page) > most and "MaxResults" in request:  # without it AWS gives no token
            answer["NextToken"] = page[most - 1]
        return answer

    def _tags(self, request: Json) -> Json:
        return {"Tags": self.at(request).tags}

    def _tag(self, request: Json) -> Json:
        self.at(request).tags.update(request.get("Tags") or {})
        return {}

    def _untag(self, request: Json) -> Json:
        queue = self.at(request)
        for key in request.get("TagKeys") or []:
            queue.tags.pop(key, None)
        return {}

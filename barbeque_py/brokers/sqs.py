"""The broker of a fleet: Amazon SQS, a standard queue for each of ours."""

import math
import random
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from barbeque_py import clock
from barbeque_py.aws import FAILURES, calling, open_client
from barbeque_py.broker import BATCH, LONGEST_DELAY, Delivery, Parcel
from barbeque_py.brokers.sqs_queues import (
    LONGEST_POLL,
    VISIBILITY,
    check_prefix,
    is_missing,
    look_up,
    sqs_name,
    unknown,
)
from barbeque_py.brokers.sqs_wire import SqsWire, open_wire
from barbeque_py.errors import BrokerUnavailable, UnfitBody, UnknownQueue

LARGEST = 1024 * 1024
"""Bytes of the bodies that one call carries, alone or together."""

_PATIENCE = 10.0
_POLL_PATIENCE = 30.0
"""Seconds to wait for an answer to a receive: longer than the longest poll."""
_POLLS = 100
_PAUSES = (0.1, 0.3, 0.9)
"""Seconds before what SQS could not do is asked for again, cut by up to a half."""
_FORBIDDEN = re.compile(r"[^\t\n\r\x20-\uD7FF\uE000-\uFFFD\U00010000-\U0010FFFF]")
_GROUP = re.compile(r"[!-~]{1,128}")
_GONE = frozenset({"InvalidParameterValue", "MessageNotInflight", "ReceiptHandleIsInvalid"})
"""Faults of a receipt: its message was deleted, or received again since."""

Json = dict[str, Any]


class SqsBroker:
    """Carries messages on the SQS queues `<prefix><queue>`, which `SqsQueues` makes.

    A message is hidden for `visibility` when it is received. Bodies are up to 1 MiB. Times are
    whole seconds to SQS: fractions are rounded up. An older receipt may still delete a message.
    Safe to use from many threads.
    """

    def __init__(
        self,
        prefix: str,
        *,
        region: str | None = None,
        visibility: timedelta = VISIBILITY,
        client: Any = None,
    ) -> None:
        """Open a client, or use this one for everything; raises `ConfigurationError`."""
        self._prefix = check_prefix(prefix)
        self._region = region
        self._visibility = visibility
        self._client = client or open_client("sqs", region=region)
        self._quick = client or open_wire(self._client, patience=_PATIENCE) or self._client
        self._patient = client
        self._opening = threading.Lock()
        self._urls: dict[str, str] = {}

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
        self._quick.close()
        if self._patient is not None:
            self._patient.close()

    def send(self, queue: str, parcels: Sequence[Parcel]) -> None:
        """Put the parcels on the queue, in as few calls as SQS allows, several at once.

        Raises `UnknownQueue` when SQS has no such queue, `UnfitBody` before anything was sent, and
        `BrokerUnavailable`.
        """
        batches = list(_batches([_entry(parcel) for parcel in parcels]))
        for left in self._send_at_once(queue, batches):
            self._repeat(self._quick.send_message_batch, queue, left, "sending to")

    def _send_at_once(self, queue: str, batches: list[list[Json]]) -> list[list[Json]]:
        """Send several batches side by side; return what of them SQS has not acknowledged."""
        url = self._urls.get(sqs_name(self._prefix, queue))
        if len(batches) < 2 or url is None or not isinstance(self._quick, SqsWire):  # noqa: PLR2004
            return batches
        answers = self._quick.send_message_batches(
            [{"QueueUrl": url, "Entries": _numbered(dict(enumerate(each)))} for each in batches]
        )
        left = [_without(each, answer) for each, answer in zip(batches, answers, strict=True)]
        return [each for each in left if each]

    def receive(self, queue: str, *, limit: int = BATCH, wait: timedelta) -> list[Delivery]:
        """Borrow messages by a long poll of up to 20 s; may return none sooner than asked for."""
        try:
            answer = self._call(
                self._poller().receive_message,
                queue,
                "receiving from",
                MaxNumberOfMessages=min(limit, BATCH),
                WaitTimeSeconds=_seconds(min(wait, LONGEST_POLL)),
                VisibilityTimeout=_seconds(self._visibility),
                MessageSystemAttributeNames=["SentTimestamp", "ApproximateReceiveCount"],
            )
        except UnknownQueue as error:
            raise BrokerUnavailable(str(error)) from error
        return [_delivery(queue, each) for each in answer.get("Messages", [])]

    def extend(self, deliveries: Sequence[Delivery], visibility: timedelta) -> None:
        """Hide the messages for `visibility` from now, twelve hours at most."""
        hidden = {"VisibilityTimeout": _seconds(visibility)}
        change = self._quick.change_message_visibility_batch
        self._settle(change, deliveries, "extending messages of", hidden)

    def delete(self, deliveries: Sequence[Delivery]) -> None:
        """Forget the messages."""
        self._settle(self._quick.delete_message_batch, deliveries, "deleting from", {})

    def _settle(
        self,
        call: Callable[..., Json],
        deliveries: Sequence[Delivery],
        doing: str,
        more: Mapping[str, object],
    ) -> None:
        for queue in dict.fromkeys(each.queue for each in deliveries):
            entries = [
                {"ReceiptHandle": each.receipt, **more}
                for each in deliveries
                if each.queue == queue
            ]
            try:
                for first in range(0, len(entries), BATCH):
                    self._repeat(call, queue, entries[first : first + BATCH], doing, over=_GONE)
            except UnknownQueue:
                continue  # its messages are gone with it

    def _repeat(
        self,
        call: Callable[..., Json],
        queue: str,
        entries: Sequence[Json],
        doing: str,
        *,
        over: frozenset[str] = frozenset(),
    ) -> None:
        """Make a call for the batch, and again for those entries that SQS failed to do.

        An entry that failed with a code of `over` is done with.
        """
        left = dict(enumerate(entries))
        for pause in (*_PAUSES, None):
            answer = self._call(call, queue, doing, Entries=_numbered(left))
            failed = {int(each["Id"]): each for each in answer.get("Failed", [])}
            done = {int(each["Id"]) for each in answer.get("Successful", [])}
            done |= {number for number, fault in failed.items() if _code(fault) in over}
            left = {number: entry for number, entry in left.items() if number not in done}
            if not left:
                return
            faults = [failed.get(number, {}) for number in left]
            if pause is None or any(each.get("SenderFault") for each in faults):
                raise self._refused(queue, doing, faults)
            time.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - spreads the calls

    def _refused(self, queue: str, doing: str, faults: Sequence[Json]) -> BrokerUnavailable:
        worst = max(faults, key=lambda each: bool(each.get("SenderFault")))
        words = f"{_code(worst) or 'no answer'}: {worst.get('Message', 'SQS did not say why')}"
        called = sqs_name(self._prefix, queue)
        return BrokerUnavailable(f"{doing} the queue {called} failed for {len(faults)}: {words}")

    def _call(self, call: Callable[..., Json], queue: str, doing: str, **request: Any) -> Json:
        """Make a call about the queue; raises `UnknownQueue` and `BrokerUnavailable`."""
        called = sqs_name(self._prefix, queue)
        with calling(f"{doing} the queue {called}", BrokerUnavailable):
            url = self._urls.get(called) or look_up(self._client, called)
            if url is None:
                raise unknown(called)
            self._urls[called] = url
            try:
                return call(QueueUrl=url, **request)
            except FAILURES as error:
                if not is_missing(error):
                    raise
        self._urls.pop(called, None)
        raise unknown(called)

    def _poller(self) -> Any:
        """Return the client that waits for long polls, which only a worker needs."""
        with self._opening:
            if self._patient is None:
                self._patient = open_wire(self._client, patience=_POLL_PATIENCE) or open_client(
                    "sqs", region=self._region, connections=_POLLS, patience=_POLL_PATIENCE
                )
            return self._patient


def _entry(parcel: Parcel) -> Json:
    _check_body(parcel.body)
    delay = _delay(parcel.delay) if parcel.delay else 0
    entry: Json = {"MessageBody": parcel.body, "DelaySeconds": delay}
    if _GROUP.fullmatch(parcel.app):
        entry["MessageGroupId"] = parcel.app  # fair queues: no app's backlog delays another's
    return entry


def _delay(delay: timedelta) -> int:
    if not timedelta(0) <= delay <= LONGEST_DELAY:
        raise ValueError(f"SQS delays a message by up to {LONGEST_DELAY}, not {delay}")
    return _seconds(delay)


def _check_body(body: str) -> None:
    if not body:
        raise UnfitBody("the body is empty, which SQS does not carry")
    plain = body.isascii() and body.isprintable()  # as ours are, and quickly told
    if found := None if plain else _FORBIDDEN.search(body):
        raise UnfitBody(
            f"the body has U+{ord(found[0]):04X} at character {found.start()}, "
            "which SQS does not carry"
        )
    if _size(body) > LARGEST:
        raise UnfitBody(f"the body has {_size(body):,} bytes; SQS carries up to {LARGEST:,}")


def _batches(entries: Sequence[Json]) -> Iterator[list[Json]]:
    """Yield the entries in lots that one call may carry."""
    batch: list[Json] = []
    size = 0
    for entry in entries:
        more = _size(entry["MessageBody"])
        if batch and (len(batch) == BATCH or size + more > LARGEST):
            yield batch
            batch, size = [], 0
        batch.append(entry)
        size += more
    if batch:
        yield batch


def _numbered(entries: Mapping[int, Json]) -> list[Json]:
    """Return the entries as a call takes them: each with an id that its answer names."""
    return [{"Id": str(number), **entry} for number, entry in entries.items()]


def _without(entries: list[Json], answer: Json | None) -> list[Json]:
    """Return the entries that the answer does not acknowledge."""
    if answer is None:
        return entries
    done = {each["Id"] for each in answer.get("Successful", [])}
    return [entry for number, entry in enumerate(entries) if str(number) not in done]


def _delivery(queue: str, message: Json) -> Delivery:
    facts = message["Attributes"]
    return Delivery(
        queue=queue,
        body=message["Body"],
        receipt=message["ReceiptHandle"],
        broker_id=message["MessageId"],
        sent_at=clock.from_milliseconds(int(facts["SentTimestamp"])),
        receives=int(facts["ApproximateReceiveCount"]),
    )


def _code(fault: Json) -> str:
    return str(fault.get("Code", "")).rpartition(".")[2]


def _size(body: str) -> int:
    return len(body) if body.isascii() else len(body.encode())


def _seconds(duration: timedelta) -> int:
    return max(0, math.ceil(duration.total_seconds()))

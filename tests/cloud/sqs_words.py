"""What SQS allows and how it counts: attributes of queues, sizes, characters, digests, receipts."""

import base64
import binascii
import hashlib
import json
import re
from typing import Any

from tests.cloud.service import AwsFault, Json

LARGEST = 1_048_576
BATCH = 10

NAME = re.compile(r"[A-Za-z0-9_-]{1,80}\Z")
_ENTRY_ID = re.compile(r"[A-Za-z0-9_-]{1,80}\Z")
_FOREIGN = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

NUMBERS = {
    "DelaySeconds": (0, 900, 0),
    "KmsDataKeyReusePeriodSeconds": (60, 86_400, 300),
    "MaximumMessageSize": (1024, LARGEST, LARGEST),
    "MessageRetentionPeriod": (60, 1_209_600, 345_600),
    "ReceiveMessageWaitTimeSeconds": (0, 20, 0),
    "VisibilityTimeout": (0, 43_200, 30),
}
"""Least, most and default of the attributes that are numbers."""

WORDS = {
    "KmsMasterKeyId",
    "Policy",
    "RedriveAllowPolicy",
    "RedrivePolicy",
    "SqsManagedSseEnabled",
}


def number_of(request: Json, name: str, default: int, *, within: tuple[int, int]) -> int:
    """Return the number asked for; raises `AwsFault` outside its bounds."""
    value = request.get(name)
    if value is None:
        return default
    least, most = within
    if not isinstance(value, int) or not least <= value <= most:
        raise AwsFault(
            "InvalidParameterValue",
            f"Value {value} for parameter {name} is invalid. "
            f"Reason: Must be >= {least} and <= {most}, if provided.",
        )
    return value


def text_of(request: Json, name: str) -> str:
    """Return the parameter that must be there; raises `AwsFault`."""
    value = request.get(name)
    if not isinstance(value, str) or not value:
        raise AwsFault("MissingParameter", f"The request must contain the parameter {name}.")
    return value


def check_attributes(attributes: dict[str, str]) -> None:
    """Raise `AwsFault` for an attribute of a queue that SQS does not know or allow."""
    for name, value in attributes.items():
        if name in NUMBERS:
            least, most, _ = NUMBERS[name]
            if not value.isdecimal() or not least <= int(value) <= most:
                raise AwsFault("InvalidAttributeValue", f"Invalid value for the parameter {name}.")
        elif name not in WORDS:
            raise AwsFault("InvalidAttributeName", f"Unknown Attribute {name}.")
        if name.endswith("Policy") and value:
            _check_json(name, value)


def _check_json(name: str, value: str) -> None:
    try:
        json.loads(value)
    except ValueError:
        raise AwsFault(
            "InvalidAttributeValue", f"Invalid value for the parameter {name}."
        ) from None


def check_body(body: str, *, size: int, largest: int) -> None:
    """Raise `AwsFault` for a message too large or with characters that XML can't carry."""
    if size > largest:
        raise AwsFault(
            "InvalidParameterValue",
            "One or more parameters are invalid. "
            f"Reason: Message must be shorter than {largest} bytes.",
        )
    if _FOREIGN.search(body):
        raise AwsFault(
            "InvalidMessageContents", "Invalid characters found in the body of the message."
        )


def size_of(body: str, attributes: Json) -> int:
    """Return the bytes SQS counts: the body, and each attribute's name, type and value."""
    size = len(body.encode(errors="surrogatepass"))
    for name, value in attributes.items():
        size += len(name.encode()) + len(value["DataType"].encode()) + len(_value(value)[1])
    return size


def digest(body: str) -> str:
    """Return the MD5 of a body."""
    return hashlib.md5(body.encode(errors="surrogatepass"), usedforsecurity=False).hexdigest()


def attributes_digest(attributes: Json) -> str:
    """Return the MD5 of message attributes as AWS's clients compute it."""
    md5 = hashlib.md5(usedforsecurity=False)
    for name in sorted(attributes):
        kind, content = _value(attributes[name])
        for word in (name.encode(), attributes[name]["DataType"].encode()):
            md5.update(len(word).to_bytes(4) + word)
        md5.update(kind + len(content).to_bytes(4) + content)
    return md5.hexdigest()


def _value(attribute: Json) -> tuple[bytes, bytes]:
    if "BinaryValue" in attribute:
        return b"\x02", base64.b64decode(attribute["BinaryValue"])
    return b"\x01", str(attribute.get("StringValue", "")).encode()


def wanted(name: str, asked: list[str]) -> bool:
    """Tell whether a receiver asked for the message attribute."""
    return any(
        each in {"All", ".*", name} or (each.endswith(".*") and name.startswith(each[:-2]))
        for each in asked
    )


def write_receipt(queue: str, serial: int, receives: int) -> str:
    """Return the receipt of one delivery."""
    return base64.b64encode(f"{queue} {serial} {receives}".encode()).decode()


def read_receipt(queue: str, receipt: str) -> tuple[int, int]:
    """Return a receipt's serial and number of receives; raises `AwsFault` for a foreign one."""
    try:
        name, serial, receives = base64.b64decode(receipt, validate=True).decode().split(" ")
        if name == queue:
            return int(serial), int(receives)
    except (binascii.Error, ValueError):
        pass
    raise AwsFault(
        "ReceiptHandleIsInvalid",
        f'The input receipt handle "{receipt}" is not a valid receipt handle.',
    )


def entries_of(request: Json) -> list[Json]:
    """Return the entries of a batch; raises `AwsFault` for a batch that SQS refuses whole."""
    entries: list[Any] = request.get("Entries") or []
    if not entries:
        raise AwsFault("EmptyBatchRequest", "There should be at least one entry in the request.")
    if len(entries) > BATCH:
        raise AwsFault(
            "TooManyEntriesInBatchRequest",
            f"Maximum number of entries per request are {BATCH}. You have sent {len(entries)}.",
        )
    ids = [entry["Id"] for entry in entries]
    if len(set(ids)) < len(ids):
        raise AwsFault("BatchEntryIdsNotDistinct", "Two or more entries have the same Id.")
    for each in ids:
        if not _ENTRY_ID.match(each):
            raise AwsFault("InvalidBatchEntryId", f"The Id {each!r} of an entry is invalid.")
    return entries


_QUERY_CODES = {
    "BatchEntryIdsNotDistinct": "AWS.SimpleQueueService.BatchEntryIdsNotDistinct",
    "BatchRequestTooLong": "AWS.SimpleQueueService.BatchRequestTooLong",
    "EmptyBatchRequest": "AWS.SimpleQueueService.EmptyBatchRequest",
    "InvalidBatchEntryId": "AWS.SimpleQueueService.InvalidBatchEntryId",
    "MessageNotInflight": "AWS.SimpleQueueService.MessageNotInflight",
    "QueueDoesNotExist": "AWS.SimpleQueueService.NonExistentQueue",
    "QueueNameExists": "QueueAlreadyExists",
    "TooManyEntriesInBatchRequest": "AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
    "UnsupportedOperation": "AWS.SimpleQueueService.UnsupportedOperation",
}


def query_error(fault: AwsFault) -> str:
    """Return the header by which AWS names the error as its older protocol did."""
    side = "Receiver" if fault.status >= 500 else "Sender"
    return f"{_QUERY_CODES.get(fault.code, fault.code)};{side}"

"""How answers and errors are written in each of AWS's protocols."""

import json
import uuid
from http import HTTPStatus
from xml.sax.saxutils import escape

from tests.cloud.caller import ACCOUNT
from tests.cloud.calls import Call
from tests.cloud.faults import Fault
from tests.cloud.service import AwsFault, Json
from tests.cloud.sqs_words import query_error

_UNAVAILABLE = {"s3": "ServiceUnavailable"}
_THROTTLED = {"s3": ("SlowDown", 503), "sns": ("Throttling", 400)}
_DENIED = {
    "ec2": ("UnauthorizedOperation", 403),
    "iam": ("AccessDenied", 403),
    "s3": ("AccessDenied", 403),
    "sns": ("AuthorizationError", 403),
    "sqs": ("AccessDenied", 403),
    "sts": ("AccessDenied", 403),
}
"""Elsewhere it is AccessDeniedException with 400."""
_HEADS = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}
_JSON_OK = "HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.0\r\n"


def write_json(result: object, *, status: int = 200, extra: str = "") -> bytes:
    """Write an answer in JSON; `extra` are further header lines."""
    body = json.dumps(result).encode()
    head = _HEADS[status] + "Content-Type: application/x-amz-json-1.0\r\n"
    return _whole(head + extra, body)


def write_xml(body: str, *, status: int = 200) -> bytes:
    """Write an answer in XML."""
    return _whole(_HEADS[status] + "Content-Type: text/xml\r\n", body.encode())


def _whole(head: str, body: bytes) -> bytes:
    lines = f"x-amzn-RequestId: {uuid.uuid4()}\r\nContent-Length: {len(body)}\r\n\r\n"
    return (head + lines).encode() + body


def write_fault(call: Call, fault: AwsFault) -> bytes:
    """Write an error as the call's protocol wants it."""
    if call.protocol == "json":
        told: Json = {"__type": fault.code, "message": fault.message, **fault.more}
        extra = f"x-amzn-query-error: {query_error(fault)}\r\n" if call.service == "sqs" else ""
        return write_json(told, status=fault.status, extra=extra)
    error = f"<Code>{escape(fault.code)}</Code><Message>{escape(fault.message)}</Message>"
    if call.protocol == "query":
        side = "Receiver" if fault.status >= 500 else "Sender"
        error = f"<Error><Type>{side}</Type>{error}</Error>"
        is_ec2 = call.service == "ec2"
        error = (
            f"<Response><Errors>{error}</Errors></Response>"
            if is_ec2
            else f"<ErrorResponse>{error}</ErrorResponse>"
        )
    else:
        error = f'<?xml version="1.0" encoding="UTF-8"?><Error>{error}</Error>'
    return write_xml(error, status=fault.status)


def fault_of(call: Call, fault: Fault) -> AwsFault:
    """Return the error that tells of a refusal on purpose."""
    if fault is Fault.DENIED:
        code, status = _DENIED.get(call.service, ("AccessDeniedException", 400))
        action = f"{call.service}:{call.operation}"
        return AwsFault(
            code,
            f"User: arn:aws:sts::{ACCOUNT}:assumed-role/worker/i-0 is not authorized to perform: "
            f"{action} because no identity-based policy allows the {action} action",
            status=status,
        )
    if fault is Fault.THROTTLED:
        code, status = _THROTTLED.get(call.service, ("ThrottlingException", 400))
        return AwsFault(code, "Rate exceeded", status=status)
    return AwsFault("ServiceUnavailable", "Service is unable to handle request.", status=503)

"""The few calls of SQS that are made for every message, signed and sent by ourselves.

boto3 spends twenty times as long on a call as signing and sending take. What it knows is taken
from a client of it: endpoint, Region, credentials that renew themselves, certificates. It stays
the reference, and makes these calls itself where more is asked of a way out than a socket.
"""

import hashlib
import hmac
import http.client
import json
import random
import socket
import ssl
import time
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from barbeque_py import clock
from barbeque_py.aws import FAILURES, Access, access_of, is_throttle, refusal, unreached

_CONNECT_PATIENCE = 3.0
_TRIES = 3
_PAUSE = 1.0
"""Seconds at most before the second try, then twice as long."""
_SERVER_FAULT = 500
_IDLE = 20
"""Connections that are kept open while nobody uses them."""
_LOST = (http.client.HTTPException, OSError)
"""What a connection raises that broke."""
_CLOSED = (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError)
"""What a connection raises that the other end has closed while it was idle."""

Json = dict[str, Any]


def open_wire(client: Any, *, patience: float) -> "SqsWire | None":
    """Return a wire to where the boto3 client of SQS speaks to, if that is a plain way.

    A call waits `patience` seconds for an answer.
    """
    access = access_of(client)
    return None if access is None else SqsWire(access, patience=patience)


class SqsWire:
    """Makes calls as a client of boto3 does, with its answers and errors; safe for threads."""

    def __init__(self, access: Access, *, patience: float) -> None:
        target = urlsplit(access.endpoint)
        self._access = access
        self._patience = patience
        self._host, self._port = target.hostname or "", target.port
        self._named = target.netloc.rpartition("@")[2]
        self._path = target.path or "/"
        self._tls: ssl.SSLContext | None = None
        if target.scheme == "https":
            self._tls = ssl.create_default_context(cafile=access.certificates)
        self._idle: list[http.client.HTTPConnection] = []
        self._closed = False

    def close(self) -> None:
        """Close the connections; those in use close when their call is over."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()

    def send_message_batch(self, **request: Any) -> Json:
        """Put messages on a queue."""
        return self._call("SendMessageBatch", request)

    def receive_message(self, **request: Any) -> Json:
        """Borrow messages."""
        return self._call("ReceiveMessage", request)

    def delete_message_batch(self, **request: Any) -> Json:
        """Delete borrowed messages."""
        return self._call("DeleteMessageBatch", request)

    def change_message_visibility_batch(self, **request: Any) -> Json:
        """Hide borrowed messages for longer or shorter."""
        return self._call("ChangeMessageVisibilityBatch", request)

    def _call(self, operation: str, request: Mapping[str, Any]) -> Json:
        """Make the call, again after what may pass; raises what a client of boto3 raises."""
        body = json.dumps(request, separators=(",", ":")).encode()
        for attempt in range(_TRIES):
            try:
                return self._try(operation, body)
            except FAILURES as error:
                if attempt == _TRIES - 1 or not _may_pass(error):
                    raise
                time.sleep(random.uniform(0, _PAUSE * (1 << attempt)))  # noqa: S311 - spreads the calls
        raise AssertionError

    def _try(self, operation: str, body: bytes) -> Json:
        headers = self._signed(operation, body)
        try:
            status, fault, text = self._exchange(headers, body)
            answer = json.loads(text) if text else {}
        except (*_LOST, ValueError) as error:
            raise unreached(self._access.endpoint, error) from error
        if status < http.client.MULTIPLE_CHOICES:
            found: Json = answer
            return found
        code = fault.partition(";")[0] or str(answer.get("__type", "")).rpartition("#")[2]
        message = str(answer.get("message") or answer.get("Message") or "")
        raise refusal(operation, status=status, code=code or str(status), message=message)

    def _exchange(self, headers: Mapping[str, str], body: bytes) -> tuple[int, str, bytes]:
        """Send the request over a connection that is open, or else over a new one."""
        while self._idle:
            try:
                return self._send(self._idle.pop(), headers, body)
            except IndexError:
                break  # another thread took the last one
            except _CLOSED:
                continue
        return self._send(self._connect(), headers, body)

    def _send(
        self, connection: http.client.HTTPConnection, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, str, bytes]:
        """Return status, SQS's own name of the fault, and body of the answer."""
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = f"POST {self._path} HTTP/1.1\r\n{lines}content-length: {len(body)}\r\n\r\n"
        try:
            # As `connection.request` does, but in one write to the socket, which is what costs.
            connection.sock.sendall(head.encode() + body)
            with http.client.HTTPResponse(connection.sock, method="POST") as answer:
                answer.begin()
                found = answer.status, answer.getheader("x-amzn-query-error") or "", answer.read()
        except BaseException:
            connection.close()
            raise
        if answer.will_close or self._closed or len(self._idle) >= _IDLE:
            connection.close()
        else:
            self._idle.append(connection)
        return found

    def _connect(self) -> http.client.HTTPConnection:
        if self._tls is None:
            connection = http.client.HTTPConnection(
                self._host, self._port, timeout=_CONNECT_PATIENCE
            )
        else:
            connection = http.client.HTTPSConnection(
                self._host, self._port, timeout=_CONNECT_PATIENCE, context=self._tls
            )
        try:
            connection.connect()
        except TimeoutError as error:
            raise ConnectionError(f"no connection within {_CONNECT_PATIENCE:g} s") from error
        assert isinstance(connection.sock, socket.socket)
        connection.sock.settimeout(self._patience)
        return connection

    def _signed(self, operation: str, body: bytes) -> dict[str, str]:
        """Return the headers with their signature (AWS Signature Version 4)."""
        keys = self._access.keys()
        stamp = clock.now().strftime("%Y%m%dT%H%M%SZ")
        headers = {
            "content-type": "application/x-amz-json-1.0",
            "host": self._named,
            "x-amz-date": stamp,
            "x-amz-target": f"AmazonSQS.{operation}",
            "x-amzn-query-mode": "true",
        }
        if keys.token:
            headers["x-amz-security-token"] = keys.token
        names = ";".join(sorted(headers))
        lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
        whole = f"POST\n{self._path}\n\n{lines}\n{names}\n{hashlib.sha256(body).hexdigest()}"
        day, region = stamp[:8], self._access.region
        scope = f"{day}/{region}/sqs/aws4_request"
        digest = hashlib.sha256(whole.encode()).hexdigest()
        to_sign = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{digest}".encode()
        signature = hmac.digest(_signing_key(keys.secret_key, day, region), to_sign, "sha256").hex()
        headers["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={keys.access_key}/{scope}, "
            f"SignedHeaders={names}, Signature={signature}"
        )
        return headers


@lru_cache(maxsize=8)
def _signing_key(secret_key: str, day: str, region: str) -> bytes:
    key = f"AWS4{secret_key}".encode()
    for word in (day, region, "sqs", "aws4_request"):
        key = hmac.digest(key, word.encode(), "sha256")
    return key


def _may_pass(error: BaseException) -> bool:
    """Tell whether the call may succeed when it is made again: a fault of the way or of SQS."""
    response = getattr(error, "response", None)
    if response is None:
        return True
    status = int(response["ResponseMetadata"]["HTTPStatusCode"])
    return status >= _SERVER_FAULT or is_throttle(error)

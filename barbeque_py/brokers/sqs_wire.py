"""The few calls of SQS that are made for every message, signed and sent by ourselves.

boto3 spends twenty times as long on a call as signing and sending take. What it knows is taken
from a client of it: endpoint, Region, credentials that renew themselves, certificates. It stays
the reference, and makes these calls itself where more is asked of a way out than a socket.
"""

import hashlib
import hmac
import json
import random
import socket
import ssl
import time
from collections.abc import Mapping, Sequence
from functools import lru_cache
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import httptools

from barbeque_py import clock
from barbeque_py.aws import FAILURES, Access, access_of, is_throttle, refusal, unreached

_CONNECT_PATIENCE = 3.0
_TRIES = 3
_PAUSE = 1.0
"""Seconds at most before the second try, then twice as long."""
_SERVER_FAULT = 500
_IDLE = 100
"""Connections that are kept open while nobody uses them."""
_PIECE = 64 * 1024
_COMPACT = json.JSONEncoder(separators=(",", ":"))
_LOST = (httptools.HttpParserError, OSError)
"""What a connection raises that broke."""
_CLOSED = (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError)
"""What a connection raises that the other end has closed while it was idle."""

Json = dict[str, Any]


class _Answer:
    """What httptools tells of one answer while its bytes come in."""

    def __init__(self) -> None:
        self.parser = httptools.HttpResponseParser(self)
        self.fault = ""
        """SQS's own name of what is wrong, where it says one beside the body's."""
        self.pieces: list[bytes] = []
        self.complete = False
        self.lasts = False
        """Whether the connection may be used again."""

    def feed(self, piece: bytes) -> None:
        """Take what has come; raises `OSError` when that is the end too early."""
        if not piece:
            raise ConnectionResetError("the connection was cut before the answer's end")
        self.parser.feed_data(piece)

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"x-amzn-query-error":
            self.fault = value.decode("latin-1")

    def on_body(self, piece: bytes) -> None:
        self.pieces.append(piece)

    def on_message_complete(self) -> None:
        self.complete = True
        self.lasts = self.parser.should_keep_alive()  # known only now


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
        self._idle: list[socket.socket] = []
        self._closed = False

    def close(self) -> None:
        """Close the connections; those in use close when their call is over."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()

    def send_message_batch(self, **request: Any) -> Json:
        """Put messages on a queue."""
        return self._call("SendMessageBatch", request)

    def send_message_batches(self, requests: Sequence[Mapping[str, Any]]) -> list[Json | None]:
        """Put several lots on queues at once: each call is written before an answer is read.

        Returns SQS's answers, None for a call that is to be made again by itself.
        """
        began = clock.monotonic()
        asked = [self._ask("SendMessageBatch", _written(each)) for each in requests]
        return [self._answered(each, until=began + self._patience) for each in asked]

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
        body = _written(request)
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
            found = self._exchange(headers, body)
            answer = _read(found)
        except (*_LOST, ValueError) as error:
            raise unreached(self._access.endpoint, error) from error
        status = found.parser.get_status_code()
        if status < HTTPStatus.MULTIPLE_CHOICES:
            return answer
        code = found.fault.partition(";")[0] or str(answer.get("__type", "")).rpartition("#")[2]
        message = str(answer.get("message") or answer.get("Message") or "")
        raise refusal(operation, status=status, code=code or str(status), message=message)

    def _ask(self, operation: str, body: bytes) -> socket.socket | None:
        """Write one call and leave its answer unread; None when that could not be done."""
        try:
            headers = self._signed(operation, body)
            connection = self._take() or self._connect()
            self._write(connection, headers, body)
        except (*FAILURES, *_LOST):
            return None
        return connection

    def _answered(self, connection: socket.socket | None, *, until: float) -> Json | None:
        if connection is None:
            return None
        try:
            connection.settimeout(max(0.001, until - clock.monotonic()))
            found = self._receive(connection)
            answer = _read(found)
        except (*_LOST, ValueError):
            return None
        return answer if found.parser.get_status_code() < HTTPStatus.MULTIPLE_CHOICES else None

    def _exchange(self, headers: Mapping[str, str], body: bytes) -> _Answer:
        """Send the request over a connection that is open, or else over a new one."""
        while connection := self._take():
            try:
                return self._send(connection, headers, body)
            except _CLOSED:
                continue
        return self._send(self._connect(), headers, body)

    def _send(self, connection: socket.socket, headers: Mapping[str, str], body: bytes) -> _Answer:
        connection.settimeout(self._patience)
        self._write(connection, headers, body)
        return self._receive(connection)

    def _take(self) -> socket.socket | None:
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def _write(self, connection: socket.socket, headers: Mapping[str, str], body: bytes) -> None:
        """Send the request in one write to the socket, which is what costs."""
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = f"POST {self._path} HTTP/1.1\r\n{lines}content-length: {len(body)}\r\n\r\n"
        try:
            connection.sendall(head.encode() + body)
        except BaseException:
            connection.close()
            raise

    def _receive(self, connection: socket.socket) -> _Answer:
        """Return the answer to the request that was written, and keep the connection."""
        answer = _Answer()
        try:
            while not answer.complete:
                answer.feed(connection.recv(_PIECE))
        except BaseException:
            connection.close()
            raise
        if answer.lasts and not self._closed and len(self._idle) < _IDLE:
            self._idle.append(connection)
        else:
            connection.close()
        return answer

    def _connect(self) -> socket.socket:
        address = self._host, self._port or (80 if self._tls is None else 443)
        try:
            connection = socket.create_connection(address, timeout=_CONNECT_PATIENCE)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_hostname=self._host)
        except TimeoutError as error:
            raise ConnectionError(f"no connection within {_CONNECT_PATIENCE:g} s") from error
        connection.settimeout(self._patience)
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


def _written(request: Mapping[str, Any]) -> bytes:
    return _COMPACT.encode(request).encode()


def _read(answer: _Answer) -> Json:
    """Return what stands in the answer; raises `ValueError` when it is no JSON."""
    text = b"".join(answer.pieces)
    found: Json = json.loads(text) if text else {}
    return found


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

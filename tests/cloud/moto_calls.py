"""Calls of moto's server in AWS's JSON protocol, unsigned: moto believes any credentials."""

import http.client
import json
from typing import Final
from urllib.parse import quote, urlsplit

from tests.cloud.service import AwsFault, Json

_TARGETS: Final = {
    "ecs": "AmazonEC2ContainerServiceV20141113",
    "logs": "Logs_20140328",
    "secretsmanager": "secretsmanager",
    "ssm": "AmazonSSM",
}
_PATIENCE: Final = 120.0


class Moto:
    """A moto server, for threads: every call opens a connection of its own, as moto wants it."""

    def __init__(self, endpoint: str) -> None:
        parts = urlsplit(endpoint)
        self._address = (parts.hostname or "127.0.0.1", parts.port or 80)

    def ask(self, service: str, operation: str, request: Json | bytes, *, region: str = "") -> Json:
        """Make one call and return moto's answer unchanged; raises `AwsFault`."""
        body = request if isinstance(request, bytes) else json.dumps(request).encode()
        headers = {
            "Content-Type": "application/x-amz-json-1.1",
            "X-Amz-Target": f"{_TARGETS[service]}.{operation}",
            "Authorization": _scope(service, region),
        }
        status, kind, answer = self.send("POST", "/", body, headers)
        found: Json = json.loads(answer or b"{}")
        if status < 400:
            return found
        code = str(found.pop("__type", "") or kind or "ServerException")
        message = str(found.pop("message", "") or found.pop("Message", ""))
        raise AwsFault(code.rpartition("#")[2], message, status=status, **found)

    def put_object(self, bucket: str, key: str, body: bytes, *, region: str) -> None:
        """Write an object into moto's S3; raises `AwsFault`."""
        self._ask_s3("PUT", f"/{bucket}/{quote(key)}", body, region)

    def get_object(self, bucket: str, key: str, *, region: str) -> bytes:
        """Read an object of moto's S3; raises `AwsFault`."""
        return self._ask_s3("GET", f"/{bucket}/{quote(key)}", b"", region)

    def _ask_s3(self, method: str, path: str, body: bytes, region: str) -> bytes:
        headers = {"Authorization": _scope("s3", region), "Host": "s3.amazonaws.com"}
        status, _, answer = self.send(method, path, body, headers)
        if status >= 400:
            raise AwsFault("NoSuchKey", f"S3 answered {status}", status=status)
        return answer

    def send(
        self, method: str, path: str, body: bytes, headers: dict[str, str]
    ) -> tuple[int, str, bytes]:
        """Send one HTTP request; return the status, the kind of error, and the body."""
        connection = http.client.HTTPConnection(*self._address, timeout=_PATIENCE)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            kind = answer.getheader("x-amzn-errortype") or ""
            return answer.status, kind, answer.read()
        finally:
            connection.close()


def _scope(service: str, region: str) -> str:
    credential = f"Credential=simulator/20260101/{region}/{service}/aws4_request"
    return f"AWS4-HMAC-SHA256 {credential}, SignedHeaders=host, Signature=0"

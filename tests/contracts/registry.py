"""An image registry on loopback: enough for an engine to pull from, and for tags to move."""

import gzip
import hashlib
import io
import json
import tarfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

_PREFIX = "application/vnd.docker."
_MANIFEST = _PREFIX + "distribution.manifest.v2+json"
_TOKEN = "for-everybody"


def digest_of(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


class Registry:
    """Serves what was pushed, `there:latest` at first.

    Says "unknown" to other names and "denied" to `secret`; `guarded/...` wants a token that
    anybody gets, `members/...` a password. `mute/...` does not tell digests in its headers.
    """

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self._manifests: dict[str, bytes] = {}
        self._tags: dict[tuple[str, str], str] = {}
        self.manifest = self.push("there")
        self.asked: list[str] = []
        registry = self

        class Answers(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                registry.asked.append(f"{self.command} {self.path}")
                status, kind, body = registry.answer(self.path, self.headers["authorization"])
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
                if "/mute/" not in self.path:
                    self.send_header("Docker-Content-Digest", digest_of(body))
                if status == 401:
                    self.send_header("WWW-Authenticate", registry.challenge(self.path))
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(body)

            do_HEAD = do_GET  # noqa: N815 - its name

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        self._thread = Thread(target=self._server.serve_forever)
        self._thread.start()
        self.address = f"127.0.0.1:{self._server.server_port}"

    def push(self, repository: str, tag: str = "latest", files: bytes | None = None) -> bytes:
        """Let the tag mean an image of this tar; return its manifest."""
        blobs, manifest = _image(_one_file() if files is None else files)
        self.blobs |= blobs
        self._manifests[digest_of(manifest)] = manifest
        self._tags[repository, tag] = digest_of(manifest)
        return manifest

    def challenge(self, path: str) -> str:
        if "/members/" in path:
            return 'Basic realm="members"'
        return f'Bearer realm="http://{self.address}/token",service="here",scope="ignored"'

    def answer(self, path: str, authorization: str | None) -> tuple[int, str, bytes]:
        if path == "/v2/":
            return 200, "application/json", b"{}"
        if path.startswith("/token"):
            return self._answer_token(path)
        if "/secret/" in path:
            return 403, "application/json", _fault("DENIED", "access is denied")
        closed = "/members/" in path or "/guarded/" in path
        if closed and authorization != f"Bearer {_TOKEN}":
            return 401, "application/json", _fault("UNAUTHORIZED", "authentication required")
        return self._answer_content(path)

    def _answer_token(self, path: str) -> tuple[int, str, bytes]:
        if path == "/token?service=here&scope=repository%3Aguarded%2Fthere%3Apull":
            return 200, "application/json", json.dumps({"token": _TOKEN}).encode()
        return 403, "application/json", _fault("DENIED", "not this one")

    def _answer_content(self, path: str) -> tuple[int, str, bytes]:
        repository, _, rest = path.removeprefix("/v2/").rpartition("/")
        repository, _, kind = repository.rpartition("/")
        if kind == "manifests":
            found = self._manifests.get(self._tags.get((repository, rest), rest))
            if found is not None:
                return 200, _MANIFEST, found
        if kind == "blobs" and rest in self.blobs:
            return 200, "application/octet-stream", self.blobs[rest]
        return 404, "application/json", _fault("MANIFEST_UNKNOWN", "manifest unknown")

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _fault(code: str, message: str) -> bytes:
    return json.dumps({"errors": [{"code": code, "message": message}]}).encode()


def _one_file() -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("pulled"))
    return packed.getvalue()


def _image(files: bytes) -> tuple[dict[str, bytes], bytes]:
    """Make an image of these files; return its blobs by digest, and its manifest."""
    layer = gzip.compress(files, mtime=0)
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Env": ["PATH=/bin"]},
            "rootfs": {"type": "layers", "diff_ids": [digest_of(files)]},
        }
    ).encode()
    manifest: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST,
        "config": _describe("container.image.v1+json", config),
        "layers": [_describe("image.rootfs.diff.tar.gzip", layer)],
    }
    blobs = {digest_of(content): content for content in (config, layer)}
    return blobs, json.dumps(manifest).encode()


def _describe(kind: str, content: bytes) -> dict[str, Any]:
    return {"mediaType": _PREFIX + kind, "size": len(content), "digest": digest_of(content)}

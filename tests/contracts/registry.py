"""An image registry on loopback with one image, enough for an engine to pull from."""

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


def digest_of(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


class Registry:
    """Serves `<address>/there:latest`; says "unknown" to other names and "denied" to `secret`."""

    def __init__(self) -> None:
        self.blobs, self.manifest = _image()
        registry = self

        class Answers(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, kind, body = registry.answer(self.path)
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
                self.send_header("Docker-Content-Digest", digest_of(body))
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

    def answer(self, path: str) -> tuple[int, str, bytes]:
        if path == "/v2/":
            return 200, "application/json", b"{}"
        if "/secret/" in path:
            return 403, "application/json", _fault("DENIED", "access is denied")
        name = path.rpartition("/")[2]
        if path.startswith("/v2/there/manifests/") and name in ("latest", digest_of(self.manifest)):
            return 200, _MANIFEST, self.manifest
        if path.startswith("/v2/there/blobs/") and name in self.blobs:
            return 200, "application/octet-stream", self.blobs[name]
        return 404, "application/json", _fault("MANIFEST_UNKNOWN", "manifest unknown")

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _fault(code: str, message: str) -> bytes:
    return json.dumps({"errors": [{"code": code, "message": message}]}).encode()


def _image() -> tuple[dict[str, bytes], bytes]:
    """Make an image of one file; return its blobs by digest, and its manifest."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("pulled"))
    layer = gzip.compress(packed.getvalue(), mtime=0)
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [digest_of(packed.getvalue())]},
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

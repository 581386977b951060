"""Object storage the size of a demo: GET and PUT files of one directory over HTTP."""

from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Self


class Files(SimpleHTTPRequestHandler):
    """Serves a directory and takes files into it."""

    def do_PUT(self) -> None:
        """Take a file; a half-sent one leaves nothing."""
        length = int(self.headers["Content-Length"])
        body = self.rfile.read(length)
        if len(body) < length:
            return
        # translate_path never leaves the directory, whatever dots a path has.
        path = Path(self.translate_path(self.path))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
        self.send_response(HTTPStatus.CREATED)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing: the jobs' own logs are what the demo shows."""


class Storage:
    """The storage while it runs: `with Storage(directory) as storage: … storage.port`."""

    def __init__(self, directory: Path) -> None:
        """Serve the directory on a free port of 127.0.0.1."""
        directory.mkdir(parents=True, exist_ok=True)
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Files, directory=directory))
        self.port = self.server.server_port

    def __enter__(self) -> Self:
        """Start serving, in a thread."""
        self.thread = Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop serving."""
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

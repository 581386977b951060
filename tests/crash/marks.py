"""The jobs' own marks: who ran, when, counted outside of every database of ours."""

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Protocol

from tests.crash.judge import Mark

_SCRIPT = """
{start}
echo "line of $BARBEQUE_ATTEMPT_ID"
sleep 0.{tenths}
{end}
[ "$BARBEQUE_RETRY_COUNT" -ge {failures} ]
"""


class Marks(Protocol):
    """How the jobs of a drill say that they ran."""

    def script(self, name: str, failures: int) -> str:
        """Return the shell script of a job that fails that often."""
        ...

    def read(self) -> list[Mark]:
        """Return every mark so far."""
        ...


class FileMarks:
    """Jobs append to a file: for processes of this machine."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "marks"
        self._file.touch()

    def script(self, name: str, failures: int) -> str:
        """Return the job's shell script."""
        return _script(name, failures, start=self._line("start"), end=self._line("end"))

    def _line(self, what: str) -> str:
        return f'echo "$BARBEQUE_ATTEMPT_ID {what} $(date +%s.%N)" >> {self._file}'

    def read(self) -> list[Mark]:
        """Return every mark so far."""
        lines = [line.split() for line in self._file.read_text().splitlines()]
        return [(attempt, what, float(at)) for attempt, what, at in lines]

    def close(self) -> None:
        """Need nothing."""


class ServerMarks:
    """Jobs ask a server: for containers, which share the host's network."""

    def __init__(self) -> None:
        self._marks: list[Mark] = []
        marks = self._marks

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                _, what, attempt = self.path.split("/")
                marks.append((attempt, what, time.time()))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def script(self, name: str, failures: int) -> str:
        """Return the job's shell script."""
        return _script(name, failures, start=self._line("start"), end=self._line("end"))

    def _line(self, what: str) -> str:
        port = self._server.server_address[1]
        return f"wget -q -O /dev/null http://127.0.0.1:{port}/{what}/$BARBEQUE_ATTEMPT_ID"

    def read(self) -> list[Mark]:
        """Return every mark so far."""
        return list(self._marks)

    def close(self) -> None:
        """Stop the server."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _script(name: str, failures: int, *, start: str, end: str) -> str:
    tenths = 1 if name == "wide" else 2
    return _SCRIPT.format(start=start, end=end, tenths=tenths, failures=failures)

"""Whether a worker lives and works, and what it has counted, for those who watch it by HTTP."""

import json
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from prometheus_client.metrics_core import GaugeMetricFamily

from barbeque_py import metrics
from barbeque_py.errors import ConfigurationError
from barbeque_py.setting_addresses import Address
from barbeque_worker.loop import Loop
from barbeque_worker.station import Lease

_STUCK = 900.0
"""Seconds in one step after which a loop will not come back: each call in it ends before."""
_FAILS = 3
"""Steps that failed one after the other and are more than a mishap."""
_SLOWEST = 10.0
"""Seconds that a reader may take to ask."""


class Vitals:
    """One worker's state, from its start on."""

    def __init__(self) -> None:
        self._lease: Lease | None = None
        self._loops: Callable[[], Sequence[Loop]] = tuple

    def begin(self, lease: Lease, loops: Callable[[], Sequence[Loop]]) -> None:
        """Note that the worker is at work."""
        self._lease, self._loops = lease, loops

    def faults(self) -> list[str]:
        """Return what only a new start mends; empty for a worker that lives."""
        dead = [f"{each.name} has ended" for each in self._loops() if each.dead]
        stuck = [f"{each.name} is stuck" for each in self._loops() if each.busy_for > _STUCK]
        return dead + stuck

    def hindrances(self) -> list[str]:
        """Return what keeps it from working now; the log says why."""
        if self._lease is None:
            return ["it waits for the database or the executor: its log says for which"]
        away = [] if self._lease.good() else ["the database has not taken its heartbeat for long"]
        failing = [f"{each.name} fails" for each in self._loops() if each.failures >= _FAILS]
        return self.faults() + away + failing

    def page(self) -> bytes:
        """Return what Prometheus reads."""
        words = "Whether the worker can do its work: what /readyz says."
        return metrics.page(
            [GaugeMetricFamily("barbeque_worker_ready", words, value=not self.hindrances())]
        )


@contextmanager
def watched_at(address: Address | None, vitals: Vitals) -> Iterator[None]:
    """Answer those who watch at the address, if there is one; it asks nobody who he is.

    Raises `ConfigurationError` when it can't be listened on.
    """
    if address is None:
        yield
        return
    server = _listen(address, vitals)
    thread = Thread(target=server.serve_forever, name="vitals", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _listen(address: Address, vitals: Vitals) -> "_Server":
    try:
        return _Server(address, vitals)
    except OSError as error:
        raise ConfigurationError(
            f"BARBEQUE_WORKER_LISTEN is {address.host} port {address.port}, which can't be "
            f"listened on ({error.strerror or error}): name an address of this machine and a port "
            "that no other worker has"
        ) from None


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: Address, vitals: Vitals) -> None:
        self.address_family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        self.vitals = vitals
        super().__init__((address.host, address.port), _Answering)


class _Answering(BaseHTTPRequestHandler):
    """Answers three addresses, and says as little of itself as it can."""

    server: _Server
    timeout = _SLOWEST
    server_version = "barbeque"
    sys_version = ""

    def do_GET(self) -> None:
        """Answer."""
        vitals = self.server.vitals
        match self.path.partition("?")[0]:
            case "/metrics":
                self._send(200, vitals.page(), metrics.CONTENT_TYPE)
            case "/livez":
                self._tell(vitals.faults(), "not alive")
            case "/readyz":
                self._tell(vitals.hindrances(), "not ready")
            case _:
                self._tell(["look at /metrics, /livez or /readyz"], "nothing is here", status=404)

    def log_message(self, *_: Any) -> None:
        """Write nothing: whoever watches asks every few seconds."""

    def _tell(self, reasons: Sequence[str], sentence: str, *, status: int = 503) -> None:
        facts = {"message": sentence, "reasons": reasons} if reasons else {"status": "ok"}
        body = json.dumps(facts).encode()
        self._send(status if reasons else 200, body, "application/json")

    def _send(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        for name, value in (("content-type", kind), ("content-length", str(len(body)))):
            self.send_header(name, value)
        self.send_header("cache-control", "no-store")
        self.end_headers()
        self.wfile.write(body)

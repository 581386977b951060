"""A backend that runs jobs of barbeque_py itself: it is sent each job, and says when it is done.

Everything a backend has to do is here, with Python's standard library alone:

1. Take `POST` with a job, and check its signature: nobody else may start jobs.
2. Answer 202 at once and work in the background. Answer 202 to a repeat, too, and start nothing:
   the same `attempt_id` is the same job.
3. Say now and then that it still works; say at the end how it went: `POST` to `callback_url`.
4. Take `DELETE`: the job was cancelled, or its time is over.

    BARBEQUE_SECRET="$(barbeque secret studio)" python backend.py 8700
"""

import base64
import hashlib
import hmac
import json
import os
import sys
import threading
import time
import urllib.error
import urllib.request
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Order = dict[str, Any]
KEY = base64.b64decode(os.environ["BARBEQUE_SECRET"].removeprefix("whsec_"))
SERVER_ERROR = 500
OLDEST = 5 * 60
"""Seconds after which a signature is not taken any more: whoever kept a copy may not replay it."""


class Jobs:
    """The jobs that run here, by the id of their attempt. A real backend keeps them on a disk."""

    def __init__(self) -> None:
        self.stops: dict[str, threading.Event] = {}
        self.guard = threading.Lock()

    def start(self, order: Order) -> None:
        """Start a job unless it was started before."""
        with self.guard:
            if order["attempt_id"] in self.stops:
                return
            stop = self.stops[order["attempt_id"]] = threading.Event()
        threading.Thread(target=work, args=(order, stop), daemon=True).start()

    def stop(self, attempt_id: str) -> bool:
        """Ask a job to end; say whether there is one."""
        stop = self.stops.get(attempt_id)
        if stop is not None:
            stop.set()
        return stop is not None


def work(order: Order, stop: threading.Event) -> None:
    """Do what the message asks for: `steps` of a second each, and fail where it says so."""
    message = order["message"]
    steps = int(message.get("steps", 1))
    for step in range(steps):
        post(order["progress_url"], {"percent": 100 * step / steps, "text": f"step {step + 1}"})
        if stop.wait(message.get("seconds", 1)):
            return
    if message.get("fail"):
        post(order["callback_url"], {"result": "fail", "message": "as it was asked to"})
    else:
        post(order["callback_url"], {"result": "ok", "output": {"steps": steps}})


def post(url: str, facts: dict[str, Any]) -> None:
    """Post JSON to barbeque_py, again and again while it is away; a 4xx is its last word."""
    body = json.dumps(facts).encode()
    for wait in (1, 2, 4, 8, 16, 32, 64, 0):
        try:
            with urllib.request.urlopen(urllib.request.Request(url, body), timeout=30):
                return
        except urllib.error.HTTPError as error:
            if error.code < SERVER_ERROR:
                print(f"refused with {error.code}", flush=True)
                return
        except OSError:
            pass
        time.sleep(wait)


def is_genuine(headers: Message, body: bytes) -> bool:
    """Tell whether barbeque_py sent this, and lately."""
    message_id, sent_at = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not sent_at.isdecimal() or abs(time.time() - int(sent_at)) > OLDEST:
        return False
    signed = f"{message_id}.{sent_at}.".encode() + body
    ours = base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
    shown = headers.get("webhook-signature", "").split()
    return any(hmac.compare_digest(each.encode(), f"v1,{ours}".encode()) for each in shown)


class Backend(BaseHTTPRequestHandler):
    """Takes jobs, and the word to stop one."""

    jobs = Jobs()

    def do_POST(self) -> None:
        """Take a job."""
        order = self.read()
        if order is not None:
            self.jobs.start(order)
            self.answer(202)

    def do_DELETE(self) -> None:
        """Stop a job: 200 says that it has ended, 404 that there is none."""
        order = self.read()
        if order is not None:
            self.answer(200 if self.jobs.stop(order["attempt_id"]) else 404)

    def read(self) -> Order | None:
        """Return what was sent, if barbeque_py sent it; else answer 401."""
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        if is_genuine(self.headers, body):
            order: Order = json.loads(body)
            return order
        self.answer(401)
        return None

    def answer(self, status: int) -> None:
        """Answer without a body."""
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8700
    ThreadingHTTPServer(("127.0.0.1", port), Backend).serve_forever()

"""A place that answers as Slack does: messages by a bot's token and by incoming webhooks."""

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "xoxb-1234567890-canary-s1ack"
HOOK = "/services/T000/B000/canaryhook"

MENTION = re.compile(r"<(!|@|#|http|mailto)")


@dataclass(frozen=True, slots=True)
class Message:
    """One message as Slack took it."""

    channel: str
    text: str
    attachments: list[dict[str, Any]]
    ts: str
    thread_ts: str | None
    broadcast: bool
    id: str

    @property
    def blocks(self) -> list[dict[str, Any]]:
        (bar,) = self.attachments
        blocks: list[dict[str, Any]] = bar["blocks"]
        return blocks

    @property
    def everything(self) -> str:
        return json.dumps([self.text, self.attachments], ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """What is answered in place of taking the message; `cut` answers nothing at all."""

    status: int = 200
    error: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False
    taken: bool = False
    """Whether the message is taken all the same: its answer is lost."""
    seconds: float = 0


@dataclass
class SlackPlace:
    """What was posted, and what is answered."""

    port: int = 0
    messages: list[Message] = field(default_factory=list)
    answer: Callable[[str], Answer | None] = lambda _channel: None
    asked: list[str] = field(default_factory=list)
    guard: threading.Lock = field(default_factory=threading.Lock)
    lost: int = 0
    """How many messages were taken without an answer."""

    @property
    def api(self) -> str:
        return f"http://127.0.0.1:{self.port}/api"

    @property
    def hook(self) -> str:
        return f"http://127.0.0.1:{self.port}{HOOK}"

    def take(self, said: dict[str, Any]) -> str:
        with self.guard:
            ts = f"1700000000.{len(self.messages):06}"
            self.messages.append(
                Message(
                    channel=said.get("channel", ""),
                    text=said["text"],
                    attachments=said["attachments"],
                    ts=ts,
                    thread_ts=said.get("thread_ts"),
                    broadcast=bool(said.get("reply_broadcast")),
                    id=said["attachments"][0]["blocks"][0]["block_id"],
                )
            )
        return ts


class _Door(BaseHTTPRequestHandler):
    place: SlackPlace
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        said = json.loads(body)
        channel = said.get("channel", "")
        with self.place.guard:
            self.place.asked.append(channel)
        wanted = self.place.answer(channel)
        if wanted is not None:
            time.sleep(wanted.seconds)
            if wanted.taken:
                self.place.take(said)
                self.place.lost += 1
            if wanted.cut:
                self.close_connection = True
                self.connection.close()
                return
            self._fail(wanted)
            return
        if self.path == "/api/chat.postMessage":
            self._post(said, channel)
        elif self.path == HOOK:
            self.place.take(said)
            self._send(200, b"ok", {})
        else:
            self._send(404, b"no_service", {})

    def _post(self, said: dict[str, Any], channel: str) -> None:
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            self._json({"ok": False, "error": "invalid_auth"})
            return
        ts = self.place.take(said)
        self._json({"ok": True, "ts": ts, "channel": f"C{channel.strip('#').upper()}"})

    def _fail(self, answer: Answer) -> None:
        if self.path.startswith("/api/"):
            self._json({"ok": False, "error": answer.error}, answer.status, answer.headers)
        else:
            self._send(answer.status, answer.error.encode(), answer.headers)

    def _json(self, facts: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        more = {"Content-Type": "application/json; charset=utf-8", **(headers or {})}
        self._send(status, json.dumps(facts).encode(), more)

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with suppress(BrokenPipeError):  # whoever asked has given up
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def serve_slack() -> Iterator[SlackPlace]:
    place = SlackPlace()
    door = type("Door", (_Door,), {"place": place})
    server = ThreadingHTTPServer(("127.0.0.1", 0), door)
    server.daemon_threads = True
    place.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield place
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def check_limits(message: Message) -> None:
    """Fail where Slack would refuse the message: its documented limits, block by block."""
    assert 0 < len(message.text) <= 4000
    assert len(message.attachments) <= 20
    assert 0 < len(message.blocks) <= 50
    ids = [block["block_id"] for block in message.blocks if "block_id" in block]
    assert len(set(ids)) == len(ids)
    assert all(0 < len(each) <= 255 for each in ids)
    for block in message.blocks:
        _CHECKS[block["type"]](block)
    assert len(message.everything) < 40_000


def _check_section(block: dict[str, Any]) -> None:
    assert "text" in block or block["fields"]
    if "text" in block:
        _check_words(block["text"], 3000)
    assert len(block.get("fields", [])) <= 10
    for words in block.get("fields", []):
        _check_words(words, 2000)


def _check_words(words: dict[str, Any], most: int) -> None:
    assert words["type"] in {"mrkdwn", "plain_text"}
    assert 0 < len(words["text"]) <= most
    assert words["type"] == "mrkdwn" or "verbatim" not in words


def _check_actions(block: dict[str, Any]) -> None:
    assert 0 < len(block["elements"]) <= 25
    for element in block["elements"]:
        assert element["type"] == "button"
        assert element["text"]["type"] == "plain_text"
        assert 0 < len(element["text"]["text"]) <= 75
        assert len(element["url"]) <= 3000
        assert element.get("style") in {None, "primary", "danger"}


_CHECKS = {"section": _check_section, "actions": _check_actions}

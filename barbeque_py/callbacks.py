"""Jobs that an app runs itself: what is posted to its backend, and what the backend answers."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from barbeque_py import strict_json

PLACE = "callback"
"""Where such attempts live: every worker speaks to it."""

LOG_AT = "callback:"
"""Where the log of such an attempt is written; its id follows."""

POST, CALL_OFF = "callback", "callback stop"
"""Errands: the request that starts an attempt, and the one that calls it off."""

MESSAGE_LIMIT = 4000
"""Characters of a result's message that are kept."""
ANSWER_LIMIT = 64 * 1024
"""Bytes of what a backend posts at once."""

_KNOWN = ("message", "output", "result")
_RESULTS = {"ok": True, "fail": False}


@dataclass(frozen=True, slots=True)
class Verdict:
    """How the app's backend says that an attempt ended."""

    ok: bool
    message: str = ""
    output: Any = None
    """JSON that the job has made; None is none."""


def read_verdict(body: bytes) -> Verdict:
    """Read `{"result": "ok" or "fail", "message": …, "output": …}`; raises `ValueError`."""
    facts = strict_json.loads(body)
    if not isinstance(facts, dict):
        raise ValueError('the body is not a JSON object such as {"result": "ok"}')  # noqa: TRY004
    if strangers := facts.keys() - set(_KNOWN):
        raise ValueError(f"{min(strangers)[:60]!r} is not a field; known: {', '.join(_KNOWN)}")
    return _verdict(facts)


def verdict_in(body: bytes) -> Verdict | None:
    """Return the verdict that an answer holds, None where it holds none: then it comes later.

    Raises `ValueError` for an answer that tries to and fails.
    """
    try:
        facts = strict_json.loads(body)
    except ValueError:
        return None
    if not isinstance(facts, dict) or "result" not in facts:
        return None
    return _verdict(facts)


def _verdict(facts: Mapping[str, Any]) -> Verdict:
    result = facts.get("result")
    if not isinstance(result, str) or result not in _RESULTS:
        raise ValueError('result: write "ok" or "fail"')
    message = facts.get("message", "")
    if not isinstance(message, str):
        raise ValueError("message: write a text")  # noqa: TRY004 - a fault of the body
    return Verdict(_RESULTS[result], message[:MESSAGE_LIMIT], facts.get("output"))


def read_words(body: bytes) -> str:
    """Return the text that a sign of life comes with: `{"message": …}`, or nothing at all.

    Raises `ValueError`.
    """
    if not body.strip():
        return ""
    facts = strict_json.loads(body)
    if not isinstance(facts, dict) or facts.keys() - {"message"}:
        raise ValueError('the body is neither empty nor {"message": "words"}')
    message = facts.get("message", "")
    if not isinstance(message, str):
        raise ValueError("message: write a text")  # noqa: TRY004 - a fault of the body
    return message[:MESSAGE_LIMIT]


def order(facts: Mapping[str, Any], message: str) -> bytes:
    """Return the body that orders a job from the backend; the same bytes for the same attempt.

    `message` is JSON text, and stands in the body as it was enqueued.
    """
    head = json.dumps(facts, ensure_ascii=False, separators=(",", ":"))
    return f'{head[:-1]},"message":{message}}}'.encode()


def word_to_stop(facts: Mapping[str, Any]) -> bytes:
    """Return the body that calls a job off."""
    return json.dumps(facts, ensure_ascii=False, separators=(",", ":")).encode()

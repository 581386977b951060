"""What a running job calls, inside its container: its message, its progress, its result.

Standard library only, and nothing of it but what a call needs. Outside of a job `message` and
`attempt` raise `NotInJob`; `progress` and `result` do nothing, so that the same code runs anywhere.
"""

from __future__ import annotations

import json
import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing itself loads slowly
    from typing import Any
    from urllib.request import Request

_TRIES = 6
_FIRST_PAUSE = 0.5
_POSTS_APART = 1.0
_TIMEOUT = 30.0
_PASSING = (429, 500, 502, 503, 504)
_WHOLE = 100


class NotInJob(LookupError):
    """No job runs here: a variable that each job is given is not set."""


class Attempt:
    """What this attempt is: the names and numbers that barbeque_py gave to it."""

    __slots__ = ("app", "id", "job", "message_id", "queue", "retry_count", "sent_at", "traceparent")

    def __init__(self) -> None:
        self.app = _given("BARBEQUE_APP")
        self.job = _given("BARBEQUE_JOB")
        self.queue = _given("BARBEQUE_QUEUE_NAME")
        self.message_id = _given("BARBEQUE_MESSAGE_ID")
        """The execution's id, the same on every attempt."""
        self.id = _given("BARBEQUE_ATTEMPT_ID")
        self.retry_count = int(_given("BARBEQUE_RETRY_COUNT"))
        """How many counted attempts were before this one."""
        self.sent_at = int(_given("BARBEQUE_SENT_TIMESTAMP")) / 1000
        """Seconds since 1970 at which it was enqueued, or last retried by hand."""
        self.traceparent = os.environ.get("TRACEPARENT")


def attempt() -> Attempt:
    """Return what this attempt is. Raises `NotInJob`."""
    return Attempt()


def message() -> Any:
    """Return the message, read from its variable, its file or its address.

    Raises `NotInJob`, and `OSError` when the message can't be had.
    """
    text = os.environ.get("BARBEQUE_MESSAGE")
    if text is not None:
        return json.loads(text)
    url = _given("BARBEQUE_MESSAGE_URL")
    if url.startswith("file://"):
        from urllib.request import url2pathname  # noqa: PLC0415 - slow to load, and seldom needed

        with open(url2pathname(url.removeprefix("file://")), encoding="utf-8") as file:  # noqa: PTH123 - pathlib loads slowly
            return json.load(file)
    return json.loads(_ask(url, None))


def progress(percent: float | None = None, text: str = "") -> None:
    """Tell how far the job is: percent from 0 to 100, a few words, or both.

    Never raises, and never keeps the job from its work for long. Where it has to be posted, what
    is told within a second of the last time is dropped, unless it is 100 %.
    """
    told = json.dumps({"percent": percent, "text": text})
    path, url = os.environ.get("BARBEQUE_PROGRESS_FILE"), os.environ.get("BARBEQUE_PROGRESS_URL")
    try:
        if path:
            _write(path, told + "\n")
        elif url and _post_is_due(percent):
            _ask(url, told.encode(), tries=1)
    except OSError:
        pass  # of a job that can't tell how far it is the work still counts


def result(value: Any) -> bool:
    """Tell the job's result, any JSON of up to 64 KiB; the last one told counts.

    False where there is nowhere to tell it: no job runs here, or it was given neither file nor
    address. Raises `OSError` when it could not be told.
    """
    told = json.dumps(value, ensure_ascii=False, allow_nan=False)
    path, url = os.environ.get("BARBEQUE_RESULT_FILE"), os.environ.get("BARBEQUE_RESULT_URL")
    if path:
        _write(path, told)
    elif url:
        _ask(url, told.encode())
    return bool(path or url)


def _given(name: str) -> str:
    try:
        return os.environ[name]
    except KeyError:
        raise NotInJob(f"{name} is not set: no job of barbeque_py runs here") from None


def _write(path: str, text: str) -> None:
    """Write in place: the folder may be another user's, where only the file is ours."""
    with open(path, "w", encoding="utf-8") as file:  # noqa: PTH123 - pathlib loads slowly
        file.write(text)


_posted_at = float("-inf")


def _post_is_due(percent: float | None) -> bool:
    global _posted_at  # noqa: PLW0603 - the process has one job
    moment = time.monotonic()
    if moment - _posted_at < _POSTS_APART and percent != _WHOLE:
        return False
    _posted_at = moment
    return True


def _ask(url: str, body: bytes | None, *, tries: int = _TRIES) -> bytes:
    """Get, or post the body; again after what may pass by itself. Raises `OSError`."""
    from urllib.error import HTTPError  # noqa: PLC0415 - slow to load, and seldom needed
    from urllib.request import Request  # noqa: PLC0415 - as above

    request = Request(url, data=body, headers={"Content-Type": "application/json"})  # noqa: S310 - ours
    for number in range(tries):
        try:
            return _open(request)
        except HTTPError as error:
            if error.code not in _PASSING or number == tries - 1:
                raise OSError(f"barbeque_py answered {error.code}: {_said(error)}") from None
        except OSError:
            if number == tries - 1:
                raise
        time.sleep(_FIRST_PAUSE * 2**number)
    raise AssertionError("the last try returns or raises")


def _open(request: Request) -> bytes:
    from urllib.request import ProxyHandler, build_opener  # noqa: PLC0415 - as above

    # No proxy: the address is within the job's own network, and its token is for nobody else.
    with build_opener(ProxyHandler({})).open(request, timeout=_TIMEOUT) as answer:
        body: bytes = answer.read()
    return body


def _said(error: Any) -> str:
    try:
        return str(json.loads(error.read(10_000))["message"])
    except (OSError, ValueError, KeyError, TypeError):
        return str(error.reason)

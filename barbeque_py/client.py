"""What apps and the command line speak to a barbeque_py with: its HTTP API, as Python calls."""

import ipaddress
from collections.abc import Mapping
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx

from barbeque_py.clock import rfc3339
from barbeque_py.errors import OutsideError, RequestError

DEFAULT_URL = "http://127.0.0.1:3003"
DEFAULT_TIMEOUT = timedelta(seconds=15)

_ERRORS, _FAULTS, _NOT_FOUND = 400, 500, 404
_EXECUTIONS = "/v2/job_executions"


class Unreachable(OutsideError):
    """No barbeque_py answered at the URL, or not in time; what it did is unknown."""


class Faulty(OutsideError):
    """The server can't do it now (a status of 500 or above); the message is its own."""


class Refused(RequestError):
    """The server refused the request; the message is its own."""

    def __init__(self, message: str, *, status: int, answer: Mapping[str, Any]) -> None:
        super().__init__(message)
        self.status = status
        self.answer = answer

    @property
    def problems(self) -> list[dict[str, Any]]:
        """The faults of an apply file: each with line, column, path and message."""
        return list(self.answer.get("problems") or [])


class NotFound(Refused):
    """The server knows no such thing."""


class Client:
    """Speaks to the API at `url`; safe for threads, and keeps its connections until `close`.

    Every call raises `Unreachable`, `Faulty` or `Refused` (of which `NotFound` is one). Answers
    are the API's JSON, as it stands in docs/api.md.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        token: str | None = None,
        *,
        timeout: timedelta = DEFAULT_TIMEOUT,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.url = url.rstrip("/")
        self._patience = timeout.total_seconds()
        shown = dict(headers or {})
        if token is not None:
            shown["Authorization"] = f"Bearer {token}"
        self._http = httpx.Client(
            base_url=self.url,
            headers=shown,
            timeout=self._patience,
            # A proxy for the internet can't reach this machine's own loopback.
            trust_env=not _is_loopback(httpx.URL(self.url).host),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def enqueue(
        self,
        app: str,
        job: str,
        message: Any,
        *,
        queue: str | None = None,
        **options: Any,
    ) -> dict[str, Any]:
        """Ask for one run of the job; the answer has its `message_id`.

        `options` are further fields of the request: `delay_seconds`, `run_at`, `priority`,
        `concurrency_key`, `user_id`, `notify`, `tags` and so on; None leaves a field out, an
        instant or a length of time is written as the API wants it.
        """
        wanted = {"application": app, "job": job, "queue": queue} | options
        body = {name: _written(value) for name, value in wanted.items() if value is not None}
        return self._dict("POST", _EXECUTIONS, json=body | {"message": message})

    def status(self, message_id: str) -> str:
        """Return Barbeque's word: pending, running, retried, success, failed, error, cancelled."""
        return str(self._dict("GET", f"/v1/job_executions/{_part(message_id)}")["status"])

    def execution(self, message_id: str) -> dict[str, Any]:
        """Return what is known of the execution and of each of its attempts."""
        return self._dict("GET", _execution(message_id))

    def waiting(self, message_id: str) -> dict[str, Any]:
        """Return why the execution does not run, in `waiting`; also of an id nobody has seen."""
        return self._dict("GET", f"{_execution(message_id)}/waiting")

    def executions(self, **wanted: Any) -> dict[str, Any]:
        """Return the newest executions; `app`, `job`, `state`, `queue`, `before`, `limit` narrow.

        `job_executions` lists them, `next` is what to give as `before` to go on, None at the end.
        """
        return self._dict("GET", _EXECUTIONS, params=_given(wanted))

    def retry(
        self, message_id: str, *, delay: timedelta | None = None, image: str | None = None
    ) -> dict[str, Any]:
        """Give an execution that has ended another round; Refused (409) while it is open.

        `image` is `same`, the one it ran, unless given, or `current`, the app's of today.
        """
        body: dict[str, Any] = {} if delay is None else {"delay_seconds": _seconds(delay)}
        body |= {} if image is None else {"image": image}
        return self._dict("POST", f"{_execution(message_id)}/retries", json=body)

    def cancel(self, message_id: str) -> dict[str, Any]:
        """Stop the execution wherever it stands; also one that no worker has seen yet."""
        return self._dict("POST", f"{_execution(message_id)}/cancel")

    def log(self, message_id: str, *, wait: timedelta = timedelta(0), **wanted: Any) -> Any:
        """Return a page of an attempt's log, waiting up to `wait` for it to have something new.

        `attempt` is a number (default: the newest), `first` a line's number or, negative, how many
        from the end, `count` how many lines, `stream` is out or err. The answer has `lines`, and
        in `next` the `first` to go on with; `sealed` and `total` tell when there are no more.
        """
        seconds = wait.total_seconds()
        return self._call(
            "GET",
            f"{_execution(message_id)}/log",
            params=_given(wanted) | ({"wait": f"{seconds:g}"} if seconds else {}),
            timeout=self._patience + seconds,
        )

    def apply(
        self, text: str, *, base: str | None = None, prune: bool = False, dry_run: bool = False
    ) -> dict[str, Any]:
        """Make apps, jobs and queues as the YAML text says, all or nothing.

        The answer has `changes`, and in `unfinished` what SNS could not be told yet. Paths in the
        text are relative to `base`, an absolute directory. A text with faults raises `Refused`
        with its `problems`.
        """
        flags = {"prune": prune, "dry_run": dry_run}
        params = _given({"base": base}) | {name: "1" for name, on in flags.items() if on}
        return self._dict(
            "POST",
            "/v2/apply",
            content=text.encode(),
            params=params,
            headers={"Content-Type": "application/yaml"},
        )

    def export(self, *apps: str) -> str:
        """Return the apply file of what there is, or of these apps, as YAML."""
        asked = {"app": list(apps)} if apps else {}
        return self._answer("GET", "/v2/export", params=asked).text

    def apps(self) -> list[dict[str, Any]]:
        """Return every app with its jobs."""
        return list(self._dict("GET", "/v2/apps")["apps"])

    def release(self, app: str, image: str, *, note: str | None = None) -> dict[str, Any]:
        """Make the image the app's newest revision; the answer tells its number."""
        wanted = {"image": image, "note": note}
        body = {name: value for name, value in wanted.items() if value is not None}
        return self._dict("POST", f"/v2/apps/{_part(app)}/revisions", json=body)

    def roll_back(
        self, app: str, *, to: int | None = None, note: str | None = None
    ) -> dict[str, Any]:
        """Bring back revision `to` of the app, or the one before, as its newest revision."""
        wanted = {"to": to, "note": note}
        body = {name: value for name, value in wanted.items() if value is not None}
        return self._dict("POST", f"/v2/apps/{_part(app)}/rollback", json=body)

    def revisions(self, app: str, **wanted: Any) -> dict[str, Any]:
        """Return the app's newest revisions; `before` and `limit` narrow, as `next` tells."""
        return self._dict("GET", f"/v2/apps/{_part(app)}/revisions", params=_given(wanted))

    def queues(self) -> list[dict[str, Any]]:
        """Return every queue with what waits and runs."""
        return list(self._dict("GET", "/v2/queues")["queues"])

    def pause(self, queue: str) -> Any:
        """Start nothing more from the queue, which still takes in."""
        return self._call("POST", f"/v2/queues/{_part(queue)}/pause")

    def resume(self, queue: str) -> Any:
        """Start from the queue again."""
        return self._call("POST", f"/v2/queues/{_part(queue)}/resume")

    def subscriptions(self) -> list[dict[str, Any]]:
        """Return the SNS topics that queues hear, and the jobs their messages start."""
        return list(self._dict("GET", "/v2/subscriptions")["subscriptions"])

    def subscribe(
        self, topic: str, app: str, job: str, *, queue: str | None = None
    ) -> dict[str, Any]:
        """Let a queue hear the topic: its messages start the job; a `fault` asks to try again."""
        wanted = {"topic": topic, "queue": queue, "app": app, "job": job}
        body = {name: value for name, value in wanted.items() if value is not None}
        return self._dict("POST", "/v2/subscriptions", json=body)

    def unsubscribe(self, number: int) -> dict[str, Any]:
        """Let the queue hear the topic no more; an answer with content asks to try again."""
        return self._dict("DELETE", f"/v2/subscriptions/{number}")

    def dead_messages(self, **wanted: Any) -> dict[str, Any]:
        """Return the newest messages that can't become executions; `before`, `limit` narrow."""
        return self._dict("GET", "/v2/dead_messages", params=_given(wanted))

    def send_dead_message(self, number: int, body: str | None = None) -> Any:
        """Send a dead message again, with another body where one is given."""
        changed = {} if body is None else {"body": body}
        return self._call("POST", f"/v2/dead_messages/{number}/send", json=changed)

    def drop_dead_message(self, number: int) -> None:
        """Forget a dead message for good."""
        self._call("DELETE", f"/v2/dead_messages/{number}")

    def ready(self) -> None:
        """Return when the server can do its work; it raises the reason when it can't."""
        self._call("GET", "/readyz")

    def _dict(self, method: str, path: str, **rest: Any) -> dict[str, Any]:
        answer = self._call(method, path, **rest)
        if not isinstance(answer, dict):
            raise Unreachable(f"what answers at {self.url} is no barbeque: {method} {path}")
        return answer

    def _call(self, method: str, path: str, **rest: Any) -> Any:
        return _read(self._answer(method, path, **rest))

    def _answer(self, method: str, path: str, **rest: Any) -> httpx.Response:
        try:
            response = self._http.request(method, path, **rest)
        except httpx.TimeoutException:
            raise Unreachable(f"{self.url} did not answer in time") from None
        except httpx.ConnectError:
            raise Unreachable(f"no barbeque at {self.url}") from None
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise Unreachable(f"no barbeque at {self.url} ({error})") from None
        if response.status_code < _ERRORS:
            return response
        raise _error(response.status_code, _read(response))


def _read(response: httpx.Response) -> Any:
    if not response.content:
        return {}
    try:
        return response.json()
    except ValueError:
        return None


def _error(status: int, answer: Any) -> Exception:
    facts = answer if isinstance(answer, dict) else {}
    said = facts.get("message") or facts.get("error") or facts.get("detail")
    message = str(said) if said else f"the server answered {status}"
    if status >= _FAULTS:
        return Faulty(message)
    kind = NotFound if status == _NOT_FOUND else Refused
    return kind(message, status=status, answer=facts)


def _execution(message_id: str) -> str:
    return f"{_EXECUTIONS}/{_part(message_id)}"


def _part(name: str) -> str:
    return quote(name, safe="")


def _given(wanted: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in wanted.items() if value is not None}


def _written(value: Any) -> Any:
    if isinstance(value, datetime):
        return rfc3339(value)
    return _seconds(value) if isinstance(value, timedelta) else value


def _seconds(length: timedelta) -> int | float:
    seconds = length.total_seconds()
    return int(seconds) if seconds.is_integer() else seconds


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

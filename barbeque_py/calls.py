"""What apps ask of a barbeque_py, and when to ask again: decided here, carried out by clients."""

import random
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Generic, TypedDict, TypeVar, Unpack
from urllib.parse import quote

from barbeque_py import clock
from barbeque_py.answers import Cancelled, Enqueued, Execution, LogLine
from barbeque_py.faults import Faulty, Refused, Unreachable, WaitTimedOut, fault_of

T = TypeVar("T")

EXECUTIONS = "/v2/job_executions"
MOST_JOBS = 1000
"""How many jobs one request may ask for."""

_LOG_PAGE = 1000
_LOG_WAIT = timedelta(seconds=10)
_EMPTY_ROUNDS = 6
"""Empty waits after an attempt's end before its log is taken for complete without its seal."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0
_FIRST_BACKOFF, _LONGEST_BACKOFF = 0.25, 8.0
_LONGEST_RETRY_AFTER = 60.0
_MORE_ROUNDS = 2
_PAUSE_OF_ROUNDS = 2.5
_LONGEST_DELAY = timedelta(minutes=15)
_NOT_DONE = 429
_PASSING = frozenset({502, 503, 504})
_chance = random.Random()  # noqa: S311 - spreads repeats, keeps no secret


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One request to the API, and how its answer is read."""

    method: str
    path: str
    read: Callable[[Any], T]
    params: Mapping[str, str | list[str]] = field(default_factory=dict)
    json: Any = None
    content: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    wait: float = 0.0
    """Seconds that the server was asked to wait with its answer."""
    as_text: bool = False
    """Whether the answer is text, not JSON."""
    repeatable: bool = True
    """Whether the same request made twice does what it does once."""


class JobOptions(TypedDict, total=False):
    """What an enqueue may say beside the message; None is as if it were left out."""

    queue: str | None
    """Without it the server's default, `BARBEQUE_DEFAULT_QUEUE`."""
    delay: timedelta | None
    """How long to wait before it is due; up to a year."""
    run_at: datetime | None
    """When it is due, with a time zone; not with `delay`."""
    priority: int | None
    """-100 to 100, higher first."""
    timeout: timedelta | None
    """Can only shorten the definition's."""
    concurrency_key: str | None
    """Of an app's executions with the same key, one runs at a time."""
    user_id: str | None
    notify: Mapping[str, Any] | None
    tags: Mapping[str, str] | None
    key: str | None
    """The idempotency key: of an app and a key there is one execution. A new one without it."""
    traceparent: str | None


_OPTIONS = frozenset(JobOptions.__annotations__)


class Job:
    """One job to be enqueued, under one key: enqueued again it is still the same execution."""

    def __init__(self, app: str, job: str, message: Any, **options: Unpack[JobOptions]) -> None:
        if strangers := options.keys() - _OPTIONS:
            known = ", ".join(sorted(_OPTIONS))
            raise TypeError(f"{min(strangers)!r} is no option of a job; known: {known}")
        self.app = app
        self.job = job
        self.message = message
        self.key = options.get("key") or str(uuid.uuid4())
        self.options = options


def enqueue(job: Job) -> Call[Enqueued]:
    """Ask for one run. The request has a key, so it can be made again until it is answered."""
    body = _body(job)
    headers = {"Idempotency-Key": body.pop("idempotency_key")}
    if trace := job.options.get("traceparent"):
        headers["traceparent"] = trace
    return Call("POST", EXECUTIONS, Enqueued.read, json=body, headers=headers)


class Many:
    """Asks for many runs, a thousand a request; those whose fate is not known again, by their keys.

    Raises `ValueError` for a job with a `traceparent`, which only a whole request can have.
    """

    def __init__(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            if job.options.get("traceparent"):
                raise ValueError("traceparent is of a whole request: enqueue such a job by itself")
        self._jobs = jobs
        self._answers: dict[int, Enqueued | Refused | Faulty] = {}
        self._asked: list[int] = []
        self._left = list(range(len(jobs)))
        self._rounds = _MORE_ROUNDS
        self.pause = 0.0
        """Seconds to wait before the next request."""

    @property
    def answers(self) -> list[Enqueued | Refused | Faulty]:
        """The answers, in the jobs' order."""
        return [self._answers[number] for number in range(len(self._jobs))]

    def next(self) -> Call[list[Enqueued | Refused | Faulty]] | None:
        """Return what is to be asked, None when all is answered or given up."""
        if not self._left:
            return None
        self._asked, self._left = self._left[:MOST_JOBS], self._left[MOST_JOBS:]
        body = {"jobs": [_body(self._jobs[number]) for number in self._asked]}
        return Call("POST", f"{EXECUTIONS}/batch", _results, json=body)

    def take(self, answers: list[Enqueued | Refused | Faulty]) -> None:
        """Take the answers to what was asked last."""
        self._answers.update(zip(self._asked, answers, strict=True))
        self.pause = 0.0
        faulty = [number for number, each in self._answers.items() if isinstance(each, Faulty)]
        if not self._left and faulty and self._rounds:
            self._rounds -= 1
            self._left = faulty
            self.pause = _PAUSE_OF_ROUNDS + _chance.uniform(0, _PAUSE_OF_ROUNDS)


def status(message_id: str) -> Call[str]:
    """Ask for Barbeque's word."""
    return Call("GET", f"/v1/job_executions/{part(message_id)}", lambda facts: str(facts["status"]))


def execution(message_id: str) -> Call[Execution]:
    """Ask for what is known of the execution."""
    return Call("GET", of_execution(message_id), Execution.read)


def result(message_id: str, attempt: int | None = None) -> Call[Any]:
    """Ask for the result."""
    path = f"{of_execution(message_id)}/result"
    return Call("GET", path, as_is, params=given({"attempt": attempt}))


def retry(message_id: str, *, delay: timedelta | None = None, **more: Any) -> Call[Enqueued]:
    """Ask for another round; not repeatable: it may have begun, and even have ended again."""
    body = {} if delay is None else {"delay_seconds": seconds(delay)}
    body |= {name: value for name, value in more.items() if value is not None}
    path = f"{of_execution(message_id)}/retries"
    return Call("POST", path, Enqueued.read, json=body, repeatable=False)


def cancel(message_id: str, *, force: bool = False) -> Call[Cancelled]:
    """Ask for its end."""
    body = {"force": True} if force else None
    return Call("POST", f"{of_execution(message_id)}/cancel", Cancelled.read, json=body)


def log(
    message_id: str, *, wait: timedelta = timedelta(0), **wanted: Any
) -> Call[Mapping[str, Any]]:
    """Ask for a page of an attempt's log."""
    length = wait.total_seconds()
    params = given(wanted) | ({"wait": f"{length:g}"} if length else {})
    return Call("GET", f"{of_execution(message_id)}/log", as_is, params=params, wait=length)


class Reading:
    """Reads one attempt's log page by page, to its present end or, followed, to its last line.

    What has ended is read to its last line in any case: its log is stored a moment later.
    """

    def __init__(self, message_id: str, attempt: int | None, *, follow: bool) -> None:
        self._id = message_id
        self._attempt = attempt
        self._follow = follow
        self._first = 0
        self._empty = 0
        self.done = False

    def call(self) -> Call[Mapping[str, Any]]:
        """Return what is to be asked next."""
        wait = _LOG_WAIT if self._follow else timedelta(0)
        return log(self._id, attempt=self._attempt, first=self._first, count=_LOG_PAGE, wait=wait)

    def take(self, page: Mapping[str, Any]) -> list[LogLine]:
        """Return the answer's lines, and see whether there are more to come."""
        total, following = page.get("total"), page["next"]
        nothing_came = following == self._first
        at_end = total is not None and following >= total
        self._follow = self._follow or bool(page.get("ended"))
        self._empty = self._empty + 1 if nothing_came and page.get("ended") else 0
        self.done = (
            (at_end or total is None) and bool(page["sealed"])
            if self._follow
            else nothing_came or at_end
        ) or self._empty >= _EMPTY_ROUNDS
        self._attempt = self._attempt or page["attempt"]
        self._first = following
        return [LogLine.read(line) for line in page["lines"]]


class Waiting:
    """Waits for an execution's end: a little longer each time, and not for ever."""

    def __init__(
        self, timeout: timedelta | None, on_progress: Callable[[Execution], None] | None
    ) -> None:
        self._until = None if timeout is None else clock.monotonic() + timeout.total_seconds()
        self._next = _FIRST_PAUSE
        self._on_progress = on_progress
        self._told: object = None

    def ended(self, execution: Execution) -> bool:
        """Tell whether it has ended, and pass on what its job newly says of its progress."""
        if execution.progress is not None and execution.progress != self._told:
            self._told = execution.progress
            if self._on_progress is not None:
                self._on_progress(execution)
        return execution.ended

    def pause(self, message_id: str) -> float:
        """Return how many seconds to wait; raises `WaitTimedOut`."""
        pause, self._next = self._next, min(self._next * 1.5, _LONGEST_PAUSE)
        if self._until is None:
            return pause
        left = self._until - clock.monotonic()
        if left <= 0:
            raise WaitTimedOut(f"{message_id} has not ended in time; it goes on")
        return min(pause, left)


class Tries:
    """Decides whether one call is made again, after how long: exponentially, with jitter.

    What was certainly not done is asked again, and what is repeatable after any fault that may
    pass by itself; `Retry-After` is honoured up to a minute.
    """

    def __init__(self, call: Call[Any], most: int) -> None:
        self._call = call
        self._left = most
        self._backoff = _FIRST_BACKOFF

    def after_silence(self, error: Unreachable, *, unsent: bool) -> float:
        """Return how many seconds to wait after nobody answered; raises the error to give up."""
        if unsent or self._call.repeatable:
            return self._pause(error, 0.0)
        raise error

    def after_fault(
        self, status: int, answer: Any, *, request_id: str | None, retry_after: str | None
    ) -> float:
        """Return how many seconds to wait after such an answer; raises its error to give up."""
        error = fault_of(status, answer, request_id)
        if status == _NOT_DONE or (status in _PASSING and self._call.repeatable):
            return self._pause(error, _read_seconds(retry_after))
        raise error

    def _pause(self, error: Exception, at_least: float) -> float:
        if not self._left or at_least > _LONGEST_RETRY_AFTER:
            raise error
        self._left -= 1
        pause = at_least + _chance.uniform(0, self._backoff)
        self._backoff = min(self._backoff * 2, _LONGEST_BACKOFF)
        return pause


def part(name: str) -> str:
    """Write a name as one part of an address."""
    return quote(name, safe="")


def of_execution(message_id: str) -> str:
    """Return the execution's address."""
    return f"{EXECUTIONS}/{part(message_id)}"


def given(wanted: Mapping[str, Any]) -> dict[str, str | list[str]]:
    """Return the parameters that are not None, as text; one that is a list comes several times."""
    return {
        name: [str(each) for each in value] if isinstance(value, list) else str(value)
        for name, value in wanted.items()
        if value is not None
    }


def as_is(answer: Any) -> Any:
    """Return the answer."""
    return answer


def seconds(length: timedelta) -> int | float:
    """Return the length in seconds, whole ones as an integer."""
    total = length.total_seconds()
    return int(total) if total.is_integer() else total


def _body(job: Job) -> dict[str, Any]:
    """Write the job as the API wants it. Raises `ValueError` where options contradict."""
    options = {name: value for name, value in job.options.items() if value is not None}
    options.pop("traceparent", None)
    body = {
        "application": job.app,
        "job": job.job,
        "message": job.message,
        "idempotency_key": job.key,
    }
    options.pop("key", None)
    due = _due(options.pop("delay", None), options.pop("run_at", None))
    if isinstance(length := options.pop("timeout", None), timedelta):
        options["timeout"] = seconds(length)
    return body | due | options


def _due(delay: Any, run_at: Any) -> dict[str, Any]:
    """Write when it is due: a short delay as such, a longer or finer one as an instant."""
    if delay is not None and run_at is not None:
        raise ValueError("delay and run_at: give one of them, not both")
    if run_at is not None:
        if run_at.tzinfo is None:
            raise ValueError("run_at has no time zone")
        return {"run_at": clock.rfc3339(run_at)}
    if not delay:
        return {}
    if delay <= _LONGEST_DELAY and not delay % timedelta(seconds=1):
        return {"delay_seconds": seconds(delay)}
    return {"run_at": clock.rfc3339(clock.now() + delay)}


def _results(facts: Mapping[str, Any]) -> list[Enqueued | Refused | Faulty]:
    return [_result(each) for each in facts["results"]]


def _result(facts: Mapping[str, Any]) -> Enqueued | Refused | Faulty:
    if "message_id" in facts:
        return Enqueued.read(facts)
    return fault_of(int(facts["status_code"]), facts)


def _read_seconds(text: str | None) -> float:
    return float(text) if text is not None and text.isdecimal() and len(text) < 6 else 0.0  # noqa: PLR2004 - digits

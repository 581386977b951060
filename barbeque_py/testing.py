"""A barbeque_py in memory, for the tests of apps: what was enqueued, and how it ends as told.

    client = MemoryClient()
    shop = Shop(client)                       # whatever of yours is given a client
    shop.order(book)
    [job] = client.jobs
    assert (job.job, job.message) == ("Invoice", {"book": 1})
    client.finish(job.message_id, result={"invoice": 7})
    assert shop.invoice_of(book) == 7

It answers as the API does, and passes the same tests as the clients that speak to one. Nothing
runs by itself, no limits count, and any app, job and queue is there.
"""

import asyncio
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import RLock
from typing import Any, TypeVar

from barbeque_py import clock, strict_json
from barbeque_py.asking import Asking
from barbeque_py.async_asking import AsyncAsking
from barbeque_py.calls import EXECUTIONS, Call
from barbeque_py.executions import ENDED, OPEN, State, barbeque_status
from barbeque_py.faults import fault_of
from barbeque_py.ids import attempt_id, new_message_id

T = TypeVar("T")

Answer = tuple[int, Any]

_MOMENT = 0.01
_ERRORS = 400


@dataclass(slots=True)
class MemoryJob:
    """One job that was enqueued, and what has become of it."""

    message_id: str
    app: str
    job: str
    message: Any
    options: dict[str, Any]
    """Further fields of the request, as the API takes them: queue, run_at, priority and so on."""
    state: State = State.QUEUED
    cancel_requested: bool = False
    round: int = 1
    attempts: list[dict[str, Any]] = field(default_factory=list)
    results: dict[int, Any] = field(default_factory=dict)
    lines: dict[int, list[str]] = field(default_factory=dict)

    @property
    def ended(self) -> bool:
        """Whether nothing more follows by itself."""
        return self.state in ENDED


class Memory:
    """What several clients may share: the jobs, and the answers to calls about them."""

    def __init__(self) -> None:
        self.jobs: list[MemoryJob] = []
        self._aliases: dict[str, MemoryJob] = {}
        self._guard = RLock()

    def job(self, message_id: str) -> MemoryJob:
        """Return the job with this id, or that of which it is a retry's. Raises `KeyError`."""
        return self._aliases[message_id]

    def start(self, message_id: str) -> int:
        """Let the next attempt begin; return its number."""
        job, now = self.job(message_id), clock.rfc3339(clock.now())
        assert job.state in (State.QUEUED, State.RETRYING), f"{message_id} is {job.state}"
        number = len(job.attempts) + 1
        job.state = State.RUNNING
        job.lines[number] = []
        job.attempts.append(
            {
                "id": attempt_id(job.message_id, number),
                "number": number,
                "round": job.round,
                "state": "running",
                "reason": None,
                "exit_code": None,
                "detail": None,
                "started_at": now,
                "finished_at": None,
                "progress": None,
            }
        )
        return number

    def progress(self, message_id: str, percent: float | None = None, text: str = "") -> None:
        """Let the running attempt tell how far it is, begun first where it has to be."""
        told = {"percent": percent, "text": text, "at": clock.rfc3339(clock.now())}
        self._running(message_id)["progress"] = told

    def log(self, message_id: str, *lines: str) -> None:
        """Let the running attempt write lines, begun first where it has to be."""
        self.job(message_id).lines[self._running(message_id)["number"]] += lines

    def finish(
        self,
        message_id: str,
        *,
        exit_code: int = 0,
        result: Any = None,
        log: Sequence[str] = (),
        retrying: bool = False,
    ) -> None:
        """Let the running attempt end so, begun first where it has to be.

        An exit code that is not 0 makes the execution failed, or `retrying`.
        """
        attempt, job = self._running(message_id), self.job(message_id)
        job.lines[attempt["number"]] += log
        if result is not None:
            job.results[attempt["number"]] = strict_json.loads(strict_json.dumps(result).encode())
        attempt |= {
            "state": "ended",
            "reason": "exited",
            "exit_code": exit_code,
            "finished_at": clock.rfc3339(clock.now()),
        }
        failed = State.RETRYING if retrying else State.FAILED
        failed = State.CANCELLED if job.cancel_requested else failed
        job.state = failed if exit_code else State.SUCCEEDED

    def work(self, run: Callable[[str, Any], Any]) -> None:
        """Run what waits with `run(job, message)`; what it returns is the result.

        What it raises fails the job, the error's words as its log. `Jobs.run` is such a function.
        """
        for job in list(self.jobs):
            if job.state in (State.QUEUED, State.RETRYING):
                try:
                    result = run(job.job, job.message)
                except Exception as error:  # noqa: BLE001 - as a process that ends with a traceback
                    self.finish(job.message_id, exit_code=1, log=[repr(error)])
                else:
                    self.finish(job.message_id, result=result)

    def answer(self, call: Call[T]) -> T:
        """Answer a call as the API does."""
        with self._guard:
            status, answer = self._route(call)
        if status >= _ERRORS:
            raise fault_of(status, answer)
        return call.read(answer)

    def _running(self, message_id: str) -> dict[str, Any]:
        job = self.job(message_id)
        if job.state is not State.RUNNING:
            self.start(message_id)
        return job.attempts[-1]

    def _route(self, call: Call[Any]) -> Answer:
        if call.path == EXECUTIONS:
            return 201, self._enqueue(call.json, call.headers.get("Idempotency-Key"))
        if call.path == f"{EXECUTIONS}/batch":
            results = [self._enqueue(each, each["idempotency_key"]) for each in call.json["jobs"]]
            return 201, {"results": results, "accepted": len(results), "refused": 0}
        version, _, rest = call.path.strip("/").partition("/job_executions/")
        message_id, _, verb = rest.partition("/")
        job = self._aliases.get(message_id)
        if version == "v1":
            return 200, {"message_id": message_id, "status": _status(job) if job else "pending"}
        if job is None:
            return _not_found(f"no worker has seen an execution {message_id}")
        return self._verbs[verb](self, job, call)

    def _enqueue(self, body: Mapping[str, Any], key: str | None) -> dict[str, Any]:
        if body.get("message") is None:
            raise fault_of(400, {"error_code": "invalid_parameter", "message": "message is null"})
        options = dict(body)
        app, name = options.pop("application"), options.pop("job")
        message = strict_json.loads(strict_json.dumps(options.pop("message")).encode())
        options.pop("idempotency_key", None)
        message_id = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{app} {key}")) if key else _new_id()
        if message_id not in self._aliases:
            job = MemoryJob(message_id, app, name, message, options)
            self.jobs.append(job)
            self._aliases[message_id] = job
        return _accepted(message_id)

    def _show(self, job: MemoryJob, _: Call[Any]) -> Answer:
        last = job.attempts[-1] if job.attempts else None
        tries = [{**each, "has_result": each["number"] in job.results} for each in job.attempts]
        return 200, {
            "message_id": job.message_id,
            "app": job.app,
            "job": job.job,
            "queue": job.options.get("queue", "default"),
            "state": job.state,
            "status": _status(job),
            "note": None,
            "message": strict_json.dumps(job.message),
            "progress": last and last["progress"],
            "result": job.results.get(len(job.attempts)),
            "result_fault": None,
            "attempts": tries,
        }

    def _show_result(self, job: MemoryJob, call: Call[Any]) -> Answer:
        number = _number(call, "attempt", len(job.attempts))
        if number not in job.results:
            return _not_found("it has told no result")
        return 200, job.results[number]

    def _show_log(self, job: MemoryJob, call: Call[Any]) -> Answer:
        number = _number(call, "attempt", len(job.attempts))
        if number and number not in job.lines:
            return _not_found(f"execution {job.message_id} has no attempt {number}")
        lines = job.lines.get(number, [])
        first, count = _number(call, "first", 0), _number(call, "count", 1000)
        first = first if first >= 0 else max(len(lines) + first, 0)
        shown = [
            {"n": n, "at": clock.rfc3339(clock.now()), "stream": "out", "text": text}
            | {"newline": True}
            for n, text in enumerate(lines[first : first + count], first)
        ]
        ended = job.attempts[number - 1]["state"] == "ended" if number else job.ended
        return 200, {
            "attempt": number or None,
            "lines": shown,
            "next": first + len(shown),
            "sealed": ended,
            "total": len(lines) if ended and number else None,
            "ended": ended,
        }

    def _retry(self, job: MemoryJob, _: Call[Any]) -> Answer:
        if not job.ended:
            told = f"execution {job.message_id} has not ended"
            return 409, {"status_code": 409, "error_code": "conflict", "message": told}
        job.state, job.round = State.QUEUED, job.round + 1
        retry_id = _new_id()
        self._aliases[retry_id] = job
        return 201, _accepted(retry_id)

    def _cancel(self, job: MemoryJob, call: Call[Any]) -> Answer:
        outcome = "already ended"
        if job.state is State.RUNNING:
            outcome = "kill requested" if call.json else "cancel requested"
            job.cancel_requested = True
        elif job.state in OPEN:
            outcome, job.state = "cancelled", State.CANCELLED
        return 200, {"message_id": job.message_id, "outcome": outcome}

    _verbs: Mapping[str, Callable[["Memory", MemoryJob, Call[Any]], Answer]] = {
        "": _show,
        "result": _show_result,
        "log": _show_log,
        "retries": _retry,
        "cancel": _cancel,
    }


class MemoryClient(Asking, Memory):
    """What `Client` is, in memory; `jobs` has what was enqueued.

    Waiting for what nobody finishes lasts until its `timeout`.
    """

    def ask(self, call: Call[T]) -> T:
        """Answer the call."""
        if call.wait:
            time.sleep(_MOMENT)
        return self.answer(call)

    def close(self) -> None:
        """Do nothing: a test may still look at the jobs."""


class AsyncMemoryClient(AsyncAsking):
    """What `AsyncClient` is, over the jobs in `memory`."""

    def __init__(self, memory: Memory | None = None) -> None:
        self.memory = memory or Memory()

    async def ask(self, call: Call[T]) -> T:
        """Answer the call."""
        if call.wait:
            await asyncio.sleep(_MOMENT)
        return self.memory.answer(call)

    async def close(self) -> None:
        """Do nothing: a test may still look at the jobs."""


def _status(job: MemoryJob) -> str:
    counted = sum(each["state"] == "ended" for each in job.attempts)
    return barbeque_status(job.state, round_=job.round, counted=counted, could_not_start=False)


def _number(call: Call[Any], name: str, otherwise: int) -> int:
    return int(str(call.params.get(name, otherwise)))


def _new_id() -> str:
    return str(new_message_id())


def _accepted(message_id: str) -> dict[str, Any]:
    return {"message_id": message_id, "status": "pending", "id": None}


def _not_found(message: str) -> Answer:
    return 404, {"status_code": 404, "error_code": "record_not_found", "message": message}

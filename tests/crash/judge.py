"""What must be true when a drill is over."""

from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from barbeque_py.log_reading import raw_chunks
from barbeque_py.logs import attempt_prefix
from barbeque_py.store import Store, attempts, dead, limits, outbox
from barbeque_py.store import executions as rows
from barbeque_py.wiring.parts import Parts
from tests.crash.grounds import Ground

QUEUE_LIMIT = 6
JOB_LIMIT = 3
RETRIES = 2

Mark = tuple[str, str, float]
"""What a job says of itself: its attempt, `start` or `end`, and when."""


@dataclass(slots=True)
class Report:
    """What a drill came to; `faults` is empty when every promise was kept."""

    seconds: float = 0.0
    kills: int = 0
    attempts: int = 0
    runs: int = 0
    tasks: int = 0
    """As the place itself counts what it started, where it can."""
    fates: Counter[str] = field(default_factory=Counter)
    points: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{self.kills} kills in {self.seconds:.0f} s, {self.attempts} attempts, "
            f"{self.runs} runs, {self.tasks} tasks, "
            f"{self.points.total()} deaths at {len(self.points)} named points, "
            f"ends: {dict(self.fates)}"
        )


def judge(
    parts: Parts,
    wanted: dict[str, int],
    marks: list[Mark],
    report: Report,
    ground: Ground,
) -> list[str]:
    store, faults = parts.store, []
    found = store.read(lambda tx: rows.many_by_message_id(tx, wanted))
    faults += [f"lost: {message_id}" for message_id in wanted.keys() - found.keys()]
    starts = Counter(attempt for attempt, what, _ in marks if what == "start")
    report.runs = starts.total()
    faults += [f"run {count} times: {attempt}" for attempt, count in starts.items() if count > 1]
    for message_id, execution in found.items():
        tries = store.read(partial(attempts.of_execution, execution=execution.id))
        report.attempts += len(tries)
        report.fates.update(str(each.reason) for each in tries)
        faults += _judge_one(execution, tries, wanted[message_id], starts, parts)
    faults += _judge_limits(store, found, marks)
    faults += _judge_leftovers(store)
    faults += ground.leftovers(store, parts)
    started = ground.starts() or Counter()
    report.tasks = started.total()
    faults += [f"started {count} times: {each}" for each, count in started.items() if count > 1]
    return faults


def _judge_one(
    execution: Any, tries: list[Any], failures: int, starts: Counter[str], parts: Parts
) -> list[str]:
    name = execution.message_id
    expected = "failed" if failures > RETRIES else "succeeded"
    faults = []
    vanished = [each for each in tries if each.reason == "vanished"]
    if execution.state not in (expected, "failed" if vanished else expected):
        faults.append(f"{name} is {execution.state}, not {expected}")
    runs = min(failures, RETRIES) + 1
    if sum(1 for each in tries if each.counted) != runs and not vanished:
        faults.append(f"{name} had {[(t.reason, t.counted) for t in tries]}, not {runs} counted")
    for each in tries:
        if each.reason == "exited" and starts[each.id] != 1:
            faults.append(f"{each.id} exited but ran {starts[each.id]} times")
        if each.reason == "exited":
            prefix = attempt_prefix(execution.app, execution.job, name, each.number)
            text = b"".join(raw_chunks(parts.logs, prefix)).decode()
            if each.log_sealed_at is None or text != f"line of {each.id}\n":
                faults.append(f"{each.id} has the log {text!r}")
    return faults


def _judge_limits(store: Store, found: dict[str, Any], marks: list[Mark]) -> list[str]:
    faults = []
    for limit in store.read(limits.read_all):
        faults += [f"{limit.scope} is left at {limit.used}"] if limit.used else []
    peak = _peak(marks)
    if peak > QUEUE_LIMIT:
        faults.append(f"{peak} ran at once on a queue of {QUEUE_LIMIT}")
    for job in sorted({execution.job for execution in found.values()}):
        of_job = {e.message_id for e in found.values() if e.job == job}
        peak = _peak([mark for mark in marks if mark[0].rpartition("-")[0] in of_job])
        if job.startswith("narrow") and peak > JOB_LIMIT:
            faults.append(f"{peak} of {job} ran at once, not {JOB_LIMIT}")
    return faults


def _peak(marks: list[Mark]) -> int:
    """Return how many ran at once at most, by their own marks."""
    running = most = 0
    for _, what, _ in sorted(marks, key=lambda mark: mark[2]):
        running += 1 if what == "start" else -1
        most = max(most, running)
    return most


def _judge_leftovers(store: Store) -> list[str]:
    faults = []
    if buried := store.read(dead.newest):
        faults.append(f"{len(buried)} messages are dead: {buried[0].reason}")
    if undone := store.read(outbox.oldest_due):
        faults.append(f"the outbox still holds {undone}")
    return faults

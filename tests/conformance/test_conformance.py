"""One suite, both modes: what people see of a job is the same, field by field.

What differs, and nothing else does: awslogs does not tell stdout from stderr, carries no empty
lines and no invalid UTF-8, and does not say whether the last line had an end; details of a fate
are written in each executor's own words; on ECS BARBEQUE_MESSAGE_URL is always there, and a
command is process 1, unless the definition asks for an init.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from barbeque_py import clock
from barbeque_py.store import Store
from barbeque_py.store import executions as rows
from tests.conformance.modes import ENDED, Mode
from tests.conformance.scenarios import APP, SCENARIOS, manifest
from tests.contracts.registry import Registry
from tests.images import make_test_image

pytestmark = [pytest.mark.docker, pytest.mark.mariadb]

OF_THE_EXECUTION = (
    *("state", "stage", "reason", "app", "queue", "priority", "held_by", "round", "counted"),
    *("uncounted", "could_not_start", "note", "options", "message"),
)
OF_AN_ATTEMPT = ("number", "round", "state", "reason", "exit_code", "counted")
OF_A_LOG = ("lines", "bytes", "error_lines", "truncated")
LONG = timedelta(hours=5)
MEBIBYTE = 1024 * 1024
ACTORS = 16
"""How many acts are played at once: more would wait for each other's containers."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What people see of an execution that has ended; streams apart, which awslogs has not."""

    execution: dict[str, Any]
    status: str
    attempts: list[dict[str, Any]]
    facts: list[dict[str, Any]]
    logs: list[list[str]]


@dataclass(frozen=True, slots=True)
class Stage:
    """Both modes, and what is played on them: much of it at once, as waiting is most of it."""

    modes: list[Mode]
    acts: dict[str, list[Future[Any]]]

    def seen(self, name: str) -> list[Any]:
        """Return what an act saw on one machine and on the fleet; raises what it raised."""
        return [each.result() for each in self.acts[name]]


@pytest.fixture(scope="module")
def stage(modes: list[Mode]) -> Iterator[Stage]:
    image, names = make_test_image(), [*SCENARIOS, *ACTS]
    with closing(Registry()) as registry, ThreadPoolExecutor(ACTORS) as actors:
        for mode in modes:
            mode.apply(manifest(image, f"{registry.address}/absent:1"))
            mode.post("/v2/queues/paused/pause")
        cloud = modes[1].cloud  # type: ignore[attr-defined]
        cloud.control("ecs", "configure", provision_seconds=1)
        playing = {name: [actors.submit(play, mode, name) for mode in modes] for name in names}
        yield Stage(modes, playing)
        cloud.control("ecs", "configure", provision_seconds=0.02)


def play(mode: Mode, name: str) -> Any:
    if name in ACTS:
        return ACTS[name](mode)
    scenario = SCENARIOS[name]
    job = f"job{list(SCENARIOS).index(name)}"
    message_id = mode.enqueue(scenario.app, job, **({"message": name} | scenario.request))
    if scenario.act is not None:
        scenario.act(mode, message_id)
    return see(mode, message_id, *ENDED)


def see(mode: Mode, message_id: str, *states: str) -> Seen:
    shown = mode.reach(message_id, *states)
    tries = shown["attempts"]
    lines = [mode.lines(message_id, each["number"]) for each in tries]
    return Seen(
        {name: shown[name] for name in OF_THE_EXECUTION},
        mode.status(message_id),
        [{name: each[name] for name in OF_AN_ATTEMPT} for each in tries],
        [{name: each["log"][name] for name in OF_A_LOG} for each in tries],
        [[text for _, text in each] for each in lines],
    )


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_job_ends_as_the_table_says_in_both_modes(name: str, stage: Stage) -> None:
    scenario = SCENARIOS[name]
    expected = (scenario.logs, scenario.fleet_logs or scenario.logs)
    for seen, logs in zip(stage.seen(name), expected, strict=True):
        assert seen.execution["state"] == scenario.state
        assert seen.execution["reason"] == (scenario.reason or scenario.attempts[-1][0])
        assert seen.execution["round"] == scenario.round
        assert seen.status == scenario.status
        tries = [(each["reason"], each["exit_code"], each["counted"]) for each in seen.attempts]
        assert tuple(tries) == scenario.attempts
        if logs is not None:
            assert tuple(map(tuple, seen.logs)) == logs
            assert [each["lines"] for each in seen.facts] == list(map(len, logs))


@pytest.mark.parametrize("name", SCENARIOS)
def test_both_modes_show_the_same_field_by_field(name: str, stage: Stage) -> None:
    here, there = stage.seen(name)
    assert here.execution == there.execution
    assert here.attempts == there.attempts
    if SCENARIOS[name].fleet_logs is None:
        assert here.logs == there.logs
        assert here.facts == there.facts


def variables_of(mode: Mode) -> dict[str, str]:
    """Return the job's variables but ids and times, which are checked."""
    message_id = mode.enqueue(APP, "environment", "a b")
    shown = mode.reach(message_id, "succeeded")
    found = dict(text.split("=", 1) for _, text in mode.lines(message_id))
    assert found.pop("BARBEQUE_MESSAGE_ID") == message_id
    assert found.pop("BARBEQUE_ATTEMPT_ID") == shown["attempts"][0]["id"]
    instant = clock.from_milliseconds(int(found.pop("BARBEQUE_SENT_TIMESTAMP")))
    assert abs(clock.now() - instant) < timedelta(minutes=2)
    found.pop("HOSTNAME")
    return found


def test_a_job_is_given_the_same_variables(stage: Stage) -> None:
    here, there = stage.seen("variables")
    for what in ("MESSAGE", "PROGRESS", "RESULT"):
        address = there.pop(f"BARBEQUE_{what}_URL")
        assert address.startswith(f"{stage.modes[1].url}/v2/attempts/")
    assert here == there
    assert (
        here.items()
        >= {
            "BARBEQUE_APP": APP,
            "BARBEQUE_JOB": "environment",
            "BARBEQUE_MESSAGE": '"a b"',
            "BARBEQUE_QUEUE_NAME": "default",
            "BARBEQUE_RETRY_COUNT": "0",
            "OF_THE_JOB": "yes",
        }.items()
    )


def life_of_beats(mode: Mode) -> float:
    """Return for how many seconds the command could write before its time limit ended it."""
    message_id = mode.enqueue(APP, "beats", "x")
    mode.reach(message_id, "failed")
    beats = [float(text) for _, text in mode.lines(message_id)]
    return beats[-1] - beats[0]


def test_the_time_limit_counts_from_the_command_s_start(stage: Stage) -> None:
    here, there = stage.seen("time limit")  # the fleet's tasks are provisioned for a second
    assert 1.2 < here < 15
    assert 1.2 < there < 15


def spans(mode: Mode, asked: list[str]) -> list[tuple[float, float]]:
    """Return when each command began and ended, in seconds of this machine."""
    found = []
    for message_id in asked:
        mode.reach(message_id, "succeeded")
        began, ended = (float(text) for _, text in mode.lines(message_id))
        found.append((began, ended))
    return found


def slots(mode: Mode, asked: list[str]) -> list[tuple[str, str]]:
    """Return from when to when each held its slot, at least."""
    tries = [mode.show(message_id)["attempts"][0] for message_id in asked]
    return [(each["claimed_at"], each["finished_at"]) for each in tries]


def peak(found: Sequence[tuple[Any, Any]]) -> int:
    """Return how many there were at once."""
    return max(len([1 for a, b in found if a <= moment < b]) for moment, _ in found)


def peaks_of(mode: Mode) -> dict[str, tuple[int, bool]]:
    """Return how many held a slot at once, and whether no more ran at once."""
    wanted: dict[str, tuple[str, dict[str, Any]]] = {
        "job": ("pair", {}),
        "queue": ("span", {"queue": "narrow"}),
        "key": ("span", {"concurrency_key": "k"}),
    }
    asked = {
        name: [mode.enqueue(APP, job, "x", **fields) for _ in range(4)]
        for name, (job, fields) in wanted.items()
    }
    ran = {name: peak(spans(mode, ids)) for name, ids in asked.items()}
    held = {name: peak(slots(mode, ids)) for name, ids in asked.items()}
    return {name: (held[name], ran[name] <= held[name]) for name in wanted}


def test_no_more_run_at_once_than_a_limit_says_and_no_fewer(stage: Stage) -> None:
    assert stage.seen("limits") == [{"job": (2, True), "queue": (2, True), "key": (1, True)}] * 2


def order_of(mode: Mode) -> list[int]:
    """Fill a queue of one slot while that is taken; return the priorities as they ran."""
    first = mode.enqueue(APP, "hold", "x", queue="line")
    mode.reach(first, "running")
    asked = {
        priority: mode.enqueue(APP, "span", "x", queue="line", priority=priority)
        for priority in (0, -100, 100, 7)
    }
    for message_id in asked.values():
        mode.reach(message_id, "queued")
    mode.cancel(first)
    return sorted(asked, key=lambda priority: spans(mode, [asked[priority]])[0][0])


def test_the_highest_priority_runs_first(stage: Stage) -> None:
    assert stage.seen("priorities") == [[100, 7, 0, -100]] * 2


def end_of_process_1(mode: Mode) -> tuple[str, int]:
    """Return how a command ends that has no trap and meets its time limit."""
    shown = mode.reach(mode.enqueue(APP, "asleep", "x"), "failed")
    return shown["attempts"][0]["reason"], shown["attempts"][0]["exit_code"]


def test_process_1_hears_no_sigterm_it_does_not_wait_for_and_on_ecs_that_is_the_command(
    stage: Stage,
) -> None:
    assert stage.seen("process 1") == [("timed out", 143), ("timed out", 137)]


def test_a_delay_of_hours_waits_in_the_schedule(stage: Stage) -> None:
    at = clock.now() + LONG
    for mode in stage.modes:
        message_id = mode.enqueue(APP, "span", "x", run_at=clock.rfc3339(at))
        waiting = mode.reach(message_id, "queued")
        assert (waiting["stage"], waiting["due_at"]) == ("scheduled", clock.rfc3339(at))
        assert mode.status(message_id) == "pending"
        later = Store(mode.settings.database, shift=LONG - timedelta(minutes=1))
        assert later.write(lambda tx: rows.ripen(tx, 100)) == 0
        later.shift = LONG + timedelta(seconds=1)
        assert later.write(lambda tx: rows.ripen(tx, 100)) == 1
        later.close()
        mode.post("/v2/queues/default/resume")  # rings the bell
        mode.reach(message_id, "succeeded")


def test_a_log_of_many_megabytes_is_the_same_to_the_byte(stage: Stage) -> None:
    flood(stage.modes, mebibytes=20)


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_a_log_of_a_gigabyte_is_the_same_to_the_byte(modes: list[Mode]) -> None:
    for mode in modes:
        mode.apply(manifest(make_test_image(), "absent:1"))
    flood(modes, mebibytes=1024, seconds=1800)


def flood(modes: list[Mode], *, mebibytes: int, seconds: float = 120.0) -> None:
    """Have a job write so much in both modes; compare facts, first and last lines, and bytes."""
    lines = mebibytes * 1024
    with ThreadPoolExecutor(2) as both:
        looks = list(both.map(partial(look_at_flood, lines=lines, seconds=seconds), modes))
    assert looks == [{"lines": lines, "bytes": mebibytes * MEBIBYTE, "same": lines}] * len(modes)


def look_at_flood(mode: Mode, *, lines: int, seconds: float) -> dict[str, int]:
    began = clock.monotonic()
    message_id = mode.enqueue(APP, "flood", lines)
    shown = mode.reach(message_id, "succeeded", seconds=seconds)
    print(f"{lines} lines in {mode.name}: {clock.monotonic() - began:.1f} s")
    facts = shown["attempts"][0]["log"]
    line, same = b"x" * 1023 + b"\n", 0
    with mode.client.stream("GET", f"/v2/job_executions/{message_id}/log/raw") as answer:
        rest = b""
        for piece in answer.iter_bytes(MEBIBYTE):
            *whole, rest = (rest + piece).split(b"\n")
            same += sum(each == line[:-1] for each in whole)
    return {"lines": facts["lines"], "bytes": facts["bytes"], "same": same + (rest == line[:-1])}


ACTS: dict[str, Callable[[Mode], Any]] = {
    "variables": variables_of,
    "time limit": life_of_beats,
    "limits": peaks_of,
    "priorities": order_of,
    "process 1": end_of_process_1,
}
"""What is played beside the table."""

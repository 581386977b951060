"""The table: what is asked for, what is done meanwhile, and what people must see in both modes."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from barbeque_py import strict_json
from tests.conformance.modes import Mode

APP = "shop"
ANSWERS = "trap 'echo heard; exit 9' TERM; echo up; while :; do sleep 0.1; done"
"""Ends with 9 when it is asked to."""
DEAF = "trap '' TERM; echo up; while :; do sleep 0.1; done"
ONCE: dict[str, Any] = {"retry": {"limit": 0}}
SHORT: dict[str, Any] = ONCE | {"timeout": "1s", "grace": "2s"}
QUICK: dict[str, Any] = {"retry": {"limit": 2, "base_delay": "100ms", "jitter": False}}
WITH_INIT: dict[str, Any] = {"ecs": {"linux": {"init": True}}}
"""Docker's containers always have an init; on ECS a command is process 1 without this."""
ODD = 'grün \N{SNOWMAN} \N{GRINNING FACE} "quoted" \\ tab\\t \u2028 a\u0301 \U0010fffd \u202eabc'
MESSAGE = strict_json.dumps({"text": ODD})
SECRET = "hunter2-and-more"


def cancel_it(mode: Mode, message_id: str) -> None:
    """Cancel it once its command runs: after "up" it hears SIGTERM."""
    mode.reach(message_id, "running")
    mode.until_up(message_id)
    assert mode.cancel(message_id) == "cancel requested"


def cancel_unstarted(mode: Mode, message_id: str) -> None:
    mode.reach(message_id, "queued")
    assert mode.cancel(message_id) == "cancelled"


def retry_by_hand(mode: Mode, message_id: str) -> None:
    mode.reach(message_id, "failed")
    mode.post(f"/v1/job_executions/{message_id}/retries")


@dataclass(frozen=True, slots=True)
class Scenario:
    """One job; the attempts are expected as (reason, exit code, counted), logs as texts of lines.

    `fleet_logs` are those that awslogs carries, where it can't carry what was written.
    """

    script: str
    state: str = "succeeded"
    status: str = "success"
    attempts: tuple[tuple[str, int | None, bool], ...] = (("exited", 0, True),)
    logs: tuple[tuple[str, ...], ...] | None = None
    fleet_logs: tuple[tuple[str, ...], ...] | None = None
    job: dict[str, Any] = field(default_factory=dict)
    request: dict[str, Any] = field(default_factory=dict)
    app: str = APP
    act: Callable[[Mode, str], None] | None = None
    round: int = 1
    reason: str = ""
    """The execution's own, where that is not its last attempt's."""


FAILED = ("exited", 3, True)

SCENARIOS: dict[str, Scenario] = {
    "success": Scenario("echo one; echo two", logs=(("one", "two"),)),
    "silence": Scenario("true", logs=((),)),
    "failure": Scenario(
        'echo "try $BARBEQUE_RETRY_COUNT"; exit 3',
        state="failed",
        status="failed",
        attempts=(FAILED,) * 3,
        logs=(("try 0",), ("try 1",), ("try 2",)),
        job=QUICK,
    ),
    "success at last": Scenario(
        'echo "try $BARBEQUE_RETRY_COUNT"; [ "$BARBEQUE_RETRY_COUNT" = 1 ] || exit 3',
        attempts=(FAILED, ("exited", 0, True)),
        logs=(("try 0",), ("try 1",)),
        job=QUICK,
    ),
    "retry by hand": Scenario(
        'echo "try $BARBEQUE_RETRY_COUNT"; exit 3',
        state="failed",
        status="failed",
        attempts=(FAILED, FAILED),
        logs=(("try 0",), ("try 1",)),  # of all rounds
        job=ONCE,
        act=retry_by_hand,
        round=2,
    ),
    "out of memory": Scenario(
        "echo eats; exec tail /dev/zero",
        state="failed",
        status="failed",
        attempts=(("out of memory", 137, True),),
        logs=(("eats",),),
        job=ONCE | {"memory": 512},
    ),
    "timeout": Scenario(
        ANSWERS,
        state="failed",
        status="failed",
        attempts=(("timed out", 9, True),),
        logs=(("up", "heard"),),
        job=ONCE | {"timeout": "2s"},
    ),
    "timeout, deaf": Scenario(
        DEAF,
        state="failed",
        status="failed",
        attempts=(("timed out", 137, True),),
        logs=(("up",),),
        job=SHORT,
    ),
    "timeout of the request": Scenario(
        ANSWERS,
        state="failed",
        status="failed",
        attempts=(("timed out", 9, True),),
        logs=(("up", "heard"),),
        job=ONCE,
        request={"timeout": "1s"},
    ),
    "cancelled": Scenario(
        ANSWERS,
        state="cancelled",
        status="cancelled",
        attempts=(("cancelled", 9, False),),
        logs=(("up", "heard"),),
        act=cancel_it,
    ),
    "cancelled, deaf": Scenario(
        DEAF,
        state="cancelled",
        status="cancelled",
        attempts=(("cancelled", 137, False),),
        logs=(("up",),),
        job={"grace": "2s"},
        act=cancel_it,
    ),
    "cancelled, but done": Scenario(
        ANSWERS.replace("exit 9", "exit 0"), logs=(("up", "heard"),), act=cancel_it
    ),
    "cancelled unstarted": Scenario(
        "true",
        state="cancelled",
        status="cancelled",
        attempts=(),
        reason="cancelled",
        request={"queue": "paused"},
        act=cancel_unstarted,
    ),
    "no such command": Scenario(
        "",
        state="failed",
        status="error",
        attempts=(("never started", None, True),),
        fleet_logs=((),),  # on one machine the container's init says what it can't run
        job=ONCE | {"command": ["/no/such/program"]},
    ),
    "no such image": Scenario(
        "true",
        state="failed",
        status="error",
        attempts=(("never started", None, True),),
        job=ONCE,
        app="imageless",
    ),
    "unicode": Scenario(
        "",
        logs=((MESSAGE, ODD, ODD),),
        job={
            "command": ["sh", "-c", 'echo "$BARBEQUE_MESSAGE"; echo "$SIGN"; echo "$1"', "sh", ODD],
            "env": {"SIGN": ODD},
        },
        request={"message": {"text": ODD}},
    ),
    "empty lines": Scenario(
        "echo one; echo; echo; echo two",
        logs=(("one", "", "", "two"),),
        fleet_logs=(("one", "two"),),
    ),
    "no newline": Scenario(
        "printf one",
        logs=(("one",),),
        fleet_logs=(("one",),),  # counted with a newline
    ),
    "bytes": Scenario(
        r"printf 'a\377b\000c\033[1md\r\n'",
        logs=(("a\ufffdb\0c\033[1md\r",),),
        fleet_logs=(("a\ufffdb\0c\033[1md\r",),),
    ),
    "secrets": Scenario(
        'echo "token: $API_TOKEN."',
        logs=(("token: ***.",),),
        job={"env": {"API_TOKEN": SECRET}},
    ),
    "signal of its own": Scenario(
        "kill -KILL $$",
        state="failed",
        status="failed",
        attempts=(("exited", 137, True),),
        logs=((),),
        job=ONCE | WITH_INIT,
    ),
    "cancelled, without a trap": Scenario(
        "echo up; exec sleep 60",
        state="cancelled",
        status="cancelled",
        attempts=(("cancelled", 143, False),),
        logs=(("up",),),
        job=WITH_INIT,
        act=cancel_it,
    ),
    "highest exit code": Scenario(
        "exit 255",
        state="failed",
        status="failed",
        attempts=(("exited", 255, True),),
        logs=((),),
        job=ONCE,
    ),
}


def manifest(image: str, absent: str) -> dict[str, Any]:
    """Return the file that defines all of it, and what single tests run.

    `absent` is an image that its registry says is not there.
    """
    jobs: dict[str, list[dict[str, Any]]] = {APP: single_jobs(), "imageless": []}
    for number, each in enumerate(SCENARIOS.values()):
        command = {"command": ["sh", "-c", each.script]}
        jobs[each.app].append(_job(f"job{number}", **(command | each.job)))
    queues: list[dict[str, Any]] = [{"name": "default"}, {"name": "paused"}]
    queues += [{"name": "line", "concurrency": 1}, {"name": "narrow", "concurrency": 2}]
    apps = [
        {"name": APP, "image": image, "jobs": jobs[APP]},
        {"name": "imageless", "image": absent, "jobs": jobs["imageless"]},
    ]
    return {"apps": apps, "queues": queues}


def single_jobs() -> list[dict[str, Any]]:
    """Return the jobs that the tests beside the table run."""
    clock = "read now _ < /proc/uptime"
    span = f"{clock}; echo $now; sleep 0.7; {clock}; echo $now"
    beats = f'while :; do {clock}; echo "$now"; sleep 0.1; done'
    return [
        _job("environment", command=["env"], env={"OF_THE_JOB": "yes"}),
        _job("hold", command=["sh", "-c", ANSWERS]),
        _job("span", command=["sh", "-c", span]),
        _job("pair", command=["sh", "-c", span], concurrency=2),
        _job("asleep", command=["sleep", "60"], **SHORT),
        _job("beats", command=["sh", "-c", f"trap 'exit 1' TERM; {beats}"], timeout="2s", **ONCE),
        _job("flood", command=["sh", "-c", 'yes "$LINE" | head -n "$BARBEQUE_MESSAGE"'], **FLOOD),
    ]


FLOOD: dict[str, Any] = {"env": {"LINE": "x" * 1023}, "timeout": "30m"}
"""A line of 1 KiB with its end."""


def _job(name: str, **facts: Any) -> dict[str, Any]:
    return {"name": name, "memory": 64, "network": "none", "grace": "20s"} | facts

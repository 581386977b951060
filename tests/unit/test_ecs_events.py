"""Events of tasks as they come out of the queue."""

import json
from typing import Any

import pytest

from barbeque_py.executor import Standing
from barbeque_py.executors.ecs_events import Pace, read_event
from barbeque_py.outcomes import Reason

OURS = "bq/abc123/"
ATTEMPT = "0193b2f0-0000-7000-8000-000000000000-12"
ARN = "arn:aws:ecs:us-east-1:123456789012:task/jobs/0123456789abcdef0123456789abcdef"


def an_event(status: str = "STOPPED", *, detail: Any = None, **facts: Any) -> str:
    task = {
        "taskArn": ARN,
        "clusterArn": "arn:aws:ecs:us-east-1:123456789012:cluster/jobs",
        "startedBy": OURS + ATTEMPT,
        "lastStatus": status,
        "desiredStatus": status,
        "startedAt": "2026-11-21T20:00:00.123Z",
        "stoppedAt": "2026-11-21T20:00:09Z",
        "stopCode": "EssentialContainerExited",
        "containers": [{"name": "app", "exitCode": 3}],
        "version": 5,
        **(detail or {}),
    }
    event = {
        "version": "0",
        "id": "1",
        "detail-type": "ECS Task State Change",
        "source": "aws.ecs",
        "resources": [ARN],
        "detail": task,
        **facts,
    }
    return json.dumps({key: value for key, value in event.items() if value is not None})


def test_an_end_is_told_with_its_fate() -> None:
    found = read_event(an_event(), OURS)
    assert found is not None
    attempt, sighting = found
    assert attempt == ATTEMPT
    assert (sighting.standing, sighting.handle, sighting.version) == (Standing.ENDED, ARN, 5)
    assert sighting.fate is not None
    assert (sighting.fate.reason, sighting.fate.exit_code) == (Reason.EXITED, 3)


def test_a_start_is_told_with_its_time() -> None:
    found = read_event(an_event("RUNNING"), OURS)
    assert found is not None
    assert found[1].standing is Standing.RUNNING
    assert found[1].started_at == pytest.approx(1795291200.123)


@pytest.mark.parametrize("status", ["PROVISIONING", "PENDING", "DEACTIVATING", "STOPPING"])
def test_other_steps_say_nothing(status: str) -> None:
    assert read_event(an_event(status), OURS) is None


@pytest.mark.parametrize(
    "starter",
    ["", "ecs-svc/123", f"bq/zzz999/{ATTEMPT}", "bq/abc123/", "bq/abc123/x", f"{OURS}{ATTEMPT} "],
)
def test_tasks_of_others_are_not_ours(starter: str) -> None:
    assert read_event(an_event(detail={"startedBy": starter}), OURS) is None


def test_other_events_are_not_ours() -> None:
    assert read_event(an_event(source="aws.ec2"), OURS) is None
    assert read_event(an_event().replace("Task State", "Service"), OURS) is None


@pytest.mark.parametrize(
    "body",
    [
        "",
        "no json",
        "[]",
        "null",
        "{}",
        "[" * 100_000,
        an_event(detail=None, source=None),
        json.dumps({"source": "aws.ecs", "detail-type": "ECS Task State Change", "detail": 1}),
        an_event(detail={"taskArn": "x"}),
        an_event(detail={"version": None}),
        an_event(detail={"version": "5"}),
        an_event(detail={"startedAt": "yesterday"}),
        an_event(detail={"startedAt": "2026-11-21T20:00:00"}),
        an_event(detail={"containers": ["app"]}),
        an_event(detail={"containers": 1}),
        an_event(detail={"stopCode": [], "containers": []}),
    ],
)
def test_what_is_no_event_is_told_from_one(body: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        read_event(body, OURS)


def test_a_few_receives_that_bring_little_follow_at_once_and_then_one_each_while() -> None:
    pace = Pace(at_once=3, every=60.0)
    assert [pace.draw() for _ in range(3)] == [0.0, 0.0, 0.0]
    assert pace.draw() == pytest.approx(60.0, abs=1.0)

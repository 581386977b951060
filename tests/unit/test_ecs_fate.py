"""How tasks stand and how they ended, from descriptions and events as ECS writes them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from barbeque_py.executor import Standing
from barbeque_py.executors.ecs_fate import fate_of, see
from barbeque_py.outcomes import Fate, Reason

ARN = "arn:aws:ecs:us-east-1:123456789012:task/jobs/0123456789abcdef0123456789abcdef"
START = datetime(2026, 11, 21, 20, 0, tzinfo=UTC)
OOM = "OutOfMemoryError: Container killed due to memory usage"
PULL = "CannotPullContainerError: "
INIT = "ResourceInitializationError: "


def a_task(stop_code: str = "EssentialContainerExited", **facts: Any) -> dict[str, Any]:
    """Return a stopped task as DescribeTasks has it; `app` and `others` are its containers."""
    app = {"name": "app", "lastStatus": "STOPPED", **facts.pop("app", {})}
    others = [{"lastStatus": "STOPPED", **each} for each in facts.pop("others", [])]
    return {
        "taskArn": ARN,
        "lastStatus": "STOPPED",
        "desiredStatus": "STOPPED",
        "stopCode": stop_code,
        "stoppedReason": "Essential container in task exited",
        "startedAt": START,
        "executionStoppedAt": START + timedelta(seconds=9),
        "stoppedAt": START + timedelta(seconds=30),
        "version": 7,
        "containers": [*others, app],
        **facts,
    }


def never_started(words: str, **facts: Any) -> dict[str, Any]:
    task = a_task("TaskFailedToStart", stoppedReason=words, **facts)
    del task["startedAt"]
    return task


def judged(task: dict[str, Any]) -> tuple[Reason, int | None]:
    fate = fate_of(task)
    return fate.reason, fate.exit_code


def test_a_running_task_is_seen_with_its_start_and_version() -> None:
    sighting = see(a_task(lastStatus="RUNNING"))
    assert sighting.standing is Standing.RUNNING
    assert (sighting.handle, sighting.version) == (ARN, 7)
    assert sighting.started_at == START.timestamp()


@pytest.mark.parametrize("status", ["PROVISIONING", "PENDING", "DEACTIVATING", "DEPROVISIONING"])
def test_a_task_that_has_not_stopped_has_not_ended(status: str) -> None:
    assert see(a_task(lastStatus=status, startedAt=None)).standing is Standing.RUNNING


def test_an_end_has_its_code_and_the_times_of_the_containers() -> None:
    sighting = see(a_task(app={"exitCode": 0}))
    assert sighting.standing is Standing.ENDED
    assert sighting.fate == Fate(
        Reason.EXITED, 0, started_at=START, finished_at=START + timedelta(seconds=9)
    )


def test_times_of_events_are_read_and_a_short_command_does_not_end_before_it_began() -> None:
    fate = fate_of(
        a_task(
            app={"exitCode": 0},
            startedAt="2026-11-21T21:00:00.5+01:00",
            executionStoppedAt="2026-11-21T20:00:00.250Z",
        )
    )
    assert fate.started_at == fate.finished_at == START + timedelta(seconds=0.5)


@pytest.mark.parametrize("code", [1, 3, 127, 137, 143, 255])
def test_another_code_is_told_with_the_words_of_ecs(code: int) -> None:
    task = a_task(app={"exitCode": code})
    assert judged(task) == (Reason.EXITED, code)
    assert fate_of(task).detail == "Essential container in task exited"


@pytest.mark.parametrize("oom", [OOM, OOM.replace("C", "c"), "OutOfMemoryError: killed"])
def test_too_much_memory_is_told_by_the_containers_reason(oom: str) -> None:
    task = a_task(app={"exitCode": 137, "reason": oom})
    assert judged(task) == (Reason.OUT_OF_MEMORY, 137)
    assert oom in fate_of(task).detail
    assert judged(a_task(app={"exitCode": 137}, stoppedReason=OOM)) == (Reason.OUT_OF_MEMORY, 137)
    assert judged(a_task(app={"exitCode": 1}, stoppedReason=OOM)) == (Reason.EXITED, 1)


def test_a_sidecars_death_is_told() -> None:
    others = [{"name": "proxy", "exitCode": 137, "reason": OOM}, {"name": "calm", "exitCode": 0}]
    fate = fate_of(a_task(app={"exitCode": 143}, others=others))
    assert (fate.reason, fate.exit_code) == (Reason.EXITED, 143)
    assert f"the container proxy ended with exit code 137: {OOM}" in fate.detail
    assert "calm" not in fate.detail


@pytest.mark.parametrize(
    "code",
    ["SpotInterruption", "TerminationNotice", "InfrastructureHealth", "ServiceSchedulerInitiated"],
)
def test_what_aws_takes_away_is_interrupted_unless_it_was_done(code: str) -> None:
    words = "Your Spot Task was interrupted."
    assert judged(a_task(code, app={"exitCode": 143}, stoppedReason=words)) == (
        Reason.INTERRUPTED,
        143,
    )
    fate = fate_of(a_task(code, stoppedReason=words))
    assert (fate.reason, fate.exit_code, fate.detail) == (Reason.INTERRUPTED, None, words)
    assert judged(a_task(code, app={"exitCode": 0}, stoppedReason=words)) == (Reason.EXITED, 0)


def test_an_instance_that_went_takes_its_tasks_along() -> None:
    task = a_task("", stoppedReason="Host EC2 (instance i-0a1b2c3d) terminated.")
    assert judged(task) == (Reason.INTERRUPTED, None)


def test_a_stop_by_request_has_the_exit_code_or_was_interrupted() -> None:
    words = "barbeque: cancelled"
    stopped = a_task("UserInitiated", app={"exitCode": 143}, stoppedReason=words)
    assert judged(stopped) == (Reason.EXITED, 143)
    assert fate_of(stopped).detail == words
    unstarted = a_task("UserInitiated", startedAt=None, stoppedReason=words)
    assert judged(unstarted) == (Reason.INTERRUPTED, None)


def test_without_an_exit_code_it_vanished() -> None:
    fate = fate_of(a_task())
    assert fate.reason is Reason.VANISHED
    assert "Essential container in task exited" in fate.detail


def test_ecs_may_give_no_reason_and_no_containers() -> None:
    fate = fate_of(never_started("", containers=[]))
    assert fate.reason is Reason.INTERRUPTED
    assert fate.detail == "ECS gave no reason (TaskFailedToStart)"


@pytest.mark.parametrize(
    "words",
    [
        PULL + "pull image manifest has been retried 1 time(s): failed to resolve ref "
        "docker.io/library/nope:latest: docker.io/library/nope:latest: not found",
        PULL + "Error response from daemon: pull access denied for nope, repository does not exist "
        "or may require 'docker login'",
        PULL
        + "AccessDeniedException: User is not authorized to perform ecr:GetDownloadUrlForLayer",
        PULL + "failed to resolve ref: unexpected status from HEAD request: 403 Forbidden",
        PULL + "image Manifest does not contain descriptor matching platform 'linux/arm64'",
        INIT + "failed to validate logger args: create stream has been retried 1 times: failed to "
        "create Cloudwatch log stream: ResourceNotFoundException: The specified log group does not "
        "exist. : exit status 1",
        INIT + "unable to pull secrets or registry auth: execution resource retrieval failed: "
        "unable to retrieve secret from asm: AccessDeniedException: not authorized",
        INIT + "unable to pull secrets or registry auth: unable to retrieve secrets from ssm: "
        "invalid parameters: /media/nope",
        INIT + "failed to download env files: file download command: non empty error stream: "
        "NoSuchKey: The specified key does not exist.",
        'CannotStartContainerError: exec: "nope": executable file not found in $PATH: unknown',
        "CannotCreateContainerError: Error response from daemon: something",
    ],
)
def test_what_the_definition_names_wrongly_is_its_fault_and_names_a_cure(words: str) -> None:
    for task in (
        never_started(words),
        never_started("Task failed to start", app={"reason": words}),
    ):
        fate = fate_of(task)
        assert (fate.reason, fate.exit_code) == (Reason.NEVER_STARTED, None)
        assert fate.blame_definition
        assert words in fate.detail
        assert fate.detail.endswith(")") or "CannotCreate" in words


@pytest.mark.parametrize(
    "words",
    [
        PULL + "failed to do request: Head https://registry/v2/app: dial tcp: lookup registry on "
        "10.0.0.2:53: no such host",
        PULL + "pull image manifest has been retried 5 time(s): dial tcp 1.2.3.4:443: i/o timeout",
        PULL + "toomanyrequests: You have reached your pull rate limit",
        PULL + "unexpected status code: 503 Service Unavailable",
        PULL + "context deadline exceeded",
        INIT + "unable to pull secrets or registry auth: execution resource retrieval failed: "
        "unable to retrieve ecr registry auth: service call has been retried 3 time(s): "
        "RequestError: send request failed caused by: Post https://api.ecr: dial tcp: i/o timeout",
        INIT
        + "failed to invoke EFS utils commands to set up EFS volumes: Connection reset by peer",
        "Timeout waiting for network interface provisioning to complete.",
        "Unexpected EC2 error while attempting to Create Network Interface",
        "Capacity is unavailable at this time.",
        "CannotStartContainerError: context deadline exceeded",
    ],
)
def test_what_the_network_or_aws_broke_is_interrupted(words: str) -> None:
    fate = fate_of(never_started(words))
    assert (fate.reason, fate.exit_code) == (Reason.INTERRUPTED, None)
    assert fate.detail == words


def test_a_container_that_the_job_waits_for_and_that_fails_is_the_definitions_fault() -> None:
    task = never_started("Task failed to start", others=[{"name": "setup", "exitCode": 2}])
    fate = fate_of(task)
    assert (fate.reason, fate.blame_definition) == (Reason.NEVER_STARTED, True)
    assert "the container setup ended with exit code 2" in fate.detail


def test_an_exit_code_proves_that_it_ran_whatever_else_failed_to_start() -> None:
    assert judged(a_task("TaskFailedToStart", app={"exitCode": 0})) == (Reason.EXITED, 0)


def test_a_detail_does_not_grow_beyond_all_measure() -> None:
    assert len(fate_of(a_task(app={"exitCode": 1}, stoppedReason="x" * 9000)).detail) == 2000

"""The simulator of ECS really runs tasks: as processes, and as containers with their logs."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from barbeque_py import clock
from barbeque_py.executors.engine import Engine
from tests.cloud.ecs_rig import EcsRig
from tests.cloud.moto_side import Moto
from tests.cloud.runner_docker import SOCKET
from tests.images import make_test_image
from tests.waiting import wait_until

AWSLOGS = {
    "awslogs-group": "/jobs",
    "awslogs-region": "us-east-1",
    "awslogs-stream-prefix": "bq",
}


class LogRig(EcsRig):
    """A rig whose definition writes to the group /jobs, and a reader of that."""

    def __init__(self, moto_endpoint: str, *, runner: str) -> None:
        super().__init__(moto_endpoint, runner=runner)
        self.image = make_test_image() if runner == "docker" else "app:1"
        self._logs = boto3.session.Session().client(
            "logs",
            endpoint_url=moto_endpoint,
            region_name="us-east-1",
            aws_access_key_id="x",
            aws_secret_access_key="x",
        )
        self.define()

    def define(self, options: dict[str, str] | None = None, **settings: Any) -> None:
        """Register a container with these awslogs options; tasks begun from now on use it."""
        if not self._logs.describe_log_groups(logGroupNamePrefix="/jobs")["logGroups"]:
            self._logs.create_log_group(logGroupName="/jobs")
        log = {"logDriver": "awslogs", "options": {**AWSLOGS, **(options or {})}}
        container = {"image": self.image, "logConfiguration": log, **settings}
        self.definition = self.register(container=container)

    def lines(self, arn: str, *, group: str = "/jobs") -> list[str]:
        """Return the task's lines as CloudWatch has them."""
        stream = f"bq/app/{arn.rpartition('/')[2]}"
        answer = self._logs.get_log_events(
            logGroupName=group, logStreamName=stream, startFromHead=True
        )
        return [event["message"] for event in answer["events"]]


@pytest.fixture(scope="module")
def moto_endpoint() -> Iterator[str]:
    moto = Moto()
    moto.start()
    yield moto.endpoint
    moto.stop()


@pytest.fixture(params=["process", pytest.param("docker", marks=pytest.mark.docker)])
def rig(moto_endpoint: str, request: pytest.FixtureRequest) -> Iterator[LogRig]:
    if request.param == "docker":
        make_test_image()
    with LogRig(moto_endpoint, runner=request.param) as rig:
        yield rig


@pytest.fixture
def docker(moto_endpoint: str) -> Iterator[LogRig]:
    make_test_image()
    with LogRig(moto_endpoint, runner="docker") as rig:
        yield rig


def test_a_command_runs_with_its_environment_and_its_exit_code(rig: LogRig) -> None:
    arn = rig.begin(command='echo "hello $WHO"; exit 7', env={"WHO": "world"})
    assert rig.reach(arn)["containers"][0]["exitCode"] == 7
    assert rig.lines(arn) == ["hello world"]


def test_both_streams_come_in_their_order_without_empty_lines_or_a_last_newline(
    rig: LogRig,
) -> None:
    arn = rig.begin(command="echo 1; sleep 0.1; echo 2 >&2; echo; sleep 0.1; printf 3")
    rig.reach(arn)
    assert rig.lines(arn) == ["1", "2", "3"]


def test_lines_can_be_read_while_the_task_runs(rig: LogRig) -> None:
    arn = rig.begin(command="echo early; sleep 60")
    rig.reach(arn, "RUNNING")
    wait_until(lambda: rig.lines(arn) == ["early"], "the line is there")
    rig.ask("StopTask", cluster="c", task=arn)


def test_a_line_longer_than_an_event_becomes_several(rig: LogRig) -> None:
    arn = rig.begin(command="head -c 600000 /dev/zero | tr '\\0' x")
    rig.reach(arn)
    lines = rig.lines(arn)
    assert len(lines) == 3
    assert len("".join(lines)) == 600_000


def test_sigterm_is_heard_and_answered(rig: LogRig) -> None:
    arn = rig.begin(command="trap 'echo bye; exit 5' TERM; echo up; while :; do sleep 0.05; done")
    wait_until(lambda: _lines_or_none(rig, arn) == ["up"], "it is up")
    rig.ask("StopTask", cluster="c", task=arn)
    assert rig.reach(arn)["containers"][0]["exitCode"] == 5
    assert rig.lines(arn) == ["up", "bye"]


def test_who_does_not_hear_sigterm_is_killed_after_the_stop_timeout(rig: LogRig) -> None:
    rig.wish("configure", stop_timeout=0.3)
    arn = rig.begin(command="trap '' TERM; echo up; while :; do sleep 0.05; done")
    wait_until(lambda: _lines_or_none(rig, arn) == ["up"], "it is up")
    rig.wish("interrupt", task=arn)
    assert rig.reach(arn)["containers"][0]["exitCode"] == 137


def test_a_command_that_is_not_there_does_not_start(rig: LogRig) -> None:
    rig.define(command=["/no/such/program"])
    task = rig.reach(rig.begin())
    assert (task["stopCode"], task["stoppedReason"]) == (
        "TaskFailedToStart",
        "Task failed to start",
    )
    assert task["containers"][0]["reason"].startswith("CannotStartContainerError")
    assert "exitCode" not in task["containers"][0]


def test_a_missing_log_group_stops_the_task_unless_it_may_be_made(rig: LogRig) -> None:
    group = f"/made-by-{rig.image}-{clock.monotonic()}".replace(":", "-")
    rig.define({"awslogs-group": group})
    task = rig.reach(rig.begin(command="echo never"))
    assert task["stopCode"] == "TaskFailedToStart"
    assert task["stoppedReason"].startswith("ResourceInitializationError: failed to validate log")
    rig.define({"awslogs-group": group, "awslogs-create-group": "true"})
    arn = rig.begin(command="echo made")
    rig.reach(arn)
    assert rig.lines(arn, group=group) == ["made"]


def test_the_last_lines_may_come_after_the_end(rig: LogRig) -> None:
    rig.wish("configure", late_lines={"p": 1, "seconds": 1})
    arn = rig.begin(command="for i in 1 2 3 4 5; do echo $i; done")
    rig.reach(arn)
    assert rig.lines(arn) == ["1", "2"]
    wait_until(lambda: rig.lines(arn) == list("12345"), "all are there")


def test_nothing_is_left_running_when_the_simulator_closes(moto_endpoint: str) -> None:
    with LogRig(moto_endpoint, runner="process") as rig:
        arns = [rig.begin(command="sleep 600") for _ in range(3)]
        for arn in arns:
            rig.reach(arn, "RUNNING")
        names = [rig.look(arn)["containers"][0]["runtimeId"] for arn in arns]
    for name in names:
        pid = name.rpartition("-")[2]
        assert not Path("/proc", pid).exists()


@pytest.mark.docker
def test_too_much_memory_is_an_out_of_memory_error_with_137(docker: LogRig) -> None:
    docker.define(memory=32)
    arn = docker.begin(command="tail /dev/zero")
    container = docker.reach(arn)["containers"][0]
    assert container["exitCode"] == 137
    assert container["reason"] == "OutOfMemoryError: Container killed due to memory usage"


@pytest.mark.docker
def test_an_image_that_is_not_there_can_not_be_pulled(docker: LogRig) -> None:
    docker.image = "registry.example/none:1"
    docker.define()
    task = docker.reach(docker.begin(command="true"))
    assert task["stopCode"] == "TaskFailedToStart"
    assert task["stoppedReason"].startswith("CannotPullContainerError: ")
    assert "exitCode" not in task["containers"][0]


@pytest.mark.docker
def test_an_image_may_be_named_by_its_digest(docker: LogRig) -> None:
    engine = Engine(SOCKET, 10)
    digest = engine.call("GET", f"/images/{docker.image}/json").json()["Id"]
    engine.close()
    docker.image = f"registry.example/app@{digest}"
    docker.define()
    task = docker.reach(docker.begin(command="true"))
    assert task["containers"][0]["exitCode"] == 0
    assert task["containers"][0]["imageDigest"] == digest


@pytest.mark.docker
def test_a_sidecar_is_stopped_when_the_essential_container_ends(docker: LogRig) -> None:
    sidecar = {
        "name": "side",
        "image": docker.image,
        "essential": False,
        "command": ["sh", "-c", "trap 'exit 9' TERM; while :; do sleep 0.05; done"],
    }
    container = {"image": docker.image, "command": ["sh", "-c", "sleep 0.5; exit 4"]}
    docker.definition = docker.register(container=container, others=[sidecar])
    codes = {each["name"]: each["exitCode"] for each in docker.reach(docker.begin())["containers"]}
    assert codes == {"app": 4, "side": 9}


@pytest.mark.docker
def test_a_container_waits_for_one_that_prepares_a_volume(docker: LogRig) -> None:
    mount = {"sourceVolume": "work", "containerPath": "/scratch"}
    first = {
        "name": "first",
        "image": docker.image,
        "essential": False,
        "command": ["sh", "-c", "sleep 0.3; echo made > /scratch/file"],
        "mountPoints": [mount],
    }
    container = {
        "image": docker.image,
        "command": ["grep", "made", "/scratch/file"],
        "mountPoints": [mount],
        "dependsOn": [{"containerName": "first", "condition": "SUCCESS"}],
        "ulimits": [{"name": "nofile", "softLimit": 512, "hardLimit": 512}],
        "readonlyRootFilesystem": True,
    }
    docker.definition = docker.register(
        container=container, others=[first], volumes=[{"name": "work"}]
    )
    arn = docker.begin()
    codes = {each["name"]: each["exitCode"] for each in docker.reach(arn)["containers"]}
    assert codes == {"app": 0, "first": 0}
    engine = Engine(SOCKET, 10)
    volume = f"ecs-{arn.rpartition('/')[2]}-work"
    assert engine.call("GET", f"/volumes/{volume}").status == 404
    engine.close()


@pytest.mark.docker
def test_containers_are_removed_when_their_tasks_have_stopped(docker: LogRig) -> None:
    arn = docker.begin(command="true")
    docker.reach(arn)
    engine = Engine(SOCKET, 10)
    name = f"ecs-{arn.rpartition('/')[2]}-app"
    assert engine.call("GET", f"/containers/{name}/json").status == 404
    engine.close()


def _lines_or_none(rig: LogRig, arn: str) -> list[str] | None:
    task = rig.look(arn)
    return rig.lines(arn) if task["lastStatus"] in ("RUNNING", "STOPPED") else None

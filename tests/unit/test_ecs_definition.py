"""What is registered with ECS, and which content has which name."""

from dataclasses import replace
from typing import Any

import pytest

from barbeque_py.ecs_url import EcsUrl
from barbeque_py.executor import Blueprint
from barbeque_py.executors.ecs_definition import (
    Bucket,
    Definition,
    beside,
    define,
    family_of,
    logs_of,
    settings_of,
)
from tests.contracts.logstore_rigs import MemoryLogStore

URL = EcsUrl(
    cluster="jobs",
    subnets=("subnet-0a1b2c3d",),
    execution_role="execution",
    task_role="job",
    platform_version="1.4.0",
)
HOME = "ecs:123456789012:eu-west-1"


def a_definition(
    url: EcsUrl = URL, *, app: str = "media", grace: float = 30.0, **ecs: Any
) -> Definition:
    blueprint = Blueprint(app, "media:1", grace=grace, ecs={"logs": "awslogs", **ecs})
    settings = settings_of(url, blueprint)
    bucket = Bucket("logs-of-shop", "logs/", MemoryLogStore())
    logs = logs_of(settings, app, installation="abc123", region="eu-west-1", bucket=bucket)
    return define(blueprint, settings, installation="abc123", home=HOME, logs=logs)


def container(definition: Definition, name: str = "app") -> dict[str, Any]:
    (found,) = [each for each in definition.request["containerDefinitions"] if each["name"] == name]
    return dict(found)


def test_a_definition_says_all_that_no_override_can() -> None:
    request = a_definition().request
    tags = {each["key"]: each["value"] for each in request.pop("tags")}
    assert request == {
        "family": "barbeque-abc123-media",
        "networkMode": "awsvpc",
        "requiresCompatibilities": ["FARGATE"],
        "cpu": "256",
        "memory": "512",
        "taskRoleArn": "job",
        "executionRoleArn": "execution",
        "containerDefinitions": [
            {
                "name": "app",
                "image": "media:1",
                "essential": True,
                "stopTimeout": 30,
                "logConfiguration": {
                    "logDriver": "awslogs",
                    "options": {
                        "awslogs-group": "/barbeque/abc123",
                        "awslogs-region": "eu-west-1",
                        "awslogs-stream-prefix": "media",
                        "mode": "blocking",
                    },
                },
            }
        ],
    }
    assert tags == {
        "barbeque.installation": "abc123",
        "barbeque.app": "media",
        "barbeque.content": a_definition().content,
    }


def test_the_same_content_has_one_name_and_any_other_its_own() -> None:
    known = {a_definition().content}
    assert {a_definition().content} == known
    others = [
        a_definition(app="video"),
        a_definition(grace=31),
        a_definition(replace(URL, task_role="other")),
        a_definition(user="1000"),
        a_definition(tags={"team": "media"}),
        a_definition(log={"group": "/other"}),
        a_definition(logs="firelens"),
        a_definition(launch="ec2"),
    ]
    assert len({each.content for each in others} | known) == len(others) + 1
    same = [a_definition(subnets=["subnet-1a1b2c3d"]), a_definition(launch="fargate_spot")]
    assert {each.content for each in same} == known  # said by each launch


@pytest.mark.parametrize(
    ("app", "family"),
    [
        ("media", "barbeque-abc123-media"),
        ("A::B", r"barbeque-abc123-A--B-"),
        ("a.b", "barbeque-abc123-a-b-"),
        ("x" * 128, "barbeque-abc123-" + "x" * 128),
        ("x" * 300, "barbeque-abc123-xxx"),
    ],
)
def test_a_family_has_clean_names(app: str, family: str) -> None:
    found = family_of("abc123", app)
    assert found.startswith(family)
    assert len(found) <= 255
    assert found.replace("-", "").isalnum()


def test_apps_whose_names_are_cleaned_alike_have_families_of_their_own() -> None:
    assert len({family_of("abc123", app) for app in ("a.b", "a:b", "a-b", "a_b")}) == 4


def test_every_setting_of_a_container_is_written() -> None:
    definition = a_definition(
        memory_reservation=128,
        secrets={"TOKEN": "/media/token", "A": "arn:a"},
        env_files=["arn:aws:s3:::bucket/a.env"],
        mounts=[{"volume": "films", "path": "/films", "read_only": True}],
        ulimits={"nofile": [1024, 4096]},
        depends_on={"proxy": "HEALTHY"},
        health_check={"command": ["CMD-SHELL", "true"], "interval": 10},
        linux={
            "capabilities": {"add": ["SYS_PTRACE"], "drop": ["ALL"]},
            "init": True,
            "tmpfs": [{"path": "/tmp", "size": 64, "options": ["noexec"]}],
        },
        user="1000:1000",
        working_directory="/app",
        read_only_root=True,
        registry_credentials="arn:secret",
        sidecars=[{"name": "proxy", "image": "proxy:1", "memory": 128, "ports": [8080]}],
        volumes=[
            {"name": "films", "efs": {"file_system": "fs-0a1b2c3d", "access_point": "fsap-1"}}
        ],
    )
    found = container(definition)
    assert found["memoryReservation"] == 128
    assert found["secrets"] == [
        {"name": "A", "valueFrom": "arn:a"},
        {"name": "TOKEN", "valueFrom": "/media/token"},
    ]
    assert found["environmentFiles"] == [{"type": "s3", "value": "arn:aws:s3:::bucket/a.env"}]
    assert found["mountPoints"] == [
        {"sourceVolume": "films", "containerPath": "/films", "readOnly": True}
    ]
    assert found["ulimits"] == [{"name": "nofile", "softLimit": 1024, "hardLimit": 4096}]
    assert found["dependsOn"] == [{"containerName": "proxy", "condition": "HEALTHY"}]
    assert found["healthCheck"] == {
        "command": ["CMD-SHELL", "true"],
        "interval": 10,
        "timeout": 5,
        "retries": 3,
    }
    assert found["linuxParameters"] == {
        "capabilities": {"add": ["SYS_PTRACE"], "drop": ["ALL"]},
        "initProcessEnabled": True,
        "tmpfs": [{"containerPath": "/tmp", "size": 64, "mountOptions": ["noexec"]}],
    }
    assert (found["user"], found["workingDirectory"]) == ("1000:1000", "/app")
    assert found["readonlyRootFilesystem"] is True
    assert found["repositoryCredentials"] == {"credentialsParameter": "arn:secret"}
    assert definition.request["volumes"] == [
        {
            "name": "films",
            "efsVolumeConfiguration": {
                "fileSystemId": "fs-0a1b2c3d",
                "transitEncryption": "ENABLED",
                "authorizationConfig": {"accessPointId": "fsap-1"},
            },
        }
    ]


def test_a_sidecar_logs_beside_the_job_and_does_not_end_it() -> None:
    said = {"name": "proxy", "image": "proxy:1", "env": {"A": ""}, "stop_timeout": 500}
    definition = a_definition(sidecars=[said])
    assert container(definition, "proxy") == {
        "name": "proxy",
        "image": "proxy:1",
        "essential": False,
        "environment": [{"name": "A", "value": ""}],
        "stopTimeout": 120,
        "logConfiguration": container(definition)["logConfiguration"],
    }


def test_a_task_on_fargate_is_registered_large_enough_for_its_sidecars() -> None:
    sidecars = [{"name": "a", "image": "a", "cpu": 256, "memory": 1024}]
    request = a_definition(sidecars=sidecars, ephemeral_storage=50).request
    assert (request["cpu"], request["memory"]) == ("512", "2048")
    assert request["ephemeralStorage"] == {"sizeInGiB": 50}
    with pytest.raises(ValueError, match="Fargate has no task of cpu 16640"):
        a_definition(sidecars=[{"name": "a", "image": "a", "cpu": 16384}])


def test_instances_take_what_fargate_does_not() -> None:
    definition = a_definition(
        replace(URL, subnets=()),
        launch="ec2",
        gpu=2,
        grace=300.0,
        cpu_architecture="arm64",
        linux={"shm_size": 2048},
        memory_reservation=1024,
        sidecars=[{"name": "a", "image": "a"}],
        volumes=[{"name": "v"}, {"name": "h", "host": "/h"}, {"name": "d", "docker": {}}],
    )
    request, found = definition.request, container(definition)
    assert request["networkMode"] == "bridge"
    assert request["requiresCompatibilities"] == ["EC2"]
    assert not {"cpu", "memory"} & set(request)
    assert request["runtimePlatform"] == {
        "cpuArchitecture": "ARM64",
        "operatingSystemFamily": "LINUX",
    }
    assert found["resourceRequirements"] == [{"type": "GPU", "value": "2"}]
    assert (found["stopTimeout"], found["memory"], found["memoryReservation"]) == (300, 1024, 1024)
    assert found["linuxParameters"] == {"sharedMemorySize": 2048}
    assert container(definition, "a")["memoryReservation"] == 64
    assert request["volumes"] == [
        {"name": "v"},
        {"name": "h", "host": {"sourcePath": "/h"}},
        {"name": "d", "dockerVolumeConfiguration": {"scope": "task"}},
    ]
    assert a_definition(launch="ec2").request["networkMode"] == "awsvpc"  # it has subnets


@pytest.mark.parametrize(("grace", "seconds"), [(0.0, 2), (2.1, 3), (120.0, 120), (3600.0, 120)])
def test_the_grace_is_what_fargate_allows(grace: float, seconds: int) -> None:
    assert container(a_definition(grace=grace))["stopTimeout"] == seconds


def test_firelens_has_its_router_and_its_share_of_the_task() -> None:
    definition = a_definition(logs="firelens", firelens={"memory_reservation": 100})
    assert container(definition)["logConfiguration"] == {"logDriver": "awsfirelens"}
    router = container(definition, "log_router")
    assert router["memoryReservation"] == 100
    assert "logs/firelens/abc123/" in router["environment"][0]["value"]
    assert definition.request["memory"] == "1024"
    settings = settings_of(URL, Blueprint("media", "media:1", ecs={"logs": "firelens"}))
    assert beside(settings) == (0, 64)
    with pytest.raises(ValueError, match="BARBEQUE_LOGS"):
        logs_of(settings, "media", installation="abc123", region="eu-west-1", bucket=None)


def test_a_stream_prefix_has_no_colon() -> None:
    options = container(a_definition(app="A::B"))["logConfiguration"]["options"]
    assert options["awslogs-stream-prefix"] == "A--B"

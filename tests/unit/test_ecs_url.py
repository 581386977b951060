"""The executor's URL for a fleet."""

from datetime import timedelta

import pytest

from barbeque_py.ecs_url import EcsUrl, read_ecs_url

ARN = "arn:aws:ecs:eu-west-1:123456789012:cluster/jobs"


def test_a_cluster_is_enough() -> None:
    url = read_ecs_url("ecs:jobs")
    assert url == EcsUrl(cluster="jobs")
    assert (url.launch, url.token_window, url.log_wait, url.check_every) == (
        "fargate",
        timedelta(minutes=50),
        timedelta(seconds=15),
        timedelta(seconds=60),
    )
    assert (url.log_group, url.events, url.slots, url.exec) == (None, None, None, False)


def test_every_parameter_is_read() -> None:
    url = read_ecs_url(
        "ecs:jobs?region=eu-west-1&subnets=subnet-0a1b2c3d,subnet-1a1b2c3d&security_groups=sg-0a1b2c3d"
        "&public_ip=yes&launch=fargate_spot&task_role=job&execution_role=execution"
        "&platform_version=1.4.0&exec=1&log_group=/jobs&events=task-events&slots=500&quota=2.5"
        "&token_window=12s&log_wait=0.5s&check_every=2s"
    )
    assert url == EcsUrl(
        cluster="jobs",
        region="eu-west-1",
        subnets=("subnet-0a1b2c3d", "subnet-1a1b2c3d"),
        security_groups=("sg-0a1b2c3d",),
        public_ip=True,
        launch="fargate_spot",
        task_role="job",
        execution_role="execution",
        platform_version="1.4.0",
        exec=True,
        log_group="/jobs",
        events="task-events",
        slots=500,
        quota=2.5,
        token_window=timedelta(seconds=12),
        log_wait=timedelta(seconds=0.5),
        check_every=timedelta(seconds=2),
    )


def test_a_cluster_may_be_an_arn_which_says_the_region() -> None:
    assert read_ecs_url(f"ecs:{ARN}?launch=ec2").region == "eu-west-1"
    assert read_ecs_url(f"ecs:{ARN}?region=eu-west-1").cluster == ARN


@pytest.mark.parametrize(
    ("text", "cure"),
    [
        ("ecs:", "ecs:CLUSTER"),
        ("ecs", "ecs:CLUSTER"),
        ("docker:", "ecs:CLUSTER"),
        ("ecs:a/b", "cluster's name or ARN"),
        ("ecs:jobs?subnet=subnet-0a1b2c3d", "subnets"),
        ("ecs:jobs?colour=red", "known: region"),
        ("ecs:jobs?exec=1&exec=1", "twice"),
        ("ecs:jobs?exec", "NAME=VALUE"),
        ("ecs:jobs?exec=perhaps", "exec: write 1"),
        ("ecs:jobs?launch=lambda", "fargate, fargate_spot or ec2"),
        ("ecs:jobs?region=here", "eu-west-1"),
        ("ecs:jobs?subnets=subnet-0a1b2c3d,,", "subnet's id"),
        ("ecs:jobs?subnets=subnet-0a1b2c3d,subnet-0a1b2c3d", "each once"),
        ("ecs:jobs?security_groups=default", "sg-0a1b2c3d"),
        ("ecs:jobs?slots=0", "1 to 100000"),
        ("ecs:jobs?slots=1.5", "1 to 100000"),
        ("ecs:jobs?quota=0", "0.01 to 100"),
        ("ecs:jobs?quota=101", "0.01 to 100"),
        ("ecs:jobs?quota=1e1", "0.01 to 100"),
        ("ecs:jobs?token_window=51m", "1s to 50m"),
        ("ecs:jobs?token_window=soon", "token_window: 'soon' is not a duration"),
        ("ecs:jobs?launch=ec2&public_ip=1", "public_ip is for Fargate"),
        (f"ecs:{ARN}?region=us-east-1", "leave region out"),
    ],
)
def test_what_is_wrong_is_told_with_the_cure(text: str, cure: str) -> None:
    with pytest.raises(ValueError, match=cure.replace("(", r"\(")):
        read_ecs_url(text)

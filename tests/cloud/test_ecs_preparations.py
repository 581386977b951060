"""The simulator of ECS brings secrets and env files in, and takes logs out through FireLens."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest

from tests.cloud.ecs_rig import EcsRig
from tests.cloud.firelens import write_key
from tests.cloud.moto_side import Moto

ROUTER = {
    "name": "log_router",
    "image": "fluent-bit",
    "essential": True,
    "firelensConfiguration": {"type": "fluentbit"},
}


class AwsRig(EcsRig):
    """A rig of processes with clients of moto."""

    def __init__(self, moto: Moto) -> None:
        super().__init__(moto.endpoint, runner="process")
        self._endpoint = moto.endpoint

    def client(self, service: str) -> Any:
        return boto3.session.Session().client(
            service,
            endpoint_url=self._endpoint,
            region_name="us-east-1",
            aws_access_key_id="x",
            aws_secret_access_key="x",
        )

    def route(self, **options: str) -> None:
        """Define a task whose lines go through FireLens with these options."""
        log = {"logDriver": "awsfirelens", "options": options}
        self.definition = self.register(container={"logConfiguration": log}, others=[ROUTER])


@pytest.fixture(scope="module")
def moto() -> Iterator[Moto]:
    moto = Moto()
    moto.start()
    client = boto3.session.Session().client(
        "s3",
        endpoint_url=moto.endpoint,
        region_name="us-east-1",
        aws_access_key_id="x",
        aws_secret_access_key="x",
    )
    client.create_bucket(Bucket="lines")
    client.close()
    yield moto
    moto.stop()


@pytest.fixture
def rig(moto: Moto) -> Iterator[AwsRig]:
    with AwsRig(moto) as rig:
        yield rig


def objects(rig: AwsRig, prefix: str) -> dict[str, str]:
    s3 = rig.client("s3")
    listed = s3.list_objects_v2(Bucket="lines", Prefix=prefix).get("Contents", [])
    found = {
        each["Key"]: s3.get_object(Bucket="lines", Key=each["Key"])["Body"].read().decode()
        for each in listed
    }
    s3.close()
    return found


def test_firelens_writes_records_with_their_stream_to_s3(rig: AwsRig) -> None:
    rig.route(Name="s3", bucket="lines", s3_key_format="/one/$TAG[0]/$INDEX", use_put_object="On")
    task = rig.reach(rig.begin(command="echo out; echo err >&2"))
    assert {each["name"]: each["exitCode"] for each in task["containers"]} == {
        "app": 0,
        "log_router": 0,
    }
    [(key, text)] = objects(rig, "one/").items()
    identity = task["taskArn"].rpartition("/")[2]
    assert key.startswith(f"one/app-firelens-{identity}/0-object")
    records = [json.loads(line) for line in text.splitlines()]
    assert sorted((each["source"], each["log"]) for each in records) == [
        ("stderr", "err"),
        ("stdout", "out"),
    ]
    assert records[0]["ecs_task_arn"] == task["taskArn"]


def test_firelens_writes_bare_lines_into_objects_of_the_size_wished(rig: AwsRig) -> None:
    rig.route(
        name="s3",
        bucket="lines",
        s3_key_format="/two/$INDEX",
        total_file_size="1K",
        log_key="log",
    )
    rig.reach(rig.begin(command="seq 1000"))
    found = objects(rig, "two/")
    assert list(found) == ["two/0", "two/1", "two/2", "two/3"]
    assert "".join(found.values()) == "".join(f"{number}\n" for number in range(1, 1001))


def test_a_key_knows_tags_their_parts_and_the_time() -> None:
    instant = datetime(2026, 11, 21, 20, 5, tzinfo=UTC)
    key = write_key(
        "/$TAG[1]/%Y/%m/$INDEX/$TAG", tag="a.b", delimiters=".", index=3, instant=instant
    )
    assert key == "b/2026/11/3/a.b"


def test_firelens_writes_to_cloudwatch(rig: AwsRig) -> None:
    rig.route(
        Name="cloudwatch_logs",
        log_group_name="/firelens",
        log_stream_prefix="bq/",
        auto_create_group="true",
        log_key="log",
    )
    arn = rig.begin(command="echo hello")
    rig.reach(arn)
    logs = rig.client("logs")
    stream = f"bq/app-firelens-{arn.rpartition('/')[2]}"
    events = logs.get_log_events(logGroupName="/firelens", logStreamName=stream)["events"]
    logs.close()
    assert [event["message"] for event in events] == ["hello"]


def test_secrets_and_env_files_become_variables_under_the_overrides(rig: AwsRig) -> None:
    secrets = rig.client("secretsmanager")
    arn = secrets.create_secret(Name="db", SecretString='{"password": "pw"}')["ARN"]
    secrets.close()
    ssm = rig.client("ssm")
    ssm.put_parameter(Name="/app/key", Value="k", Type="SecureString")
    ssm.close()
    s3 = rig.client("s3")
    s3.put_object(Bucket="lines", Key="app.env", Body=b"# ours\nA=file\nB=file\n")
    s3.close()
    rig.definition = rig.register(
        container={
            "secrets": [
                {"name": "PASSWORD", "valueFrom": f"{arn}:password::"},
                {
                    "name": "KEY",
                    "valueFrom": "arn:aws:ssm:us-east-1:123456789012:parameter/app/key",
                },
            ],
            "environmentFiles": [{"type": "s3", "value": "arn:aws:s3:::lines/app.env"}],
        }
    )
    arn = rig.begin(command='[ "$PASSWORD$KEY$A$B" = pwkoverfile ]', env={"A": "over"})
    assert rig.reach(arn)["containers"][0]["exitCode"] == 0


def test_a_secret_that_is_not_there_keeps_the_task_from_starting(rig: AwsRig) -> None:
    secret = {"name": "S", "valueFrom": "no-such-parameter"}
    rig.definition = rig.register(container={"secrets": [secret]})
    task = rig.reach(rig.begin(command="true"))
    assert task["stopCode"] == "TaskFailedToStart"
    assert task["stoppedReason"].startswith(
        "ResourceInitializationError: unable to pull secrets or registry auth"
    )

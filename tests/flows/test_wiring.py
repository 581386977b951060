"""What the settings name in AWS is put together with one Region, and taken apart again."""

import uuid
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from barbeque_py.broker import Parcel
from barbeque_py.brokers.sqs_queues import SqsQueues
from barbeque_py.errors import ConfigurationError
from barbeque_py.settings import Settings
from barbeque_py.store import Store, schema
from barbeque_py.wiring.front import Front, open_front
from barbeque_py.wiring.parts import open_parts
from tests.cloud.rig import CloudProcess

REGION = "eu-west-2"


@pytest.fixture
def fleet(
    calm_cloud: CloudProcess,
    aws_environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Iterator[dict[str, str]]:
    """The settings of a fleet whose database is there; nothing tells boto3 a Region."""
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name)
    bucket = f"wired-{uuid.uuid4().hex[:12]}"
    calm_cloud.client("s3").create_bucket(Bucket=bucket)
    given = {
        "BARBEQUE_HOME": str(tmp_path),
        "BARBEQUE_BROKER": f"sqs:?prefix=W{uuid.uuid4().hex[:8]}-",
        "BARBEQUE_EXECUTOR": "ecs:wired?subnets=subnet-0a1b2c3d",
        "BARBEQUE_LOGS": f"s3://{bucket}/logs",
        "AWS_REGION": REGION,
    }
    making = Store(Settings.from_environment(given).database, create=True)
    schema.migrate(making)
    making.close()
    yield given
    calm_cloud.client("s3").delete_objects(
        Bucket=bucket, Delete={"Objects": [{"Key": "logs/wired"}]}
    )
    calm_cloud.client("s3").delete_bucket(Bucket=bucket)


def test_aws_region_alone_is_enough_for_every_part(
    fleet: dict[str, str], calm_cloud: CloudProcess
) -> None:
    calm_cloud.control("ecs", "configure", runner="fake")
    with closing(open_parts(Settings.from_environment(fleet))) as parts:
        assert made_in(parts) == REGION
        parts.broker.send("default", [Parcel(body="{}", app="media")])
        (delivery,) = parts.broker.receive("default", wait=timedelta(seconds=5))
        parts.broker.delete([delivery])
        parts.logs.put("wired", [b"line"])
        assert parts.logs.read("wired") == b"line"
        with pytest.raises(Exception, match="there is no ECS cluster wired"):
            parts.executor.place()


def test_the_region_of_a_url_wins(fleet: dict[str, str]) -> None:
    fleet |= {"BARBEQUE_BROKER": fleet["BARBEQUE_BROKER"] + "&region=ap-south-1"}
    with closing(open_front(Settings.from_environment(fleet))) as front:
        assert made_in(front) == "ap-south-1"


def made_in(front: Front) -> str:
    """Make a queue and return its Region."""
    assert isinstance(front.queues, SqsQueues)
    front.queues.ensure_queue("default")
    return front.queues.queue_arn("default").split(":")[3]


def test_without_any_region_the_start_says_so_and_leaves_nothing_open(
    fleet: dict[str, str],
) -> None:
    del fleet["AWS_REGION"]
    with pytest.raises(ConfigurationError, match="no AWS Region is set: set AWS_REGION"):
        open_parts(Settings.from_environment(fleet))


def test_a_machine_without_aws_has_no_queues_to_make_and_no_topics(tmp_path: Path) -> None:
    settings = Settings.from_environment({"BARBEQUE_HOME": str(tmp_path)})
    making = Store(settings.database, create=True)
    schema.migrate(making)
    making.close()
    with closing(open_front(settings)) as front:
        assert (front.queues, front.topics) == (None, None)

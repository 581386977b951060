"""ECS through the cloud's front, as boto3 sees it."""

import json
from datetime import datetime
from typing import Any

import pytest
from boto3.session import Session
from botocore.exceptions import ClientError

from tests.cloud.rig import CloudProcess
from tests.waiting import wait_until


@pytest.fixture
def cloud(calm_cloud: CloudProcess) -> CloudProcess:
    calm_cloud.control("ecs", "configure", runner="fake", event_queue="ecs-front")
    calm_cloud.client("sqs").create_queue(QueueName="ecs-front")
    calm_cloud.client("ecs").create_cluster(clusterName="front", capacityProviders=["FARGATE"])
    calm_cloud.client("ecs").register_task_definition(
        family="front",
        requiresCompatibilities=["FARGATE"],
        networkMode="awsvpc",
        cpu="256",
        memory="512",
        containerDefinitions=[{"name": "app", "image": "app:1"}],
    )
    return calm_cloud


def run(cloud: CloudProcess, **request: Any) -> Any:
    return cloud.client("ecs").run_task(
        cluster="front",
        taskDefinition="front",
        launchType="FARGATE",
        networkConfiguration={"awsvpcConfiguration": {"subnets": ["subnet-1"]}},
        **request,
    )


def test_boto3_reads_times_and_the_exit_code(cloud: CloudProcess) -> None:
    arn = run(cloud, startedBy="bq/x/1")["tasks"][0]["taskArn"]

    def look() -> Any:
        task = cloud.client("ecs").describe_tasks(cluster="front", tasks=[arn])["tasks"][0]
        return task if task["lastStatus"] == "STOPPED" else None

    task = wait_until(look, "the task has stopped")
    assert isinstance(task["stoppedAt"], datetime)
    assert task["containers"][0]["exitCode"] == 0


def test_a_conflict_carries_the_arns_to_boto3(cloud: CloudProcess) -> None:
    arn = run(cloud, clientToken="front-1")["tasks"][0]["taskArn"]
    with pytest.raises(ClientError) as raised:
        run(cloud, clientToken="front-1", startedBy="other")
    assert raised.value.response["Error"]["Code"] == "ConflictException"
    assert raised.value.response["resourceIds"] == [arn]


def test_a_lost_answer_did_the_work_and_its_repeat_finds_it(cloud: CloudProcess) -> None:
    cloud.faults(ecs={"lose_answer": 1.0, "only": ["RunTask"]})
    with pytest.raises(Exception, match=r"(?i)closed|reset|abort"):
        run(cloud, clientToken="front-2", startedBy="bq/lost")
    cloud.faults()
    assert len(run(cloud, clientToken="front-2", startedBy="bq/lost")["tasks"]) == 1
    assert len(cloud.control("ecs", "tasks", startedBy="bq/lost")["tasks"]) == 1


def test_events_arrive_in_the_queue(cloud: CloudProcess) -> None:
    sqs = cloud.client("sqs")
    url = sqs.get_queue_url(QueueName="ecs-front")["QueueUrl"]
    cloud.control("sqs", "purge", queue="ecs-front")
    run(cloud, startedBy="bq/event")
    seen: list[str] = []

    def look() -> bool:
        answer = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1, MaxNumberOfMessages=10)
        for message in answer.get("Messages", []):
            detail = json.loads(message["Body"])["detail"]
            if detail.get("startedBy") == "bq/event":
                seen.append(detail["lastStatus"])
        return sorted(seen) == ["RUNNING", "STOPPED"]

    wait_until(look, "both events are there")


def test_each_region_has_its_own_clusters(cloud: CloudProcess) -> None:
    client = Session().client(
        "ecs",
        endpoint_url=cloud.endpoint,
        region_name="eu-west-1",
        aws_access_key_id="x",
        aws_secret_access_key="x",
    )
    with pytest.raises(client.exceptions.ClusterNotFoundException):
        client.run_task(cluster="front", taskDefinition="front")
    client.create_cluster(clusterName="front")
    client.register_task_definition(
        family="front", containerDefinitions=[{"name": "app", "image": "app:1", "memory": 64}]
    )
    arn = client.run_task(cluster="front", taskDefinition="front")["tasks"][0]["taskArn"]
    assert arn.startswith("arn:aws:ecs:eu-west-1:123456789012:task/front/")
    client.close()

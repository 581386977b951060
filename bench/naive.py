"""The yardstick of a fleet's calls: what one would write first.

One message at a time: received, inserted as a row, started, deleted. Then each task is asked after
once a second, each in a call of its own, until it has stopped. Its log is not read.
"""

import json
import time
from typing import Any

from barbeque_py import clock
from bench.fleet import CLUSTER, PREFIX, QUEUE, Fleet

_TABLE = "CREATE TABLE naive (message_id VARCHAR(36) PRIMARY KEY, message TEXT, task TEXT)"
_CONTAINER = {"name": "app", "image": "bench:1", "essential": True, "memory": 512}
_NETWORK = {"awsvpcConfiguration": {"subnets": ["subnet-12345678"]}}
_EACH = 1.0


def work_off(fleet: Fleet, count: int, seconds: float) -> None:
    """Work so many messages off whose jobs take so long; no worker of ours may be there."""
    ecs, sqs = fleet.cloud.client("ecs"), fleet.cloud.client("sqs")
    definition = ecs.register_task_definition(
        family="naive",
        containerDefinitions=[_CONTAINER],
        requiresCompatibilities=["FARGATE"],
        networkMode="awsvpc",
        cpu="256",
        memory="512",
    )["taskDefinition"]["taskDefinitionArn"]
    url = sqs.get_queue_url(QueueName=PREFIX + QUEUE)["QueueUrl"]
    with fleet.front.store.engine.begin() as connection:
        connection.exec_driver_sql(_TABLE)
    tasks: dict[str, float] = {}
    for _ in range(count):
        tasks[_start_one(fleet, sqs, url, definition, seconds)] = clock.monotonic() + _EACH
    while tasks:
        task, at = min(tasks.items(), key=lambda each: each[1])
        time.sleep(max(0.0, at - clock.monotonic()))
        seen = ecs.describe_tasks(cluster=CLUSTER, tasks=[task])["tasks"][0]
        if seen["lastStatus"] == "STOPPED":
            del tasks[task]
        else:
            tasks[task] = at + _EACH


def _start_one(fleet: Fleet, sqs: Any, url: str, definition: str, seconds: float) -> str:
    messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=1, WaitTimeSeconds=20)
    (message,) = messages["Messages"]
    job = json.loads(message["Body"])
    with fleet.front.store.engine.begin() as connection:
        row = f"INSERT INTO naive VALUES ('{job['MessageId']}', '', '')"
        connection.exec_driver_sql(row)
    length = {"name": "FAKE_SECONDS", "value": str(seconds)}
    answer = fleet.cloud.client("ecs").run_task(
        cluster=CLUSTER,
        taskDefinition=definition,
        launchType="FARGATE",
        networkConfiguration=_NETWORK,
        overrides={"containerOverrides": [{"name": "app", "environment": [length]}]},
    )
    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return str(answer["tasks"][0]["taskArn"])

"""What an operator makes in an AWS account before barbeque_py runs there; docs/ecs.md says why.

Plain boto3, which finds credentials, Region and endpoint in the environment.
"""

import json

import boto3

INSTALLATION = "demo01"
CLUSTER = "jobs"
BUCKET = "example-barbeque"
MEDIA = "example-media"
"""The bucket of the app itself, of which barbeque_py knows nothing."""
LOG_GROUP = f"/barbeque/{INSTALLATION}"
EVENTS = f"barbeque-{INSTALLATION}-task-events"


def set_up() -> None:
    """Make all of it; the queues of jobs are made by `barbeque apply`."""
    boto3.client("ecs").create_cluster(
        clusterName=CLUSTER, capacityProviders=["FARGATE", "FARGATE_SPOT"]
    )
    make_execution_role()
    make_buckets()
    logs = boto3.client("logs")
    logs.create_log_group(logGroupName=LOG_GROUP)
    logs.put_retention_policy(logGroupName=LOG_GROUP, retentionInDays=7)
    make_events_queue()


def settings(database: str, job_url: str) -> dict[str, str]:
    """Return what makes a laptop's barbeque_py a fleet's: four URLs, and where jobs reach the API.

    The log of a task is read 1 s after its end, not 15 s: these tasks' lines don't travel far.
    """
    return {
        "BARBEQUE_INSTALLATION": INSTALLATION,
        "BARBEQUE_DATABASE": database,
        "BARBEQUE_BROKER": "sqs:",
        "BARBEQUE_EXECUTOR": f"ecs:{CLUSTER}?subnets={subnet()}&execution_role=media-execution"
        "&log_wait=1s",
        "BARBEQUE_LOGS": f"s3://{BUCKET}/logs",
        "BARBEQUE_JOB_URL": job_url,
    }


def subnet() -> str:
    """Return one of the account's subnets, for the tasks."""
    subnets = boto3.client("ec2").describe_subnets()["Subnets"]
    return str(subnets[0]["SubnetId"])


def make_execution_role() -> None:
    """Make the role with which ECS starts tasks: it writes their lines to CloudWatch."""
    iam = boto3.client("iam")
    iam.create_role(
        RoleName="media-execution",
        AssumeRolePolicyDocument=json.dumps(
            policy(Principal={"Service": "ecs-tasks.amazonaws.com"}, Action="sts:AssumeRole")
        ),
    )
    iam.put_role_policy(
        RoleName="media-execution",
        PolicyName="write-logs",
        PolicyDocument=json.dumps(
            policy(
                Action=["logs:CreateLogStream", "logs:PutLogEvents"],
                Resource=f"arn:aws:logs:*:*:log-group:{LOG_GROUP}:*",
            )
        ),
    )


def make_buckets() -> None:
    """Make the bucket of logs, which forgets what only a killed worker leaves, and the app's."""
    s3 = boto3.client("s3")
    for bucket in (BUCKET, MEDIA):
        s3.create_bucket(Bucket=bucket)
    rule = {
        "ID": "unfinished uploads",
        "Status": "Enabled",
        "Filter": {"Prefix": ""},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
    }
    s3.put_bucket_lifecycle_configuration(Bucket=BUCKET, LifecycleConfiguration={"Rules": [rule]})


def make_events_queue() -> None:
    """Have EventBridge tell on a queue what becomes of tasks."""
    sqs, events = boto3.client("sqs"), boto3.client("events")
    url = sqs.create_queue(QueueName=EVENTS, Attributes={"MessageRetentionPeriod": "1209600"})
    asked = {"QueueUrl": url["QueueUrl"], "AttributeNames": ["QueueArn"]}
    queue = sqs.get_queue_attributes(**asked)["Attributes"]["QueueArn"]
    pattern = {
        "source": ["aws.ecs"],
        "detail-type": ["ECS Task State Change"],
        "detail": {
            "lastStatus": ["RUNNING", "STOPPED"],
            "startedBy": [{"prefix": f"bq/{INSTALLATION}/"}],
        },
    }
    rule = events.put_rule(Name=EVENTS, EventPattern=json.dumps(pattern))["RuleArn"]
    events.put_targets(Rule=EVENTS, Targets=[{"Id": "queue", "Arn": queue}])
    allowed = policy(
        Principal={"Service": "events.amazonaws.com"},
        Action="sqs:SendMessage",
        Resource=queue,
        Condition={"ArnEquals": {"aws:SourceArn": rule}},
    )
    sqs.set_queue_attributes(QueueUrl=url["QueueUrl"], Attributes={"Policy": json.dumps(allowed)})


def policy(**statement: object) -> dict[str, object]:
    """Return a policy that allows one thing."""
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement}]}

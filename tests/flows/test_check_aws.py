"""`barbeque check` on a fleet: what is wrong is named, each wrong thing with its cure."""

import json
import subprocess
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from barbeque_py.apps import App, JobDefinition, Queue, Subscription
from barbeque_py.brokers.sqs_queues import SqsQueues
from barbeque_py.cli.findings import examine
from barbeque_py.settings import Settings
from barbeque_py.store import Store, Tx, apps, subscriptions
from barbeque_py.store.schema import migrate
from tests.cloud.rig import REGION, CloudProcess
from tests.flows.place import BARBEQUE, free_port

PATIENCE = 90
SECRETS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "ecs-tasks.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    ],
}


@dataclass
class Fleet:
    """An installation whose every part is in the cloud, and right, until a test breaks one."""

    cloud: CloudProcess
    home: Path
    patch: pytest.MonkeyPatch
    mark: str = field(default_factory=lambda: uuid.uuid4().hex[:6])
    options: dict[str, str] = field(default_factory=dict)
    """Parameters of the executor's URL."""
    environment: dict[str, str] = field(default_factory=dict)
    installation: str = ""

    @property
    def prefix(self) -> str:
        return f"C{self.mark}-"

    @property
    def bucket(self) -> str:
        return f"logs-{self.mark}"

    @property
    def cluster(self) -> str:
        return f"jobs-{self.mark}"

    @property
    def events(self) -> str:
        return f"barbeque-{self.installation}-task-events"

    @property
    def group(self) -> str:
        return f"/barbeque/{self.installation}"

    def furnish(self) -> None:
        """Make what an operator makes, and what `migrate` and `apply` do."""
        store = Store(f"sqlite:///{self.home}/barbeque.db", create=True)
        self.installation = migrate(store)
        store.write(self._define)
        store.close()
        queues = SqsQueues(self.prefix, installation=self.installation, region=REGION)
        queues.ensure_queue("default")
        queues.close()
        self.cloud.client("s3").create_bucket(Bucket=self.bucket)
        self.cloud.client("ecs").create_cluster(clusterName=self.cluster)
        self.cloud.client("logs").create_log_group(logGroupName=self.group)
        self.cloud.client("iam").create_role(
            RoleName=f"execution-{self.mark}", AssumeRolePolicyDocument=json.dumps(TRUST)
        )
        self._furnish_events()
        self._furnish_network()

    def _define(self, tx: Tx) -> None:
        apps.put_queue(tx, Queue("default"))
        apps.put_app(tx, App("media", "media:1"))
        apps.put_job(tx, JobDefinition("media", "Encode", ("encode",)))

    def _furnish_events(self) -> None:
        sqs, events = self.cloud.client("sqs"), self.cloud.client("events")
        url = sqs.create_queue(QueueName=self.events)["QueueUrl"]
        arn = f"arn:aws:sqs:{REGION}:123456789012:{self.events}"
        statement = {
            "Effect": "Allow",
            "Principal": {"Service": "events.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": arn,
        }
        sqs.set_queue_attributes(
            QueueUrl=url, Attributes={"Policy": json.dumps({"Statement": [statement]})}
        )
        self.put_rule({"startedBy": [{"prefix": f"bq/{self.installation}/"}]})
        events.put_targets(Rule=self.rule, Targets=[{"Id": "queue", "Arn": arn}])

    @property
    def rule(self) -> str:
        return f"tasks-{self.mark}"

    def put_rule(self, detail: dict[str, Any]) -> None:
        pattern = {
            "source": ["aws.ecs"],
            "detail-type": ["ECS Task State Change"],
            "detail": {"lastStatus": ["RUNNING", "STOPPED"], **detail},
        }
        self.cloud.client("events").put_rule(Name=self.rule, EventPattern=json.dumps(pattern))

    def _furnish_network(self) -> None:
        ec2 = self.cloud.client("ec2")
        vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.1.0/24")["Subnet"]["SubnetId"]
        self.options = {"subnets": subnet, "execution_role": f"execution-{self.mark}"}

    @property
    def variables(self) -> dict[str, str]:
        options = "&".join(f"{name}={value}" for name, value in self.options.items())
        return {
            "PATH": "/usr/bin:/bin",
            "HOME": str(self.home),
            "AWS_CONFIG_FILE": str(self.home / "absent"),
            "AWS_SHARED_CREDENTIALS_FILE": str(self.home / "absent"),
            **{k: v for k, v in self.cloud.environment.items() if k != "AWS_DEFAULT_REGION"},
            "BARBEQUE_HOME": str(self.home),
            "BARBEQUE_BROKER": f"sqs:?prefix={self.prefix}",
            "BARBEQUE_EXECUTOR": f"ecs:{self.cluster}?{options}",
            "BARBEQUE_LOGS": f"s3://{self.bucket}/logs",
            "BARBEQUE_JOB_URL": "http://barbeque.internal:3004",
            "BARBEQUE_URL": f"http://127.0.0.1:{free_port()}",
            **self.environment,
        }

    def check(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [BARBEQUE, "check", *words],
            env={name: value for name, value in self.variables.items() if value},
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def found(self) -> list[dict[str, str]]:
        """Return what is found in this process, with the environment that the command has."""
        given = {name: value for name, value in self.variables.items() if value}
        told: list[str] = []
        with self.patch.context() as patch:
            for name in self.cloud.environment:
                patch.delenv(name)
            for name in [each for each in given if each.startswith("AWS_")]:
                patch.setenv(name, given[name])
            settings = Settings.from_environment(given)
            findings = [each.facts() for each in examine(settings, looking=told.append)]
        assert told[:2] == ["AWS", "the logs"]
        return findings

    def of(self, level: str) -> list[str]:
        return [
            f"{each['subject']}: {each['sentence']}"
            for each in self.found()
            if each["level"] == level
        ]

    def fault(self) -> str:
        """Return the one fault that there is."""
        faults = self.of("fault")
        assert len(faults) == 1, faults
        return faults[0]

    def url_of(self, queue: str) -> str:
        return str(self.cloud.client("sqs").get_queue_url(QueueName=queue)["QueueUrl"])


@pytest.fixture
def fleet(
    calm_cloud: CloudProcess,
    aws_environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Fleet:
    fleet = Fleet(calm_cloud, tmp_path, monkeypatch)
    fleet.furnish()
    return fleet


def test_a_fleet_that_is_right_has_no_fault_and_its_bounds_are_told(fleet: Fleet) -> None:
    found = fleet.found()
    assert [each for each in found if each["level"] == "fault"] == []
    told = " ".join(each["sentence"] for each in found)
    assert "account 123456789012, Region us-east-1" in told
    assert "this machine's clock agrees with AWS's" in told
    assert f"queues named {fleet.prefix}QUEUE: default, and their dead-letter queues" in told
    assert "an object was written, read, listed, removed" in told
    assert f":cluster/{fleet.cluster} is ACTIVE" in told
    assert "the role may start, find and stop tasks" in told
    assert f"execution-{fleet.mark} can be passed to tasks" in told
    assert f"the log group {fleet.group} is there and can be read" in told
    assert f"EventBridge may send what happens to tasks to {fleet.events}" in told
    assert "20 tasks a second on Fargate" in told
    assert "25 GetLogEvents a second, so 12 attempts a second" in told
    assert "logs: firelens" in told


def test_a_check_leaves_nothing_behind(fleet: Fleet) -> None:
    fleet.cloud.client("sqs").send_message(
        QueueUrl=fleet.url_of(f"{fleet.prefix}default"), MessageBody="x"
    )
    fleet.found()
    assert "Contents" not in fleet.cloud.client("s3").list_objects_v2(Bucket=fleet.bucket)
    assert (
        fleet.cloud.client("ecs").list_task_definitions(
            familyPrefix=f"barbeque-{fleet.installation}-check"
        )["taskDefinitionArns"]
        == []
    )
    found = fleet.cloud.client("sqs").receive_message(
        QueueUrl=fleet.url_of(f"{fleet.prefix}default"), WaitTimeSeconds=5
    )
    assert [each["Body"] for each in found["Messages"]] == ["x"]


def test_people_see_each_finding_as_a_line(fleet: Fleet) -> None:
    ended = fleet.check()
    assert ended.returncode == 0, ended.stdout
    assert f"ok       cluster    arn:aws:ecs:{REGION}:123456789012:cluster/" in ended.stdout
    assert "note     quotas     " in ended.stdout


def test_programs_get_json_and_an_exit_code(fleet: Fleet) -> None:
    ended = fleet.check("--json")
    assert (ended.returncode, ended.stderr) == (0, "")
    answer = json.loads(ended.stdout)
    assert answer["settings"]["AWS_REGION"] == REGION
    assert set(answer["findings"][0]) == {"level", "subject", "sentence"}
    fleet.cloud.client("sqs").delete_queue(QueueUrl=fleet.url_of(fleet.events))
    assert fleet.check("--json").returncode == 1


def test_in_a_slow_region_fewer_logs_are_read_in_a_second(fleet: Fleet) -> None:
    fleet.environment["AWS_REGION"] = "eu-west-1"
    told = " ".join(fleet.of("note"))
    assert "eu-west-1 has 10 GetLogEvents a second, so 5 attempts a second" in told


def test_no_region(fleet: Fleet) -> None:
    fleet.environment["AWS_REGION"] = ""
    assert fleet.fault().startswith("aws: no AWS Region is set: set AWS_REGION")


def test_no_credentials(fleet: Fleet) -> None:
    fleet.environment |= dict.fromkeys(SECRETS, "")
    assert "no AWS credentials were found: run under a role" in fleet.fault()


def test_an_endpoint_where_nobody_answers(fleet: Fleet) -> None:
    fleet.environment["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{free_port()}"
    faults = fleet.of("fault")
    assert {each.partition(":")[0] for each in faults} == {
        "logs",
        "broker",
        "executor",
        "task logs",
        "events",
    }
    assert all("Could not connect to the endpoint URL" in each for each in faults)
    assert all("Is the network up, and the Region right?" in each for each in faults)


def test_a_missing_queue(fleet: Fleet) -> None:
    fleet.cloud.client("sqs").delete_queue(QueueUrl=fleet.url_of(f"{fleet.prefix}default"))
    told = fleet.fault()
    assert told.startswith(f"queue: there is no queue {fleet.prefix}default in SQS")
    assert "`barbeque apply -f FILE` makes" in told


def test_a_queue_of_another_installation(fleet: Fleet) -> None:
    url = fleet.url_of(f"{fleet.prefix}default")
    fleet.cloud.client("sqs").tag_queue(QueueUrl=url, Tags={"barbeque.installation": "other1"})
    told = fleet.fault()
    assert f"{fleet.prefix}default belongs to the installation other1" in told
    assert "give BARBEQUE_BROKER another prefix" in told


def test_a_queue_that_keeps_messages_too_short(fleet: Fleet) -> None:
    url = fleet.url_of(f"{fleet.prefix}default")
    fleet.cloud.client("sqs").set_queue_attributes(
        QueueUrl=url, Attributes={"MessageRetentionPeriod": "3600", "RedrivePolicy": ""}
    )
    (told,) = [each for each in fleet.of("warning") if each.startswith("queue:")]
    assert "it does not keep messages for 14 days" in told
    assert f"does not go to {fleet.prefix}default-dead" in told
    assert "`barbeque apply -f FILE` brings it right" in told


@pytest.mark.parametrize(
    "operation",
    ["ReceiveMessage", "SendMessageBatch", "DeleteMessageBatch", "ChangeMessageVisibilityBatch"],
)
def test_a_permission_that_a_queue_lacks(fleet: Fleet, operation: str) -> None:
    fleet.cloud.faults(sqs={"deny": [operation]})
    faults = [each for each in fleet.of("fault") if each.startswith("queue:")]
    action = f"sqs:{operation.removesuffix('Batch')}"
    assert any(f"may not do {action} on {fleet.prefix}default" in each for each in faults), faults
    assert all("allow it in the role's policy" in each for each in faults)


def test_a_role_that_may_not_make_queues_is_only_warned_about(fleet: Fleet) -> None:
    fleet.cloud.faults(sqs={"deny": ["CreateQueue", "TagQueue"]})
    told = " ".join(fleet.of("warning"))
    assert "sqs:CreateQueue, sqs:TagQueue" in told
    assert "the API's role must" in told
    assert fleet.of("fault") == []


def test_what_could_not_be_looked_at_is_said(fleet: Fleet) -> None:
    fleet.cloud.faults(
        iam={"deny": ["SimulatePrincipalPolicy", "GetRole"]},
        ec2={"deny": ["DescribeSubnets"]},
        events={"deny": ["GET", "ListRuleNamesByTarget"]},
        s3={"deny": ["GetBucketLifecycle"]},
    )
    told = " ".join(fleet.of("note"))
    for permission in (
        "allow iam:SimulatePrincipalPolicy",
        "iam:GetRole",
        "ec2:DescribeSubnets",
        "events:ListRuleNamesByTarget",
        "s3:GetLifecycleConfiguration",
    ):
        assert permission in told, permission
    assert "RegisterTaskDefinition can't be tried" in told
    assert fleet.of("fault") == []


def test_a_missing_events_queue(fleet: Fleet) -> None:
    fleet.cloud.client("sqs").delete_queue(QueueUrl=fleet.url_of(fleet.events))
    told = fleet.fault()
    assert f"there is no SQS queue {fleet.events} for events of tasks" in told
    assert "make it, with a rule of EventBridge" in told


def test_an_events_queue_that_lets_nobody_in(fleet: Fleet) -> None:
    url = fleet.url_of(fleet.events)
    fleet.cloud.client("sqs").set_queue_attributes(QueueUrl=url, Attributes={"Policy": ""})
    told = fleet.fault()
    assert f"the policy of {fleet.events} does not let EventBridge send" in told
    assert "allow sqs:SendMessage to events.amazonaws.com" in told


def test_no_rule_that_sends_events(fleet: Fleet) -> None:
    fleet.cloud.client("events").remove_targets(Rule=fleet.rule, Ids=["queue"])
    told = fleet.fault()
    assert f"no rule of EventBridge sends to {fleet.events}" in told
    assert f"bq/{fleet.installation}/" in told


def test_a_rule_that_is_disabled(fleet: Fleet) -> None:
    fleet.cloud.client("events").disable_rule(Name=fleet.rule)
    assert f"`aws events enable-rule --name {fleet.rule}`" in fleet.fault()


def test_a_rule_for_another_installation(fleet: Fleet) -> None:
    fleet.put_rule({"startedBy": [{"prefix": "bq/other1/"}]})
    assert (
        f"the rule {fleet.rule} of EventBridge does not match our tasks (startedBy)"
        in fleet.fault()
    )


def test_a_missing_cluster(fleet: Fleet) -> None:
    fleet.environment["BARBEQUE_EXECUTOR"] = fleet.variables["BARBEQUE_EXECUTOR"].replace(
        fleet.cluster, "nowhere"
    )
    told = fleet.fault()
    assert told.startswith("cluster: there is no ECS cluster nowhere: ")
    assert "aws ecs create-cluster --cluster-name nowhere" in told


def test_a_cluster_that_was_deleted(fleet: Fleet) -> None:
    fleet.cloud.client("ecs").delete_cluster(cluster=fleet.cluster)
    assert f"the ECS cluster {fleet.cluster} is INACTIVE, not ACTIVE" in fleet.fault()


def test_a_cluster_without_the_capacity_provider(fleet: Fleet) -> None:
    fleet.options["launch"] = "fargate_spot"
    told = fleet.fault()
    assert "has no capacity provider FARGATE_SPOT, which media/Encode uses" in told


@pytest.mark.parametrize("operation", ["RunTask", "StopTask", "DescribeTasks", "ListTasks"])
def test_a_permission_of_ecs_that_is_lacking(fleet: Fleet, operation: str) -> None:
    fleet.cloud.faults(ecs={"deny": [operation]}, iam={"deny": ["SimulatePrincipalPolicy"]})
    assert f"the role may not do ecs:{operation}: allow it in the worker's policy" in fleet.fault()


def test_a_permission_that_only_the_simulation_tells_of(fleet: Fleet) -> None:
    fleet.cloud.faults(ecs={"deny": ["RegisterTaskDefinition"]})
    assert "the role may not do ecs:RegisterTaskDefinition" in fleet.fault()


def test_a_missing_bucket(fleet: Fleet) -> None:
    fleet.environment["BARBEQUE_LOGS"] = f"s3://none-{fleet.mark}/logs"
    assert "create the bucket, or correct its name in BARBEQUE_LOGS" in fleet.fault()


@pytest.mark.parametrize("operation", ["PutObject", "GetObject", "ListObjectsV2", "DeleteObjects"])
def test_a_right_that_the_bucket_does_not_give(fleet: Fleet, operation: str) -> None:
    fleet.cloud.faults(s3={"deny": [operation]})
    told = fleet.fault()
    assert told.startswith("logs: ")
    assert f"s3://{fleet.bucket}/logs/ (BARBEQUE_LOGS)" in told
    assert "allow s3:ListBucket on the bucket, and s3:GetObject, s3:PutObject" in told


def test_a_bucket_that_forgets_logs_too_soon(fleet: Fleet) -> None:
    rule = {
        "ID": "short",
        "Status": "Enabled",
        "Filter": {"Prefix": ""},
        "Expiration": {"Days": 30},
    }
    fleet.cloud.client("s3").put_bucket_lifecycle_configuration(
        Bucket=fleet.bucket, LifecycleConfiguration={"Rules": [rule]}
    )
    (told,) = [each for each in fleet.of("warning") if each.startswith("logs:")]
    assert "S3 removes logs after 30 days" in told
    assert "BARBEQUE_RETENTION is 90d" in told


def test_a_missing_log_group(fleet: Fleet) -> None:
    fleet.cloud.client("logs").delete_log_group(logGroupName=fleet.group)
    told = fleet.fault()
    assert f"there is no log group {fleet.group}, without which no task starts" in told
    assert f"aws logs create-log-group --log-group-name {fleet.group}" in told


def test_a_log_group_that_may_not_be_read(fleet: Fleet) -> None:
    fleet.cloud.faults(logs={"deny": ["GetLogEvents"]})
    assert f"the role may not do logs:GetLogEvents on {fleet.group}" in fleet.fault()


def test_no_execution_role(fleet: Fleet) -> None:
    del fleet.options["execution_role"]
    told = fleet.fault()
    assert "tasks on Fargate need an execution role, which media/Encode lacks" in told
    assert "write execution_role= into BARBEQUE_EXECUTOR" in told


def test_a_missing_role(fleet: Fleet) -> None:
    fleet.options["task_role"] = "nobody"
    assert "there is no role nobody: make it, or correct BARBEQUE_EXECUTOR" in fleet.fault()


def test_a_role_that_ecs_may_not_take(fleet: Fleet) -> None:
    trust = json.dumps(TRUST).replace("ecs-tasks", "lambda")
    name = f"wrong-{fleet.mark}"
    fleet.cloud.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=trust)
    fleet.options["task_role"] = name
    assert "let its trust policy name ecs-tasks.amazonaws.com" in fleet.fault()


def test_a_role_that_may_not_be_passed(fleet: Fleet) -> None:
    fleet.cloud.faults(iam={"deny": ["PassRole"]})
    told = fleet.fault()
    assert f"the worker's role may not pass execution-{fleet.mark} to tasks" in told
    assert "allow it iam:PassRole on arn:aws:iam::123456789012:role/" in told


def test_no_address_for_jobs(fleet: Fleet) -> None:
    fleet.environment["BARBEQUE_JOB_URL"] = ""
    assert fleet.fault().startswith("jobs: BARBEQUE_JOB_URL is not set")


def test_no_subnets_on_fargate(fleet: Fleet) -> None:
    del fleet.options["subnets"]
    told = fleet.fault()
    assert "tasks on Fargate need subnets, which media/Encode lacks" in told
    assert "write subnets= into BARBEQUE_EXECUTOR" in told


def test_a_wrong_subnet(fleet: Fleet) -> None:
    fleet.options["subnets"] = "subnet-00000000"
    told = fleet.fault()
    assert "subnet-00000000" in told
    assert "correct subnets and security_groups, or the Region" in told


def test_a_short_token_window(fleet: Fleet) -> None:
    fleet.options["token_window"] = "20s"
    assert any("token_window is 20s" in each for each in fleet.of("warning"))


def test_a_database_that_is_away(fleet: Fleet) -> None:
    url = f"mysql://u:CANARY@127.0.0.1:{free_port()}/barbeque"
    fleet.environment["BARBEQUE_DATABASE"] = url
    told = fleet.fault()
    assert told.startswith("database: ")
    assert "CANARY" not in told


def test_a_schema_that_is_too_old(fleet: Fleet) -> None:
    store = Store(f"sqlite:///{fleet.home}/barbeque.db")
    store.write(lambda tx: tx.execute(text("UPDATE alembic_version SET version_num = '0001'")))
    store.close()
    told = fleet.fault()
    assert told.startswith("database: ")
    assert "barbeque migrate" in told


def test_topics_that_the_role_may_not_subscribe_to(fleet: Fleet) -> None:
    topic = f"arn:aws:sns:{REGION}:123456789012:uploads"
    store = Store(f"sqlite:///{fleet.home}/barbeque.db")
    store.write(lambda tx: subscriptions.put(tx, Subscription("default", topic, "media", "Encode")))
    store.close()
    fleet.cloud.faults(sns={"deny": ["Subscribe"]})
    assert any("may not do sns:Subscribe" in each for each in fleet.of("warning"))

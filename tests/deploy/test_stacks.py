"""The stacks, made in moto as far as moto goes, and `barbeque check` on what they made."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from barbeque_py.apps import App, JobDefinition, Queue
from barbeque_py.brokers.sqs_queues import SqsQueues
from barbeque_py.cli.aws_templates import templates
from barbeque_py.cli.findings import examine
from barbeque_py.settings import Settings
from barbeque_py.store import Store, Tx, apps
from barbeque_py.store.schema import migrate
from tests.cloud.rig import REGION, CloudProcess
from tests.deploy.in_moto import SKIPPED, body_for_moto
from tests.deploy.resolving import Resolved
from tests.flows.place import free_port

IMAGE = f"123456789012.dkr.ecr.{REGION}.amazonaws.com/barbeque/moto01@sha256:{'0' * 64}"


@dataclass
class Made:
    """The four stacks, and what they told."""

    cloud: CloudProcess
    given: dict[str, str]
    made: dict[str, set[str]] = field(default_factory=dict)
    """By stack, the names of the resources that moto made."""

    def environment(self, process: str) -> dict[str, str]:
        """Return what a process finds in its environment, but for its secrets."""
        answer = self.cloud.client("ecs").describe_task_definition(
            taskDefinition=f"moto01-barbeque-{process}"
        )
        (container,) = answer["taskDefinition"]["containerDefinitions"]
        assert container["image"] == IMAGE
        return {each["name"]: each["value"] for each in container["environment"]}


@pytest.fixture(scope="module")
def made() -> Iterator[Made]:
    cloud = CloudProcess()
    try:
        certificate = cloud.client("acm").request_certificate(DomainName="barbeque.example.com")
        given = {
            "Installation": "moto01",
            "Image": IMAGE,
            "DomainName": "barbeque.example.com",
            "CertificateArn": certificate["CertificateArn"],
        }
        found = Made(cloud, given)
        for template in templates():
            make(found, template.name, body_for_moto(template), list(template.parameters))
        yield found
    finally:
        cloud.stop()


def make(found: Made, name: str, body: str, parameters: list[str]) -> None:
    cloudformation = found.cloud.client("cloudformation")
    stack = f"barbeque-moto01-{name}"
    said = [
        {"ParameterKey": each, "ParameterValue": found.given[each]}
        for each in parameters
        if each in found.given
    ]
    cloudformation.create_stack(StackName=stack, TemplateBody=body, Parameters=said)
    (described,) = cloudformation.describe_stacks(StackName=stack)["Stacks"]
    assert described["StackStatus"] == "CREATE_COMPLETE"
    found.given |= {each["OutputKey"]: each["OutputValue"] for each in described["Outputs"]}
    resources = cloudformation.describe_stack_resources(StackName=stack)["StackResources"]
    found.made[name] = {
        each["LogicalResourceId"] for each in resources if "LogicalResourceId" in each
    }


def test_moto_makes_every_resource_that_it_knows(made: Made) -> None:
    for template in templates():
        at = Resolved(template, made.given)
        wanted = {
            name
            for name, each in template.resources.items()
            if each["Type"] not in SKIPPED and at.is_made(name)
        }
        assert wanted == made.made[template.name] & wanted, template.name
        assert len(wanted) >= 10


def test_the_services_run_their_task_definitions_in_their_own_cluster(made: Made) -> None:
    ecs = made.cloud.client("ecs")
    services = ecs.describe_services(
        cluster="barbeque-moto01", services=["api", "console", "worker"]
    )
    running = {each["serviceName"]: each["taskDefinition"] for each in services["services"]}
    assert {name: arn.rpartition("/")[2] for name, arn in running.items()} == {
        name: f"moto01-barbeque-{name}:1" for name in ("api", "console", "worker")
    }
    (front,) = made.cloud.client("elbv2").describe_load_balancers()["LoadBalancers"]
    assert front["Scheme"] == "internet-facing"


def test_barbeque_check_finds_no_fault_with_what_a_worker_is_given(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = made.environment("worker") | {
        "BARBEQUE_HOME": str(tmp_path),
        "BARBEQUE_DATABASE": f"sqlite:///{tmp_path}/barbeque.db",
        "BARBEQUE_URL": f"http://127.0.0.1:{free_port()}",
        "AWS_REGION": REGION,
    }
    for name, value in (made.cloud.environment | {"AWS_CONFIG_FILE": "/absent"}).items():
        monkeypatch.setenv(name, value)
    settings = Settings.from_environment(given)
    assert settings.warnings == ()
    assert settings.installation == "moto01"
    furnish(settings, made)
    findings = [each.facts() for each in examine(settings, looking=lambda _: None)]
    assert [each for each in findings if each["level"] == "fault"] == []
    told = " ".join(each["sentence"] for each in findings)
    assert "queues named bq-moto01-QUEUE: default, and their dead-letter queues" in told
    assert ":cluster/barbeque-moto01-jobs is ACTIVE" in told
    assert "free addresses" in told
    assert "JobExecutionRole" in told
    assert "the log group /barbeque/moto01 is there and can be read" in told
    assert "EventBridge may send what happens to tasks to barbeque-moto01-task-events" in told
    assert "S3 removes logs" not in told


def furnish(settings: Settings, made: Made) -> None:
    """Do what `migrate` and `apply` do, and put the events queue where the check looks for it.

    moto makes the stack's queue in an SQS of its own, which is not the one that the tests have.
    """
    store = Store(settings.database, create=True)
    migrate(store, name=settings.installation)
    store.write(define)
    store.close()
    queues = SqsQueues(settings.broker.prefix, installation="moto01", region=REGION)
    queues.ensure_queue("default")
    queues.close()
    cluster = Resolved(next(each for each in templates() if each.name == "cluster"), made.given)
    queue = cluster.resource("TaskEvents")["QueueName"]
    policy: dict[str, Any] = cluster.resource("TaskEventsPolicy")["PolicyDocument"]
    url = made.cloud.client("sqs").create_queue(QueueName=queue)["QueueUrl"]
    made.cloud.client("sqs").set_queue_attributes(
        QueueUrl=url, Attributes={"Policy": json.dumps(policy)}
    )


def define(tx: Tx) -> None:
    apps.put_queue(tx, Queue("default"))
    apps.put_app(tx, App("media", "media:1"))
    apps.put_job(tx, JobDefinition("media", "Encode", ("encode",)))

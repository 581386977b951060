"""`barbeque deploy aws` from nothing to the end, in moto as far as moto goes.

The tests stand in the order of an installation's life, and need those before them: making the
stacks is what costs time. Tasks really run, as processes, in the simulated ECS.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from barbeque_py.apps import App, JobDefinition, Queue
from barbeque_py.brokers.sqs_queues import SqsQueues
from barbeque_py.cli.aws_templates import template_of, templates
from barbeque_py.cli.findings import examine
from barbeque_py.cli.root import run
from barbeque_py.settings import Settings
from barbeque_py.store import Store, Tx, apps
from barbeque_py.store.revision import check_schema
from tests.cloud.rig import REGION, CloudProcess
from tests.deploy.in_moto import SKIPPED, body_for_moto
from tests.deploy.resolving import Resolved
from tests.flows.place import BARBEQUE, free_port

REPOSITORY = f"123456789012.dkr.ecr.{REGION}.amazonaws.com/barbeque/moto01"
HOLD = ["network", "data"]
MOVE = ["cluster", "services"]


@dataclass
class Account:
    """An account of AWS, and somebody who deploys to it."""

    cloud: CloudProcess
    folder: Path
    capture: pytest.CaptureFixture[str]
    certificate: str = ""
    secret: str = ""
    digests: dict[str, str] = field(default_factory=dict)
    """Of the images that were pushed, by their tag."""

    @property
    def database(self) -> str:
        return f"sqlite:///{self.folder}/barbeque.db"

    def furnish(self) -> None:
        """Make what must be there before: a certificate; and what moto can't make of a template."""
        acm, secrets = self.cloud.client("acm"), self.cloud.client("secretsmanager")
        self.certificate = acm.request_certificate(DomainName="barbeque.example.com")[
            "CertificateArn"
        ]
        secret = secrets.create_secret(Name="database-url", SecretString=self.database)
        self.secret = secret["ARN"]
        for number, template in enumerate(templates(), start=1):
            path = self.folder / f"{number}-{template.name}.yaml"
            path.write_text(body_for_moto(template, self.secret, str(BARBEQUE)))
        self.cloud.control("ecs", "configure", runner="process")

    def push(self, tag: str) -> None:
        """Push an image."""
        kind = "application/vnd.oci.image.manifest.v1+json"
        manifest = {"schemaVersion": 2, "mediaType": kind, "config": {"digest": tag}}
        answer = self.cloud.client("ecr").put_image(
            repositoryName="barbeque/moto01", imageTag=tag, imageManifest=json.dumps(manifest)
        )
        self.digests[tag] = answer["image"]["imageId"]["imageDigest"]

    def deploy(self, verb: str, *words: str) -> tuple[int, str, str]:
        """Run a verb of `barbeque deploy aws`; return its exit code, output and errors."""
        self.capture.readouterr()
        code = run(["deploy", "aws", verb, "moto01", *words])
        said = self.capture.readouterr()
        return code, said.out, said.err

    def deploy_json(self, verb: str, *words: str) -> Any:
        code, out, err = self.deploy(verb, *words, "--json")
        assert code == 0, err
        return json.loads(out)

    @property
    def ours(self) -> tuple[str, ...]:
        return ("--templates", str(self.folder))

    @property
    def said(self) -> tuple[str, ...]:
        name = ("--set", "DomainName=barbeque.example.com")
        return (*self.ours, *name, "--set", f"CertificateArn={self.certificate}")

    def stacks(self) -> list[str]:
        found = self.cloud.client("cloudformation").describe_stacks()["Stacks"]
        return sorted(each["StackName"].removeprefix("barbeque-moto01-") for each in found)

    def values(self, part: str) -> dict[str, str]:
        (found,) = self.cloud.client("cloudformation").describe_stacks(
            StackName=f"barbeque-moto01-{part}"
        )["Stacks"]
        said = {each["ParameterKey"]: each["ParameterValue"] for each in found["Parameters"]}
        return said | {each["OutputKey"]: each["OutputValue"] for each in found["Outputs"]}

    def image_of(self, process: str) -> str:
        """Return the image of the newest task definition of a process."""
        answer = self.cloud.client("ecs").describe_task_definition(
            taskDefinition=f"moto01-barbeque-{process}"
        )
        (container,) = answer["taskDefinition"]["containerDefinitions"]
        return str(container["image"])


@pytest.fixture(scope="module")
def grounds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    cloud = CloudProcess()
    try:
        account = Account(cloud, tmp_path_factory.mktemp("templates"), capture=None)  # type: ignore[arg-type]
        account.furnish()
        yield account
    finally:
        print("CLOUD", cloud.wrote()[-6000:])
        cloud.stop()


@pytest.fixture
def account(
    grounds: Account, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Account:
    for name, value in grounds.cloud.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/absent")
    grounds.capture = capsys
    return grounds


def test_a_plan_shows_everything_and_leaves_nothing(account: Account) -> None:
    found = account.deploy_json("plan", *account.said)
    assert {each["stack"] for each in found} == {*HOLD, *MOVE}
    assert {each["action"] for each in found} == {"add", "may add"}
    waiting = {each["because"] for each in found if each["stack"] == "services"}
    assert waiting == {"known when network is there"}
    assert account.stacks() == []


def test_what_is_wrong_is_said_with_its_cure(account: Account) -> None:
    code, _, err = account.deploy("plan", "--set", "DomainNam=x")
    assert (code, "did you mean DomainName?" in err) == (2, True), err
    code, _, err = account.deploy("apply", *account.said)
    assert (code, "nobody can be asked here" in err) == (2, True), err
    assert account.stacks() == []
    code = run(["deploy", "aws", "plan", "production"])
    assert code == 2


def test_without_an_image_it_makes_the_place_to_push_one_to(account: Account) -> None:
    code, out, err = account.deploy("apply", *account.said, "--yes")
    assert code == 0, err
    assert f"push the image to {REPOSITORY}" in out
    assert account.stacks() == sorted(HOLD)
    code, _, err = account.deploy("run", "check")
    assert (code, "barbeque-moto01-services is not there" in err) == (4, True), err


def test_with_an_image_it_migrates_and_starts_the_services(account: Account) -> None:
    account.push("1")
    code, out, err = account.deploy("apply", *account.said, "--image", f"{REPOSITORY}:1", "--yes")
    assert code == 0, err + out
    assert account.stacks() == sorted([*HOLD, *MOVE])
    assert "the installation is moto01" in out, "what migrate wrote is shown"
    assert out.index("the installation is moto01") < out.index("services  CREATE_COMPLETE")
    store = Store(account.database)
    check_schema(store)
    store.close()
    pinned = f"{REPOSITORY}@{account.digests['1']}"
    assert {account.image_of(each) for each in ("migrate", "api", "worker")} == {pinned}
    assert "Url: https://barbeque.example.com" in out
    code, out, err = account.deploy("run", "--version")
    assert (code, "barbeque_py 0." in out) == (0, True), err + out


def test_every_resource_that_moto_knows_is_made(account: Account) -> None:
    known = {name: value for part in (*HOLD, *MOVE) for name, value in account.values(part).items()}
    for template in templates():
        at = Resolved(template, known)
        wanted = {
            name
            for name, each in template.resources.items()
            if each["Type"] not in SKIPPED and at.is_made(name)
        }
        resources = account.cloud.client("cloudformation").describe_stack_resources(
            StackName=f"barbeque-moto01-{template.name}"
        )["StackResources"]
        made = {each.get("LogicalResourceId") for each in resources}
        assert wanted - made == set(), template.name
        assert len(wanted) >= 10


def test_status_tells_of_stacks_and_services(account: Account) -> None:
    found = account.deploy_json("status")
    assert set(found["stacks"].values()) == {"CREATE_COMPLETE"}
    assert [each["service"] for each in found["services"]] == ["api", "console", "worker"]
    assert found["outputs"]["Url"] == "https://barbeque.example.com"
    code, out, err = account.deploy("status")
    assert (code, "moto01-barbeque-worker:1" in out) == (0, True), err


def test_barbeque_check_finds_no_fault_with_what_a_worker_is_given(
    account: Account, tmp_path: Path
) -> None:
    answer = account.cloud.client("ecs").describe_task_definition(
        taskDefinition="moto01-barbeque-worker"
    )
    (container,) = answer["taskDefinition"]["containerDefinitions"]
    given = {each["name"]: each["value"] for each in container["environment"]} | {
        "BARBEQUE_HOME": str(tmp_path),
        "BARBEQUE_DATABASE": account.database,
        "BARBEQUE_URL": f"http://127.0.0.1:{free_port()}",
    }
    settings = Settings.from_environment(given)
    assert settings.warnings == ()
    furnish(settings, account)
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


def furnish(settings: Settings, account: Account) -> None:
    """Do what `apply -f` does, and put the events queue where the check looks for it.

    moto makes the stack's queue in an SQS of its own, which is not the one that the tests have.
    """
    store = Store(settings.database)
    store.write(define)
    store.close()
    queues = SqsQueues(settings.broker.prefix, installation="moto01", region=REGION)
    queues.ensure_queue("default")
    queues.close()
    cluster = Resolved(template_of("cluster"), {"Installation": "moto01"})
    queue, policy = cluster.resource("TaskEvents"), cluster.resource("TaskEventsPolicy")
    sqs = account.cloud.client("sqs")
    url = sqs.create_queue(QueueName=queue["QueueName"])["QueueUrl"]
    document = json.dumps(policy["PolicyDocument"])
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": document})


def define(tx: Tx) -> None:
    apps.put_queue(tx, Queue("default"))
    apps.put_app(tx, App("media", "media:1"))
    apps.put_job(tx, JobDefinition("media", "Encode", ("encode",)))


def test_what_is_not_said_again_stays_and_nothing_new_changes_nothing(account: Account) -> None:
    code, out, err = account.deploy("plan", *account.ours)
    assert (code, out) == (0, "nothing would change\n"), err
    code, out, err = account.deploy("apply", *account.ours)
    assert code == 0, err
    assert out.count("is as it should be") == 4


def test_a_new_image_moves_the_services_and_rollback_moves_them_back(account: Account) -> None:
    account.push("2")
    apply: Callable[[], Any] = lambda: account.deploy_json(  # noqa: E731
        "apply", *account.ours, "--image", f"{REPOSITORY}:2", "--yes"
    )
    assert apply()["outputs"]["Repository"] == REPOSITORY
    assert account.image_of("worker") == f"{REPOSITORY}@{account.digests['2']}"
    code, out, err = account.deploy("rollback", *account.ours, "--yes")
    assert code == 0, err + out
    assert account.image_of("worker") == f"{REPOSITORY}@{account.digests['1']}"
    assert account.values("services")["DomainName"] == "barbeque.example.com"
    code, _, err = account.deploy("rollback", "--to", "1999", *account.ours, "--yes")
    assert (code, "names no deployment" in err) == (4, True), err


def test_services_stay_where_the_migration_fails(account: Account) -> None:
    secrets = account.cloud.client("secretsmanager")
    secrets.put_secret_value(SecretId=account.secret, SecretString="nonsense")
    code, out, err = account.deploy("apply", *account.ours, "--image", f"{REPOSITORY}:2", "--yes")
    assert code == 1
    assert "`migrate` ended with 2, so the services stay as they are" in err
    assert "BARBEQUE_DATABASE" in out, "what migrate wrote is shown"
    assert account.image_of("worker") == f"{REPOSITORY}@{account.digests['1']}"


def test_destroy_asks_for_the_name_and_leaves_what_holds_data(account: Account) -> None:
    code, _, err = account.deploy("destroy", "--confirm", "prod01")
    assert (code, "nothing was deleted" in err) == (2, True), err
    code, out, err = account.deploy("destroy", "--confirm", "moto01")
    assert code == 0, err + out
    assert account.stacks() == sorted(HOLD)
    bucket = account.values("data")["Bucket"]
    kept = account.cloud.client("s3").list_objects_v2(Bucket=bucket, Prefix="deployments/")
    assert kept["KeyCount"] >= 3

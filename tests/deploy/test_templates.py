"""The templates of CloudFormation: what they allow, what they keep, and that AWS takes them."""

import json
import re
import subprocess
from dataclasses import fields
from fnmatch import fnmatchcase
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import pytest

from barbeque_py.cli.aws_templates import KEPT, Template, template_of, templates
from barbeque_py.executions import Stage
from barbeque_py.settings_page import describe
from barbeque_py.store import Store
from barbeque_py.store.gauges import Gauges, Lane
from barbeque_worker.pulse import UNITS, line, pulse
from tests.deploy.parameters_page import PAGE, table
from tests.deploy.resolving import Resolved
from tests.deploy.rights import EVERYTHING, RESOURCE_POLICIES, RIGHTS, WITH_MAIL

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "cloudformation"
GIVEN = {"Installation": "prod01"}
INLINE = 51_200
"""Bytes that a template may have without being put into S3 first."""
SAID_BY_US = {"Installation", "Image"}
"""Parameters that the command says; the others without a default are the user's, or outputs."""
OF_THE_USER = {"DomainName", "CertificateArn"}
HOLDING = {
    "AWS::ECR::Repository",
    "AWS::KMS::Key",
    "AWS::Logs::LogGroup",
    "AWS::RDS::DBCluster",
    "AWS::RDS::DBInstance",
    "AWS::S3::Bucket",
    "AWS::SecretsManager::Secret",
}
"""Types of what would be lost."""


def resolved(name: str, **more: str) -> Resolved:
    return Resolved(template_of(name), GIVEN | more)


def several(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def conditions_of(statement: dict[str, Any]) -> str:
    told = [
        f"{test} {key} {','.join(map(str, several(wanted)))}"
        for test, wants in statement.get("Condition", {}).items()
        for key, wanted in wants.items()
    ]
    return f" if {' and '.join(told)}" if told else ""


def rights_of(role: dict[str, Any]) -> set[str]:
    """Return each right as one line, as rights.py writes them."""
    found = []
    for policy in role.get("Policies", []):
        for statement in policy["PolicyDocument"]["Statement"]:
            assert statement["Effect"] == "Allow"
            both = product(several(statement["Action"]), several(statement["Resource"]))
            found += [f"{does} {what}{conditions_of(statement)}" for does, what in both]
    assert len(found) == len(set(found)), "a right stands twice"
    return set(found)


def policy_of(document: dict[str, Any]) -> set[str]:
    return {
        f"{each['Effect']} {who} {does} {what}{conditions_of(each)}"
        for each in document["Statement"]
        for who in ([each["Principal"]] if each["Principal"] == "*" else each["Principal"].values())
        for does in several(each["Action"])
        for what in several(each["Resource"])
    }


def test_cfn_lint_finds_nothing() -> None:
    paths = sorted(map(str, FOLDER.glob("*.yaml")))
    ended = subprocess.run(
        [str(ROOT / ".venv/bin/cfn-lint"), *paths], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout) == (0, ""), ended.stdout


def test_what_is_ignored_of_linters_says_why() -> None:
    for template in templates():
        for name, each in template.resources.items():
            skipped = each.get("Metadata", {}).get("checkov", {}).get("skip", [])
            assert all(len(skip["comment"].split()) >= 6 for skip in skipped), name
        for each_line in template.body.splitlines():
            assert "ignore_checks" not in each_line or " # " in each_line


@pytest.mark.parametrize("template", templates(), ids=lambda each: each.name)
def test_cloudformation_takes_it_as_text(template: Template) -> None:
    assert len(template.body.encode()) < INLINE
    assert len(template.resources) <= 500
    assert len(template.parameters) <= 200
    assert len(template.outputs) <= 200
    assert not re.search(r"[:-] [&*][a-z]+$", template.body, re.MULTILINE), (
        "CloudFormation knows no alias"
    )


def test_a_parameter_is_the_users_or_an_output_of_a_template_before() -> None:
    outputs: set[str] = set()
    seen: dict[str, Any] = {}
    for template in templates():
        for name, facts in template.parameters.items():
            assert facts["Description"], name
            assert seen.setdefault(name, facts) == facts, f"{name} is said in two ways"
            if "Default" not in facts:
                assert name in SAID_BY_US | OF_THE_USER | outputs, name
        assert not outputs & template.outputs.keys(), "two outputs of one name"
        outputs |= template.outputs.keys()


def test_every_role_has_these_rights_and_no_other() -> None:
    roles = resolved("cluster").of_type("AWS::IAM::Role")
    assert {name: rights_of(role) for name, role in roles.items()} == RIGHTS
    with_mail = resolved("cluster", MailFrom="jobs@example.com").of_type("AWS::IAM::Role")
    for name, role in with_mail.items():
        assert rights_of(role) == RIGHTS[name] | WITH_MAIL.get(name, set()), name
    for template in templates():
        made = {each["Type"] for each in template.resources.values()}
        assert template.name == "cluster" or "AWS::IAM::Role" not in made
        assert not {each for each in made if "Policy" in each and "IAM" in each}


def test_a_right_on_everything_has_a_condition_or_a_reason() -> None:
    wide = {
        right
        for rights in RIGHTS.values()
        for right in rights
        if right.endswith(" *") or right.partition(":")[2].startswith("*")
    }
    assert wide == set(EVERYTHING)


def test_only_instances_have_a_policy_of_amazons() -> None:
    roles = resolved("cluster", InstanceType="m7i.large").of_type("AWS::IAM::Role")
    assert [name for name, each in roles.items() if "ManagedPolicyArns" in each] == ["InstanceRole"]
    (policy,) = roles["InstanceRole"]["ManagedPolicyArns"]
    assert policy.endswith(":policy/service-role/AmazonEC2ContainerServiceforEC2Role")
    assert rights_of(roles["InstanceRole"]) == set()


def test_only_ecs_of_this_account_takes_the_roles() -> None:
    for name, role in resolved("cluster").of_type("AWS::IAM::Role").items():
        (statement,) = role["AssumeRolePolicyDocument"]["Statement"]
        assert statement == {
            "Effect": "Allow",
            "Principal": {"Service": "ecs-tasks.amazonaws.com"},
            "Action": "sts:AssumeRole",
            "Condition": {
                "StringEquals": {"aws:SourceAccount": "123456789012"},
                "ArnLike": {"aws:SourceArn": "arn:aws:ecs:us-east-1:123456789012:*"},
            },
        }, name
        assert role["Path"] == "/barbeque/prod01/"


def test_workers_can_neither_start_nor_stop_services_nor_take_their_roles() -> None:
    cluster = resolved("cluster")
    (runs,) = [each.split()[1] for each in RIGHTS["WorkerRole"] if each.startswith("ecs:RunTask")]
    families = [
        each["Family"]
        for name in ("cluster", "services")
        for each in resolved(name).of_type("AWS::ECS::TaskDefinition").values()
    ]
    assert len(families) == 4
    arn = "arn:aws:ecs:us-east-1:123456789012:task-definition/{}:1"
    assert not [each for each in families if fnmatchcase(arn.format(each), runs)]
    assert fnmatchcase(arn.format("barbeque-prod01-media"), runs)
    names = {each["ClusterName"] for each in cluster.of_type("AWS::ECS::Cluster").values()}
    assert names == {"barbeque-prod01", "barbeque-prod01-jobs"}
    passed = [each.split()[1] for each in RIGHTS["WorkerRole"] if each.startswith("iam:PassRole")]
    ours = "arn:aws:iam::123456789012:role/barbeque/prod01/barbeque-prod01-cluster-ApiRole-1"
    assert not [each for each in passed if fnmatchcase(ours, each)]


def test_no_other_policy_lets_anybody_in() -> None:
    found: dict[str, set[str]] = {}
    for template in templates():
        at = Resolved(template, GIVEN)
        for name in template.resources:
            properties = at.resource(name) if at.is_made(name) else {}
            document = properties.get("PolicyDocument") or properties.get("KeyPolicy")
            if document:
                found[name] = policy_of(document)
    assert found == RESOURCE_POLICIES


def test_what_a_process_needs_according_to_the_docs_is_what_its_role_has() -> None:
    """docs/ecs.md shows policies for those who make roles by hand: the same actions."""
    page = (ROOT / "docs" / "ecs.md").read_text()

    def actions(after: str) -> set[str]:
        block = page[page.index(after) :].partition("```json")[2].partition("```")[0]
        return {
            action
            for statement in json.loads(block)["Statement"]
            for action in several(statement["Action"])
        }

    def had(role: str) -> set[str]:
        return {right.split()[0] for right in RIGHTS[role]}

    told = page[page.index("**`barbeque check`**") :].partition("**The execution role**")[0]
    checks = set(re.findall(r"`([a-z0-9]+:[A-Z][A-Za-z]+)`", told)) | {"sqs:ListQueueTags"}
    by_key = {"kms:Decrypt", "kms:GenerateDataKey"}  # the page's bucket has no key of its own
    assert had("WorkerRole") == actions("**Workers.**") | checks | by_key | {
        "sns:ConfirmSubscription"
    }
    topics = {"sns:Subscribe", "sns:Unsubscribe"}
    assert had("ApiRole") == actions("**API and console.**") | by_key | topics
    assert had("ConsoleRole") == had("ApiRole"), "people release, define and subscribe there, too"
    assert had("JobExecutionRole") == actions("**The execution role**")


def test_all_that_holds_something_stays_whatever_becomes_of_its_stack() -> None:
    for template in templates():
        for name, each in template.resources.items():
            if each["Type"] in HOLDING:
                assert template.name == "data", f"{name} would go with `destroy`"
                assert each["DeletionPolicy"] == "RetainExceptOnCreate", name
                assert each["UpdateReplacePolicy"] in ("Retain", "Snapshot"), name
    assert set(KEPT) == {"network", "data"}


@pytest.mark.parametrize("kind", ["mysql", "aurora"])
def test_the_database_is_encrypted_private_and_asks_for_tls(kind: str) -> None:
    data = resolved("data", Database=kind)
    instances = data.of_type("AWS::RDS::DBInstance")
    clusters = data.of_type("AWS::RDS::DBCluster")
    assert len(instances) == (1 if kind == "mysql" else 2)
    assert not any(each["PubliclyAccessible"] for each in instances.values())
    (holder,) = clusters.values() if clusters else instances.values()
    assert holder["StorageEncrypted"] is True
    assert holder["DeletionProtection"] is True
    assert holder["BackupRetentionPeriod"] >= 14
    assert holder["MasterUserPassword"] == "{{resolve:secretsmanager:<DatabasePassword>}}"
    groups = {
        **data.of_type("AWS::RDS::DBParameterGroup"),
        **data.of_type("AWS::RDS::DBClusterParameterGroup"),
    }
    (parameters,) = [each["Parameters"] for each in groups.values()]
    assert parameters["require_secure_transport"] in ("1", "ON")
    ingress = data.resource("DatabaseGroup")["SecurityGroupIngress"]
    assert [each["SourceSecurityGroupId"] for each in ingress] == ["<DatabaseClients.GroupId>"]


def test_logs_outlive_their_retention_in_the_bucket() -> None:
    data = template_of("data")
    choices = data.parameters["Retention"]["AllowedValues"]
    for days in choices:
        bucket = resolved("data", Retention=days).resource("Bucket")
        rules = {each["Id"]: each for each in bucket["LifecycleConfiguration"]["Rules"]}
        assert rules["forgotten"]["ExpirationInDays"] >= int(days) + 45
        assert rules["unfinished-uploads"]["AbortIncompleteMultipartUpload"]
    assert list(data.parsed["Mappings"]["Forgotten"]["Days"]) == choices
    bucket = resolved("data").resource("Bucket")
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    (rule,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == "aws:kms"


def containers() -> dict[str, dict[str, Any]]:
    """Return the one container of each of our task definitions."""
    found = {}
    for name in ("cluster", "services"):
        tasks = resolved(name, SlackSecret="s", OidcSecret="o").of_type("AWS::ECS::TaskDefinition")
        for task in tasks.values():
            (container,) = task["ContainerDefinitions"]
            found[container["Name"]] = container | {"TaskRoleArn": task.get("TaskRoleArn")}
    return found


def test_each_process_runs_under_its_own_role_with_the_same_settings() -> None:
    found = containers()
    assert {name: each["TaskRoleArn"] for name, each in found.items()} == {
        "migrate": None,  # it speaks to the database alone
        "api": "<ApiRole>",
        "console": "<ConsoleRole>",
        "worker": "<WorkerRole>",
    }
    for left, right in pairwise(found[name] for name in ("api", "console", "worker")):
        assert left["Environment"] == right["Environment"]
        assert left["Secrets"] == right["Secrets"]
    known = {row.variable for row in describe()}
    for name, each in found.items():
        said = [one["Name"] for one in [*each["Environment"], *each["Secrets"]]]
        assert len(said) == len(set(said))
        assert set(said) <= known
        assert "BARBEQUE_DATABASE" in {one["Name"] for one in each["Secrets"]}
        assert each["ReadonlyRootFilesystem"] is True
        assert each["LinuxParameters"]["Capabilities"] == {"Drop": ["ALL"]}
        assert "Privileged" not in each
        assert each["Command"][0] == each["Name"]
        # `migrate` ends by itself; ECS replaces a service's task that is alive no more.
        asked = each.get("HealthCheck", {}).get("Command")
        assert asked == (None if name == "migrate" else ["CMD", "barbeque", "alive"])


def test_the_events_rule_is_the_one_of_the_docs() -> None:
    """docs/ecs.md shows the pattern; the rule has it, for the cluster of jobs."""
    page = (ROOT / "docs" / "ecs.md").read_text()
    block = page[page.index("### Events") :].partition("```json")[2].partition("```")[0]
    wanted = json.loads(block)
    wanted["detail"]["clusterArn"] = ["<JobCluster.Arn>"]
    rule = resolved("cluster").resource("TaskEventsRule")
    assert rule["EventPattern"] == wanted
    (target,) = rule["Targets"]
    assert target["Arn"] == "<TaskEvents.Arn>"
    queue = resolved("cluster").resource("TaskEvents")
    assert queue["QueueName"] == "barbeque-prod01-task-events"
    assert queue["MessageRetentionPeriod"] == 14 * 24 * 3600


def test_nobody_reaches_a_process_but_by_the_load_balancer_or_from_a_job() -> None:
    services = resolved("services")
    groups = services.of_type("AWS::EC2::SecurityGroup")
    sources = {
        name: {
            (rule["FromPort"], rule.get("SourceSecurityGroupId") or rule.get("CidrIp"))
            for rule in each["SecurityGroupIngress"]
        }
        for name, each in groups.items()
    }
    assert sources == {
        "Front": {(443, "0.0.0.0/0"), (80, "0.0.0.0/0")},
        "Api": {(3003, "<Front.GroupId>"), (3004, "<Jobs>")},
        "Console": {(3003, "<Front.GroupId>")},
    }
    assert "SecurityGroupIngress" not in resolved("cluster").resource("Jobs")
    with_instances = resolved("cluster", InstanceType="m7i.large").resource("JobCluster")
    on = ["FARGATE", "FARGATE_SPOT"]
    assert resolved("cluster").resource("JobCluster")["CapacityProviders"] == on
    assert with_instances["CapacityProviders"] == [*on, "<InstanceProvider>"]
    for each in services.of_type("AWS::ECS::Service").values():
        network = each["NetworkConfiguration"]["AwsvpcConfiguration"]
        assert network["AssignPublicIp"] == "DISABLED"
        assert network["Subnets"] == ["<PrivateSubnets>"]
    listeners = services.of_type("AWS::ElasticLoadBalancingV2::Listener")
    assert listeners["Http"]["DefaultActions"][0]["Type"] == "redirect"
    assert "TLS13" in listeners["Https"]["SslPolicy"]


def test_every_metric_of_ours_that_is_watched_is_told_by_workers() -> None:
    body = template_of("services").body
    watched = set(re.findall(r"Namespace: Barbeque\n +MetricName: (\w+)", body))
    watched |= set(re.findall(r'"Barbeque", "(\w+)"', body))
    assert len(watched) >= 7
    assert watched <= set(UNITS), watched - set(UNITS)
    lane = Lane({Stage.READY: 6, Stage.HELD: 2}, running=3, age=7.0, messages=0, paused=False)
    told = json.loads(line(gauges_of({"default": lane}), "prod01", 1_000))
    assert told["Installation"] == "prod01"
    (directive,) = told["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "Barbeque"
    assert directive["Dimensions"] == [["Installation"]]
    assert {each["Name"] for each in directive["Metrics"]} == set(UNITS)
    assert all(isinstance(told[name], int | float) for name in UNITS)
    assert (told["Waiting"], told["WaitingPerWorker"], told["Workers"]) == (6, 3.0, 2)


def test_one_worker_tells_and_once_a_minute(
    sqlite_store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    pulse(sqlite_store, "one").step()
    assert json.loads(capsys.readouterr().out)["NotStartedThisHour"] == 0
    pulse(sqlite_store, "other").step()
    assert capsys.readouterr().out == ""


def gauges_of(lanes: dict[str, Lane]) -> Gauges:
    others: dict[str, Any] = {each.name: 0 for each in fields(Gauges)}
    return Gauges(**(others | {"workers": 2, "lanes": lanes}))


def test_the_table_of_parameters_is_that_of_the_templates() -> None:
    assert table() in PAGE.read_text(), "python -m tests.deploy.parameters_page"


def test_two_installations_share_no_name() -> None:
    named = re.compile(r"(Cluster|Bucket|Queue|Topic|Repository|Group|Alias|Dashboard)Name$")
    more = {"Family", "Name", "DBInstanceIdentifier", "DBClusterIdentifier"}
    others = {"MysqlParameters", "AuroraParameters", "Address", "JobsName"}

    def names(installation: str) -> set[str]:
        return {
            f"{template.name}.{name}.{key} {value}"
            for template in templates()
            for name, each in template.resources.items()
            for key, value in Resolved(template, {"Installation": installation})
            .work_out(each.get("Properties", {}))
            .items()
            if (named.search(key) or key in more) and name not in others
            if not str(value).startswith("<")
        }

    one, other = names("prod01"), names("stage1")
    assert len(one) > 15
    assert not one & other, one & other

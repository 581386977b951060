"""The request of a launch: the same bytes each time, within what ECS takes."""

import json
from dataclasses import replace
from typing import Any

import pytest

from barbeque_py.ecs_url import EcsUrl
from barbeque_py.errors import LaunchRefused
from barbeque_py.executor import Blueprint, Launch
from barbeque_py.executors.ecs_definition import settings_of
from barbeque_py.executors.ecs_place import Place, read_place
from barbeque_py.executors.ecs_request import (
    OVERRIDES,
    Maker,
    details_of,
    length_of,
    quotas_of,
)
from barbeque_py.tickets import JobUrls, is_ticket

PLACE = Place("aws", "eu-west-1", "123456789012", "jobs")
URL = EcsUrl(cluster="jobs", subnets=("subnet-0a1b2c3d",), security_groups=("sg-0a1b2c3d",))
MESSAGE_ID = "0193b2f0-0000-7000-8000-000000000000"
JOB_URL = "http://barbeque.internal:3004"
NOUNS = ("progress", "result")
MAKER = Maker(installation="abc123", urls=JobUrls(JOB_URL, b"secret"))
NO_URL = Maker(installation="abc123", urls=None)


def details(url: EcsUrl = URL, **ecs: Any) -> dict[str, Any]:
    found = details_of(settings_of(url, Blueprint("media", "media:1", ecs=ecs)), PLACE)
    return found | {"run": found["run"] | {"taskDefinition": "arn:definition"}, "content": "c"}


def a_launch(**facts: Any) -> Launch:
    known: dict[str, Any] = {
        "attempt": f"{MESSAGE_ID}-2",
        "message_id": MESSAGE_ID,
        "number": 2,
        "app": "media",
        "job": "Encode",
        "image": "media:1",
        "command": ("encode", "a b"),
        "environment": {"B": "2", "A": "1", "BARBEQUE_MESSAGE": '{"n":1}'},
        "timeout": 60.0,
        "grace": 30.0,
        "cpu": 300,
        "memory": 600,
        "place": str(PLACE),
        "details": details(),
    }
    return Launch(**known | facts)


def variables(request: dict[str, Any]) -> dict[str, str]:
    (job,) = request["overrides"]["containerOverrides"]
    return {each["name"]: each["value"] for each in job["environment"]}


def test_a_request_says_everything() -> None:
    request = MAKER.make(a_launch())
    url = variables(request)["BARBEQUE_MESSAGE_URL"]
    address, _, token = url.partition("?token=")
    assert address == f"{JOB_URL}/v2/attempts/{MESSAGE_ID}-2/message"
    assert is_ticket(b"secret", f"{MESSAGE_ID}-2", token)
    posts = [f"{JOB_URL}/v2/attempts/{MESSAGE_ID}-2/{noun}?token={token}" for noun in NOUNS]
    assert request == {
        "cluster": str(PLACE),
        "taskDefinition": "arn:definition",
        "launchType": "FARGATE",
        "propagateTags": "TASK_DEFINITION",
        "networkConfiguration": {
            "awsvpcConfiguration": {
                "subnets": ["subnet-0a1b2c3d"],
                "securityGroups": ["sg-0a1b2c3d"],
                "assignPublicIp": "DISABLED",
            }
        },
        "clientToken": f"{MESSAGE_ID}-2.1",
        "startedBy": f"bq/abc123/{MESSAGE_ID}-2",
        "count": 1,
        "overrides": {
            "containerOverrides": [
                {
                    "name": "app",
                    "command": ["encode", "a b"],
                    "environment": [
                        {"name": "A", "value": "1"},
                        {"name": "B", "value": "2"},
                        {"name": "BARBEQUE_MESSAGE", "value": '{"n":1}'},
                        {"name": "BARBEQUE_MESSAGE_URL", "value": url},
                        {"name": "BARBEQUE_PROGRESS_URL", "value": posts[0]},
                        {"name": "BARBEQUE_RESULT_URL", "value": posts[1]},
                    ],
                    "cpu": 512,
                    "memory": 1024,
                }
            ],
            "cpu": "512",
            "memory": "1024",
        },
        "tags": [
            {"key": "barbeque.app", "value": "media"},
            {"key": "barbeque.attempt", "value": "2"},
            {"key": "barbeque.installation", "value": "abc123"},
            {"key": "barbeque.job", "value": "Encode"},
            {"key": "barbeque.message_id", "value": MESSAGE_ID},
        ],
    }


def test_a_launch_read_back_from_its_row_makes_the_same_bytes() -> None:
    launch = a_launch()
    shuffled = replace(launch, environment=dict(sorted(launch.environment.items(), reverse=True)))
    again = Launch.from_json(launch.to_json())
    texts = {json.dumps(MAKER.make(each)) for each in (launch, shuffled, again)}
    assert len(texts) == 1


def test_tokens_and_starters_are_as_long_as_ecs_takes() -> None:
    launch = a_launch(attempt=f"{MESSAGE_ID}-1000000000", launch_number=999_999)
    request = MAKER.make(launch)
    assert request["clientToken"].endswith("-1000000000.999999")
    assert len(request["clientToken"]) <= 64
    assert len(request["startedBy"]) <= 128


def filled(maker: Maker, length: int) -> Launch:
    """Return a launch whose overrides, with its message, are so long."""
    plain = a_launch(environment={"BARBEQUE_MESSAGE": ""})
    room = length - length_of(maker.make(plain)["overrides"])
    return replace(plain, environment={"BARBEQUE_MESSAGE": "x" * room})


@pytest.mark.parametrize("maker", [MAKER, NO_URL], ids=["with an address", "without"])
def test_a_message_is_a_variable_as_long_as_it_fits(maker: Maker) -> None:
    request = maker.make(filled(maker, OVERRIDES))
    assert len(json.dumps(request["overrides"], separators=(",", ":"))) == OVERRIDES
    assert "BARBEQUE_MESSAGE" in variables(request)


def test_a_message_that_does_not_fit_is_asked_for() -> None:
    request = MAKER.make(filled(MAKER, OVERRIDES + 1))
    urls = {f"BARBEQUE_{noun}_URL" for noun in ("MESSAGE", "PROGRESS", "RESULT")}
    assert set(variables(request)) == urls
    unset = MAKER.make(a_launch(environment={}))
    assert set(variables(unset)) == urls


@pytest.mark.parametrize("launch", [filled(NO_URL, OVERRIDES + 1), a_launch(environment={})])
def test_without_an_address_to_ask_the_operator_is_told(launch: Launch) -> None:
    with pytest.raises(LaunchRefused, match="BARBEQUE_JOB_URL") as refused:
        NO_URL.make(launch)
    assert not refused.value.blame_definition


def test_what_is_too_long_without_its_message_is_the_definitions_fault() -> None:
    with pytest.raises(LaunchRefused, match=r"ecs\.env_files or ecs\.secrets") as refused:
        MAKER.make(a_launch(environment={"BIG": "x" * OVERRIDES}))
    assert refused.value.blame_definition


def test_characters_are_counted_as_ecs_counts_them() -> None:
    assert length_of({"a": "ü"}) == len('{"a":"ü"}')
    assert length_of({"a": "\N{PILE OF POO}"}) == len('{"a":"x"}') + 1
    assert length_of({"a": '"\n'}) == len(r'{"a":"\"\n"}')
    assert length_of({"a": "\ud83d"}) == len('{"a":"x"}')


def test_a_job_has_what_its_task_has_beside_its_sidecars() -> None:
    sidecars = [{"name": "a", "cpu": 100, "memory": 200}, {"name": "b", "memory_reservation": 100}]
    launch = a_launch(cpu=1024, memory=2000, details=details(sidecars=sidecars))
    overrides = MAKER.make(launch)["overrides"]
    assert (overrides["cpu"], overrides["memory"]) == ("2048", "4096")
    (job,) = overrides["containerOverrides"]
    assert (job["cpu"], job["memory"]) == (1948, 3796)


def test_a_job_that_fargate_has_no_size_for_is_the_definitions_fault() -> None:
    with pytest.raises(LaunchRefused, match=r"media/Encode: Fargate has no task") as refused:
        MAKER.make(a_launch(cpu=20_000))
    assert refused.value.blame_definition


def test_on_instances_a_job_has_exactly_what_it_asks_for() -> None:
    said = {"constraints": [{"type": "distinctInstance"}], "strategy": [{"type": "random"}]}
    url = replace(URL, subnets=(), launch="ec2", platform_version="1.4.0")
    launch = a_launch(details=details(url, placement=said))
    request = MAKER.make(launch)
    assert set(request["overrides"]) == {"containerOverrides"}
    (job,) = request["overrides"]["containerOverrides"]
    assert (job["cpu"], job["memory"]) == (300, 600)
    assert request["placementConstraints"] == said["constraints"]
    assert request["placementStrategy"] == said["strategy"]
    assert request["launchType"] == "EC2"
    assert not {"networkConfiguration", "platformVersion"} & set(request)


def test_an_interface_on_an_instance_has_no_public_address() -> None:
    network = details(replace(URL, launch="ec2", public_ip=True))["run"]["networkConfiguration"]
    assert "assignPublicIp" not in network["awsvpcConfiguration"]


def test_ways_to_launch() -> None:
    spot = details(replace(URL, launch="fargate_spot", public_ip=True, exec=True))["run"]
    assert spot["capacityProviderStrategy"] == [{"capacityProvider": "FARGATE_SPOT", "weight": 1}]
    assert spot["enableExecuteCommand"] is True
    assert spot["networkConfiguration"]["awsvpcConfiguration"]["assignPublicIp"] == "ENABLED"
    own = [{"name": "gpu", "weight": 4}, {"name": "gpu-spot", "base": 1}]
    run = details(capacity_providers=own, platform_version="1.4.0")["run"]
    assert run["capacityProviderStrategy"] == [
        {"capacityProvider": "gpu", "weight": 4, "base": 0},
        {"capacityProvider": "gpu-spot", "weight": 1, "base": 1},
    ]
    assert not {"launchType", "platformVersion"} & set(run)
    fargate = details(capacity_providers=[{"name": "FARGATE"}], platform_version="1.4.0")["run"]
    assert fargate["platformVersion"] == "1.4.0"


def test_fargate_without_subnets_is_told_with_the_cure() -> None:
    with pytest.raises(ValueError, match="subnets= into BARBEQUE_EXECUTOR"):
        details(replace(URL, subnets=()))


@pytest.mark.parametrize(
    ("ecs", "kinds"),
    [
        ({}, {"modify", "fargate-calls", "fargate-on-demand"}),
        ({"launch": "fargate_spot"}, {"modify", "fargate-calls", "fargate-spot"}),
        (
            {"capacity_providers": [{"name": "FARGATE"}, {"name": "FARGATE_SPOT"}]},
            {"modify", "fargate-calls", "fargate-on-demand", "fargate-spot"},
        ),
        ({"launch": "ec2"}, {"modify"}),
        ({"capacity_providers": [{"name": "gpu"}]}, {"modify"}),
    ],
)
def test_a_start_draws_from_the_quotas_of_its_way(ecs: dict[str, Any], kinds: set[str]) -> None:
    settings = settings_of(URL, Blueprint("media", "media:1", ecs=ecs))
    quotas = {each.name.rpartition(":")[2]: each for each in quotas_of(settings, PLACE)}
    assert set(quotas) == kinds
    modify = quotas["modify"]
    assert modify.name == "ecs:123456789012:eu-west-1:modify"
    assert modify.rate == pytest.approx(38.8)
    assert modify.burst == pytest.approx(75)
    assert modify.stops
    granted = {each.name.rpartition(":")[2]: each for each in quotas_of(settings, PLACE, 5)}
    assert {kind: each.rate for kind, each in granted.items()} == {
        kind: pytest.approx(5 * each.rate) for kind, each in quotas.items()
    }
    assert not any(each.stops for kind, each in quotas.items() if kind != "modify")


def test_clusters_of_one_account_and_region_are_beside_each_other() -> None:
    other = "arn:aws:ecs:eu-west-1:123456789012:cluster/other"
    assert str(PLACE.beside("other")) == str(PLACE.beside(other)) == other
    assert read_place(str(PLACE)) == PLACE
    for foreign in (other.replace("eu", "us"), other.replace("123", "321"), "arn:aws:s3:::x"):
        with pytest.raises(ValueError, match="is not of account 123456789012"):
            PLACE.beside(foreign)
    assert read_place("docker:1") is None

"""`ecs:` of the apply file: what an app says, its job says over it, and what can't be true."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from barbeque_py.apps import App, JobDefinition
from barbeque_py.ecs_settings import merged
from barbeque_py.manifest import ManifestError, dump, parse
from tests.flows.pages import blocks

PAGE = Path(__file__).parents[2] / "docs" / "ecs-settings.md"


def manifest(app: dict[str, Any], job: dict[str, Any], **more: Any) -> Any:
    """Parse a file with these `ecs:` of an app and its job."""
    facts = {"name": "j", "command": ["c"], "ecs": job} | more
    entry = {"name": "a", "image": "i", "ecs": app, "jobs": [facts]}
    return parse(yaml.safe_dump({"apps": [entry]}, sort_keys=False), base=None)


def settings(app: dict[str, Any], job: dict[str, Any]) -> dict[str, Any]:
    found = manifest(app, job)
    both = merged(found.apps[0], found.jobs[0])
    assert both.pop("logs") == "awslogs"
    assert json.loads(json.dumps(both)) == both
    assert parse(dump(found), base=None) == found
    return both


def problem(app: dict[str, Any], job: dict[str, Any], **more: Any) -> str:
    with pytest.raises(ManifestError) as caught:
        manifest(app, job, **more)
    (line,) = str(caught.value).splitlines()
    return line.partition("apps[0].")[2]


def test_a_jobs_key_goes_before_its_apps_and_maps_are_merged() -> None:
    app = {
        "cluster": "one",
        "secrets": {"A": "/a", "B": "/b"},
        "subnets": ["subnet-0000000a"],
        "linux": {"init": True, "shm_size": 64},
    }
    job = {
        "cluster": "two",
        "secrets": {"B": "/other"},
        "subnets": ["subnet-0000000b"],
        "linux": {"shm_size": 128},
    }
    assert settings(app, job) == {
        "cluster": "two",
        "secrets": {"A": "/a", "B": "/other"},
        "subnets": ["subnet-0000000b"],
        "linux": {"init": True, "shm_size": 128},
    }


def test_a_key_that_a_job_leaves_empty_is_taken_out_of_what_its_app_says() -> None:
    app = {"task_role": "media", "log": {"group": "/jobs", "region": "eu-west-1"}}
    job = {"task_role": None, "log": {"region": None}}
    assert settings(app, job) == {"log": {"group": "/jobs"}}


def test_one_way_to_launch_replaces_the_other() -> None:
    providers = {"capacity_providers": [{"name": "FARGATE_SPOT", "weight": 3}]}
    assert settings({"launch": "ec2"}, providers) == providers
    assert settings(providers, {"launch": "fargate"}) == {"launch": "fargate"}


def test_only_what_was_said_is_kept() -> None:
    assert settings({}, {}) == {}
    proxy = {"name": "proxy", "image": "envoy"}
    assert settings({"sidecars": [proxy]}, {}) == {"sidecars": [proxy]}
    assert merged(App("a", "i", logs="firelens"), JobDefinition("a", "j", ("c",))) == {
        "logs": "firelens"
    }


def test_short_ways_to_write_are_written_out() -> None:
    said = {
        "ulimits": {"nofile": 1024},
        "health_check": {"command": "curl -f localhost", "interval": "1m"},
        "sidecars": [
            {
                "name": "proxy",
                "image": "envoy",
                "command": "envoy -c 'a b'",
                "health_check": {"command": ["true"]},
            }
        ],
    }
    found = settings(said, {})
    assert found["ulimits"] == {"nofile": [1024, 1024]}
    assert found["health_check"] == {"command": ["CMD-SHELL", "curl -f localhost"], "interval": 60}
    assert found["sidecars"][0]["command"] == ["envoy", "-c", "a b"]
    assert found["sidecars"][0]["health_check"] == {"command": ["CMD", "true"]}


def test_the_pages_example_is_taken_as_it_stands() -> None:
    texts = [block.text for block in blocks(PAGE) if "ecs:" in block.text]
    assert texts
    for text in texts:
        found = parse(text, base=None)
        assert parse(dump(found), base=None) == found


def test_every_key_stands_on_the_page() -> None:
    schema = json.loads((PAGE.parent / "apply.schema.json").read_text(encoding="utf-8"))
    page = PAGE.read_text(encoding="utf-8")
    for form in ("EcsForm", "SidecarForm", "VolumeForm", "LinuxForm", "LogForm"):
        missing = [key for key in schema["$defs"][form]["properties"] if f"`{key}`" not in page]
        assert missing == [], form


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"launch": "farg"}, "ecs.launch: the text 'farg' is not one of"),
        ({"lanch": "ec2"}, 'ecs.lanch: unknown key; did you mean "launch"?'),
        ({"sidecars": [{"name": "x", "image": "y", "port": 1}]}, 'did you mean "ports"?'),
        (
            {"linux": {"capabilities": {"ad": []}}},
            'capabilities.ad: unknown key; did you mean "add"',
        ),
        ({"cluster": "a b"}, "not a cluster's name or ARN"),
        ({"launch": "ec2", "capacity_providers": [{"name": "X"}]}, "exclude one another"),
        ({"capacity_providers": []}, "at least 1 item"),
        ({"capacity_providers": [{"name": "X", "weight": 1001}]}, "at most 1000"),
        ({"capacity_providers": [{"name": "X", "weight": 0}]}, "no provider has a weight"),
        ({"capacity_providers": [{"name": "FARGATE"}, {"name": "X"}]}, "can't be mixed"),
        ({"capacity_providers": [{"name": "X"}, {"name": "X"}]}, "stands twice"),
        (
            {"capacity_providers": [{"name": "X", "base": 1}, {"name": "Y", "base": 1}]},
            "more than one provider has a base",
        ),
        ({"subnets": ["sg-00000000"]}, "not a subnet's id"),
        ({"task_role": "a role"}, "not a role's name or ARN"),
        ({"tags": {"aws:x": "1"}}, "which are taken"),
        ({"tags": {f"k{number}": "" for number in range(41)}}, "40 at most"),
        ({"tags": {"k" * 129: ""}}, "1 to 128 characters"),
        ({"ephemeral_storage": 20}, "at least 21"),
        ({"secrets": {"A": "arn:aws:s3:::x"}}, "not an SSM parameter's name"),
        ({"secrets": {"BARBEQUE_JOB": "/a"}}, "what every job is given"),
        ({"env_files": ["arn:aws:s3:::b/x.txt"]}, "ends in .env"),
        ({"volumes": [{"name": "v", "host": "/x", "docker": {}}]}, "exclude one another"),
        (
            {"volumes": [{"name": "v", "efs": {"file_system": "fs-00000000", "port": 1}}]},
            "efs.port: unknown key",
        ),
        (
            {
                "volumes": [
                    {
                        "name": "v",
                        "efs": {
                            "file_system": "fs-00000000",
                            "iam": True,
                            "transit_encryption": False,
                        },
                    }
                ]
            },
            "need transit_encryption",
        ),
        ({"ulimits": {"files": 5}}, "is not one of core"),
        ({"ulimits": {"nofile": [5, 4]}}, "above the hard one"),
        ({"ulimits": {"nofile": [5]}}, "write [soft, hard]"),
        ({"ulimits": {"nofile": [True, True]}}, "write [soft, hard]"),
        ({"health_check": {"command": ""}}, "the command is empty"),
        ({"health_check": {"command": "x", "interval": "1s"}}, "write 5s to 5m"),
        ({"health_check": {"command": "x", "timeout": 2.5}}, "whole seconds"),
        ({"depends_on": {"x": "RUNNING"}}, "not one of 'START'"),
        ({"placement": {"constraints": [{"type": "memberOf"}]}}, "takes an expression"),
        ({"linux": {"capabilities": {"drop": ["FOO"]}}}, "not a Linux capability"),
        ({"log": {"mode": "fast"}}, "not one of 'blocking'"),
        ({"user": "a b"}, "not a user"),
        ({"exec": "yes"}, "true or false"),
        ([], "a list stands where a mapping is needed"),
    ],
)
def test_a_wrong_key_is_named(said: Any, words: str) -> None:
    for app, job in ((said, {}), ({}, said)):
        told = problem(app, job)
        assert words in told
        assert told.startswith("jobs[0].ecs" if job or app == {} else "ecs")


SIDE = {"name": "side", "image": "s"}


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"firelens": {"image": "f"}}, "ecs.firelens: this is said, but the app has not logs"),
        ({"memory_reservation": 600}, "more than the job's memory, 512"),
        ({"mounts": [{"volume": "v", "path": "/v"}]}, "mounts[0].volume: no volume is called v"),
        ({"volumes": [{"name": "v"}, {"name": "v"}]}, "volumes[1].name: v stands twice"),
        ({"sidecars": [SIDE, SIDE]}, "sidecars[1].name: side stands twice"),
        ({"sidecars": [SIDE | {"name": "app"}]}, "app is a name of ours"),
        (
            {"sidecars": [SIDE | {"name": f"s{number}"} for number in range(10)]},
            "a task of 11 containers",
        ),
        (
            {"sidecars": [SIDE | {"env": {"A": "1"}, "secrets": {"A": "/a"}}]},
            "sidecars[0].secrets.A: A is also a variable",
        ),
        ({"depends_on": {"side": "START"}}, "depends_on.side: no sidecar is called side"),
        ({"sidecars": [SIDE], "depends_on": {"side": "HEALTHY"}}, "has no health_check"),
        (
            {"sidecars": [SIDE | {"essential": True}], "depends_on": {"side": "COMPLETE"}},
            "its end would end the task",
        ),
        (
            {
                "sidecars": [
                    SIDE | {"depends_on": {"two": "START"}},
                    SIDE | {"name": "two", "depends_on": {"side": "START"}},
                ]
            },
            "side depends on itself",
        ),
        ({"launch": "ec2", "public_ip": True}, "public_ip is for Fargate"),
        ({"launch": "fargate", "gpu": 1}, "gpu is not to be had on Fargate"),
        (
            {"launch": "fargate_spot", "placement": {"strategy": [{"type": "random"}]}},
            "placement is not to be had",
        ),
        ({"launch": "fargate", "volumes": [{"name": "v", "host": "/x"}]}, "volumes[0].host"),
        ({"launch": "fargate", "privileged": True}, "privileged is not to be had"),
        ({"launch": "fargate", "linux": {"shm_size": 64}}, "linux.shm_size"),
        ({"launch": "fargate", "linux": {"capabilities": {"add": ["KILL"]}}}, "SYS_PTRACE is"),
        ({"launch": "fargate", "ulimits": {"core": 0}}, "ulimits.core: core can't be set"),
        (
            {"launch": "fargate", "sidecars": [SIDE | {"stop_timeout": "3m"}]},
            "sidecars[0].stop_timeout: Fargate waits 2m after SIGTERM, not 3m",
        ),
    ],
)
def test_what_cant_be_true_together_is_told_where_it_was_said(said: Any, words: str) -> None:
    assert words in problem(said, {})
    assert problem(said, {}).startswith("ecs.")
    assert words in problem({}, said)
    assert problem({}, said).startswith("jobs[0].ecs.")


def test_a_grace_that_fargate_has_not_is_told_at_the_job() -> None:
    assert problem({"launch": "fargate"}, {}, grace="3m").startswith("jobs[0].grace: Fargate waits")
    manifest({"launch": "ec2"}, {}, grace="3m")
    manifest({}, {}, grace="3m")


def test_a_name_is_a_variable_or_a_secret() -> None:
    told = problem({"secrets": {"A": "/a"}}, {}, env={"A": "1"})
    assert told == "ecs.secrets.A: A is also a variable under env; keep one"


def test_more_than_ecs_takes_is_told() -> None:
    said = {"sidecars": [SIDE | {"env": {"A": "x" * 50_000}}]}
    assert "longer than 48 KiB" in problem(said, {})


def test_an_apps_fault_is_told_once_for_all_its_jobs() -> None:
    found = manifest({}, {})
    app = replace(found.apps[0], ecs={"memory_reservation": 600})
    jobs = tuple(replace(found.jobs[0], name=name) for name in "jkl")
    with pytest.raises(ManifestError) as caught:
        parse(dump(replace(found, apps=(app,), jobs=jobs)), base=None)
    assert len(caught.value.problems) == 1

"""The simulator of ECS keeps ECS's laws: its answers, tokens, refusals, courses and events."""

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from tests.cloud.ecs_rig import NETWORK, EcsRig
from tests.cloud.moto_side import Moto
from tests.cloud.service import AwsFault
from tests.waiting import wait_until

pytestmark = pytest.mark.usefixtures("moto_endpoint")


@pytest.fixture(scope="module")
def moto_endpoint() -> Iterator[str]:
    moto = Moto()
    moto.start()
    yield moto.endpoint
    moto.stop()


@pytest.fixture
def rig(moto_endpoint: str) -> Iterator[EcsRig]:
    with EcsRig(moto_endpoint) as rig:
        yield rig


def refused(rig: EcsRig, **request: Any) -> AwsFault:
    with pytest.raises(AwsFault) as raised:
        rig.run(**request)
    return raised.value


def test_a_task_goes_its_course_and_each_change_counts(rig: EcsRig) -> None:
    statuses = ["PROVISIONING", "PENDING", "RUNNING", "DEPROVISIONING", "STOPPED"]
    rig.wish("configure", event_queue="events", event_statuses=statuses)
    arn = rig.begin(startedBy="bq/one/1-1", env={"FAKE_EXIT": 3})
    task = rig.reach(arn)
    assert task["containers"][0]["exitCode"] == 3
    assert task["stopCode"] == "EssentialContainerExited"
    assert task["desiredStatus"] == "STOPPED"
    assert task["startedAt"] <= task["stoppingAt"] <= task["stoppedAt"]
    details = rig.events(arn)
    assert [each["lastStatus"] for each in details] == statuses
    assert [each["version"] for each in details] == [1, 2, 3, 4, 5]
    assert [each["startedBy"] for each in details] == ["bq/one/1-1"] * 5


def test_an_event_is_enveloped_as_eventbridge_does_and_has_no_tags(rig: EcsRig) -> None:
    rig.wish("configure", event_queue=["one", "two"])
    arn = rig.begin(tags=[{"key": "app", "value": "x"}])
    rig.reach(arn)
    assert [queue for queue, _, _ in rig.sent] == ["one", "two"] * 2
    body = rig.sent[-1][1]
    assert (body["version"], body["source"], body["detail-type"]) == (
        "0",
        "aws.ecs",
        "ECS Task State Change",
    )
    assert "tags" not in body["detail"]
    assert datetime.fromisoformat(body["detail"]["stoppedAt"]).tzinfo is not None


def test_events_get_lost_doubled_and_late(rig: EcsRig) -> None:
    rig.wish("configure", event_queue="q", events_lost=0.3, events_doubled=0.5, events_shuffled=2)
    arns = [rig.begin() for _ in range(50)]
    for arn in arns:
        rig.reach(arn)
    per_task = [len(rig.events(arn)) for arn in arns]
    assert min(per_task) < 2 < max(per_task)
    assert 1 < max(delay for _, _, delay in rig.sent) <= 2


def test_a_repeated_token_starts_nothing_and_answers_with_the_first_task(rig: EcsRig) -> None:
    first = rig.begin(clientToken="t-1", env={"FAKE_SECONDS": 60})
    again = rig.run(clientToken="t-1", env={"FAKE_SECONDS": 60})
    assert [task["taskArn"] for task in again["tasks"]] == [first]
    assert again["tasks"][0]["containers"]
    assert rig.wish("counts")["tasks"] == 1


def test_a_repeat_tells_little_of_a_task_that_has_stopped(rig: EcsRig) -> None:
    arn = rig.begin(clientToken="t-2")
    rig.reach(arn)
    assert rig.run(clientToken="t-2")["tasks"] == [
        {"taskArn": arn, "lastStatus": "STOPPED", "desiredStatus": "STOPPED"}
    ]


def test_a_token_with_other_parameters_is_a_conflict_that_names_the_tasks(rig: EcsRig) -> None:
    arn = rig.begin(clientToken="t-3", startedBy="one")
    fault = refused(rig, clientToken="t-3", startedBy="two")
    assert fault.code == "ConflictException"
    assert fault.more == {"resourceIds": [arn]}


def test_a_token_belongs_to_one_cluster(rig: EcsRig) -> None:
    rig.ask("CreateCluster", clusterName="d")
    request = {
        "taskDefinition": rig.definition,
        "networkConfiguration": NETWORK,
        "launchType": "FARGATE",
        "clientToken": "t-4",
    }
    answers = [rig.ask("RunTask", cluster=name, **request) for name in "cd"]
    assert answers[0]["tasks"][0]["taskArn"] != answers[1]["tasks"][0]["taskArn"]


def test_a_token_dies_a_while_after_its_task_and_then_starts_a_second_one(rig: EcsRig) -> None:
    rig.wish("configure", token_life=0.2)
    first = rig.begin(clientToken="t-5")
    rig.reach(first)
    wait_until(lambda: rig.run(clientToken="t-5")["tasks"][0]["taskArn"] != first)
    assert rig.wish("counts")["tasks"] == 2


def test_a_token_lives_as_long_as_its_task_but_not_longer_than_the_longest(rig: EcsRig) -> None:
    rig.wish("configure", token_life=0)
    first = rig.begin(clientToken="t-6", env={"FAKE_SECONDS": 60})
    request = {"clientToken": "t-6", "env": {"FAKE_SECONDS": 60}}
    rig.reach(first, "RUNNING")
    assert rig.begin(**request) == first
    rig.wish("configure", token_longest=0)
    assert rig.begin(**request) != first


def test_a_failed_placement_is_remembered_and_needs_a_new_token(rig: EcsRig) -> None:
    rig.wish("configure", capacity=1)
    failed = rig.run(clientToken="t-7")
    assert failed["tasks"] == []
    assert failed["failures"][0]["reason"].startswith("Capacity is unavailable at this time")
    rig.wish("configure", capacity=0)
    assert rig.run(clientToken="t-7") == failed
    assert rig.begin(clientToken="t-8")
    rig.wish("configure", token_life=0)
    assert rig.run(clientToken="t-7") == {"tasks": [], "failures": [{}]}


def test_capacity_can_be_closed_for_a_size_and_opened_again(rig: EcsRig) -> None:
    big = {"overrides": {"cpu": "1024", "memory": "2048"}}
    rig.wish("configure", no_capacity_for={"cpu": 1024, "until": 60})
    assert rig.run(**big)["failures"]
    assert rig.begin()
    rig.wish("configure", no_capacity_for=[])
    assert rig.begin(**big)


def test_ec2_failures_name_what_lacks(rig: EcsRig) -> None:
    rig.wish("configure", capacity=1)
    reason = rig.run(launchType="EC2")["failures"][0]["reason"]
    assert reason in ("RESOURCE:MEMORY", "RESOURCE:CPU")


@pytest.mark.parametrize(
    ("request_", "code", "words"),
    [
        ({"clientToken": "x" * 65}, "InvalidParameterException", "64"),
        ({"clientToken": "a b"}, "InvalidParameterException", "64"),
        ({"startedBy": "x" * 129}, "InvalidParameterException", "startedBy"),
        ({"startedBy": "a.b"}, "InvalidParameterException", "startedBy"),
        ({"count": 11}, "InvalidParameterException", "count"),
        ({"env": {"A": "x" * 8192}}, "InvalidParameterException", "at most 8192"),
        (
            {"overrides": {"containerOverrides": [{"name": "nobody"}]}},
            "InvalidParameterException",
            "not a container in the TaskDefinition",
        ),
        ({"taskDefinition": ""}, "ClientException", "blank"),
        ({"taskDefinition": "nothing:1"}, "ClientException", "TaskDefinition not found."),
        ({"networkConfiguration": {}}, "InvalidParameterException", "Network Configuration"),
        (
            {
                "launchType": "FARGATE",
                "capacityProviderStrategy": [{"capacityProvider": "FARGATE"}],
            },
            "InvalidParameterException",
            "launch type and capacity provider",
        ),
        ({"overrides": {"cpu": "256", "memory": "4096"}}, "InvalidParameterException", "Fargate"),
        ({"enableExecuteCommand": True}, "InvalidParameterException", "taskRoleArn"),
        ({"platformVersion": "9.9"}, "PlatformUnknownException", "platform"),
        ({"propagateTags": "SERVICE"}, "InvalidParameterException", "SERVICE"),
        (
            {"capacityProviderStrategy": [{"capacityProvider": "mine"}]},
            "InvalidParameterException",
            "not associated",
        ),
    ],
)
def test_what_aws_refuses_is_refused(
    rig: EcsRig, request_: dict[str, Any], code: str, words: str
) -> None:
    fault = refused(rig, **request_)
    assert (fault.code, fault.status) == (code, 400)
    assert words in fault.message
    assert rig.wish("counts")["tasks"] == 0


def test_an_unknown_cluster_and_an_inactive_definition_are_refused(rig: EcsRig) -> None:
    with pytest.raises(AwsFault, match="ClusterNotFoundException"):
        rig.ask("RunTask", cluster="nowhere", taskDefinition=rig.definition)
    rig.begin()
    rig.ask("DeregisterTaskDefinition", taskDefinition=rig.definition)
    assert refused(rig).message == "TaskDefinition is inactive"


def test_a_definition_for_fargate_is_checked_when_it_is_registered(rig: EcsRig) -> None:
    with pytest.raises(AwsFault, match="No Fargate configuration exists"):
        rig.register(memory="100")
    log = {"logDriver": "awslogs", "options": {"awslogs-group": "g"}}
    with pytest.raises(AwsFault, match="execution role"):
        rig.register(executionRoleArn="", container={"logConfiguration": log})


def test_a_blocked_account_and_a_throttle_in_disguise_refuse(rig: EcsRig) -> None:
    rig.wish("configure", hidden_throttle=1)
    assert refused(rig).code == "ClientException"
    rig.wish("configure", blocked=True)
    assert refused(rig).code == "BlockedException"


def test_full_buckets_let_a_burst_through_and_then_throttle(rig: EcsRig) -> None:
    rig.wish("configure", buckets=True)
    fault = None
    for _ in range(40):
        try:
            rig.begin()
        except AwsFault as raised:
            fault = raised
            break
    assert fault is not None
    assert (fault.code, fault.message) == ("ThrottlingException", "Rate exceeded")
    assert rig.wish("counts")["tasks"] >= 20


def test_stop_asks_first_and_kills_after_the_stop_timeout(rig: EcsRig) -> None:
    rig.definition = rig.register(container={"stopTimeout": 0})
    kind = rig.begin(env={"FAKE_SECONDS": 60})
    rig.reach(kind, "RUNNING")
    stopping = rig.ask("StopTask", cluster="c", task=kind, reason="no longer wanted")["task"]
    assert (stopping["lastStatus"], stopping["desiredStatus"]) == ("RUNNING", "STOPPED")
    stopped = rig.reach(kind)
    assert (stopped["stopCode"], stopped["stoppedReason"]) == ("UserInitiated", "no longer wanted")
    assert stopped["containers"][0]["exitCode"] == 143
    deaf = rig.begin(env={"FAKE_SECONDS": 60, "FAKE_DEAF": 1})
    rig.reach(deaf, "RUNNING")
    rig.ask("StopTask", cluster="c", task=deaf.rpartition("/")[2])
    assert rig.reach(deaf)["containers"][0]["exitCode"] == 137


def test_a_task_stopped_before_it_runs_never_runs(rig: EcsRig) -> None:
    rig.wish("configure", provision_seconds=0.2)
    arn = rig.begin()
    rig.ask("StopTask", cluster="c", task=arn)
    task = rig.reach(arn)
    assert "startedAt" not in task
    assert "exitCode" not in task["containers"][0]
    assert task["stopCode"] == "UserInitiated"


def test_stop_of_an_unknown_task_is_refused(rig: EcsRig) -> None:
    with pytest.raises(AwsFault, match="referenced task was not found"):
        rig.ask("StopTask", cluster="c", task="0" * 32)


@pytest.mark.parametrize("code", ["SpotInterruption", "TerminationNotice"])
def test_spot_warns_by_an_event_and_then_takes_the_task(rig: EcsRig, code: str) -> None:
    rig.wish("configure", interrupt_code=code, event_queue="q")
    spot = [{"capacityProvider": "FARGATE_SPOT", "weight": 1}]
    arn = rig.begin(capacityProviderStrategy=spot, startedBy="spot", env={"FAKE_SECONDS": 60})
    assert rig.reach(arn, "RUNNING")["capacityProviderName"] == "FARGATE_SPOT"
    rig.wish("interrupt", startedBy="spot")
    task = rig.reach(arn)
    assert (task["stopCode"], task["containers"][0]["exitCode"]) == (code, 143)
    assert task["stoppedReason"] == "Your Spot Task was interrupted."
    seen = [(each["lastStatus"], each["desiredStatus"]) for each in rig.events(arn)]
    assert seen == [("RUNNING", "RUNNING"), ("RUNNING", "STOPPED"), ("STOPPED", "STOPPED")]


def test_a_lost_host_takes_the_task_without_an_exit_code(rig: EcsRig) -> None:
    arn = rig.begin(env={"FAKE_SECONDS": 60, "FAKE_DEAF": 1})
    rig.reach(arn, "RUNNING")
    rig.wish("fail_host", task=arn)
    task = rig.reach(arn)
    assert task["stopCode"] == "InfrastructureHealth"
    assert "exitCode" not in task["containers"][0]


def test_what_can_not_start_has_no_exit_code(rig: EcsRig) -> None:
    sentence = "CannotPullContainerError: pull access denied"
    task = rig.reach(rig.begin(env={"FAKE_REFUSED": sentence}))
    assert (task["stopCode"], task["stoppedReason"]) == ("TaskFailedToStart", sentence)
    assert "exitCode" not in task["containers"][0]
    rig.wish("configure", failed_starts=1)
    task = rig.reach(rig.begin())
    assert task["stoppedReason"].startswith("ResourceInitializationError")


def test_stopped_tasks_vanish_and_unknown_ones_are_missing(rig: EcsRig) -> None:
    arn = rig.begin()
    rig.reach(arn)
    rig.wish("configure", stopped_life=0)
    answer = rig.ask("DescribeTasks", cluster="c", tasks=[arn, "f" * 32])
    assert answer["tasks"] == []
    assert [each["reason"] for each in answer["failures"]] == ["MISSING", "MISSING"]
    assert rig.ask("ListTasks", cluster="c", desiredStatus="STOPPED")["taskArns"] == []
    assert len(rig.wish("tasks")["tasks"]) == 1


def test_a_new_task_may_take_a_while_to_appear(rig: EcsRig) -> None:
    rig.wish("configure", appear_seconds=60)
    arn = rig.begin()
    assert rig.ask("DescribeTasks", cluster="c", tasks=[arn])["failures"]
    assert rig.ask("ListTasks", cluster="c")["taskArns"] == []


def test_tasks_are_listed_by_who_started_them_and_by_nothing_else_then(rig: EcsRig) -> None:
    mine = rig.begin(startedBy="me", env={"FAKE_SECONDS": 60})
    rig.begin(startedBy="you", env={"FAKE_SECONDS": 60})
    ended = rig.begin(startedBy="me")
    rig.reach(ended)
    assert rig.ask("ListTasks", cluster="c", startedBy="me")["taskArns"] == [mine]
    for more in ({"family": "app"}, {"desiredStatus": "STOPPED"}):
        with pytest.raises(AwsFault, match="only filter"):
            rig.ask("ListTasks", cluster="c", startedBy="me", **more)
    stopped = rig.ask("ListTasks", cluster="c", family="app", desiredStatus="STOPPED")
    assert stopped["taskArns"] == [ended]


def test_lists_come_in_pages_and_descriptions_a_hundred_at_once(rig: EcsRig) -> None:
    arns = [
        arn["taskArn"]
        for _ in range(15)
        for arn in rig.run(count=10, env={"FAKE_SECONDS": 60})["tasks"]
    ]
    first = rig.ask("ListTasks", cluster="c")
    rest = rig.ask("ListTasks", cluster="c", nextToken=first["nextToken"])
    assert (len(first["taskArns"]), "nextToken" in rest) == (100, False)
    assert first["taskArns"] + rest["taskArns"] == arns
    assert len(rig.ask("DescribeTasks", cluster="c", tasks=arns[:100])["tasks"]) == 100
    with pytest.raises(AwsFault, match="InvalidParameterException"):
        rig.ask("DescribeTasks", cluster="c", tasks=arns[:101])


def test_tags_are_kept_and_shown_only_when_asked_for(rig: EcsRig) -> None:
    arn = rig.begin(tags=[{"key": "app", "value": "x"}])
    rig.ask("TagResource", resourceArn=arn, tags=[{"key": "job", "value": "y"}])
    assert rig.look(arn)["tags"] == []
    shown = rig.ask("DescribeTasks", cluster="c", tasks=[arn], include=["TAGS"])["tasks"][0]
    assert {each["key"] for each in shown["tags"]} == {"app", "job"}


def test_the_judge_counts_tasks_by_who_started_them(rig: EcsRig) -> None:
    for token in ("a", "b", "b"):
        rig.begin(startedBy="bq/x/1", clientToken=token)
    assert rig.wish("counts")["most_for_one_startedBy"] == 2
    tasks = rig.wish("tasks", startedBy="bq/x/1")["tasks"]
    assert [task["clientToken"] for task in tasks] == ["a", "b"]


def test_a_cluster_may_be_named_by_its_arn(rig: EcsRig) -> None:
    arn = rig.begin(clientToken="t-10")
    cluster = rig.look(arn)["clusterArn"]
    assert rig.ask("DescribeTasks", cluster=cluster, tasks=[arn])["tasks"][0]["taskArn"] == arn
    assert rig.ask("StopTask", cluster=cluster, task=arn)["task"]["taskArn"] == arn


def test_after_a_reset_there_never_was_a_task(rig: EcsRig) -> None:
    request = {"clientToken": "t-9", "env": {"FAKE_SECONDS": 60}}
    first = rig.begin(**request)
    rig.wish("reset")
    assert rig.wish("tasks")["tasks"] == []
    assert rig.begin(**request) != first


def test_answers_are_json_and_an_unknown_knob_is_refused(rig: EcsRig) -> None:
    json.dumps(rig.run())
    json.dumps(rig.wish("configure"))
    with pytest.raises(AwsFault, match="no knob"):
        rig.wish("configure", speed=3)

"""What only ECS does: tokens, task definitions, refusals, evidence, and events."""

import json
import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from barbeque_py import clock
from barbeque_py.errors import (
    ExecutorUnavailable,
    LaunchRefused,
    NoCapacity,
    NoSuchLog,
    Throttled,
)
from barbeque_py.executor import Executor, Launch, News, Preparation, Sighting, Standing
from barbeque_py.executors.ecs import EcsExecutor
from barbeque_py.executors.ecs_definition import Bucket
from barbeque_py.executors.ecs_events import TaskEvents
from barbeque_py.executors.ecs_request import length_of
from barbeque_py.outcomes import Fate, Reason
from barbeque_py.registries.asking import Registries
from tests.contracts.ecs_rig import CLUSTER, INSTALLATION, EcsRig, RecordingExecutor
from tests.contracts.logstore_rigs import MemoryLogStore
from tests.contracts.registry import Registry as StandIn
from tests.contracts.registry import digest_of
from tests.contracts.rigs import fate_of, look, stored, unknown_attempt
from tests.waiting import wait_until

ACCOUNT = "arn:aws:ecs:us-east-1:123456789012"
HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def one_rig() -> Iterator[EcsRig]:
    rig = EcsRig("fake")
    yield rig
    rig.close()


@pytest.fixture
def rig(one_rig: EcsRig) -> Iterator[EcsRig]:
    one_rig.calm()
    yield one_rig
    one_rig.calm()


@pytest.fixture
def executor(rig: EcsRig) -> RecordingExecutor:
    return rig.executor()


def a_job(rig: EcsRig, *, seconds: float = 0.0, **facts: Any) -> Launch:
    """Return a launch of a task in name only; words in capitals are its environment."""
    told = {name: str(facts.pop(name)) for name in list(facts) if name.isupper()}
    environment = {"FAKE_SECONDS": str(seconds), **told}
    return rig.launch("true", environment=environment, **facts)


def run(rig: EcsRig, **facts: Any) -> Fate:
    """Run a task in name only to its end; return its fate."""
    executor, launch = rig.executor(), a_job(rig, **facts)
    executor.start(launch, "{}")
    return fate_of(executor, launch)


def insist(call: Callable[[], Any]) -> Any:
    """Call again while the executor is not to be had, as a worker does."""

    def called() -> Any:
        try:
            return call()
        except ExecutorUnavailable:
            return None

    return wait_until(called, "the executor answers")


# Places


def test_a_cluster_that_is_missing_is_named_with_the_cure(rig: EcsRig) -> None:
    with pytest.raises(ExecutorUnavailable, match="no ECS cluster nope: make it"):
        rig.plain(cluster="nope").place()


def test_clusters_of_the_same_account_and_region_are_served(rig: EcsRig) -> None:
    executor = rig.plain()
    assert executor.place() == f"{ACCOUNT}:cluster/{CLUSTER}"
    assert executor.serves(f"{ACCOUNT}:cluster/other")
    assert not executor.serves(f"{ACCOUNT.replace('us-east-1', 'eu-west-1')}:cluster/{CLUSTER}")
    assert not executor.serves("docker:1")
    assert not executor.former(executor.place())
    assert (executor.slots(), rig.plain(slots=7).slots()) == (None, 7)


def test_a_job_may_name_a_cluster_beside_ours_and_no_other(rig: EcsRig) -> None:
    executor = rig.plain()
    prepared = executor.prepare(rig.blueprint(cluster="other"))
    assert prepared.place == f"{ACCOUNT}:cluster/other"
    with pytest.raises(LaunchRefused, match="make the cluster, or name another"):
        executor.start(rig.launch("true", prepared=prepared), "{}")
    foreign = f"{ACCOUNT.replace('us-east-1', 'eu-west-1')}:cluster/x"
    with pytest.raises(LaunchRefused, match="is not of account 123456789012"):
        executor.prepare(rig.blueprint(cluster=foreign))


def test_how_attempts_are_to_be_treated(rig: EcsRig) -> None:
    traits = rig.plain(log_wait=timedelta(seconds=2)).traits
    assert not traits.attended
    assert traits.repeat_window == timedelta(minutes=50)
    assert traits.log_waits == (timedelta(seconds=2), timedelta(seconds=4))
    assert traits.check_every == timedelta(seconds=60)


# Task definitions


def test_ten_workers_at_once_register_a_definition_once(rig: EcsRig) -> None:
    workers = [rig.plain() for _ in range(10)]
    blueprint = rig.blueprint(user="1001")
    together = threading.Barrier(len(workers))
    rig.cloud.reset_counts()

    def prepare(worker: EcsExecutor) -> Preparation:
        together.wait()
        prepared = insist(lambda: worker.prepare(blueprint))
        assert isinstance(prepared, Preparation)
        return prepared

    with ThreadPoolExecutor(len(workers)) as threads:
        prepared = list(threads.map(prepare, workers))
    assert len({str(each.details["run"]["taskDefinition"]) for each in prepared}) == 1
    assert rig.cloud.counts()["ecs"]["RegisterTaskDefinition"] == 1


def test_a_known_definition_costs_no_call(rig: EcsRig) -> None:
    executor = rig.plain()
    first = executor.prepare(rig.blueprint())
    rig.cloud.reset_counts()
    assert executor.prepare(rig.blueprint()) == first
    assert "ecs" not in rig.cloud.counts()


def test_an_image_is_pinned_before_its_definition_is_registered(rig: EcsRig) -> None:
    with closing(StandIn()) as there, closing(Registries()) as registries:
        executor = rig.plain(registry=registries)

        def prepared(tag: str) -> Preparation:
            return executor.prepare(replace(rig.blueprint(), image=f"{there.address}/{tag}"))

        first = f"{there.address}/media@{digest_of(there.push('media', 'v1', b'one'))}"
        before = prepared("media:v1")
        assert before.image == first
        second = f"{there.address}/media@{digest_of(there.push('media', 'v1', b'two'))}"
        after = prepared("media:v1")
        assert after.image == second
        assert before.details["content"] != after.details["content"]
        pinned = executor.prepare(replace(rig.blueprint(), image=first))
        assert pinned.details["content"] == before.details["content"]
        with pytest.raises(LaunchRefused, match="release another image") as refused:
            prepared("media:v2")
        assert refused.value.blame_definition
        there.asked.clear()
        assert [prepared("members/media").image for _ in range(3)] == [
            f"{there.address}/members/media"
        ] * 3
        assert len(there.asked) == 1


def test_a_throttled_registration_is_put_off_and_costs_nothing(rig: EcsRig) -> None:
    executor, blueprint = rig.plain(), rig.blueprint(user="1002")
    rig.cloud.faults(ecs={"throttle": 1.0, "only": ["RegisterTaskDefinition"]})
    with pytest.raises(ExecutorUnavailable, match="registering the task definition"):
        executor.prepare(blueprint)
    rig.cloud.reset_counts()
    with pytest.raises(ExecutorUnavailable, match="is being registered"):
        rig.plain().prepare(blueprint)  # nobody asks again at once
    assert "RegisterTaskDefinition" not in rig.cloud.counts().get("ecs", {})
    rig.cloud.faults()
    assert insist(lambda: rig.plain().prepare(blueprint)).details["run"]["taskDefinition"]


def test_registrations_of_one_family_that_collide_are_repeated(rig: EcsRig) -> None:
    rig.turn(registration_races=True)
    blueprints = [rig.blueprint(user=f"20{number:02}") for number in range(6)]
    with ThreadPoolExecutor(len(blueprints)) as threads:
        done = threads.map(lambda each: insist(lambda: rig.plain().prepare(each)), blueprints)
        arns = {each.details["run"]["taskDefinition"] for each in done}
    assert len(arns) == len(blueprints)


def test_a_lost_answer_to_a_registration_is_asked_for_again(rig: EcsRig) -> None:
    executor, blueprint = rig.plain(), rig.blueprint(user="1003")
    rig.cloud.faults(ecs={"lose_answer": 1.0, "only": ["RegisterTaskDefinition"]})
    with pytest.raises(ExecutorUnavailable):
        executor.prepare(blueprint)
    rig.cloud.faults()
    assert executor.prepare(blueprint).details["run"]["taskDefinition"]


def test_a_definition_that_ecs_refuses_is_at_fault_in_its_words(rig: EcsRig) -> None:
    executor = rig.plain(execution_role=None)
    rig.cloud.reset_counts()
    for _ in range(2):
        with pytest.raises(LaunchRefused, match="execution role ARN to support log driver") as no:
            executor.prepare(rig.blueprint())
        assert no.value.blame_definition
    assert rig.cloud.counts()["ecs"]["RegisterTaskDefinition"] == 1


@pytest.mark.parametrize(
    ("changes", "cure"),
    [
        ({"subnets": ()}, "subnets= into BARBEQUE_EXECUTOR"),
        ({"ecs": {"logs": "firelens"}}, "BARBEQUE_LOGS"),
        ({"ecs": {"sidecars": [{"name": "a", "image": "a", "cpu": 99_999}]}}, "no task of cpu"),
    ],
)
def test_what_can_not_run_is_refused_before_it_is_registered(
    rig: EcsRig, changes: dict[str, Any], cure: str
) -> None:
    blueprint = rig.blueprint(**changes.pop("ecs", {}))
    with pytest.raises(LaunchRefused, match=cure) as refused:
        rig.plain(**changes).prepare(blueprint)
    assert refused.value.blame_definition


def test_a_definition_that_was_deregistered_is_registered_anew(rig: EcsRig) -> None:
    executor, other = rig.plain(), rig.plain()
    blueprint = rig.blueprint(user="1004")
    prepared = executor.prepare(blueprint)
    assert other.prepare(blueprint) == prepared
    arn = prepared.details["run"]["taskDefinition"]
    rig.cloud.client("ecs").deregister_task_definition(taskDefinition=arn)
    for worker in (executor, other):
        with pytest.raises(LaunchRefused, match="registered anew") as refused:
            worker.start(a_job(rig, prepared=prepared), "{}")
        assert not refused.value.blame_definition
    anew = executor.prepare(blueprint)
    assert anew.details["run"]["taskDefinition"] != arn
    assert other.prepare(blueprint) == anew
    assert executor.start(a_job(rig, prepared=anew), "{}").handle


# Starts


def test_a_start_tells_the_task(rig: EcsRig, executor: RecordingExecutor) -> None:
    launch = a_job(rig)
    sighting = executor.start(launch, "{}")
    (task,) = rig.tasks(launch)
    assert sighting.standing is Standing.RUNNING
    assert sighting.handle == task["taskArn"]
    assert sighting.version is not None
    assert task["clientToken"] == f"{launch.attempt}.1"


def test_a_lost_answer_is_repeated_and_starts_nothing_new(rig: EcsRig) -> None:
    executor, launch = rig.executor(), a_job(rig, seconds=30)
    rig.cloud.faults(ecs={"lose_answer": 1.0, "only": ["RunTask"]})
    for worker in (executor, executor, rig.executor()):
        with pytest.raises(ExecutorUnavailable):
            worker.start(launch, "{}")
    rig.cloud.faults()
    handles = {worker.start(launch, "{}").handle for worker in (executor, rig.executor())}
    assert handles == {task["taskArn"] for task in rig.tasks(launch)}


def test_a_repeat_after_the_end_tells_the_end(rig: EcsRig) -> None:
    launch = a_job(rig, FAKE_EXIT=3)
    rig.cloud.faults(ecs={"lose_answer": 1.0, "only": ["RunTask"]})
    with pytest.raises(ExecutorUnavailable):
        rig.plain().start(launch, "{}")
    rig.cloud.faults()
    wait_until(lambda: rig.tasks(launch)[0]["lastStatus"] == "STOPPED", "it has ended")
    fate = rig.plain().start(launch, "{}").fate
    assert fate is not None
    assert (fate.reason, fate.exit_code) == (Reason.EXITED, 3)


@pytest.mark.parametrize(
    ("faults", "raised"),
    [
        ({"refuse": 1.0}, ExecutorUnavailable),
        ({"throttle": 1.0}, Throttled),
        ({"down": True}, ExecutorUnavailable),
    ],
)
def test_a_call_that_did_nothing_is_made_again(
    rig: EcsRig, executor: RecordingExecutor, faults: dict[str, Any], raised: type[Exception]
) -> None:
    launch = a_job(rig)
    rig.cloud.faults(ecs=faults)
    with pytest.raises(raised):
        executor.start(launch, "{}")
    rig.cloud.faults()
    assert rig.tasks(launch) == []
    assert executor.start(launch, "{}").handle == rig.tasks(launch)[0]["taskArn"]


def test_throttles_and_full_accounts_hide_in_other_exceptions(rig: EcsRig) -> None:
    executor, launch = rig.plain(), a_job(rig)
    rig.turn(hidden_throttle=1.0)
    raised: set[type[Exception]] = set()

    def both_were_raised() -> bool:
        with pytest.raises((Throttled, NoCapacity)) as refused:
            executor.start(launch, "{}")
        raised.add(refused.type)
        return len(raised) == 2

    assert wait_until(both_were_raised, "both were raised")
    assert rig.tasks(launch) == []


def test_no_capacity_is_remembered_by_the_token_and_not_by_the_next(rig: EcsRig) -> None:
    executor, launch = rig.executor(), a_job(rig)
    rig.turn(capacity=1.0)
    for _ in range(2):
        with pytest.raises(NoCapacity, match="Capacity is unavailable at this time"):
            executor.start(launch, "{}")
        rig.turn(capacity=0.0)
    assert rig.tasks(launch) == []
    following = Launch.from_json(launch.to_json().replace('"launch_number":1', '"launch_number":2'))
    assert executor.start(following, "{}").handle
    assert [task["clientToken"] for task in rig.tasks(launch)] == [f"{launch.attempt}.2"]


def test_a_blocked_account_costs_no_attempt(rig: EcsRig, executor: RecordingExecutor) -> None:
    rig.turn(blocked=True)
    with pytest.raises(ExecutorUnavailable, match="contact AWS Support"):
        executor.start(a_job(rig), "{}")


def test_a_refusal_is_told_in_the_words_of_ecs(rig: EcsRig) -> None:
    prepared = rig.plain().prepare(rig.blueprint(platform_version="9.9.9"))
    with pytest.raises(LaunchRefused, match="The specified platform does not exist") as refused:
        rig.plain().start(a_job(rig, prepared=prepared), "{}")
    assert refused.value.blame_definition


def test_a_task_of_our_token_is_adopted_though_the_request_differs(rig: EcsRig) -> None:
    executor, launch = rig.executor(), a_job(rig, seconds=30)
    first = executor.start(launch, "{}")
    other = Launch.from_json(launch.to_json().replace('"true"', '"false"'))
    assert other != launch
    assert rig.plain().start(other, "{}").handle == first.handle


def test_a_task_that_somebody_else_started_under_our_token_is_not_ours(rig: EcsRig) -> None:
    launch = a_job(rig, seconds=30)
    rig.cloud.client("ecs").run_task(
        **launch.details["run"], clientToken=f"{launch.attempt}.1", startedBy="somebody"
    )
    with pytest.raises(ExecutorUnavailable, match="was used for another request"):
        rig.plain().start(launch, "{}")


def a_start_that_may_have_been(rig: EcsRig, faults: dict[str, Any]) -> tuple[EcsExecutor, Launch]:
    """Start without hearing the answer, and let every further start be told "no"."""
    executor, launch = rig.plain(), a_job(rig, seconds=30)
    rig.cloud.faults(ecs={**faults, "only": ["RunTask"]})
    with pytest.raises(ExecutorUnavailable):
        executor.start(launch, "{}")
    rig.cloud.faults()
    rig.turn(hidden_throttle=1.0)
    return executor, launch


def start_past_throttles(executor: Executor, launch: Launch) -> Sighting:
    def started() -> Sighting | None:
        try:
            return executor.start(launch, "{}")
        except Throttled:
            return None

    return wait_until(started, "it is not a throttle")


def test_no_is_not_believed_while_an_earlier_call_has_started_the_task(rig: EcsRig) -> None:
    executor, launch = a_start_that_may_have_been(rig, {"lose_answer": 1.0})
    (task,) = rig.tasks(launch)
    assert start_past_throttles(executor, launch).handle == task["taskArn"]
    rig.hand_over(launch)
    assert start_past_throttles(rig.plain(), launch).handle == task["taskArn"]


def test_no_is_believed_when_an_earlier_call_has_started_nothing_for_long(rig: EcsRig) -> None:
    executor, launch = a_start_that_may_have_been(rig, {"refuse": 1.0})
    with pytest.raises(ExecutorUnavailable, match="an earlier call may have started a task"):
        start_past_throttles(executor, launch)
    rig.age(launch, timedelta(minutes=6))
    with pytest.raises(NoCapacity):
        start_past_throttles(executor, launch)


def test_overrides_are_as_long_as_ecs_takes(rig: EcsRig) -> None:
    executor, plain = rig.plain(job_url=None), a_job(rig, BARBEQUE_MESSAGE="")
    room = 8192 - length_of(executor._maker.make(plain)["overrides"])
    exact = a_job(rig, BARBEQUE_MESSAGE="x" * room)
    assert length_of(executor._maker.make(exact)["overrides"]) == 8192
    assert executor.start(exact, "{}").handle
    with pytest.raises(LaunchRefused, match="BARBEQUE_JOB_URL"):
        executor.start(a_job(rig, BARBEQUE_MESSAGE="x" * (room + 1)), "{}")


def test_a_task_carries_the_facts_as_tags(rig: EcsRig, executor: RecordingExecutor) -> None:
    launch = a_job(rig, seconds=30)
    handle = executor.start(launch, "{}").handle
    found = rig.cloud.client("ecs").list_tags_for_resource(resourceArn=handle)["tags"]
    tags = {each["key"]: each["value"] for each in found}
    assert tags.pop("barbeque.content") == launch.details["content"]
    assert tags == {
        "barbeque.installation": INSTALLATION,
        "barbeque.message_id": launch.message_id,
        "barbeque.attempt": "1",
        "barbeque.app": "media",
        "barbeque.job": "Thumbnail",
    }


# What is seen


def test_a_task_that_is_not_known_yet_runs(rig: EcsRig, executor: RecordingExecutor) -> None:
    rig.turn(appear_seconds=1.0)
    launch = a_job(rig)
    handle = executor.start(launch, "{}").handle
    assert look(executor, launch.attempt) == Sighting(Standing.RUNNING, handle)
    assert fate_of(executor, launch).exit_code == 0


def test_a_task_that_is_known_no_more_is_gone_after_an_hour(
    rig: EcsRig, executor: RecordingExecutor
) -> None:
    launch = a_job(rig)
    gone = f"{ACCOUNT}:task/{CLUSTER}/{'0' * 32}"
    rig.set_handle(launch, gone)
    assert look(executor, launch.attempt) == Sighting(Standing.RUNNING, gone)
    rig.age(launch, HOUR)
    assert look(executor, launch.attempt) == Sighting(Standing.ABSENT)


@pytest.mark.parametrize("seconds", [30, 0])
def test_a_task_is_found_by_who_started_it(
    rig: EcsRig, executor: RecordingExecutor, seconds: int
) -> None:
    launch = a_job(rig, seconds=seconds)
    handle = executor.start(launch, "{}").handle
    if not seconds:
        fate_of(executor, launch)
    rig.set_handle(launch, None)
    found = look(rig.executor(), launch.attempt)
    assert found.handle == handle
    assert found.standing is (Standing.RUNNING if seconds else Standing.ENDED)


def test_what_was_never_started_leaves_no_evidence(
    rig: EcsRig, executor: RecordingExecutor
) -> None:
    unstarted, unknown = a_job(rig).attempt, unknown_attempt()
    absent = Sighting(Standing.ABSENT)
    assert executor.sightings([unstarted, unknown]) == {unstarted: absent, unknown: absent}


def test_two_hundred_tasks_are_seen_in_two_calls(rig: EcsRig, executor: RecordingExecutor) -> None:
    launches = [a_job(rig) for _ in range(150)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda each: executor.start(each, "{}"), launches))
    rig.cloud.reset_counts()
    seen = executor.sightings([each.attempt for each in launches])
    assert len({each.handle for each in seen.values()}) == len(launches)
    assert rig.cloud.counts()["ecs"] == {"DescribeTasks": 2}


def test_evidence_is_found_among_many_ended_tasks(rig: EcsRig, executor: RecordingExecutor) -> None:
    launches = [a_job(rig, FAKE_EXIT=number % 7) for number in range(120)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda each: executor.start(each, "{}"), launches))
    for launch in launches:
        fate_of(executor, launch)
        rig.set_handle(launch, None)
    wanted = launches[::40]
    seen = executor.sightings([each.attempt for each in wanted])
    codes = [each.fate.exit_code for each in seen.values() if each.fate is not None]
    assert codes == [0, 5, 3]


def test_a_cluster_that_is_gone_has_no_tasks(rig: EcsRig) -> None:
    gone = rig.plain().prepare(rig.blueprint(cluster="gone"))
    launch = a_job(rig, prepared=gone)
    rig.set_handle(launch, f"{ACCOUNT}:task/gone/{'0' * 32}")
    rig.age(launch, HOUR)
    executor = rig.plain()
    assert look(executor, launch.attempt).standing is Standing.ABSENT
    executor.stop(launch.attempt, kill=False)


@pytest.mark.parametrize("operation", ["DescribeTasks", "ListTasks"])
def test_ecs_that_is_away_is_told(rig: EcsRig, operation: str) -> None:
    launch = a_job(rig)
    if operation == "DescribeTasks":
        rig.set_handle(launch, f"{ACCOUNT}:task/{CLUSTER}/{'0' * 32}")
    rig.cloud.faults(ecs={"throttle": 1.0, "only": [operation]})
    with pytest.raises(ExecutorUnavailable, match="looking for tasks in"):
        rig.plain().sightings([launch.attempt])


# Ends


def test_too_much_memory_is_told(rig: EcsRig) -> None:
    fate = run(rig, FAKE_OOM=1)
    assert (fate.reason, fate.exit_code) == (Reason.OUT_OF_MEMORY, 137)


def test_an_image_that_is_not_there_is_the_definitions_fault(rig: EcsRig) -> None:
    fate = run(rig, FAKE_REFUSED="CannotPullContainerError: pull access denied for nope")
    assert (fate.reason, fate.blame_definition) == (Reason.NEVER_STARTED, True)
    assert "pull access denied for nope" in fate.detail


def test_a_log_group_that_is_not_there_is_the_definitions_fault(rig: EcsRig) -> None:
    prepared = rig.plain().prepare(rig.blueprint(log={"group": "/not/there"}))
    fate = run(rig, prepared=prepared)
    assert (fate.reason, fate.blame_definition) == (Reason.NEVER_STARTED, True)
    assert "make the log group" in fate.detail


def test_a_start_that_the_network_broke_is_interrupted(rig: EcsRig) -> None:
    rig.turn(failed_starts=1.0)
    assert run(rig).reason is Reason.INTERRUPTED


@pytest.mark.parametrize("code", ["SpotInterruption", "TerminationNotice"])
def test_a_spot_task_that_is_taken_away_is_interrupted(rig: EcsRig, code: str) -> None:
    rig.turn(interrupt_code=code)
    executor, launch = rig.executor(), a_job(rig, seconds=30)
    handle = executor.start(launch, "{}").handle
    wait_until(lambda: look(executor, launch.attempt).started_at, "it runs")
    rig.cloud.control("ecs", "interrupt", task=handle)
    fate = fate_of(executor, launch)
    assert (fate.reason, fate.exit_code) == (Reason.INTERRUPTED, 143)
    assert fate.detail == "Your Spot Task was interrupted."


def test_a_host_that_dies_interrupts_its_tasks(rig: EcsRig) -> None:
    executor, launch = rig.executor(), a_job(rig, seconds=30)
    handle = executor.start(launch, "{}").handle
    wait_until(lambda: look(executor, launch.attempt).started_at, "it runs")
    rig.cloud.control("ecs", "fail_host", task=handle)
    fate = fate_of(executor, launch)
    assert (fate.reason, fate.exit_code) == (Reason.INTERRUPTED, None)


@pytest.mark.parametrize("knows_its_task", [True, False])
def test_a_stop_says_who_asked(
    rig: EcsRig, executor: RecordingExecutor, *, knows_its_task: bool
) -> None:
    launch = a_job(rig, seconds=30)
    executor.start(launch, "{}")
    wait_until(lambda: look(executor, launch.attempt).started_at, "it runs")
    if not knows_its_task:
        rig.set_handle(launch, None)
    executor.stop(launch.attempt, kill=False)
    fate = fate_of(executor, launch)
    assert (fate.exit_code, fate.detail) == (143, "barbeque: asked to stop")


def test_a_stop_that_ecs_does_not_answer_is_told(rig: EcsRig, executor: RecordingExecutor) -> None:
    launch = a_job(rig, seconds=30)
    executor.start(launch, "{}")
    rig.cloud.faults(ecs={"throttle": 1.0, "only": ["StopTask"]})
    with pytest.raises(ExecutorUnavailable, match="stopping the task"):
        executor.stop(launch.attempt, kill=False)


# Logs


def test_a_log_is_where_the_row_says_and_is_read_on(rig: EcsRig) -> None:
    executor, launch = rig.executor(), a_job(rig, FAKE_LINES="one\ntwo\n")
    executor.start(launch, "{}")
    fate_of(executor, launch)
    source = executor.log(launch.attempt)
    assert [line.partition(b" ")[2] for line in stored(source)] == [b"- one", b"- two"]
    assert stored(source) == []
    executor.remove(launch.attempt)
    assert executor.remains() == []


def test_an_attempt_without_a_task_has_no_log(rig: EcsRig, executor: RecordingExecutor) -> None:
    with pytest.raises(NoSuchLog, match="no task is known"):
        stored(executor.log(a_job(rig).attempt))


def test_a_log_that_firelens_carries_is_read_from_the_bucket_and_removed(rig: EcsRig) -> None:
    store = MemoryLogStore()
    executor = rig.executor(bucket=Bucket("logs-of-shop", "logs/", store))
    prepared = executor.prepare(rig.blueprint(logs="firelens"))
    launch = a_job(rig, prepared=prepared)
    task = executor.start(launch, "{}").handle.rpartition("/")[2]
    fate_of(executor, launch)
    record = {"date": "2026-11-21T20:00:00.000001Z", "source": "stderr", "log": "oh"}
    folder = f"firelens/{INSTALLATION}/app-firelens-{task}/"
    store.put(f"{folder}0-x", [json.dumps(record).encode()])
    assert stored(executor.log(launch.attempt)) == [b"2026-11-21T20:00:00.000001Z err oh"]
    executor.remove(launch.attempt)
    assert store.names(folder) == []


# Events


def test_events_tell_the_start_and_the_end_until_they_are_acknowledged(rig: EcsRig) -> None:
    stop = threading.Event()
    news = rig.plain().events(stop)
    launch = a_job(rig, seconds=0.3, FAKE_EXIT=3)
    rig.executor().start(launch, "{}")
    told: list[Sighting] = []

    def has_ended() -> bool:
        heard = next(news)
        told.extend(filter(None, [heard.sightings.get(launch.attempt)]))
        heard.acknowledge()
        return bool(told) and told[-1].standing is Standing.ENDED

    wait_until(has_ended, "the end is told")
    stop.set()
    assert all(each.started_at is not None for each in told)
    assert [each.version for each in told] == sorted(each.version or 0 for each in told)
    ended = look(rig.executor(), launch.attempt)
    assert (told[-1].handle, told[-1].version) == (ended.handle, ended.version)
    assert told[-1].fate is not None
    assert told[-1].fate.exit_code == 3


def the_queue(rig: EcsRig, name: str, *bodies: str) -> TaskEvents:
    """Make a queue with these messages, and listen to it."""
    client = rig.cloud.client("sqs")
    url = client.create_queue(QueueName=name)["QueueUrl"]
    for body in bodies:
        client.send_message(QueueUrl=url, MessageBody=body)
    return TaskEvents(client, name, f"bq/{INSTALLATION}/")


def first_news(events: TaskEvents) -> News:
    listening = events.listen(threading.Event())
    return next(news for news in listening if news.sightings)


def left_in(rig: EcsRig, name: str) -> int:
    return len(rig.cloud.control("sqs", "peek", queue=name)["messages"])


def an_event(attempt: str, *, version: int, starter: str = f"bq/{INSTALLATION}/") -> str:
    from tests.unit.test_ecs_events import an_event as of_a_task  # noqa: PLC0415 - one test's

    return of_a_task(detail={"startedBy": f"{starter}{attempt}", "version": version})


def test_of_several_events_the_newest_counts_and_all_are_acknowledged(rig: EcsRig) -> None:
    attempt = unknown_attempt()
    bodies = [an_event(attempt, version=version) for version in (4, 9, 2)]
    news = first_news(the_queue(rig, "several", *bodies))
    assert [each.version for each in news.sightings.values() if each] == [9]
    news.acknowledge()
    assert left_in(rig, "several") == 0


def test_what_is_foreign_or_broken_is_deleted_and_counted(rig: EcsRig) -> None:
    foreign = an_event(unknown_attempt(), version=1, starter="bq/zzz999/")
    attempt = unknown_attempt()
    events = the_queue(rig, "mixed", "{", "[]", foreign, an_event(attempt, version=1))
    told: set[str] = set()
    listening = events.listen(threading.Event())

    def all_are_read() -> bool:
        told.update(next(listening).sightings)
        return (events.broken, events.foreign, told) == (2, 1, {attempt})

    wait_until(all_are_read, "all are read")
    assert left_in(rig, "mixed") == 1


def test_a_queue_that_is_not_there_is_told_once_with_the_cure(
    rig: EcsRig, caplog: pytest.LogCaptureFixture
) -> None:
    stop = threading.Event()
    asked = clock.monotonic()
    with caplog.at_level(logging.WARNING):
        news = rig.plain(events="nowhere").events(stop)
        told = [next(news) for _ in range(2)]
    assert [each.sightings for each in told] == [{}, {}]
    assert all(each.deaf for each in told)
    assert clock.monotonic() - asked < 60
    (warning,) = caplog.records
    assert "there is no SQS queue nowhere: make it" in warning.getMessage()
    stop.set()
    assert list(news) == []


def test_a_queue_that_is_away_for_a_while_is_listened_to_again(rig: EcsRig) -> None:
    rig.cloud.faults(sqs={"down": True})
    stop = threading.Event()
    news = rig.plain().events(stop)
    assert next(news).sightings == {}
    rig.cloud.faults()
    launch = a_job(rig)
    rig.executor().start(launch, "{}")
    wait_until(lambda: launch.attempt in next(news).sightings, "it is told")
    stop.set()


def test_an_event_that_is_not_acknowledged_stays(rig: EcsRig) -> None:
    events = the_queue(rig, "kept", an_event(unknown_attempt(), version=1))
    news = first_news(events)
    assert left_in(rig, "kept") == 1
    news.acknowledge()
    assert left_in(rig, "kept") == 0
    news.acknowledge()  # twice is once

"""What every client promises to apps: the two that speak HTTP, and the two in memory for tests."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from barbeque_py.answers import Enqueued, Execution, Progress
from barbeque_py.asking import Asking
from barbeque_py.calls import Job
from barbeque_py.errors import OutsideError, RequestError
from barbeque_py.faults import Conflict, NotFound, Refused, WaitTimedOut
from tests.contracts.client_rigs import AGAIN, ONCE, ClientRig, HttpRig, MemoryRig

UNSEEN = "0198aaaa-bbbb-7ccc-8ddd-eeeeffff0000"
SHORT = timedelta(seconds=0.3)


@pytest.fixture(scope="module", params=["http", "http awaited", "memory", "memory awaited"])
def rig(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ClientRig]:
    kind, _, awaited = request.param.partition(" ")
    folder: Path = tmp_path_factory.mktemp("client")
    rig = HttpRig(folder, awaited=bool(awaited)) if kind == "http" else None
    made: ClientRig = rig or MemoryRig(awaited=bool(awaited))
    yield made
    made.close()


@pytest.fixture
def client(rig: ClientRig) -> Asking:
    return rig.client


def enqueued(rig: ClientRig, job: str = ONCE) -> str:
    return rig.client.enqueue("media", job, {"n": 1}).message_id


def begun(rig: ClientRig, job: str = ONCE) -> str:
    message_id = enqueued(rig, job)
    rig.start(message_id)
    return message_id


def ended(rig: ClientRig) -> str:
    message_id = begun(rig)
    rig.finish(message_id, result={"pages": 3}, log=["one", "two"])
    return message_id


def test_an_enqueued_job_is_pending(rig: ClientRig, client: Asking) -> None:
    answer = client.enqueue("media", ONCE, {"n": 1}, priority=3, tags={"a": "b"}, user_id="u")
    assert answer.status == "pending"
    assert client.status(answer.message_id) == "pending"
    rig.start(answer.message_id)
    rig.finish(answer.message_id)


def test_it_runs_and_succeeds_with_its_result(rig: ClientRig, client: Asking) -> None:
    message_id = begun(rig)
    running = client.execution(message_id)
    assert (running.state, running.status, running.ended) == ("running", "running", False)
    assert (running.progress, running.result, running.facts["queue"]) == (None, None, "default")
    rig.finish(message_id, result={"pages": [1, "ä"]})
    execution = client.wait(message_id)
    assert (execution.state, execution.status, execution.succeeded) == (
        "succeeded",
        "success",
        True,
    )
    assert execution.result == client.result(message_id) == {"pages": [1, "ä"]}
    [attempt] = execution.attempts
    assert (attempt.number, attempt.state, attempt.exit_code) == (1, "ended", 0)
    assert attempt.reason == "exited"
    assert attempt.finished_at is not None


def test_failures_are_tried_again_and_each_attempt_keeps_its_own(
    rig: ClientRig, client: Asking
) -> None:
    message_id = begun(rig, AGAIN)
    rig.finish(message_id, exit_code=3, result=1, log=["first"])
    assert client.status(message_id) == "retried"
    assert client.execution(message_id).state == "retrying"
    rig.start(message_id)
    with pytest.raises(NotFound):
        client.result(message_id)
    rig.finish(message_id, result=2, log=["second"])
    execution = client.execution(message_id)
    assert (execution.state, execution.result) == ("succeeded", 2)
    assert [each.exit_code for each in execution.attempts] == [3, 0]
    assert [client.result(message_id, number) for number in (1, 2)] == [1, 2]
    assert [line.text for line in client.logs(message_id)] == ["second"]
    assert [line.text for line in client.logs(message_id, 1)] == ["first"]


def test_progress_is_passed_on_while_waiting(rig: ClientRig, client: Asking) -> None:
    message_id = begun(rig)
    rig.progress(message_id, 42.0, "half")
    told: list[Progress | None] = []

    def hear(execution: Execution) -> None:
        told.append(execution.progress)

    with pytest.raises(WaitTimedOut, match=message_id):
        client.wait(message_id, timeout=SHORT, on_progress=hear)
    assert [(each.percent, each.text) for each in told if each] == [(42.0, "half")]
    rig.finish(message_id)


def test_logs_are_read_line_by_line_and_followed_to_the_end(rig: ClientRig, client: Asking) -> None:
    message_id = ended(rig)
    for follow in (False, True):
        lines = list(client.logs(message_id, follow=follow))
        assert [(line.number, line.text) for line in lines] == [(0, "one"), (1, "two")]
        assert {(line.stream, line.newline) for line in lines} == {("out", True)}


def test_the_log_of_what_has_just_ended_is_whole(rig: ClientRig, client: Asking) -> None:
    message_id = begun(rig)
    rig.finish(message_id, log=["one", "two"], late=True)
    assert [line.text for line in client.logs(message_id)] == ["one", "two"]


def test_an_empty_log_ends(rig: ClientRig, client: Asking) -> None:
    message_id = begun(rig)
    rig.finish(message_id)
    assert list(client.logs(message_id)) == []
    assert list(client.logs(message_id, follow=True)) == []


def test_what_has_ended_can_be_retried_and_answers_under_both_ids(
    rig: ClientRig, client: Asking
) -> None:
    message_id = ended(rig)
    again = client.retry(message_id).message_id
    assert again != message_id
    assert client.execution(again).message_id == message_id
    with pytest.raises(Conflict) as conflict:
        client.retry(message_id)
    assert (conflict.value.status, conflict.value.code) == (409, "conflict")
    rig.start(message_id)
    rig.finish(message_id, exit_code=1)
    assert client.wait(again).state == "failed"


def test_a_waiting_job_is_cancelled_at_once_and_a_running_one_asked(
    rig: ClientRig, client: Asking
) -> None:
    running = begun(rig)
    assert client.cancel(running).outcome == "cancel requested"
    assert client.execution(running).state == "running"
    assert client.cancel(running, force=True).outcome == "kill requested"
    rig.finish(running, exit_code=143)
    assert client.wait(running).state == "cancelled"
    assert client.cancel(running).outcome == "already ended"


def test_many_jobs_have_answers_in_their_order(rig: ClientRig, client: Asking) -> None:
    jobs = [Job("media", ONCE, {"n": number}) for number in range(3)]
    first, second = client.enqueue_many(jobs), client.enqueue_many([*jobs, jobs[0]])
    ids = [each.message_id for each in first if isinstance(each, Enqueued)]
    assert len(set(ids)) == 3
    assert [each.message_id for each in second if isinstance(each, Enqueued)] == [*ids, ids[0]]
    for message_id in sorted(ids):  # as they are taken in
        rig.start(message_id)
        rig.finish(message_id)
    assert client.enqueue_many([]) == []


def test_one_key_is_one_execution(rig: ClientRig, client: Asking) -> None:
    ids = {client.enqueue("media", ONCE, {"n": n}, key="order 7").message_id for n in range(3)}
    assert len(ids) == 1
    [message_id] = ids
    rig.start(message_id)
    rig.finish(message_id)
    assert client.execution(message_id).facts["message"] == '{"n":0}'


def test_what_nobody_has_seen_is_pending_and_not_found(client: Asking) -> None:
    assert client.status(UNSEEN) == "pending"
    with pytest.raises(NotFound) as missing:
        client.execution(UNSEEN)
    assert (missing.value.status, missing.value.code) == (404, "record_not_found")
    assert isinstance(missing.value, Refused)
    assert isinstance(missing.value, RequestError)
    assert not isinstance(missing.value, OutsideError)
    unseen = client.look(UNSEEN)
    assert (unseen.state, unseen.note, unseen.attempts) == (
        "queued",
        "no worker has seen this id yet",
        (),
    )
    with pytest.raises(WaitTimedOut):
        client.wait(UNSEEN, timeout=SHORT)


def test_what_has_told_no_result_is_not_found(rig: ClientRig, client: Asking) -> None:
    message_id = begun(rig)
    with pytest.raises(NotFound, match="no result"):
        client.result(message_id)
    rig.finish(message_id)
    with pytest.raises(NotFound, match="no result"):
        client.result(message_id)


def test_mistakes_are_told_before_anything_is_sent(client: Asking) -> None:
    instant = datetime(2030, 1, 1, tzinfo=UTC)
    with pytest.raises(ValueError, match="not both"):
        client.enqueue("media", ONCE, 1, delay=SHORT, run_at=instant)
    with pytest.raises(ValueError, match="time zone"):
        client.enqueue("media", ONCE, 1, run_at=instant.replace(tzinfo=None))
    with pytest.raises(ValueError, match="traceparent"):
        client.enqueue_many([Job("media", ONCE, 1, traceparent="x")])
    with pytest.raises(TypeError):
        client.enqueue("media", ONCE, 1, countdown=3)  # type: ignore[call-arg]  # unknown


def test_a_null_message_is_refused(client: Asking) -> None:
    with pytest.raises(Refused, match="null"):
        client.enqueue("media", ONCE, None)

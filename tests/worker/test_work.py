"""What a worker does with jobs, whichever executor runs them."""

import json
import time
from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from barbeque_py import clock
from barbeque_py.apps import Queue
from barbeque_py.backoff import RetryPolicy
from barbeque_py.cancel import cancel
from barbeque_py.executions import Stage
from barbeque_py.log_reading import read_lines
from barbeque_py.logs import Page, attempt_prefix
from barbeque_py.store import Tx, apps, dead, limits
from tests.images import make_test_image
from tests.waiting import wait_until
from tests.worker.office import Office


@pytest.fixture(params=["process", pytest.param("docker", marks=pytest.mark.docker)])
def office(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Office]:
    image = make_test_image() if request.param == "docker" else ""
    office = Office(tmp_path, f"{request.param}:?slots=4", image=image)
    yield office
    office.close()


def test_a_job_gets_what_it_is_promised(office: Office) -> None:
    office.define("job", "env | sort; exit 0", env={"COLOUR": "red"})
    office.work()
    message_id = office.enqueue("job", '{"n":[1,2]}', traceparent=f"00-{'a' * 32}-{'b' * 16}-01")
    execution = office.end_of(message_id)
    given = dict(line.split("=", 1) for line in office.log(message_id).splitlines() if "=" in line)
    assert execution.state == "succeeded"
    assert json.loads(given["BARBEQUE_MESSAGE"]) == {"n": [1, 2]}
    sent = given.pop("BARBEQUE_SENT_TIMESTAMP")
    assert abs(int(sent) / 1000 - execution.sent_at.timestamp()) < 0.01
    expected = {
        "BARBEQUE_APP": "app",
        "BARBEQUE_ATTEMPT_ID": f"{message_id}-1",
        "BARBEQUE_JOB": "job",
        "BARBEQUE_MESSAGE_ID": message_id,
        "BARBEQUE_QUEUE_NAME": "default",
        "BARBEQUE_RETRY_COUNT": "0",
        "COLOUR": "red",
        "TRACEPARENT": f"00-{'a' * 32}-{'b' * 16}-01",
    }
    assert expected.items() <= given.items()
    ours = {name for name in given if name.startswith("BARBEQUE_")}
    files = {"BARBEQUE_PROGRESS_FILE", "BARBEQUE_RESULT_FILE"}
    assert ours - expected.keys() <= {"BARBEQUE_MESSAGE", "BARBEQUE_MESSAGE_URL", *files}


def test_a_job_that_fails_is_tried_again_and_knows_it(office: Office) -> None:
    office.define("job", 'echo "try $BARBEQUE_RETRY_COUNT"; [ $BARBEQUE_RETRY_COUNT = 2 ]')
    office.work()
    message_id = office.enqueue("job")
    assert office.end_of(message_id).state == "succeeded"
    assert [each.exit_code for each in office.attempts(message_id)] == [1, 1, 0]
    assert [office.log(message_id, n) for n in (1, 2, 3)] == ["try 0\n", "try 1\n", "try 2\n"]


def test_five_retries_are_six_runs(office: Office) -> None:
    policy = RetryPolicy(base_delay=timedelta(seconds=0.01), jitter=False)
    office.define("job", "exit 7", retry=policy)
    office.work()
    message_id = office.enqueue("job")
    execution = office.end_of(message_id)
    assert (execution.state, execution.counted, execution.could_not_start) == ("failed", 6, False)
    assert [each.exit_code for each in office.attempts(message_id)] == [7] * 6


def test_a_job_past_its_time_is_ended_and_one_that_will_not_end_is_killed(office: Office) -> None:
    once = RetryPolicy(limit=0)
    timeout, grace = timedelta(seconds=2), timedelta(seconds=1)
    office.define("polite", "sleep 60", timeout=timeout, grace=grace, retry=once)
    office.define(
        "deaf",
        "trap '' TERM; while :; do sleep 0.1; done",
        timeout=timeout,
        grace=grace,
        retry=once,
    )
    office.work()
    polite, deaf = office.enqueue("polite"), office.enqueue("deaf")
    for message_id, exit_code in ((polite, 143), (deaf, 137)):
        execution = office.end_of(message_id)
        (attempt,) = office.attempts(message_id)
        assert (execution.state, attempt.reason) == ("failed", "timed out")
        assert attempt.exit_code == exit_code


def test_a_cancelled_job_is_stopped_and_one_that_finishes_all_the_same_succeeded(
    office: Office,
) -> None:
    office.define("stops", "sleep 60")
    script = "trap 'echo done; exit 0' TERM; echo ready; while :; do sleep 0.1; done"
    office.define("finishes", script)
    office.work()
    stops, finishes = office.enqueue("stops"), office.enqueue("finishes")
    for message_id in (stops, finishes):
        office.running(message_id)
    prefix = attempt_prefix("app", "finishes", finishes, 1)
    wait_until(lambda: _some(office, prefix), "the job's shell has set its trap")
    for message_id in (stops, finishes):
        office.store.write(lambda tx, message_id=message_id: cancel(tx, message_id))  # type: ignore[misc]
        office.parts.bell.ring()
    assert office.end_of(stops).state == "cancelled"
    assert office.attempts(stops)[0].reason == "cancelled"
    assert office.end_of(finishes).state == "succeeded"
    assert "done\n" in office.log(finishes)  # the shell may add "Terminated"


def test_a_job_is_not_started_before_it_is_due(office: Office) -> None:
    office.define("job", "true")
    office.work()
    begun = clock.now()
    message_id = office.enqueue("job", delay=1.5)
    execution = office.end_of(message_id)
    assert execution.started_at is not None
    assert execution.started_at - begun > timedelta(seconds=1.499)


def test_a_paused_queue_takes_in_and_starts_nothing_until_it_goes_on(office: Office) -> None:
    office.define("job", "true")
    office.store.write(lambda tx: apps.pause_queue(tx, "default"))
    office.work()
    message_id = office.enqueue("job")
    office.staged(message_id, Stage.READY)
    time.sleep(0.5)
    assert office.attempts(message_id) == []
    office.store.write(lambda tx: apps.resume_queue(tx, "default"))
    office.parts.bell.ring()
    assert office.end_of(message_id).state == "succeeded"


def test_the_urgent_go_first(office: Office) -> None:
    office.define("job", "true")
    office.store.write(lambda tx: apps.put_queue(tx, Queue("default", 1)))
    office.store.write(lambda tx: apps.pause_queue(tx, "default"))
    office.work()
    ids = {priority: office.enqueue("job", priority=priority) for priority in (-5, 0, 50)}
    for message_id in ids.values():
        office.staged(message_id, Stage.READY)
    office.store.write(lambda tx: apps.resume_queue(tx, "default"))
    office.parts.bell.ring()
    started = {p: office.end_of(message_id).started_at for p, message_id in ids.items()}
    assert sorted(started, key=lambda p: started[p] or 0) == [50, 0, -5]


def test_a_job_limit_holds_and_leaks_nothing(office: Office) -> None:
    office.define("narrow", "sleep 0.3", concurrency=1)
    office.work()
    office.work()
    ids = [office.enqueue("narrow") for _ in range(4)]
    for message_id in ids:
        assert office.end_of(message_id).state == "succeeded"
    runs = sorted((a.started_at, a.finished_at) for i in ids for a in office.attempts(i))
    assert all(end <= begin for (_, end), (begin, _) in pairwise(runs))  # type: ignore[operator]
    assert all(limit.used == 0 for limit in office.store.read(limits.read_all))


def test_a_message_arrives_as_a_variable_while_it_fits_and_as_a_file_when_it_does_not(
    office: Office,
) -> None:
    office.define("small", 'printf %s "$BARBEQUE_MESSAGE" | wc -c')
    office.define(
        "large", 'echo "${BARBEQUE_MESSAGE-none}"; cat "${BARBEQUE_MESSAGE_URL#file://}" | wc -c'
    )
    office.work()
    small, large = json.dumps("x" * 60_000), json.dumps("y" * 300_000)
    first, second = office.enqueue("small", small), office.enqueue("large", large)
    assert office.end_of(first).state == "succeeded"
    assert office.end_of(second).state == "succeeded"
    assert office.log(first).split() == [str(len(small))]
    assert office.log(second).split() == ["none", str(len(large))]


def test_a_command_that_does_not_exist_fails_naming_it(office: Office) -> None:
    office.define("job", "", command=("no-such-command",), retry=RetryPolicy(limit=0))
    office.work()
    message_id = office.enqueue("job")
    execution = office.end_of(message_id)
    (attempt,) = office.attempts(message_id)
    assert (execution.state, execution.could_not_start) == ("failed", True)
    assert attempt.reason == "never started"
    assert "no-such-command" in (attempt.detail or "")


def test_a_poison_message_is_kept_and_stops_nobody(office: Office) -> None:
    office.define("job", "true")
    office.work()
    from barbeque_py.broker import Parcel  # noqa: PLC0415 - only here a body is not one of ours

    for body in ('{"Type":', '{"Type":"Dance"}', '"text"', "\x00", "{}" * 20_000):
        office.parts.broker.send("default", [Parcel(body, "app")])
    assert office.end_of(office.enqueue("job")).state == "succeeded"
    buried = office.store.read(dead.newest)
    assert len(buried) == 5
    assert all(each.reason for each in buried)


def test_a_log_can_be_read_while_it_is_written(office: Office) -> None:
    office.define("job", "trap 'echo two; exit 0' TERM; echo one; while :; do sleep 0.1; done")
    office.work()
    message_id = office.enqueue("job")
    office.running(message_id)
    prefix = attempt_prefix("app", "job", message_id, 1)
    page = wait_until(lambda: _some(office, prefix), "the first line can be read")
    assert ([line.text for line in page.lines], page.sealed) == (["one"], False)
    office.store.write(lambda tx: cancel(tx, message_id))
    office.parts.bell.ring()
    assert office.end_of(message_id).state == "succeeded"
    page = read_lines(office.parts.logs, prefix, first=0, count=10)
    written = [line.text for line in page.lines if line.text != "Terminated"]  # the shell's word
    assert (written, page.sealed) == (["one", "two"], True)


def test_a_stopped_worker_leaves_its_jobs_to_the_next(office: Office) -> None:
    office.define("job", "echo one; sleep 3; echo two")
    first = office.work_apart()
    message_id = office.enqueue("job")
    office.running(message_id)
    first.terminate()
    began = time.monotonic()
    assert first.wait(60) == 0
    assert time.monotonic() - began < 30  # ten where a machine is free
    office.work()
    execution = office.end_of(message_id)
    assert (execution.state, execution.attempts) == ("succeeded", 1)
    assert office.log(message_id) == "one\ntwo\n"


def test_a_secret_is_masked_before_it_is_stored(office: Office) -> None:
    office.define("job", 'echo "the key is $API_TOKEN"', env={"API_TOKEN": "s3cr3t-value"})
    office.work()
    message_id = office.enqueue("job")
    office.end_of(message_id)
    assert office.log(message_id) == "the key is ***\n"


def test_nothing_is_left_when_all_is_done(office: Office) -> None:
    office.define("job", "echo hello")
    office.work()
    ids = [office.enqueue("job") for _ in range(8)]
    for message_id in ids:
        office.end_of(message_id)
    wait_until(lambda: not office.parts.executor.remains(), "nothing is held any more")
    assert office.store.read(_used) == 0


def _some(office: Office, prefix: str) -> Page | None:
    page = read_lines(office.parts.logs, prefix, first=0, count=10)
    return page if page.lines else None


def _used(tx: Tx) -> int:
    return sum(limit.used for limit in limits.read_all(tx))
